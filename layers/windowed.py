"""What convolutions and pools share as layers: windows, which must be possible, and the sizes that come of them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar

from layers.module import Layer
from layers.ops.windows import Sizes, frozen
from layers.shapes import Pattern, split_pattern

# Stands for a size that is not known; every window fits into it.
_LARGE = 2**40


class Windowed(Layer, ABC):
    """The base of the layers whose op slides a window over the spatial axes, which are the last `axes` ones."""

    axes: ClassVar[int]
    op: ClassVar[Callable[..., Any]]
    windows: ClassVar[tuple[str, ...]]  # the fields that say where the windows stand

    def __post_init__(self) -> None:
        """Make tuples of lists, so that equal layers are equal, and check that there can be such windows."""
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


__all__ = ["Windowed"]
