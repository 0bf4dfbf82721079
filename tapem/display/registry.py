"""The table of displays: for a type, the function that makes the sheet of its values."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from tapem.display.markup import markup
from tapem.display.sheets import Sheet
from tapem.display.terminal import renderable

Maker = TypeVar("Maker", bound=Callable[[Any], Sheet | None])

# It grows while modules are imported, and never after.
_MAKERS: dict[type, Callable[[Any], Sheet | None]] = {}


def shows(*types: type) -> Callable[[Maker], Maker]:
    """Enter a function as the maker of the sheets of these types, and of those derived from them.

    A maker returns None for a value that its plain text shows well enough.

    >>> class Point(Displayed):
    ...     pass
    >>> @shows(Point)
    ... def point_sheet(point):
    ...     return Sheet("a point")
    >>> "a point" in Point()._repr_html_()
    True
    """

    def entered(maker: Maker) -> Maker:
        _MAKERS.update(dict.fromkeys(types, maker))
        return maker

    return entered


def sheet_of(value: Any) -> Sheet | None:
    """The sheet of a value; None if its type, and those that it derives from, have no display."""
    for kind in type(value).__mro__:
        maker = _MAKERS.get(kind)
        if maker is not None:
            return maker(value)
    return None


def html_of(value: Any) -> str | None:
    """The display of a value as HTML; None where there is none, and a notebook then shows its `repr`."""
    sheet = sheet_of(value)
    return None if sheet is None else markup(sheet)


def rich_of(value: Any) -> Any:
    """The display of a value as rich prints it; its `repr` where there is none."""
    sheet = sheet_of(value)
    return renderable(Sheet("", (repr(value),)) if sheet is None else sheet)


class Displayed:
    """A base of classes whose values a notebook shows by their sheets; it adds no state."""

    __slots__ = ()

    _repr_html_ = html_of
    __rich__ = rich_of


__all__ = ["Displayed", "html_of", "rich_of", "sheet_of", "shows"]
