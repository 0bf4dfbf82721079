"""The options of a call of a ufunc: dtype, casting, signature, where, axes, axis, keepdims.

Each leads back to the ufunc's handler: a cast before it, a choice after it, axes moved to the end and back. `out` is
refused, since a value on a tape cannot be written to; `order` and `subok` mean nothing here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from tapem.core.node import ShapeDtype
from tapem.core.structure import detach
from tapem.errors import ArgumentError, DTypeError, NoRuleError
from tapem.types import NUMERIC

_CASTS = frozenset({"dtype", "casting", "signature", "sig"})
_AXES = frozenset({"axes", "axis", "keepdims"})
_MEANINGLESS = frozenset({"order", "subok"})


def called_with(
    ufunc: np.ufunc, name: str, handler: Callable[..., Any], inputs: Sequence[Any], options: Mapping[str, Any]
) -> Any:
    """Call the handler of a ufunc as NumPy calls the ufunc with these options; `name` is shown in errors.

    Raises NoRuleError for an option that no ufunc has, DTypeError where NumPy does not cast.
    """
    unknown = options.keys() - _CASTS - _AXES - _MEANINGLESS - {"where"}
    if unknown:
        raise NoRuleError(f"{name} with {', '.join(sorted(unknown))} has no rule in tapem; call it without.")
    compute = handler
    if options.keys() & _AXES:
        compute = _along(ufunc, name, compute, options)
    if options.keys() & _CASTS:
        compute = _in_dtype(ufunc, name, compute, options)
    where = options.get("where", True)
    operands = [np.asarray(x) if isinstance(x, list | tuple) else x for x in inputs]
    return compute(*operands) if where is True else _where(name, compute, operands, where)


# -- dtype -------------------------------------------------------------------------------------------------------------


def _in_dtype(
    ufunc: np.ufunc, name: str, compute: Callable[..., Any], options: Mapping[str, Any]
) -> Callable[..., Any]:
    """Cast the operands to the dtypes of NumPy's loop for these options, and the results to its results' dtypes."""

    def cast(*operands: Any) -> Any:
        given = [type(x) if type(x) in (int, float, complex) else ShapeDtype.of(x).dtype for x in operands]
        asked = {key: value for key, value in options.items() if key == "casting"}
        try:
            loop: Any = ufunc.resolve_dtypes(
                (*given, *[None] * ufunc.nout), signature=_signature(ufunc, options), **asked
            )
        except TypeError as error:
            raise DTypeError(f"{name}: {error}.") from None
        if any(dtype.kind not in NUMERIC for dtype in loop):
            raise DTypeError(f"{name}: dtype={options.get('dtype')!r} is not a dtype of numbers.")
        found = compute(*map(_cast, operands, loop))
        results = loop[ufunc.nin :]
        return tuple(map(_cast, found, results)) if ufunc.nout > 1 else _cast(found, results[0])

    return cast


def _signature(ufunc: np.ufunc, options: Mapping[str, Any]) -> tuple[Any, ...]:
    """The dtypes of operands and results that the options ask for; None where they leave it to NumPy."""
    asked = options.get("signature", options.get("sig"))
    if isinstance(asked, str) and "->" in asked:
        asked = tuple(asked.replace("->", ""))
    if isinstance(asked, tuple):
        return tuple(None if one is None else np.dtype(one) for one in asked)
    dtype = options.get("dtype", asked)
    return (*[None] * ufunc.nin, *[None if dtype is None else np.dtype(dtype)] * ufunc.nout)


def _cast(x: Any, dtype: Any) -> Any:
    kind = ShapeDtype.of(x).dtype
    return x if kind == dtype and hasattr(x, "dtype") else np.astype(x if hasattr(x, "dtype") else np.asarray(x), dtype)


# -- where -------------------------------------------------------------------------------------------------------------


def _where(name: str, compute: Callable[..., Any], operands: Sequence[Any], where: Any) -> Any:
    """The results where the mask holds, and 0 where NumPy leaves whatever is in memory.

    Operands are replaced where the mask does not hold, by ones at which it does: neither a warning nor an infinite
    derivative comes from there.
    """
    mask = np.asarray(where) if isinstance(where, bool | list | tuple) else where
    if ShapeDtype.of(mask).dtype != bool:
        raise ArgumentError(f"{name}: where= is a mask of bools, but its dtype is {mask.dtype}.")
    shape = np.broadcast_shapes(np.shape(mask), *map(np.shape, operands))
    if 0 not in shape:
        first = np.argmax(np.ravel(np.broadcast_to(mask, shape)))
        operands = [
            x if np.ndim(x) == 0 else np.where(mask, x, detach(np.take(np.ravel(np.broadcast_to(x, shape)), first)))
            for x in operands
        ]
    found = compute(*operands)
    several = type(found) is tuple
    chosen = tuple(np.where(mask, y, np.zeros((), y.dtype)) for y in (found if several else (found,)))
    return chosen if several else chosen[0]


# -- axes --------------------------------------------------------------------------------------------------------------


def _along(ufunc: np.ufunc, name: str, compute: Callable[..., Any], options: Mapping[str, Any]) -> Callable[..., Any]:
    """Move the axes on which a generalized ufunc works to the end, and those of the result back."""
    if ufunc.signature is None:
        raise NoRuleError(f"{name} works element by element: it has no axes= and no axis=.")
    ranks = [len(re.findall(r"\w+", part)) for part in re.findall(r"\((.*?)\)", ufunc.signature)]
    axis, axes = options.get("axis"), options.get("axes")
    if axis is not None:
        axes = [(axis,) if rank else () for rank in ranks]
    axes = [one if isinstance(one, tuple) else (one,) for one in axes or []]
    if axes and len(axes) < ufunc.nin:
        raise ArgumentError(f"{name}: axes has {len(axes)} entries for {ufunc.nin} operands.")
    result = axes[ufunc.nin] if len(axes) > ufunc.nin else ()

    def along(*operands: Any) -> Any:
        moved = [np.moveaxis(x, one, range(-len(one), 0)) for x, one in zip(operands, axes, strict=False)] or operands
        found = compute(*moved)
        if result:
            found = np.moveaxis(found, range(-len(result), 0), result)
        return np.expand_dims(found, axes[0] if axes else -1) if options.get("keepdims") else found

    return along
