"""The sizes of axes, as they are drawn by name, and the shapes that dimension strings spell with them."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import product
from typing import TYPE_CHECKING, Any

from tapem.errors import ArgumentError
from tapem.testing.seeded import hypothesis_modules

if TYPE_CHECKING:
    from hypothesis.strategies import DrawFn, SearchStrategy


@dataclass
class Axes:
    """The axes drawn so far, by name: a size for one axis, a shape for a name of several axes."""

    draw: DrawFn
    static: Mapping[str, Any]
    sides: tuple[int, int]
    max_axes: int
    empty: bool = False
    sizes: dict[str, int] = field(default_factory=dict[str, int])
    shapes: dict[str, tuple[int, ...]] = field(default_factory=dict[str, tuple[int, ...]])

    def side(self) -> SearchStrategy[int]:
        """A strategy for one size; 0 is the last to try, so that nothing shrinks to it."""
        _, st = hypothesis_modules()
        low, high = self.sides
        return st.sampled_from([*range(low, high + 1), 0]) if self.empty and low else st.integers(low, high)

    def size(self, name: str) -> int:
        """The size of a named axis, drawn at the first call."""
        if name not in self.sizes:
            self.sizes[name] = self.draw(self.side(), label=f"axis {name}")
        return self.sizes[name]

    def several(self, name: str) -> tuple[int, ...]:
        """The sizes of the axes that `*name` stands for."""
        _, st = hypothesis_modules()
        if name not in self.shapes:
            sides = st.lists(self.side(), max_size=self.max_axes)
            self.shapes[name] = tuple(self.draw(sides, label=f"axes *{name}"))
        return self.shapes[name]

    def shape(self, dim_str: str) -> tuple[int, ...]:
        """The shape that a dimension string spells."""
        return tuple(size for token in dim_str.split() for size in self.token(token))

    def token(self, token: str) -> tuple[int, ...]:
        """The sizes for one token of a dimension string."""
        _, st = hypothesis_modules()
        if token == "...":
            return tuple(self.draw(st.lists(self.side(), max_size=self.max_axes)))
        name = token.lstrip("#*?_").split("=")[-1]
        marks = token[: len(token) - len(token.lstrip("#*?_"))]
        if "*" in marks:
            sizes = self.several(name) if "_" not in marks else tuple(self.token("..."))
            return self.stretched(sizes) if "#" in marks else sizes
        if "_" in marks:
            return (self.draw(self.side()),)
        if name.isidentifier():
            size = self.size(name)
        elif name.isdigit():
            size = int(name)
        else:
            size = self.symbolic(name)
        return (1,) if "#" in marks and self.draw(st.booleans()) else (size,)

    def symbolic(self, expression: str) -> int:
        """The value of an expression of other axes and static arguments; if it is no size, others are drawn.

        Raises ArgumentError for a static argument that is not known, and where no sizes of the axes give a size.
        """
        hypothesis, _ = hypothesis_modules()
        try:
            written = eval(f"f{expression!r}", dict(self.static)) if "{" in expression else expression
        except NameError as error:
            raise ArgumentError(
                f"shaped: the axis {expression!r} names the argument {error.name!r}, which has no default; say what it "
                f"is, as in static={{{error.name!r}: 2}}."
            ) from error
        names = sorted({node.id for node in ast.walk(ast.parse(written)) if isinstance(node, ast.Name)})

        def value(sizes: Mapping[str, int]) -> float:
            return eval(written, dict(sizes))

        size = value({name: self.size(name) for name in names})
        if not is_size(size):
            low, high = self.sides
            every = product(range(low, high + 1), repeat=len(names))
            if not any(is_size(value(dict(zip(names, sizes, strict=True)))) for sizes in every):
                raise ArgumentError(
                    f"shaped: the axis {expression!r} has no size for axes of {low} to {high}; choose them by "
                    "min_side= and max_side=."
                )
        hypothesis.assume(is_size(size))
        return int(size)

    def stretched(self, sizes: tuple[int, ...]) -> tuple[int, ...]:
        """A shape that broadcasts to these sizes: without some leading axes, and with some axes of size 1."""
        _, st = hypothesis_modules()
        stretched = tuple(1 if self.draw(st.booleans()) else size for size in sizes)
        return stretched[self.draw(st.integers(0, len(sizes))) :]


def is_size(number: float) -> bool:
    """Whether an axis may be that long."""
    return number >= 0 and number == int(number)


__all__ = ["Axes"]
