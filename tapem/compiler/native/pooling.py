"""Max-pools of relu as native loops: one that finds values and winners, and one that sends cotangents back."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from tapem.compiler.native.text import Text, loops


def pool_text(sizes: Sequence[int], taps: Sequence[int], dtype: str) -> str:
    """A function from x to `relu(max_pool(x))`, and to the number of the tap that each cotangent goes to, or -1.

    `sizes` are those of the result; its element at i meets those of x from `taps * i` on. A window with a NaN is NaN,
    and its cotangent goes to the first tap.
    """
    first, *others = elements(taps)
    lines = [f"first = x[{first}]", "best, winner, bad = first, 0, first != first"]
    for number, element in enumerate(others, 1):
        lines += [
            f"value = x[{element}]",
            "bad |= value != value",
            f"winner = {number} if value > best else winner",
            "best = value if value > best else best",
        ]
    at = place(len(sizes))
    lines += [
        "winner = (0 if first > 0 else -1) if bad else (winner if best > 0 else -1)",
        f"y[{at}] = np.{dtype}(np.nan) if bad else (best if best > 0 else np.{dtype}(0))",
        f"winners[{at}] = winner",
    ]
    shape = ", ".join(map(str, sizes))
    head = [f"y = np.empty(({shape},), np.{dtype})", f"winners = np.empty(({shape},), np.int{bits(dtype)})"]
    return function("native(x)", [*head, *loops(sizes, lines), "return y, winners"])


def back_text(sizes: Sequence[int], taps: Sequence[int], dtype: str) -> str:
    """A function from the cotangents of windows, and their winners, to the cotangent of x."""
    at = place(len(sizes))
    lines = [f"value, winner = g[{at}], winners[{at}]"]
    for number, element in enumerate(elements(taps)):
        lines.append(f"x[{element}] = value if winner == {number} else np.{dtype}(0)")
    shape = ", ".join(str(size * tap) for size, tap in zip(sizes, taps, strict=True))
    head = [f"x = np.empty(({shape},), np.{dtype})"]
    return function("native(g, winners)", [*head, *loops(sizes, lines), "return x"])


def bits(dtype: str) -> str:
    """The number of bits of a float, so that loops over floats and winners work on as many at a time."""
    return dtype.removeprefix("float")


def elements(taps: Sequence[int]) -> list[str]:
    """The indices of the elements that the taps of a window meet."""
    return [
        ", ".join(f"i{axis}" if size == 1 else f"{size} * i{axis} + {tap}" for axis, (size, tap) in enumerate(pairs))
        for pairs in (list(zip(taps, own, strict=True)) for own in itertools.product(*map(range, taps)))
    ]


def place(rank: int) -> str:
    """The index of a window."""
    return ", ".join(f"i{axis}" for axis in range(rank))


def function(head: str, lines: Text) -> str:
    """The text of a function."""
    return "\n".join([f"def {head}:", *(f"    {line}" for line in lines)])


__all__ = ["back_text", "pool_text"]
