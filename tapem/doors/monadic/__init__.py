"""The monadic door: steps as values, the driver that takes them, and programs of steps."""

from tapem.doors.monadic.programs import (
    backward,
    backward_scalar,
    const,
    do,
    fail,
    fold,
    get_tape,
    leaf,
    lift,
    param,
    pure,
    sequence,
    set_tape,
    to_tracers,
    traverse,
)
from tapem.doors.monadic.step import Err, Ok, TapeM, drive

__all__ = [
    "Err", "Ok", "TapeM", "backward", "backward_scalar", "const", "do", "drive", "fail", "fold", "get_tape", "leaf",
    "lift", "param", "pure", "sequence", "set_tape", "to_tracers", "traverse",
]  # fmt: skip
