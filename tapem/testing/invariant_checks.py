"""What `check_invariant` compares, for one example: each check calls a function with changed arguments."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from typing import Any, cast

import numpy as np

from tapem.core import tree_flatten
from tapem.errors import ArgumentError
from tapem.testing.findings import Finding
from tapem.testing.flattening import Flat, computed, leaf_names
from tapem.transforms import jvp, vjp


@dataclass
class Example:
    """Drawn arguments of a function, and how what it returns for changed ones is compared."""

    f: Callable[..., Any]
    names: Sequence[str]
    values: Sequence[Any]
    static: Mapping[str, Any]
    rng: np.random.Generator
    rtol: float | None
    atol: float | None
    result_axis: int | None
    compared: bool = False

    def call(self, **changed: Any) -> Any:
        """The value, with some arguments changed."""
        values = [changed.get(name, value) for name, value in zip(self.names, self.values, strict=False)]
        return computed(self.f(*values, *self.values[len(self.names) :], **self.static))

    @cached_property
    def value(self) -> Any:
        """The value of the arguments as they are."""
        return self.call()

    def of(self, name: str) -> Any:
        """One argument."""
        return self.values[self.names.index(name)]

    def noise(self, x: Any) -> Any:
        """Random numbers in the place of an argument."""
        return np.asarray(self.rng.normal(size=np.shape(x)), x.dtype)

    def floats(self, names: Sequence[str]) -> dict[str, Any]:
        """Those of the arguments that are there and can be added to and multiplied: floats and complex numbers."""
        found = {name: np.asarray(self.of(name)) for name in names if self.of(name) is not None}
        return {name: value for name, value in found.items() if value.dtype.kind in "fc"}

    def tolerance(self, *results: Any) -> float:
        """How far two numbers of these results may differ."""
        kinds = [np.asarray(x).dtype for x in (*tree_flatten(list(self.values))[0], *results)]
        eps = max((float(np.finfo(kind).eps) for kind in kinds if kind.kind in "fc"), default=0.0)
        finite = [np.abs(x[np.isfinite(x)]) for x in map(np.asarray, results)]
        largest = max((float(np.max(x, initial=1.0)) for x in finite), default=1.0)
        return max(self.atol or 0.0, (eps**0.5 if self.rtol is None else self.rtol) * largest)

    def unequal(self, check: str, expected: Any, actual: Any, *, below: bool = False) -> Iterator[Finding]:
        """The worst element of each result that is not as expected; or, with `below`, that is not at least that."""
        self.compared = True
        names = leaf_names((self.value,), ["output"])
        for name, one, other in zip(names, tree_flatten(expected)[0], tree_flatten(actual)[0], strict=True):
            first, second = (
                x.astype(np.float64) if x.dtype.kind in "biu" else x for x in map(np.asarray, (one, other))
            )
            if first.shape != second.shape:
                yield Finding(check, expected=first.shape, actual=second.shape, output=name, kind="shape")
                continue
            error = np.maximum(first - second, 0) if below else np.abs(second - first)
            both = (first == second) | (np.isnan(first) & np.isnan(second))
            error = np.where(both, 0.0, np.nan_to_num(error, nan=np.inf))
            if error.size and np.max(error) > self.tolerance(first, second):
                index = tuple(map(int, np.unravel_index(int(np.argmax(error)), error.shape)))
                place = f"{name}{list(index) if index else ''}"
                detail = "it must not be less" if below else ""
                yield Finding(check, expected=first[index], actual=second[index], detail=detail, output=place)


def symmetry(one: Example, names: Sequence[str]) -> Iterator[Finding]:
    """The value is the same for two arguments that are swapped."""
    for first, second in combinations(names, 2):
        a, b = one.of(first), one.of(second)
        if a is not None and b is not None and np.shape(a) == np.shape(b):
            yield from one.unequal(f"symmetric in {first} and {second}", one.value, one.call(**{first: b, second: a}))


def permutation(one: Example, axes: Mapping[str, int]) -> Iterator[Finding]:
    """The value is the same for permuted axes."""
    changed, _ = permuted(one, axes)
    yield from one.unequal(f"invariant under permutation of {told(axes)}", one.value, one.call(**changed))


def equivariance(one: Example, axes: Mapping[str, int]) -> Iterator[Finding]:
    """The value is permuted as the axes are."""
    changed, order = permuted(one, axes)
    axis = next(iter(axes.values())) if one.result_axis is None else one.result_axis
    leaves = tree_flatten(one.value)[0]
    for leaf in leaves:
        if not -np.ndim(leaf) <= axis < np.ndim(leaf) or np.shape(leaf)[axis] != len(order):
            raise ArgumentError(
                f"check_invariant: axis {axis} of a result of shape {np.shape(leaf)} is not {len(order)} long, as the "
                f"permuted axes are; say which is, by result_axis=, or permutation= if the value stays the same."
            )
    expected = [np.take(leaf, order, axis=axis) for leaf in leaves]
    yield from one.unequal(
        f"equivariant under permutation of {told(axes)}", expected, tree_flatten(one.call(**changed))[0]
    )


def told(axes: Mapping[str, int]) -> str:
    """Axes as text."""
    return " and ".join(f"axis {axis} of {name}" for name, axis in axes.items())


def permuted(one: Example, axes: Mapping[str, int]) -> tuple[dict[str, Any], Any]:
    """The arguments with their axes permuted, and the permutation. Raises ArgumentError unless all have one length."""
    lengths: dict[str, int] = {}
    for name, axis in axes.items():
        shape = np.shape(one.of(name))
        if one.of(name) is None:
            continue
        if not -len(shape) <= axis < len(shape):
            raise ArgumentError(f"check_invariant: {name} was drawn in the shape {shape}, which has no axis {axis}.")
        lengths[name] = shape[axis]
    if len(set(lengths.values())) > 1:
        raise ArgumentError(f"check_invariant: permuted axes must be of one length, but {lengths} were drawn.")
    order = one.rng.permutation(next(iter(lengths.values()), 0))
    return {name: np.take(one.of(name), order, axis=axes[name]) for name in lengths}, order


def shifting(one: Example, names: Sequence[str]) -> Iterator[Finding]:
    """The value is the same for arguments to which one number is added."""
    number = float(one.rng.integers(-40, 41)) / 8
    changed = {name: (x + number).astype(x.dtype) for name, x in one.floats(names).items()}
    yield from one.unequal(f"invariant under a shift of {', '.join(names)} by {number}", one.value, one.call(**changed))


def scaling(one: Example, names: Sequence[str]) -> Iterator[Finding]:
    """The value is the same for arguments that are multiplied by one number: a power of 2, which does not round."""
    number = float(2.0 ** one.rng.integers(1, 4) * one.rng.choice([1 / 16, 1]))
    changed = {name: (x * number).astype(x.dtype) for name, x in one.floats(names).items()}
    yield from one.unequal(f"invariant under a scale of {', '.join(names)} by {number}", one.value, one.call(**changed))


def linearity(one: Example, names: Sequence[str]) -> Iterator[Finding]:
    """The value of a sum of multiples is the sum of the multiples of the values."""
    floats = one.floats(names)
    other = {name: one.noise(x) for name, x in floats.items()}
    both = {name: 2 * x - 3 * other[name] for name, x in floats.items()}
    values, others = (tree_flatten(value)[0] for value in (one.value, one.call(**other)))
    expected = [2 * np.asarray(a) - 3 * np.asarray(b) for a, b in zip(values, others, strict=True)]
    yield from one.unequal(f"linear in {', '.join(names)}", expected, tree_flatten(one.call(**both))[0])


def bounds(one: Example, limits: tuple[float | None, float | None]) -> Iterator[Finding]:
    """The value is within its bounds, to the last bit unless `atol` is given."""
    low, high = (-np.inf if limits[0] is None else limits[0], np.inf if limits[1] is None else limits[1])
    value = one.value
    for name, leaf in zip(leaf_names((value,), ["output"]), tree_flatten(value)[0], strict=True):
        array = np.asarray(leaf)
        outside = np.argwhere(~((array >= low - (one.atol or 0)) & (array <= high + (one.atol or 0))))
        if len(outside):
            index = tuple(map(int, outside[0]))
            place = f"{name}{list(index) if index else ''}"
            yield Finding("bounded", expected=f"{limits[0]} to {limits[1]}", actual=array[index], output=place)


def monotonicity(one: Example, ways: Mapping[str, str]) -> Iterator[Finding]:
    """No element of the value falls where elements of an increasing argument rise."""
    value = tree_flatten(one.value)[0]
    for name, x in one.floats(list(ways)).items():
        way = ways[name]
        more = np.abs(one.noise(x)) * cast("Any", one.rng).integers(0, 2, x.shape)
        risen = tree_flatten(one.call(**{name: (x + more).astype(x.dtype)}))[0]
        pair = (value, risen) if way == "increasing" else (risen, value)
        yield from one.unequal(f"{way} in {name}", *map(list, pair), below=True)


def finiteness(one: Example, _: Any) -> Iterator[Finding]:
    """The value, and the derivatives along all-ones in both modes, are finite."""
    flat = Flat(lambda *values: one.f(*values, **one.static), tuple(one.values), list(one.names))
    ones = [np.ones_like(value) for value in flat.leaves]
    pulled = vjp(flat, *flat.leaves)[1]([np.ones_like(value) for value in flat.values])
    pushed = jvp(flat, tuple(flat.leaves), tuple(ones))[1]
    parts = [("value", flat.outputs.names, flat.values), ("reverse mode", flat.inputs.names, pulled)]
    parts.append(("forward mode", flat.outputs.names, pushed))
    for mode, names, results in parts:
        for name, result in zip(names, cast("Sequence[Any]", results), strict=True):
            array = np.asarray(result)
            wrong = np.argwhere(~np.isfinite(array))
            if len(wrong):
                index = tuple(map(int, wrong[0]))
                yield Finding(f"finite {mode}", name, index, "a finite number", array[index])


CHECKS: Mapping[str, Callable[[Example, Any], Iterator[Finding]]] = {
    "symmetric": symmetry,
    "permutation": permutation,
    "equivariant": equivariance,
    "shift": shifting,
    "scale": scaling,
    "linear": linearity,
    "bounded": bounds,
    "monotone": monotonicity,
    "finite": finiteness,
}

__all__ = ["CHECKS", "Example"]
