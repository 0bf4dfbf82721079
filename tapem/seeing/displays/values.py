"""A value in a display: its numbers if they are few, else its range and a small picture."""

from __future__ import annotations

from typing import Any

import numpy as np

from tapem.core import ShapeDtype, is_several
from tapem.display import Cell, Drawn, Fold, Mark, bars, image
from tapem.seeing.summaries import picture, summary_of

INLINE = 6
"""An array of at most this many numbers stands in its line; a larger one is folded."""

SHOWN = 60
"""The number of elements above which an array is written with its middle left out."""


def value_cell(value: Any) -> tuple[str | Drawn | Mark, ...]:
    """A value in one line."""
    summary = summary_of(value)
    if summary is None:
        return ("none",)
    if "numbers" in summary and np.size(value) > INLINE and np.asarray(value).dtype.kind in "fiu":
        summary |= picture(np.asarray(value, float))
    text = summary.get("text", "").removeprefix(summary.get("type", "")).strip()
    parts: list[str | Drawn | Mark] = []
    parts.append(f"in [{summary['low']}, {summary.get('high')}]" if "low" in summary else text)
    if "image" in summary:
        parts.append(image(summary["image"], "image of the values"))
    if "histogram" in summary:
        parts.append(bars(summary["histogram"], "histogram of the values"))
    if summary.get("finite") is False:
        parts.append(Mark("not finite", False))
    return tuple(part for part in parts if part)


def folded_value(value: Any) -> Cell:
    """A value in one line, which opens to the numbers if the array is not small."""
    line = value_cell(value)
    if isinstance(value, ShapeDtype) or is_several(value) or np.size(value) <= INLINE or not hasattr(value, "dtype"):
        return line
    text = np.array2string(np.asarray(value), precision=4, threshold=SHOWN, edgeitems=2, max_line_width=90)
    return Fold(line, (text,))


__all__ = ["folded_value", "value_cell"]
