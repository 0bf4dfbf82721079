"""Train a model, and save and load its parameters."""

from tapem.training.fit_state import Best, FitState, Fitted
from tapem.training.fitting import fit
from tapem.training.memory import keep_freed_memory
from tapem.training.raveling import ravel
from tapem.training.saving import load, save

__all__ = ["Best", "FitState", "Fitted", "fit", "keep_freed_memory", "load", "ravel", "save"]
