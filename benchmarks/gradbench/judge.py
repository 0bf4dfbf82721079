"""What every case must give, and whether a result does: expected outputs are kept in ``cases/``."""

import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..workload import Array
from .inputs import MODES, inputs

CASES = Path(__file__).parent / "cases"

TOLERANCE = 1e-9
"""The largest difference over the largest magnitude, per array."""

Expected = Mapping[str, Any]


class Case(NamedTuple):
    """One call and what it must give."""

    name: str
    size: str
    mode: str
    part: str
    inputs: dict[str, Any]
    expected: Expected

    @property
    def function(self) -> str:
        """The name of the function that a module offers for it."""
        return f"{self.name}_{self.part}"


class WrongResultError(Exception):
    """A result that is not the expected one."""


def cases(name: str, size: str) -> Iterator[Case]:
    """The cases of an eval: its primal, and its derivative, in every mode if there are modes."""
    given = inputs(name, size)
    expected = json.loads((CASES / f"{size}.json").read_text())[name]
    if digest_of_inputs(given) != expected["inputs"]:
        raise WrongResultError(f"{name}, {size}: NumPy draws other random numbers than when the cases were made.")
    yield Case(name, size, "", "primal", given, expected["primal"])
    for mode in MODES if name in ("particle", "saddle") else ("",):
        with_mode = {**given, "mode": mode} if mode else given
        yield Case(name, size, mode, "derivative", with_mode, expected["derivative"])


def error_of(case: Case, result: Any) -> float:
    """The largest error of a result; raises WrongResultError for wrong fields, kinds or shapes, and above TOLERANCE."""
    found: Mapping[str, Any] = result if isinstance(result, dict) else {"": result}
    if set(found) != set(case.expected):
        raise WrongResultError(f"{case.function}: fields {sorted(found)}, not {sorted(case.expected)}")
    errors: list[float] = []
    for field, expected in case.expected.items():
        value = np.asarray(found[field])
        if value.dtype.kind != expected["kind"] or list(value.shape) != expected["shape"]:
            due = f"kind {expected['kind']!r} and shape {expected['shape']}"
            raise WrongResultError(f"{case.function} {field}: {value.dtype} {list(value.shape)}, not of {due}")
        due = np.array(expected["data"] if "data" in expected else expected["digest"], float)
        actual = value.ravel() if "data" in expected else digest(value)
        scale = np.abs(due).max(initial=0.0) if "data" in expected else due[1]
        errors.append(float(np.abs(actual - due).max(initial=0.0) / (scale or 1.0)))
    worst = math.nan if any(map(math.isnan, errors)) else max(errors)
    # In this form NaN fails too.
    if not worst <= TOLERANCE:
        raise WrongResultError(f"{case.function} {case.size} {case.mode}: off by {worst:.3g} of the largest magnitude")
    return worst


def kept(result: Any, whole: bool) -> Expected:
    """A result as the cases keep it: whole, or as digests."""
    found: Mapping[str, Any] = result if isinstance(result, dict) else {"": result}
    arrays = {field: np.asarray(value) for field, value in found.items()}
    return {
        field: {
            "kind": array.dtype.kind,
            "shape": list(array.shape),
            **({"data": array.ravel().tolist()} if whole else {"digest": digest(array).tolist()}),
        }
        for field, array in arrays.items()
    }


def digest(array: Array) -> Array:
    """What tells one large array from another: sum, Euclidean norm, and the product with cos 0, cos 1, cos 2, ..."""
    flat = array.ravel().astype(float)
    return np.array([flat.sum(), math.sqrt(float(flat @ flat)), float(flat @ np.cos(np.arange(flat.size)))])


def digest_of_inputs(given: Mapping[str, Any]) -> list[float]:
    """One rounded number per input: enough to see that the random numbers are those of the cases."""
    return [float(f"{digest(np.asarray(value))[2]:.6e}") for value in given.values()]
