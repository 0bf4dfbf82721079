"""The monadic door: steps as values, the driver that runs them, and programs of steps."""

from tapem.doors.monadic.driver import run_if_program
from tapem.doors.monadic.outcome import Err, Ok
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
    traverse,
)
from tapem.doors.monadic.step import DEFERRED, TapeM

__all__ = [
    "DEFERRED", "Err", "Ok", "TapeM", "backward", "backward_scalar", "const", "do", "fail", "fold", "get_tape", "leaf",
    "lift", "param", "pure", "run_if_program", "sequence", "set_tape", "traverse",
]  # fmt: skip
