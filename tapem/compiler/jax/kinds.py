"""Kinds: shapes and dtypes as tapem knows them, and as JAX has them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tapem.compiler.jax.lazy import jax, jnp
from tapem.compiler.tracing import Traced, traced
from tapem.core import ShapeDtype, UnknownNumber
from tapem.errors import DTypeError, TapeError
from tapem.types import NUMBERS, is_inexact


def as_dtype(x: Any, dtype: Any) -> Any:
    """A value in a dtype, or the narrower one that JAX has for it."""
    kind = jax.dtypes.canonicalize_dtype(np.dtype(dtype))
    x = jnp.asarray(x)
    if np.iscomplexobj(x) and kind.kind != "c":
        x = jnp.real(x)
    return x.astype(kind)


def trace(function: Callable[..., Any], kinds: Sequence[Any], name: str) -> Traced:
    """The program of a function of leaves."""
    found = traced(function, kinds, name)
    if found is None:
        raise TapeError(f"{name} uses a value of a transform around it; pass the value as an argument.")
    return found


def kind_of_operand(value: Any) -> ShapeDtype:
    """Shape and dtype of what a node holds of an operand."""
    if isinstance(value, ShapeDtype):
        return value
    return UnknownNumber.like(value) if type(value) in (bool, int, float, complex) else ShapeDtype.of(value)


def strong(value: Any) -> ShapeDtype:
    """The same, where a Python number is an array."""
    kind = kind_of_operand(value)
    return ShapeDtype(kind.shape, kind.dtype)


def is_float(value: Any) -> bool:
    """Whether an operand can be perturbed."""
    return is_inexact(kind_of_operand(value).dtype)


def like(value: Any, kind: Any) -> Any:
    """A result in the dtype that the program knows; its shape is checked."""
    if type(kind) is tuple:
        return tuple(like(part, own) for part, own in zip(value, kind, strict=True))
    kind = ShapeDtype.of(kind)
    value = jnp.asarray(value)
    if value.shape != kind.shape:
        raise AssertionError(f"a form in JAX gives shape {value.shape} instead of {kind.shape}")
    return value if value.dtype == jax_dtype(kind) else as_dtype(value, kind.dtype)


def jax_dtype(value: Any) -> Any:
    """The dtype that JAX has for a value, or for a dtype."""
    dtype = value if isinstance(value, np.dtype) else ShapeDtype.of(value).dtype
    return jax.dtypes.canonicalize_dtype(dtype)


def as_tangent(tangent: Any, value: Any) -> Any:
    """A tangent as JAX wants it: that of an integer has the dtype float0."""
    if not is_inexact(np.dtype(value.dtype)):
        return np.zeros(value.shape, jax.dtypes.float0)
    return jnp.broadcast_to(as_dtype(tangent, value.dtype), value.shape)


def no_tangent(values: Any) -> Any:
    """Zeros, as the tangent of values."""
    return jax.tree.map(lambda y: as_tangent(jnp.zeros(y.shape), y), values)


def to_jax_value(value: Any, caller: str) -> Any:
    """A constant of a program as JAX takes it; Python numbers stay weak.

    Raises DTypeError for an integer that JAX, set to 32 bits, does not hold.
    """
    if value is None or type(value) in NUMBERS or isinstance(value, jax.Array):
        return value
    array = np.asarray(value)
    kind = jax_dtype(array.dtype)
    if array.dtype.kind in "iu" and kind != array.dtype and not np.array_equal(array.astype(kind), array):
        raise DTypeError(
            f"{caller}: an array of {array.dtype} holds numbers beyond {kind}, and JAX is set to 32 bits. Set "
            'jax.config.update("jax_enable_x64", True) before JAX is used.'
        )
    return jnp.asarray(array.astype(kind))


def kind_of_jax(value: Any) -> ShapeDtype:
    """What a trace knows of a JAX array; in 64 bits a weak one without axes is a Python number, as to tapem."""
    if type(value) in (bool, int, float, complex):
        return UnknownNumber.like(value)
    dtype = np.dtype(value.dtype)
    if getattr(value, "weak_type", False) and not value.shape:
        number = {"f": float, "i": int, "c": complex}.get(dtype.kind)
        if number is int or (number is not None and jax.config.jax_enable_x64):
            return UnknownNumber.like(number(0))
    return ShapeDtype(tuple(value.shape), dtype)


__all__ = [
    "as_dtype", "as_tangent", "is_float", "jax_dtype", "kind_of_jax", "kind_of_operand", "like", "no_tangent", "strong",
    "to_jax_value", "trace",
]  # fmt: skip
