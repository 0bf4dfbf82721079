"""The texts of ops: what an engine writes for an op, one line per op.

In a text, `{x}` stands for the operand or static argument x, `{axis=}` for `, axis=value` where the value is not the
op's default, and `{*}` for all operands. An op without a line of its own is written as its implementation says, if that
is one NumPy function of the operands.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tapem.core import Primitive, Static, UnknownNumber
from tapem.types import NUMBERS

TEXTS: Mapping[str, str] = {
    # arithmetic
    "add": "{a} + {b}",
    "sub": "{a} - {b}",
    "mul": "{a} * {b}",
    "div": "{a} / {b}",
    "neg": "-{x}",
    "number_power": "({a}) ** {b}",
    # reductions
    "sum": "np.sum({x}{axis=}{keepdims=})",
    "prod": "np.prod({x}{axis=}{keepdims=})",
    "max": "np.max({x}{axis=}{keepdims=})",
    "min": "np.min({x}{axis=}{keepdims=})",
    "all": "np.all({x}{axis=}{keepdims=})",
    "any": "np.any({x}{axis=}{keepdims=})",
    # shapes
    "reshape": "np.reshape({x}, {shape})",
    "flatten": "np.reshape({x}, -1)",
    "transpose": "np.transpose({x}{axes=})",
    "swapaxes": "np.swapaxes({x}, {axis1}, {axis2})",
    "moveaxis": "np.moveaxis({x}, {source}, {destination})",
    "expand_dims": "np.expand_dims({x}, {axis})",
    "squeeze": "np.squeeze({x}{axis=})",
    "broadcast_to": "np.broadcast_to({x}, {shape})",
    "full": "np.full({shape}, {x})",
    "concat": "np.concatenate(({*},){axis=})",
    "stack": "np.stack(({*},){axis=})",
    "flip": "np.flip({x}{axis=})",
    "cast": "np.asarray({x}).astype({dtype})",
    # products
    "dot": "np.dot({a}, {b})",
    "matmul": "np.matmul({a}, {b})",
    "bmm": "np.matmul({a}, {b})",
    # choices
    "where": "np.where({condition}, {x}, {y})",
    "clamp": "np.clip({x}, {lo}, {hi})",
    "relu": "np.maximum({x}, 0)",
    "take": "np.take({x}, {indices}{axis=})",
    "take_along_axis": "np.take_along_axis({x}, {indices}, axis={axis})",
}
"""From the name of an op to NumPy's expression for it."""

_PLACE = re.compile(r"\{(\w+|\*)(=?)\}")
_OPERATOR = re.compile(r"^(-?)\{\w+\}( \S+ \{\w+\})?$")


def text_of(
    op: Primitive, operands: Sequence[str], kinds: Sequence[Any], static: Static, show: Any, template: str | None = None
) -> str | None:
    """The expression for an op applied to operands of these texts and kinds; None if the op has no text.

    `show` writes a static argument; `template` is another text than that of the table.
    """
    ufunc = op.implementation if isinstance(op.implementation, np.ufunc) else None
    # NumPy's function may refuse a missing operand: np.clip(x, None, None) does, before NumPy 2.1.
    if template is None and not any(kind is None for kind in kinds):
        template = TEXTS.get(op.name)
    if template is not None and _OPERATOR.match(template) and not has_array(kinds):
        template = None  # Python's operators do not compute with two Python numbers as NumPy does
    if template is None:
        name = None if ufunc is None or static else function_name(ufunc)
        return None if name is None else f"{name}({', '.join(operands)})"
    named = dict(zip(op.operand_names, operands, strict=False))

    def fill(place: re.Match[str]) -> str:
        name, optional = place.groups()
        if name == "*":
            return ", ".join(operands)
        if name in named:
            return named[name]
        value = static[name]
        if optional:
            same = type(value) is type(op.defaults[name]) and value == op.defaults[name]
            return "" if same else f", {name}={show(value)}"
        return show(value)

    return _PLACE.sub(fill, template)


def has_array(kinds: Sequence[Any]) -> bool:
    """Whether one of some operands is an array or a NumPy scalar, not a Python number."""
    return any(type(kind) is not UnknownNumber and type(kind) not in NUMBERS for kind in kinds)


def function_name(ufunc: np.ufunc) -> str | None:
    """How NumPy's ufunc is written."""
    name = ufunc.__name__
    return f"np.{name}" if getattr(np, name, None) is ufunc else None


_PLAIN = (bool, int, str, type(None), type(...))


def literal(value: Any) -> str | None:
    """A value as Python source that evaluates to it; None if there is none.

    >>> literal((1, None)), literal(np.float32(0.5)), literal(float("-inf"))
    ('(1, None)', 'np.float32(0.5)', '-np.inf')
    """
    if type(value) is float or type(value) is complex or isinstance(value, np.floating | np.complexfloating):
        return _number(value)
    if type(value) in _PLAIN:
        return repr(value)
    if isinstance(value, np.generic):
        return f"np.{type(value).__name__}({value.item()!r})" if hasattr(np, type(value).__name__) else None
    if isinstance(value, np.dtype):
        return f"np.{value.name}" if hasattr(np, value.name) and value.isnative else f"np.dtype({value.str!r})"
    if isinstance(value, type) and issubclass(value, np.generic):
        return f"np.{value.__name__}"
    if value in (bool, int, float, complex):
        return value.__name__
    if type(value) is slice:
        parts = [literal(part) for part in (value.start, value.stop, value.step)]
        return None if None in parts else f"slice({', '.join(map(str, parts))})"
    if type(value) in (tuple, list):
        parts = [literal(part) for part in value]
        if None in parts:
            return None
        inside = ", ".join(map(str, parts))
        return f"[{inside}]" if type(value) is list else f"({inside},)" if len(parts) == 1 else f"({inside})"
    return None


_SPECIAL = {"inf": "np.inf", "-inf": "-np.inf", "nan": "np.nan"}


def _number(value: Any) -> str:
    plain = type(value) in (float, complex)
    if np.iscomplexobj(value):
        text = f"complex({_number(float(value.real))}, {_number(float(value.imag))})"
    else:
        text = repr(value) if plain else f"'{value!s}'" if type(value) is np.longdouble else repr(value.item())
        text = _SPECIAL.get(text, text)
    return text if plain else f"np.{type(value).__name__}({text})"


__all__ = ["TEXTS", "function_name", "has_array", "literal", "text_of"]
