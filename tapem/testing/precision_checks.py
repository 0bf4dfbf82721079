"""Check an op in float32 and float16: the dtypes of all results, and roughly the numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

import numpy as np

from tapem.core import Array, Primitive, ShapeDtype
from tapem.testing.case import Case, cast_reals
from tapem.testing.findings import Finding
from tapem.testing.flattening import Layout
from tapem.testing.linear_maps import like, of_point_and_direction
from tapem.testing.rounding import rounding_error
from tapem.transforms import jvp, vjp

SINGLE, HALF = np.dtype(np.float32), np.dtype(np.float16)


def single_precision(case: Case) -> Iterator[Finding]:
    """Check that float32 operands give float32 results close to those of float64, or are refused."""
    yield from other_precision(case, SINGLE, 1e-2)


def half_precision(case: Case) -> Iterator[Finding]:
    """Check that float16 operands give float16 results, or are refused, as by implementations without float16."""
    with np.errstate(all="ignore"):
        yield from list(other_precision(case, HALF, 2e-1))


def other_precision(case: Case, dtype: np.dtype[Any], loose: float) -> Iterator[Finding]:
    """Check the dtypes of value, tangents and cotangents in another precision, and that the numbers agree roughly."""
    check = str(dtype)
    operands = case.in_dtype(dtype)
    if operands is None:
        return
    flat, exact = case.flatten(operands), case.flatten(cast_reals(operands, np.dtype(np.float64)))
    # Integers promote as in NumPy; so do Python's floats that are put into an array, as np.stack does.
    weak = isinstance(case.op, Primitive) and case.op.elementwise
    strong = [np.asarray(x).dtype for x in flat.all_leaves if not (weak and type(x) in (int, float, bool))]
    allowed = {dtype, *map(precision_of, (np.result_type(dtype, *strong), *numpys(case, operands)))}
    wider = {ShapeDtype.of(value).dtype for value in flat.values} - allowed
    if dtype == HALF and wider:  # SciPy has no float16; an op that widens float32 too was found in the float32 check
        case.skipped[check] = f"the implementation computes it in {wider.pop()}"
        return
    for name, value, right in zip(flat.outputs.names, flat.values, exact.values, strict=True):
        own = ShapeDtype.of(value).dtype
        if own not in allowed and ShapeDtype.of(right).dtype == np.float64:
            yield Finding(check, name, (), dtype, own, "the dtype of the value", kind="dtype")
    noise = Noise(flat.outputs, lambda: rounding_error(flat, case.rng))
    yield from roughly(check, "value", flat.values, exact.values, loose, noise)
    if not case.order:
        return
    w = case.rng.normal(size=flat.outputs.size)
    v = case.rng.normal(size=flat.inputs.size)
    if "rev" in case.modes:
        pulled = vjp(flat, *flat.leaves)[1](like(flat.values, w))
        right = vjp(exact, *exact.leaves)[1](like(exact.values, w))
        yield from dtypes(check, "cotangent", flat.inputs.names, pulled, flat.leaves)
        noise = Noise(flat.inputs, lambda: rounding_error(of_point_and_direction(flat, "rev", w), case.rng))
        yield from roughly(check, "cotangent", pulled, right, loose, noise)
        if "fwd" in case.modes and case.order > 1:

            def pull(*inner: Any) -> Any:
                return vjp(flat, *inner)[1](like(flat.values, w))

            again = jvp(pull, tuple(flat.leaves), tuple(like(flat.leaves, v)))[1]
            yield from dtypes(check, "second derivative", flat.inputs.names, again, flat.leaves)
    if "fwd" in case.modes:
        pushed = jvp(flat, tuple(flat.leaves), tuple(like(flat.leaves, v)))[1]
        right = jvp(exact, tuple(exact.leaves), tuple(like(exact.leaves, v)))[1]
        yield from dtypes(check, "tangent", flat.outputs.names, pushed, flat.values)
        noise = Noise(flat.outputs, lambda: rounding_error(of_point_and_direction(flat, "fwd", v), case.rng))
        yield from roughly(check, "tangent", pushed, right, loose, noise)


def precision_of(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """The dtype of the real part."""
    return np.real(np.zeros((), dtype)).dtype


def numpys(case: Case, operands: tuple[Any, ...]) -> Iterator[np.dtype[Any]]:
    """The dtype that NumPy's own function gives, if the op equals one: np.float_power always gives float64."""
    for function in case.op.numpy if isinstance(case.op, Primitive) else ():
        with suppress(TypeError, ValueError), np.errstate(all="ignore"):
            yield np.asarray(function(*operands, **case.static)).dtype


def dtypes(check: str, owner: str, names: Sequence[str], found: Any, references: Any) -> Iterator[Finding]:
    """Check that every array has the dtype of its owner, an operand or an output."""
    for name, one, reference in zip(names, found, references, strict=True):
        own, expected = ShapeDtype.of(one).dtype, ShapeDtype.of(reference).dtype
        if own != expected:
            yield Finding(check, name, (), expected, own, f"the dtype of its {owner}", kind="dtype")


class Noise(NamedTuple):
    """How far rounding may move arrays of a layout; computed only if something seems wrong."""

    layout: Layout
    error: Callable[[], Array]


def roughly(check: str, role: str, found: Any, exact: Any, loose: float, noise: Noise) -> Iterator[Finding]:
    """Check that arrays agree as far as the lower precision allows; overflow counts as agreement."""
    for position, (name, low, high) in enumerate(zip(noise.layout.names, found, exact, strict=True)):
        one, other = np.atleast_1d(np.asarray(low, np.float64)), np.atleast_1d(np.asarray(high, np.float64))
        if not np.isfinite(one).all():
            continue
        scale = float(np.max(np.abs(other), initial=0.0, where=np.isfinite(other)))
        # A sum whose terms cancel is only as precise as its terms, which are of order one.
        wrong = np.abs(one - other) > loose * scale + 64 * float(np.finfo(check).eps)
        if wrong.any():
            wrong &= np.abs(one - other) > np.atleast_1d(noise.layout.split(noise.error())[position])
        if wrong.any():
            index = tuple(map(int, np.argwhere(wrong)[0]))
            detail = f"the {role} of {name} at {list(index)}, from float64"
            yield Finding(check, None, (), float(other[index]), float(one[index]), detail)


__all__ = ["half_precision", "single_precision"]
