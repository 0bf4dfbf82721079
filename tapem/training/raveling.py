"""Trees of floats as one vector and back, for optimizers that work on vectors only, such as SciPy's."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from tapem.core import ShapeDtype, taken, tree_flatten, tree_unflatten
from tapem.doors.direct import Tracer
from tapem.errors import DTypeError, ShapeError
from tapem.transforms import through_every_door


@through_every_door
def ravel(tree: Any) -> tuple[Any, Callable[[Any], Any]]:
    """Return all numbers of a tree of floats in one vector, and `unravel`, which makes such a tree from such a vector.

    The leaves follow each other as in the tree (the entries of a dict by sorted keys), each in row-major order. NumPy's
    promotion of the leaves' dtypes gives the vector's dtype (float32 and float64 give float64); without leaves it is
    float64. `unravel` restores structure, shapes and dtypes from a vector of any float dtype, and the tree shares no
    memory with the vector. Both functions are differentiable and work through every door.

    Raises DTypeError for a leaf of integers or bools, since an optimizer would change them to floats that rounding does
    not restore. `unravel` raises ShapeError for a vector of another length.

    >>> vector, unravel = ravel({"w": np.array([[1.0, 2.0], [3.0, 4.0]]), "b": np.array([5.0], np.float32)})
    >>> vector
    array([5., 1., 2., 3., 4.])
    >>> unravel(vector * 10)
    {'w': array([[10., 20.],
           [30., 40.]]), 'b': array([50.], dtype=float32)}
    """
    leaves, structure = tree_flatten(tree)
    leaves = [taken(leaf, op="ravel", argument=f"leaf {position}") for position, leaf in enumerate(leaves)]
    kinds = [kind_of(leaf, position) for position, leaf in enumerate(leaves)]
    dtype = np.result_type(*(kind.dtype for kind in kinds)) if kinds else np.dtype(np.float64)
    bounds = list(itertools.accumulate((math.prod(kind.shape) for kind in kinds), initial=0))

    @through_every_door
    def unravel(vector: Any) -> Any:
        """Make the tree whose numbers, one after another, are those of the vector."""
        vector = taken(vector, op="unravel", argument="the vector")
        given = ShapeDtype.of(vector)
        if given.shape != (bounds[-1],):
            raise ShapeError(
                f"unravel: the vector has shape {given.shape}, but the tree that was raveled holds {bounds[-1]} "
                f"numbers, so it must have shape ({bounds[-1]},)."
            )
        if given.dtype.kind not in "fiu":
            raise DTypeError(f"unravel: the vector holds {given.dtype} values, but must hold floats.")
        parts = [vector[start:stop] for start, stop in itertools.pairwise(bounds)]
        return tree_unflatten(structure, [shaped(part, kind) for part, kind in zip(parts, kinds, strict=True)])

    if not leaves:
        return np.zeros(0, dtype), unravel
    flat = [np.reshape(leaf, -1) for leaf in leaves]
    parts = [part if part.dtype == dtype else part.astype(dtype) for part in flat]
    return np.concatenate(parts), unravel


def kind_of(leaf: Any, position: int) -> ShapeDtype:
    """Shape and dtype of a leaf. Raises DTypeError if it does not hold floats."""
    kind = ShapeDtype.of(leaf)
    if kind.dtype.kind != "f":
        raise DTypeError(
            f"ravel: leaf {position} of the tree holds {kind.dtype} values, but only floats can be part of a vector. "
            "Convert them to floats, or ravel the tree without them."
        )
    return kind


def shaped(part: Any, kind: ShapeDtype) -> Any:
    """A part of the vector in the shape and dtype of its leaf; a copy, where it is an array."""
    part = np.reshape(part, kind.shape)
    return part if type(part) is Tracer and part.dtype == kind.dtype else part.astype(kind.dtype)


__all__ = ["ravel"]
