"""Check that two libraries do the same work; a candidate is timed only after it has passed."""

from collections.abc import Sequence

import numpy as np

from .workload import Array, Candidate, Workload

STEPS_COMPARED = 3


class WrongResultError(Exception):
    """A library's version of a workload does not compute what hand-written NumPy computes."""


def check(workload: Workload, candidate: Candidate) -> None:
    """Run a candidate and a fresh hand-written one for a few steps; raise WrongResultError if they differ."""
    reference = workload.libraries["numpy"]()
    start = workload.start() if workload.start is not None else None
    for step in range(1, STEPS_COMPARED + 1):
        expected = _results(reference, start)
        actual = _results(candidate, start)
        if len(actual) != len(expected):
            raise WrongResultError(f"{len(actual)} arrays where {len(expected)} are due")
        for index, (ours, theirs) in enumerate(zip(expected, actual, strict=True)):
            what = "the loss" if index == 0 else f"array {index}"
            _compare(f"{what} after step {step}", ours, theirs, workload.tolerance)
            if index > 0 and theirs.dtype != ours.dtype:
                raise WrongResultError(f"{what} is {theirs.dtype}, not {ours.dtype}")


def _results(candidate: Candidate, start: Sequence[Array] | None) -> list[Array]:
    """Copies of one step's loss and arrays, or of the changes of the arrays since the start."""
    loss, *arrays = (np.array(array) for array in candidate.read(candidate.step()))
    if start is None:
        return [loss, *arrays]
    if len(start) != len(arrays):
        raise WrongResultError(f"{len(arrays)} arrays where {len(start)} are due")
    shapes = [(before.shape, after.shape) for before, after in zip(start, arrays, strict=True)]
    if any(before != after for before, after in shapes):
        raise WrongResultError(f"shapes (due, found): {shapes}")
    return [loss, *(after - before for before, after in zip(start, arrays, strict=True))]


def _compare(what: str, expected: Array, actual: Array, tolerance: float) -> None:
    if actual.shape != expected.shape:
        raise WrongResultError(f"{what} has shape {actual.shape}, not {expected.shape}")
    largest = float(np.max(np.abs(expected)))
    error = float(np.max(np.abs(actual.astype(np.float64) - expected.astype(np.float64))))
    # In this form NaN on either side fails too.
    if not (largest > 0 and error <= tolerance * largest):
        raise WrongResultError(f"{what} is off by {error:.3g} where the largest element is {largest:.3g}")
