"""The part that the layers of convolutions and pools share: the check of their windows, and the resulting sizes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar, dataclass_transform

from layers.module import Layer
from layers.ops.ranks import reworded
from layers.ops.windows import Sizes, frozen
from layers.shapes import Pattern, split_pattern

# Stands for an unknown size; every window fits into it.
_LARGE = 2**40


class Windowed(Layer, ABC):
    """The base of the layers whose op slides a window over the spatial axes, which are the last `axes` ones."""

    axes: ClassVar[int]
    op: ClassVar[Callable[..., Any]]
    windows: ClassVar[tuple[str, ...]]  # the fields that say where the windows stand

    def __post_init__(self) -> None:
        """Turn lists into tuples, so that equal layers compare equal, and check that such windows are possible."""
        for name in self.windows:
            object.__setattr__(self, name, frozen(getattr(self, name)))
        self.sizes_for((_LARGE,) * self.axes)

    @abstractmethod
    def sizes_for(self, spatial: Sizes) -> Sizes:
        """The spatial sizes of the result, given those of the input."""

    def spatial_sizes(self, input_shape: Pattern) -> tuple[int | None, ...]:
        """The spatial sizes of the result, given the shape of the input; unknown sizes stay unknown."""
        known = split_pattern(input_shape)[1][-self.axes :]
        spatial = (None,) * (self.axes - len(known)) + known
        sizes = self.sizes_for(tuple(_LARGE if n is None else n for n in spatial))
        return tuple(None if n is None else size for n, size in zip(spatial, sizes, strict=True))


W = TypeVar("W", bound=Windowed)


@dataclass_transform(frozen_default=True)
def over(axes: int, op: Callable[..., Any], *, as_for: type[Windowed] | None = None) -> Callable[[type[W]], type[W]]:
    """Decorate a windowed layer: a frozen dataclass that applies `op` over `axes` spatial axes.

    `as_for` is the layer for images. The layer gets its docstring, reworded for the number of axes.
    """

    def complete(cls: type[W]) -> type[W]:
        cls.axes, cls.op = axes, op
        if as_for is not None:
            cls.__doc__ = reworded(as_for.__doc__ or "", axes)
        return dataclass(frozen=True, repr=False)(cls)

    return complete


__all__ = ["Windowed", "over"]
