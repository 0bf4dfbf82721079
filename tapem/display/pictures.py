"""Small pictures inside a display: a curve, a histogram, and an image of gray pixels."""

from __future__ import annotations

import base64
import struct
import zlib
from collections.abc import Callable, Mapping, Sequence
from html import escape
from math import isfinite, log10

from tapem.display.sheets import Drawn

WIDTH, HEIGHT = 420, 140
POINTS = 200
"""A longer curve is drawn by this many of its points."""

DASHES = ("", "6 3", "2 3")
"""Curves differ by their dashes, so that no color is needed."""


def bars(counts: Sequence[int], text: str) -> Drawn:
    """A histogram of a few bars, as high as a line of text.

    >>> bars([1, 2], "two").html
    '<svg width="6" height="16" role="img" aria-label="two"><path d="M0 16V8h2V16zM3 16V0h2V16z" .../></svg>'
    """
    most = max(counts, default=0) or 1
    path = "".join(f"M{3 * i} 16V{16 - round(16 * n / most)}h2V16z" for i, n in enumerate(counts) if n)
    return Drawn(
        f'<svg width="{3 * len(counts)}" height="16" role="img" aria-label="{escape(text)}">'
        f'<path d="{path}" fill="currentColor" opacity=".7"/></svg>',
        "",
    )


def image(pixels: Sequence[Sequence[int]], text: str) -> Drawn:
    """An image of rows of gray pixels from 0 to 255, as a PNG within the HTML."""
    height, width = len(pixels), len(pixels[0])
    rows = b"".join(b"\0" + bytes(row) for row in pixels)
    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    png = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows, 9)) + chunk(b"IEND", b"")
    data = base64.b64encode(png).decode()
    scale = max(2, 16 // height)
    return Drawn(f'<img alt="{escape(text)}" width="{scale * width}" src="data:image/png;base64,{data}">', "")


def chunk(name: bytes, data: bytes) -> bytes:
    """A chunk of a PNG."""
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def curves(series: Mapping[str, Sequence[float]]) -> Drawn | None:
    """Curves over their steps, from the first to the last, with a logarithmic axis if all values are positive.

    Values that are not finite leave a gap. None if there is nothing to draw.
    """
    finite = [y for values in series.values() for y in values if isfinite(y)]
    if not any(len(values) > 1 for values in series.values()) or not finite:
        return None
    low, high = min(finite), max(finite)
    logarithmic = low > 0 and high > 20 * low
    scale = log10 if logarithmic else float
    bottom, top = scale(low), scale(high)
    span = (top - bottom) or 1.0

    def y_of(value: float) -> float:
        return 8 + (HEIGHT - 16) * (top - scale(value)) / span

    drawn: list[str] = []
    for index, (name, values) in enumerate(series.items()):
        dash = f' stroke-dasharray="{DASHES[index % 3]}"' if index % 3 else ""
        drawn.append(
            f'<path d="{path_of(values, y_of)}"{dash} fill="none" stroke="currentColor" stroke-width="1.5">'
            f"<title>{escape(name)}</title></path>"
        )
        drawn.append(
            f'<path d="M{76 + 130 * index} {HEIGHT + 22}h24"{dash} stroke="currentColor" stroke-width="1.5"/>'
            f'<text x="{106 + 130 * index}" y="{HEIGHT + 26}">{escape(name)}</text>'
        )
    text = ", ".join(f"{name} from {values[0]:.4g} to {values[-1]:.4g}" for name, values in series.items() if values)
    frame = f'<path d="M72 4V{HEIGHT - 4}H{WIDTH + 72}" fill="none" stroke="currentColor" opacity=".5"/>'
    axis = (
        f'<text x="66" y="14" text-anchor="end">{high:.3g}</text>'
        f'<text x="66" y="{HEIGHT - 4}" text-anchor="end">{low:.3g}</text>'
    )
    size = f'viewBox="0 0 {WIDTH + 80} {HEIGHT + 32}" width="{WIDTH + 80}" style="max-width:100%"'
    style = 'font-size="11" fill="currentColor"'
    return Drawn(
        f'<svg {size} {style} role="img" aria-label="{escape(text)}">{frame}{axis}{"".join(drawn)}</svg>', text
    )


def path_of(values: Sequence[float], y_of: Callable[[float], float]) -> str:
    """The path of a curve, by at most POINTS of its values, the last one included."""
    count = len(values)
    places = sorted({round(i * (count - 1) / (POINTS - 1)) for i in range(POINTS)}) if count > POINTS else range(count)
    path, pen = "", "M"
    for place in places:
        if not isfinite(values[place]):
            pen = "M"
            continue
        path += f"{pen}{72 + WIDTH * place / max(1, count - 1):.1f} {y_of(values[place]):.1f}"
        pen = "L"
    return path


__all__ = ["bars", "curves", "image"]
