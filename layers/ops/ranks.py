"""Signals, images and volumes: text that is written for images, with two spatial axes, reworded for one or three.

So one definition makes the ops and layers of a family, and each has its own signature and help.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, TypeVar

F = TypeVar("F", bound=Callable[..., Any])

_WORDS = {
    1: {"images": "signals", "both axes": "the only axis"},
    2: {},
    3: {"images": "volumes", "both axes": "all three axes"},
}


def reworded(text: str, axes: int) -> str:
    """A text about images, reworded for signals (1 axis) or volumes (3 axes).

    Names of the axes h and w must stand beside each other; so must sizes along them, which must be equal.

    >>> reworded('max_pool2d takes images, "*batch h w" -> "h_out w_out", such as (8, 28, 28)', 1)
    'max_pool1d takes signals, "*batch w" -> "w_out", such as (8, 28)'
    >>> reworded("(*batch, channels, h, w), along both axes: Conv2d(3, 8)", 3)
    '(*batch, channels, d, h, w), along all three axes: Conv3d(3, 8)'
    """
    text = re.sub(r"\bh(\w*)(,? )w\1\b", lambda found: found[2].join(axis + found[1] for axis in "dhw"[-axes:]), text)
    text = re.sub(r"(?<![\w.])(\d+), \1(?![\w.])", lambda found: ", ".join([found[1]] * axes), text)
    text = re.sub(r"2d\b", f"{axes}d", text)
    for word, other in _WORDS[axes].items():
        text = text.replace(word, other)
    return text


def for_axes(axes: int) -> Callable[[F], F]:
    """Decorate a function that is written for images: reword its name, annotations and docstring for `axes` axes.

    Annotations must be postponed (`from __future__ import annotations`), since the decorator rewords their text.

    >>> @for_axes(1)
    ... def blur2d(x: Float[Tensor, "h w"]): ...
    >>> blur2d.__name__, blur2d.__annotations__["x"]
    ('blur1d', "Float[Tensor, 'w']")
    """

    def reword(function: F) -> F:
        function.__name__ = function.__qualname__ = reworded(function.__name__, axes)
        function.__doc__ = reworded(function.__doc__ or "", axes)
        function.__annotations__ = {name: reworded(text, axes) for name, text in function.__annotations__.items()}
        return function

    return reword


__all__ = ["for_axes", "reworded"]
