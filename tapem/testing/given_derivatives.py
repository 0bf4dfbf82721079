"""A derivative from anywhere, to be tested: the `gradient=`, `jvp=` and `vjp=` of a checker.

It may be written by hand, or belong to SciPy, autograd, JAX, torch, numba or a C extension. It and its function are
called with plain arrays only and are never traced; what they return becomes plain arrays here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias, cast

import numpy as np

from tapem.core import NOTHING, Array, ShapeDtype, Structure, leaves_or_none, shown, tree_flatten, tree_map
from tapem.errors import ArgumentError, DTypeError, ShapeError, TreeError
from tapem.transforms import as_function

Arguments: TypeAlias = tuple[Any, ...]

PLAIN: tuple[type, ...] = (np.ndarray, np.generic, bool, int, float, complex, str)


class Given(NamedTuple):
    """The derivatives to be tested, as functions of the tuple of all arguments; at least one is there."""

    gradient: Callable[[Arguments], Any] | None
    jvp: Callable[[Arguments, Any], Any] | None
    vjp: Callable[[Arguments, Any], Any] | None

    @property
    def modes(self) -> tuple[str, ...]:
        """The modes that can be tested."""
        forward = () if self.jvp is None else ("fwd",)
        return forward if self.vjp is None and self.gradient is None else (*forward, "rev")

    def name(self, mode: str) -> str:
        """The name of the option that gave the derivative of this mode."""
        return "jvp" if mode == "fwd" else "vjp" if self.gradient is None else "gradient"


def given_derivatives(
    caller: str,
    gradient: Callable[..., Any] | None,
    jvp: Callable[..., Any] | None,
    vjp: Callable[..., Any] | None,
    *,
    alone: bool,
    static: Mapping[str, Any] = NOTHING,
) -> Given | None:
    """The derivatives that a checker got, if any.

    `alone`: the checker has one argument x, so they are called as `gradient(x)`, `jvp(x, tangent)` and `vjp(x, ct)`;
    otherwise as `gradient(*args)`, `jvp(args, tangents)` and `vjp(args, ct)`. All get the static arguments of f.
    """
    if gradient is None and jvp is None and vjp is None:
        return None
    for name, function in (("gradient", gradient), ("jvp", jvp), ("vjp", vjp)):
        if function is not None:
            as_function(function, f"{caller}: {name}=")
    if gradient is not None and vjp is not None:
        raise ArgumentError(f"{caller}: gradient= and vjp= are both the reverse mode; give one of them.")

    def of_gradient(args: Arguments) -> Any:
        assert gradient is not None
        found = gradient(*args, **static)
        return (found,) if alone else one_for_each(found, args)

    def of_jvp(args: Arguments, tangents: Any) -> Any:
        assert jvp is not None
        return jvp(args[0], tangents[0], **static) if alone else jvp(args, tangents, **static)

    def of_vjp(args: Arguments, cotangent: Any) -> Any:
        assert vjp is not None
        return (vjp(args[0], cotangent, **static),) if alone else one_for_each(vjp(args, cotangent, **static), args)

    return Given(
        None if gradient is None else of_gradient, None if jvp is None else of_jvp, None if vjp is None else of_vjp
    )


def one_for_each(found: Any, args: Sequence[Any]) -> Any:
    """A result with one part for each argument; for a single argument it may also be that part alone."""
    if len(args) == 1 and (isinstance(args[0], tuple) or not isinstance(found, tuple)):
        return (found,)
    return cast("Any", found)


def plain(value: Any) -> Any:
    """What a function of another library returned, in NumPy's terms; torch's tensors leave their graph first.

    >>> plain([1.0, memoryview(b"a")])
    [1.0, array([97], dtype=uint8)]
    """
    return tree_map(plain_leaf, value)


def plain_leaf(leaf: object) -> object:
    """One leaf of a foreign result as an array, if it says how it becomes one."""
    if isinstance(leaf, PLAIN):
        return leaf
    detach = getattr(leaf, "detach", None)
    detached = detach() if callable(detach) else leaf
    return np.array(detached) if hasattr(detached, "__array__") or isinstance(detached, memoryview) else detached


def fitting(
    what: str, found: Any, structure: Structure, expected: Sequence[ShapeDtype | None], names: Sequence[str]
) -> list[Array | None]:
    """The leaves of a foreign result, as copies; `expected` holds None where there is nothing to compare.

    Raises TreeError, ShapeError or DTypeError where the result does not fit. A Python number fits any dtype, but a
    complex one no real dtype.
    """
    result = plain(found)
    try:
        leaves = leaves_or_none(structure, result, what, ())
    except TreeError:
        got = shown(tree_flatten(result)[1])
        raise TreeError(f"{what} returned the tree {got}, but {shown(structure)} is expected.") from None
    parts: list[Array | None] = []
    for leaf, kind, name in zip(leaves, expected, names, strict=True):
        if kind is None:
            parts.append(None)
            continue
        if leaf is None:
            raise TreeError(f"{what} returned None for {name}, but an array of shape {kind.shape} is expected.")
        value = np.asarray(leaf)
        if value.shape != kind.shape:
            raise ShapeError(f"{what} returned the shape {value.shape} for {name}, but {kind.shape} is expected.")
        fits = type(leaf) in (int, float) or (type(leaf) is complex and kind.dtype.kind == "c")
        if value.dtype != kind.dtype and not fits:
            raise DTypeError(
                f"{what} returned {value.dtype} for {name}, but {kind.dtype} is expected; convert the result, or give "
                f"arguments of the dtype that it computes in."
            )
        parts.append(np.array(value, kind.dtype))
    return parts


__all__ = ["Given", "fitting", "given_derivatives", "plain"]
