"""Calls and arrays as text: what a message shows so that a failure can be had again."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import numpy as np

from tapem.testing.edges import layout_text
from tapem.testing.flattening import is_array, is_list


def array_text(value: Any) -> str:
    """An argument as an error shows it.

    >>> print(array_text(np.array([0.5, 1 / 3])))
    [0.5     , 0.333333]  float64[2]
    """
    text = np.array2string(value, separator=", ", precision=6) if is_array(value) else repr(value)
    kind = f"  {value.dtype}{list(value.shape)}" if is_array(value) else ""
    return text.replace("\n", "\n      ") + kind


def exact_text(value: Any) -> str:
    """A value as Python reads it back, to the last bit; `...` for what has no such text.

    >>> print(exact_text([np.array([0.1, 1 / 3], np.float32)]))
    [np.array([0.10000000149011612, 0.3333333432674408], dtype=np.float32)]
    """
    if is_array(value):
        kind = "" if str(value.dtype) in ("float64", "int64", "bool") else f", dtype=np.{value.dtype}"
        shape = "" if value.size else f".reshape({value.shape})"
        return layout_text(value).format(f"np.array({value.tolist()}{kind}){shape}")
    if isinstance(value, list | tuple):
        items = [exact_text(item) for item in cast("Sequence[Any]", value)]
        text = ", ".join(items)
        return f"[{text}]" if is_list(value) else f"({text},)" if len(items) == 1 else f"({text})"
    if isinstance(value, Mapping):
        pairs = cast("Mapping[Any, Any]", value).items()
        return "{" + ", ".join(f"{key!r}: {exact_text(item)}" for key, item in pairs) + "}"
    if isinstance(value, np.generic | np.dtype):
        return f"np.{value!r}".replace("np.np.", "np.")
    if isinstance(value, type):
        return f"np.{value.__name__}" if issubclass(value, np.generic) else value.__name__
    return repr(value) if isinstance(value, int | float | str | None) else "..."


def call_text(
    function: Callable[..., Any],
    op: str,
    options: Mapping[str, Any],
    operands: Sequence[Any] | None = None,
    static: Mapping[str, Any] | None = None,
) -> str:
    """The call of a checker, in which options that have their default are left out.

    >>> from tapem.testing import rule_report
    >>> call_text(rule_report, "sin", {"order": 2, "batch": False}, [0.5], {})
    'rule_report(sin, [0.5], batch=False)'
    """
    defaults = {name: parameter.default for name, parameter in inspect.signature(function).parameters.items()}
    given = [f"{name}={exact_text(value)}" for name, value in options.items() if not same(value, defaults.get(name))]
    positional = [op]
    if operands is not None:
        positional += [exact_text(list(operands)), *([exact_text(static)] if static else [])]
    return f"{function.__name__}({', '.join([*positional, *given])})"


def same(value: Any, default: Any) -> bool:
    """Whether an option has its default; arrays and strategies never do."""
    return type(value) is type(default) and isinstance(value, int | float | str | tuple | None) and value == default


__all__ = ["array_text", "call_text", "exact_text"]
