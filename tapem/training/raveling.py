"""Trees of numbers as one vector of floats and back, for optimizers that work on vectors only, such as SciPy's."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any, cast

import numpy as np

from tapem.core import ShapeDtype, taken, tree_flatten, tree_unflatten
from tapem.doors.direct import Tracer
from tapem.errors import DTypeError, ShapeError
from tapem.ops import from_parts
from tapem.transforms import through_every_door


@through_every_door
def ravel(tree: Any) -> tuple[Any, Callable[[Any], Any]]:
    """Return all numbers of a tree in one vector of floats, and `unravel`, which makes such a tree from such a vector.

    The leaves follow each other as in the tree (the entries of a dict by sorted keys), each in row-major order. A
    complex number is two elements, its real and its imaginary part, since SciPy's optimizers take real vectors; the
    gradient by the vector then points uphill, without a conjugate. NumPy's promotion of the parts' dtypes gives the
    vector's dtype (float32 and complex128 give float64); without leaves it is float64. `unravel` restores structure,
    shapes and dtypes from a vector of any float dtype, to the bit, and the tree shares no memory with the vector. Both
    functions are differentiable and work through every door.

    Raises DTypeError for a leaf of integers or bools, since an optimizer would change them to floats that rounding does
    not restore. `unravel` raises ShapeError for a vector of another length.

    >>> vector, unravel = ravel({"w": np.array([[1.0, 2.0], [3.0, 4.0]]), "b": np.array([5.0], np.float32)})
    >>> vector
    array([5., 1., 2., 3., 4.])
    >>> unravel(vector * 10)
    {'w': array([[10., 20.],
           [30., 40.]]), 'b': array([50.], dtype=float32)}
    >>> vector, unravel = ravel({"x": 0.5, "z": np.array([1 + 2j, 3j])})
    >>> vector, unravel(vector)["z"]
    (array([0.5, 1. , 2. , 0. , 3. ]), array([1.+2.j, 0.+3.j]))
    """
    leaves, structure = tree_flatten(tree)
    leaves = [taken(leaf, op="ravel", argument=f"leaf {position}") for position, leaf in enumerate(leaves)]
    kinds = [kind_of(leaf, position) for position, leaf in enumerate(leaves)]
    dtype = np.result_type(*(part_dtype(kind) for kind in kinds)) if kinds else np.dtype(np.float64)
    bounds = list(itertools.accumulate((math.prod(in_parts(kind)) for kind in kinds), initial=0))

    with_pairs = ", two for each complex one" if any(kind.dtype.kind == "c" for kind in kinds) else ""

    @through_every_door
    def unravel(vector: Any) -> Any:
        """Make the tree whose numbers, one after another, are those of the vector."""
        vector = taken(vector, op="unravel", argument="the vector")
        given = ShapeDtype.of(vector)
        if given.shape != (bounds[-1],):
            raise ShapeError(
                f"unravel: the vector has shape {given.shape}, but the tree that was raveled holds {bounds[-1]} "
                f"numbers{with_pairs}, so it must have shape ({bounds[-1]},)."
            )
        if given.dtype.kind not in "fiu":
            raise DTypeError(f"unravel: the vector holds {given.dtype} values, but must hold floats.")
        parts = [vector[start:stop] for start, stop in itertools.pairwise(bounds)]
        return tree_unflatten(structure, [shaped(part, kind) for part, kind in zip(parts, kinds, strict=True)])

    if not leaves:
        return np.zeros(0, dtype), unravel
    pairs = zip(leaves, kinds, strict=True)
    flat = [np.reshape(parts_of(leaf) if kind.dtype.kind == "c" else leaf, -1) for leaf, kind in pairs]
    parts = [part if part.dtype == dtype else part.astype(dtype) for part in flat]
    return np.concatenate(parts), unravel


def kind_of(leaf: Any, position: int) -> ShapeDtype:
    """Shape and dtype of a leaf. Raises DTypeError if it holds neither floats nor complex numbers."""
    kind = ShapeDtype.of(leaf)
    if kind.dtype.kind not in "fc":
        raise DTypeError(
            f"ravel: leaf {position} of the tree holds {kind.dtype} values, but only floats can be part of a vector. "
            "Convert them to floats, or ravel the tree without them."
        )
    return kind


def part_dtype(kind: ShapeDtype) -> np.dtype[Any]:
    """The dtype of a leaf's parts: that of its elements, or of their real parts."""
    return np.dtype(f"f{kind.dtype.itemsize // 2}") if kind.dtype.kind == "c" else kind.dtype


def in_parts(kind: ShapeDtype) -> tuple[int, ...]:
    """The shape of a leaf's parts: a complex one has an axis more, of size 2."""
    return (*kind.shape, 2) if kind.dtype.kind == "c" else kind.shape


def parts_of(leaf: Any) -> Any:
    """The real and the imaginary parts of a complex leaf, along a last axis."""
    parts: list[Any] = [np.real(leaf), np.imag(leaf)]
    return np.stack(parts, axis=-1)


def shaped(numbers: Any, kind: ShapeDtype) -> Any:
    """A part of the vector in the shape and dtype of its leaf; a copy, where it is an array."""
    part: Any = np.reshape(numbers, in_parts(kind))
    if kind.dtype.kind == "c":
        part = cast(Any, from_parts)(part[..., 0], part[..., 1])
    return part if type(part) is Tracer and part.dtype == kind.dtype else part.astype(kind.dtype)


__all__ = ["ravel"]
