"""Arrays as source: small ones as numbers, large ones as text of their bytes. All are exact."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

import numpy as np

from tapem.compiler.texts import literal
from tapem.compiler.unwritable import Unwritable

_SMALL = 8
"""Arrays of up to this many elements are written as numbers."""


def array_text(array: Any, imported: Callable[[str], str]) -> str:
    """An array as source: small ones as numbers, others as base64 text of their bytes. Both are exact.

    >>> array_text(np.array([0.5, np.inf], np.float32), str)
    'np.array([0.5, np.inf], np.float32)'
    """
    kind = literal(array.dtype)
    uniform = uniform_text(array, f"{array.shape}, {kind}")
    if uniform is not None:
        return uniform
    if array.dtype.char in "gG":  # whose bytes are those of this kind of machine
        return f"np.array({literal(array.tolist())}, {kind})"
    if array.size <= _SMALL and array.dtype.kind in "biufc":
        text = f"np.array({literal(array.tolist())}, {kind})"
        made = eval(text, {"np": np})
        if made.tobytes() == array.tobytes() and made.shape == array.shape:
            return text
    if array.dtype.hasobject:
        raise Unwritable("it uses an array of objects")
    turned = array.ndim > 1 and array.flags.f_contiguous and not array.flags.c_contiguous
    lines = _lines(base64.b64encode((array.T if turned else array).tobytes()).decode())
    shape = array.shape[::-1] if turned else array.shape
    decoded = f"{imported('base64')}.b64decode(\n" + "\n".join(f'    "{line}"' for line in lines or [""]) + "\n)"
    return f"np.frombuffer({decoded}, {kind}).reshape({shape}).copy(){'.T' * turned}"


def uniform_text(array: Any, kind: str) -> str | None:
    """An array whose elements are one number, or that has no elements; None for others."""
    if not array.size:
        return f"np.zeros({kind})"
    first = array.flat[0]
    if array.ndim == 0 or array.tobytes() != first.tobytes() * array.size or array.dtype.kind not in "biuf":
        return None
    if first in (0, 1) and not np.signbit(first):
        return f"np.{'ones' if first else 'zeros'}({kind})"
    return None if array.size <= _SMALL or first != first else f"np.full({array.shape}, {literal(first)})"


def _lines(text: str) -> list[str]:
    return [text[start : start + 100] for start in range(0, len(text), 100)]


__all__ = ["array_text"]
