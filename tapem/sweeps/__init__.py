"""The folds over a tape, one file each: reverse, forward, batch."""

from tapem.sweeps.batch import Batched, batch, from_front, to_front
from tapem.sweeps.broadcasting import never_arrived, unbroadcast, zeros_of
from tapem.sweeps.fitting import fit_given
from tapem.sweeps.forward import forward
from tapem.sweeps.printer import Printer, value_text
from tapem.sweeps.reverse import View, reached, reverse

__all__ = [
    "Batched", "Printer", "View", "batch", "fit_given", "forward", "from_front", "never_arrived", "reached", "reverse",
    "to_front", "unbroadcast", "value_text", "zeros_of",
]  # fmt: skip
