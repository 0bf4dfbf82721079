"""Compare the batch rule of an op with a loop over the examples, alone and within derivatives."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterator, MutableMapping, Sequence
from typing import Any

import numpy as np

from tapem.core import Array, ShapeDtype, tree_flatten
from tapem.errors import ConcretizationError, TapeError
from tapem.testing.comparison import rounding
from tapem.testing.findings import Finding, kind_of_difference
from tapem.testing.flattening import Flat, first_line
from tapem.testing.raw_rules import random_like
from tapem.testing.rounding import rounding_error
from tapem.transforms import jvp, vjp, vmap
from tapem.types import is_inexact

SIZE = 3


def batching(
    f: Callable[..., Any],
    operands: tuple[Any, ...],
    names: Sequence[str],
    modes: Sequence[str],
    rng: np.random.Generator,
    skipped: MutableMapping[str, str],
) -> Iterator[Finding]:
    """Compare `vmap(f)` with a loop, for every subset of mapped operands, or for a sample of the subsets."""
    possible = [
        position
        for position, x in enumerate(operands)
        if isinstance(x, np.ndarray | np.generic | complex | float | int)
    ]
    for mapped in subsets(possible, rng):
        check = f"batch rule, mapped over {', '.join(names[i] for i in mapped)}"
        batched = [examples(x) if i in mapped else x for i, x in enumerate(operands)]
        axes = tuple(0 if i in mapped else None for i in range(len(operands)))
        try:
            yield from compare(check, f, batched, axes, rng)
        except TapeError as error:
            kinds = {ShapeDtype.of(operands[i]).dtype.kind for i in mapped}
            if "b" in kinds or ("i" in kinds and isinstance(error, ConcretizationError)):
                skipped[check] = f"refused: {first_line(error)}"  # a shape may depend on a mask or an index
            else:
                yield Finding.raised(check, error)
        except Exception as error:  # whatever a batch rule may raise is a finding
            yield Finding.raised(check, error)
    real = [i for i in possible if is_inexact(ShapeDtype.of(operands[i]).dtype)]
    if real:
        yield from no_examples(f, operands, real, skipped)
    for mode in modes if real else ():
        yield from within_derivatives(f, operands, real, mode, rng)


def no_examples(
    f: Callable[..., Any], operands: tuple[Any, ...], real: Sequence[int], skipped: MutableMapping[str, str]
) -> Iterator[Finding]:
    """Check an empty batch: shapes and dtypes must be those of a batch, with a batch axis of size 0."""
    axes = tuple(0 if i in real else None for i in range(len(operands)))
    empty = [examples(x)[:0] if i in real else x for i, x in enumerate(operands)]
    expected = [np.zeros((0, *np.shape(value)), ShapeDtype.of(value).dtype) for value in tree_flatten(f(*operands))[0]]
    check = "batch rule, of no examples"
    try:
        yield from agree(check, expected, vmap(f, in_axes=axes)(*empty))
    except ConcretizationError as error:  # an op without a batch rule is a loop, which needs an example
        skipped[check] = f"refused: {first_line(error)}"
    except Exception as error:  # whatever a batch rule may raise is a finding
        yield Finding.raised(check, error)


def within_derivatives(
    f: Callable[..., Any], operands: tuple[Any, ...], real: Sequence[int], mode: str, rng: np.random.Generator
) -> Iterator[Finding]:
    """Compare the derivative of a batch, and a batch of derivatives, with a loop over derivatives."""
    axes = tuple(0 if i in real else None for i in range(len(operands)))
    batched = [examples(x) if i in real else x for i, x in enumerate(operands)]

    def outputs(*xs: Any) -> list[Any]:
        return [leaf for leaf in tree_flatten(f(*xs))[0] if is_inexact(ShapeDtype.of(leaf).dtype)]

    towards = [operands[i] for i in real] if mode == "fwd" else outputs(*operands)
    direction = [random_like(value, rng) for value in towards]
    one = derivative_along(outputs, real, mode, direction)
    many = derivative_along(
        vmap(outputs, in_axes=axes), real, mode, [np.broadcast_to(d, (SIZE, *np.shape(d))) for d in direction]
    )
    name = {"fwd": "jvp", "rev": "vjp"}[mode]

    def one_along(towards: Sequence[Any], *xs: Any) -> list[Any]:
        return derivative_along(outputs, real, mode, towards)(*xs)

    def noise() -> list[Any]:
        return noise_of_loop(one_along, [direction, *batched], (None, *axes), rng)

    for check, function in ((f"vmap of {name}", vmap(one, in_axes=axes)), (f"{name} of vmap", many)):
        try:
            yield from agree(check, loop(one, batched, axes), function(*batched), noise)
        except Exception as error:  # whatever a rule may raise is a finding
            yield Finding.raised(check, error)


def derivative_along(
    f: Callable[..., list[Any]], real: Sequence[int], mode: str, direction: Sequence[Any]
) -> Callable[..., Any]:
    """The derivative of f in its real operands, along a direction, as a function of all operands."""

    def derived(*xs: Any) -> list[Any]:
        def call(*given: Any) -> list[Any]:
            values = iter(given)
            return f(*(next(values) if i in real else x for i, x in enumerate(xs)))

        chosen = tuple(xs[i] for i in real)
        if mode == "fwd":
            return list(jvp(call, chosen, tuple(direction))[1])
        return list(vjp(call, *chosen)[1](list(direction)))

    return derived


def subsets(possible: Sequence[int], rng: np.random.Generator) -> list[tuple[int, ...]]:
    """Every non-empty subset of up to three operands; of more operands each one, all, and three random subsets."""
    if len(possible) <= 3:
        return [chosen for n in range(1, len(possible) + 1) for chosen in itertools.combinations(possible, n)]
    some = {
        tuple(sorted(rng.choice(possible, rng.integers(2, len(possible)), replace=False).tolist())) for _ in range(3)
    }
    return [*((position,) for position in possible), *sorted(some), tuple(possible)]


def examples(x: Any) -> Array:
    """Make examples like x: reals become a little smaller, so that they stay in the domain; others are rearranged."""
    array = np.asarray(x)
    if is_inexact(array.dtype):
        factors = np.array([1.0, 0.99, 0.97], array.dtype).reshape(-1, *(1,) * array.ndim)
        return array[None] * factors
    return np.stack([np.roll(array, shift) for shift in range(SIZE)])


def loop(f: Callable[..., Any], operands: Sequence[Any], axes: Sequence[int | None]) -> Any:
    """Apply the function to each example in turn, and stack the results."""
    results = [tree_flatten(f(*example(operands, axes, at)))[0] for at in range(SIZE)]
    return [np.stack([np.asarray(value) for value in column]) for column in zip(*results, strict=True)]


def example(operands: Sequence[Any], axes: Sequence[int | None], at: int) -> tuple[Any, ...]:
    """Give the operands of one example."""
    return tuple(x if axis is None else x[at] for x, axis in zip(operands, axes, strict=True))


def noise_of_loop(
    f: Callable[..., Any], operands: Sequence[Any], axes: Sequence[int | None], rng: np.random.Generator
) -> list[Any]:
    """Estimate the error of rounding in each result of a loop over the examples."""
    rows: list[list[Any]] = []
    for at in range(SIZE):
        flat = Flat(f, example(operands, axes, at))
        parts = iter(flat.outputs.split(2 * rounding_error(flat, rng)))
        rows.append([next(parts) if i in flat.real else 0.0 for i in range(flat.output_structure.num_leaves)])
    return [np.stack(column) for column in zip(*rows, strict=True)]


def compare(
    check: str,
    f: Callable[..., Any],
    operands: Sequence[Any],
    axes: tuple[int | None, ...],
    rng: np.random.Generator,
) -> Iterator[Finding]:
    """Compare a batch with a loop: with the batch axis first, and with the batch axis last in inputs and outputs."""
    expected = loop(f, operands, axes)
    noise = functools.partial(noise_of_loop, f, operands, axes, rng)
    yield from agree(check, expected, vmap(f, in_axes=axes)(*operands), noise)
    if any(np.ndim(x) > 1 for x, axis in zip(operands, axes, strict=True) if axis == 0):
        last = [x if axis is None else np.moveaxis(x, 0, -1) for x, axis in zip(operands, axes, strict=True)]
        result = vmap(f, in_axes=tuple(None if axis is None else -1 for axis in axes), out_axes=-1)(*last)
        moved = [np.moveaxis(value, -1, 0) for value in tree_flatten(result)[0]]
        yield from agree(f"{check} along their last axes", expected, moved, noise)


def agree(
    check: str, expected: Sequence[Array], result: Any, noise: Callable[[], list[Any]] | None = None
) -> Iterator[Finding]:
    """Report where a batched result has another shape, dtype or number than the loop.

    `noise` gives the error of rounding; it is called only if a number seems wrong.
    """
    found = tree_flatten(result)[0]
    if len(found) != len(expected):
        yield Finding(check, None, (), f"{len(expected)} results", f"{len(found)} results", "from a loop", kind="shape")
        return
    for position, (right, value) in enumerate(zip(expected, found, strict=True)):
        name = f"output[{position}]" if len(expected) > 1 else "output"
        own = ShapeDtype.of(value)
        if own.shape != right.shape or own.dtype != right.dtype:
            kinds = f"{right.dtype}{list(right.shape)}", f"{own.dtype}{list(own.shape)}"
            yield Finding(check, None, (), *kinds, "from a loop", name, kind_of_difference(right, own))
            continue
        value = np.asarray(value)
        if not is_inexact(right.dtype):
            wrong = right != value
        else:
            scale = float(np.max(np.abs(right), initial=0.0, where=np.isfinite(right)))
            with np.errstate(all="ignore"):
                close = np.abs(right - value) <= rounding(right.dtype) * np.maximum(np.abs(right), scale)
            wrong = ~(close | (right == value) | (np.isnan(right) & np.isnan(value)))
            if noise is not None and wrong.any():
                with np.errstate(all="ignore"):
                    wrong &= ~(np.abs(right - value) <= noise()[position])
        if wrong.any():
            index = tuple(map(int, np.argwhere(wrong)[0]))
            yield Finding(check, None, (), right[index], value[index], f"from a loop; at {list(index)}", name)


__all__ = ["batching"]
