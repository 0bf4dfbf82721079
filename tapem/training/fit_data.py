"""The examples of a training: arrays, or trees of them, with one row for each example."""

from __future__ import annotations

from typing import Any, TypeAlias, cast

from tapem.core import tree_flatten, tree_map
from tapem.errors import ArgumentError, ShapeError
from tapem.types import as_tensor

Tree: TypeAlias = Any
Data: TypeAlias = tuple[Tree, Tree]


def taken_rows(data: Data, rows: Any) -> Any:
    """These rows of all arrays of x and target."""
    return tree_map(lambda array: array[rows], data)


def checked(data: Any, argument: str) -> Data:
    """The data as arrays. Raises ArgumentError if it is not a pair, ShapeError if the numbers of rows differ."""
    if not isinstance(data, tuple) or len(cast(tuple[Any, ...], data)) != 2:
        raise ArgumentError(f"fit: {argument} must be a pair (x, target) of arrays, with one row per example.")
    arrays: Data = tree_map(lambda leaf: as_tensor(leaf, op="fit", argument=argument), data)
    shapes = dict.fromkeys(array.shape for array in tree_flatten(arrays)[0])
    sizes = {shape[:1] for shape in shapes}
    if len(sizes) != 1 or sizes <= {(), (0,)}:
        raise ShapeError(
            f"fit: {argument} must hold arrays with one row for each of one or more examples, but has the shapes "
            f"{', '.join(map(str, shapes))}." + " A list is a tree: make one array of it." * (list in map(type, arrays))
        )
    return arrays


def rows_of(data: Data) -> int:
    """The number of examples."""
    return len(tree_flatten(data)[0][0])


__all__ = ["Data", "checked", "rows_of", "taken_rows"]
