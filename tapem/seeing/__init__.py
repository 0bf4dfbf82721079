"""Seeing what a program and its sweeps do."""

from tapem.seeing.debugging import debug, debug_mode, explain

__all__ = ["debug", "debug_mode", "explain"]
