"""The domain of an argument: drawn numbers are mapped into what a function takes, such as positive numbers."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias, cast

import numpy as np

from tapem.core import Array, ShapeDtype
from tapem.errors import ArgumentError
from tapem.types import Signature

REACH = 5
"""How far from 0 the floats are that are drawn where nothing else is asked for."""
GOLDEN = 0.6180339887
"""The fractional parts of its multiples are spread evenly between 0 and 1, for any number of multiples."""

Domain: TypeAlias = "str | Mapping[str, str | Callable[[Array], Array]] | Callable[[Array], Array] | None"


def separated(values: tuple[Any, ...], seed: int) -> tuple[Any, ...]:
    """Move floats, and both parts of complex numbers, away from kinks and ties: no zeros, integers or two equal ones.

    Hypothesis prefers some numbers. So the seed also shifts all numbers cyclically within the range, by a part of it
    that depends on the seed (nothing for seed 0), and every part of the range is tried.
    """
    onward = 2 * REACH * math.modf(GOLDEN * seed)[0]
    position = 0
    moved: list[Any] = []
    for value in values:
        if value is None or ShapeDtype.of(value).dtype.kind not in "fc":
            moved.append(value)
            continue
        array: Any = np.asarray(value)
        parts: list[Any] = []
        for part in [array.real, array.imag] if array.dtype.kind == "c" else [array]:
            there = (np.asarray(part, np.float64) + REACH + onward) % (2 * REACH) - REACH
            # Each element gets its own position between two multiples of 1/8.
            places = np.modf(GOLDEN * np.arange(position + 1, position + np.size(part) + 1))[0].reshape(np.shape(part))
            parts.append((np.floor(8 * there) + 0.2 + 0.6 * places) / 8)
            position += np.size(part)
        moved.append((parts[0] if len(parts) == 1 else parts[0] + 1j * parts[1]).astype(array.dtype))
    return tuple(moved)


def positive(x: Array) -> Array:
    """Numbers from 0.1 on."""
    return np.abs(x) + 0.1


def unit_interval(x: Array) -> Array:
    """Numbers between 0 and 1, neither of them included."""
    return np.clip(x, -REACH, REACH) / (2 * REACH + 1) + 0.5


def invertible(x: Array) -> Array:
    """Matrices with determinants of either sign; none is nearly singular, since the diagonals dominate the rows."""
    size = x.shape[-1]
    whole: Any = x
    small: Any = np.clip(whole.real, -REACH, REACH)
    if np.iscomplexobj(x):
        small = small + 1j * np.clip(whole.imag, -REACH, REACH)
    small = small / (2 * REACH * max(size, 1))
    signs = np.where(np.diagonal(small.real, axis1=-2, axis2=-1) < 0, -1.0, 1.0)
    return small + 2 * signs[..., None] * np.eye(size)


def positive_definite(x: Array) -> Array:
    """Symmetric, or Hermitian, matrices whose eigenvalues are positive."""
    root = invertible(x)
    product = root @ np.conj(np.swapaxes(root, -1, -2))
    return (product + np.conj(np.swapaxes(product, -1, -2))) / 2


def orthogonal(x: Array) -> Array:
    """Matrices with orthonormal columns, or rows where they are wide."""
    rows, columns = x.shape[-2:]
    tall = np.swapaxes(x, -1, -2) if rows < columns else x
    filled = tall / (2 * REACH * max(rows, columns)) + 2 * np.eye(max(rows, columns), min(rows, columns))
    found = np.linalg.qr(filled)[0]
    return np.swapaxes(found, -1, -2) if rows < columns else found


def probabilities(x: Array) -> Array:
    """Positive numbers that sum to 1 along the last axis."""
    weights = np.exp(np.clip(x, -REACH, REACH) / 2)
    return weights / np.sum(weights, axis=-1, keepdims=True)


def away_from_kinks(x: Array) -> Array:
    """Neither zeros nor integers, and no two equal numbers."""
    return separated((x,), 0)[0]


def ordered(x: Array) -> Array:
    """Numbers in order along the last axis."""
    return np.sort(x, axis=-1)


DOMAINS: Mapping[str, Callable[[Array], Array]] = {
    "positive": positive,
    "unit interval": unit_interval,
    "invertible": invertible,
    "positive definite": positive_definite,
    "orthogonal": orthogonal,
    "probabilities": probabilities,
    "sorted": ordered,
    "away from kinks": away_from_kinks,
}
SQUARE = {"invertible", "positive definite"}
AXES = {"invertible": 2, "positive definite": 2, "orthogonal": 2, "probabilities": 1, "sorted": 1}
REAL = {"positive", "unit interval", "probabilities", "sorted"}


def known_domain(domain: Domain, names: Sequence[str]) -> None:
    """Raise ArgumentError for a domain that there is not, or of a parameter that there is not."""
    by_name = cast("Mapping[str, Any]", domain) if isinstance(domain, Mapping) else {"": domain}
    for name, one in by_name.items():
        if name and name not in names:
            raise ArgumentError(
                f"shaped: domain has {name!r}, but the tensors of this function are {', '.join(names)}."
            )
        if one is not None and not callable(one) and one not in DOMAINS:
            raise ArgumentError(f"shaped: the domain {one!r} must be a function of an array, or {', '.join(DOMAINS)}.")


def within(domain: Domain, signature: Signature, values: tuple[Any, ...]) -> tuple[Any, ...]:
    """Drawn arguments of a function, each mapped into its domain."""
    names = [operand.name for operand in signature.operands]
    names += names[-1:] * (len(values) - len(names))  # a variadic operand is the last
    return tuple(None if x is None else one_within(domain, name, x) for name, x in zip(names, values, strict=False))


def domain_of(domain: Domain, name: str) -> Any:
    """The domain of one parameter, or None."""
    return cast("Mapping[str, Any]", domain).get(name) if isinstance(domain, Mapping) else domain


def kinds_within(domain: Domain, name: str) -> str:
    """The kinds of dtypes to draw for a parameter where there is a choice: no integers where it has a domain."""
    one = domain_of(domain, name)
    return "biufc" if one is None else "f" if isinstance(one, str) and one in REAL else "fc"


def one_within(domain: Domain, name: str, value: Array) -> Array:
    """A drawn array of this parameter, mapped into its domain; integers only if the domain is asked for by name.

    Raises ArgumentError for a domain that arrays of this shape or dtype do not have.

    >>> one_within("unit interval", "x", np.array([-5.0, 0.0])).round(3)
    array([0.045, 0.5  ])
    """
    one = domain_of(domain, name)
    if one is None or (not isinstance(domain, Mapping) and value.dtype.kind not in "fc"):
        return value
    if callable(one):
        return np.asarray(one(value))
    refuse(one, name, value)
    precise: Any = value if value.dtype.kind in "iu" else value.astype(np.result_type(value.dtype, np.float64))
    found = DOMAINS[one](precise)
    return np.asarray(np.ceil(found) if value.dtype.kind in "iu" else found, value.dtype)


def refuse(domain: str, name: str, value: Array) -> None:
    """Raise ArgumentError if arrays of this shape and dtype are in no such domain."""
    shape, whole = value.shape, value.dtype.kind in "iu"
    square = domain not in SQUARE or (len(shape) >= 2 and shape[-1] == shape[-2])
    if not square or len(shape) < AXES.get(domain, 0):
        needed = "square matrices in its last two axes, as in 'n n'" if domain in SQUARE else "more axes"
        raise ArgumentError(f"shaped: the domain {domain!r} needs {needed}, but {name} was drawn in the shape {shape}.")
    if value.dtype.kind == "b" or (whole and domain not in ("positive", "sorted")):
        raise ArgumentError(f"shaped: no {value.dtype} is in the domain {domain!r}; {name} must be of floats.")
    if domain in REAL and value.dtype.kind == "c":
        raise ArgumentError(
            f"shaped: the domain {domain!r} holds no complex numbers, but {name} was drawn as {value.dtype}; annotate "
            "it as Float, or give dtypes=[np.float64]."
        )


__all__ = ["DOMAINS", "REACH", "Domain", "kinds_within", "known_domain", "one_within", "separated", "within"]
