"""Products of matrices and tensors.

All of them are bilinear, so each tangent is the same product with the tangent in place of the operand; only `vdot`
takes the conjugate of its first operand.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np

from tapem.core import Primitive, Rule, ShapeDtype
from tapem.errors import ArgumentError
from tapem.ops.complex_numbers import conjugated
from tapem.ops.declare import primitive
from tapem.ops.einsum import Labels, batch_contraction, contraction, einsum, shape_of_contraction
from tapem.sweeps import unbroadcast
from tapem.types import Num, Tensor

T = Num[Tensor, "..."]
Axes: TypeAlias = "int | tuple[int | Sequence[int], int | Sequence[int]]"


def transposed(x: Any) -> Any:
    """Transpose every matrix of a stack."""
    return x.T if x.ndim == 2 else np.swapaxes(x, -1, -2)


def adjoint(x: Any) -> Any:
    """Transpose and conjugate every matrix of a stack."""
    return conjugated(transposed(x))


def aligned(x: Any, is_mapped: bool, rank: int) -> Any:
    """Align the axes of a mapped operand behind the batch axis, up to `rank` axes, as broadcasting needs."""
    missing = rank - (x.ndim - is_mapped)
    return np.reshape(x, (x.shape[0], *(1,) * missing, *x.shape[1:])) if is_mapped and missing else x


# Matrix products ------------------------------------------------------------------------------------------------------


def _shape_of_matmul(a: Any, b: Any) -> ShapeDtype:
    a, b = ShapeDtype.of(a), ShapeDtype.of(b)
    if not a.ndim or not b.ndim:
        raise ValueError("both operands must have at least one axis; multiply by a scalar with *")
    inner, axis = b.shape[-2:][0], "axis -2" if b.ndim > 1 else "the only axis"
    if a.shape[-1] != inner:
        raise ValueError(f"the last axis of a has size {a.shape[-1]}, but {axis} of b has size {inner}")
    try:
        batch = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    except ValueError:
        raise ValueError(f"the batch axes {a.shape[:-2]} of a and {b.shape[:-2]} of b do not broadcast") from None
    columns = b.shape[-1:] if b.ndim > 1 else ()
    return ShapeDtype((*batch, *a.shape[-2:-1], *columns), np.result_type(a.dtype, b.dtype))


def _product(a: Any, b: Any) -> Any:
    # On small matrices ndarray.dot takes half the time of np.matmul, with the same result, bit for bit.
    return a.dot(b) if type(a) is np.ndarray and type(b) is np.ndarray else matmul(a, b)


def _rows(x: Any) -> Any:
    """A stack of matrices as one matrix, so that BLAS is called only once."""
    shape = x.shape
    return x.reshape((math.prod(shape[:-1]), shape[-1]))


def _pull_left(g: Any, y: Any, a: Any, b: Any) -> Any:
    if b.ndim == 2 and a.ndim == 2:
        return _product(g, b.T)
    if b.ndim == 2 and a.ndim > 2:
        return _product(_rows(g), b.T).reshape(a.shape)
    if b.ndim == 1:
        return g.reshape((*g.shape, 1)) * b
    rows = g if a.ndim > 1 else np.expand_dims(g, -2)
    part = matmul(rows, transposed(b))
    return unbroadcast(part, part.shape, a.shape)


def _pull_right(g: Any, y: Any, a: Any, b: Any) -> Any:
    if b.ndim == 2 and a.ndim == 2:
        return _product(a.T, g)
    if a.ndim == 1:
        return a * g if b.ndim == 1 else np.expand_dims(a, -1) * np.expand_dims(g, -2)
    if b.ndim == 2:
        return _product(_rows(a).T, _rows(g))
    if b.ndim == 1:
        return matmul(g.reshape((g.size,)), _rows(a))
    part = matmul(transposed(a), g)
    return unbroadcast(part, part.shape, b.shape)


def _batch_matmul(
    op: Primitive, size: int, inputs: Sequence[Any], mapped: Sequence[bool], static: Mapping[str, Any]
) -> Any:
    a, b = inputs
    ranks = a.ndim - mapped[0], b.ndim - mapped[1]
    if not mapped[1] and ranks[1] <= 2:
        if ranks == (2, 2):
            return np.reshape(matmul(_rows(a), b), (*a.shape[:-1], b.shape[1]))
        return matmul(a, b)
    if not mapped[0] and ranks == (2, 1):
        return matmul(b, a.T)
    # Every operand becomes a stack of matrices, whose batch axes are behind the mapped one.
    a = np.expand_dims(a, -2) if ranks[0] == 1 else a
    b = np.expand_dims(b, -1) if ranks[1] == 1 else b
    rank = max(2, *ranks)
    y = matmul(aligned(a, mapped[0], rank), aligned(b, mapped[1], rank))
    return np.squeeze(y, tuple(axis for axis, own in zip((-2, -1), ranks, strict=True) if own == 1))


@primitive(
    rrule=(_pull_left, _pull_right),
    frule=(lambda t, y, a, b: matmul(t, b), lambda t, y, a, b: matmul(a, t)),
    batch=_batch_matmul,
    abstract=_shape_of_matmul,
    numpy=[np.matmul],
)
def matmul(a: T, b: T) -> T:
    """The product of matrices, `a @ b`: Num "*#batch n k", Num "*#batch k m" -> Num "*batch n m".

    Batch axes are broadcast. As in NumPy, an operand of one axis is a row on the left and a column on the right, and
    that axis is missing from the result: "k", "k" -> "". A scalar is refused.

    Raises ShapeError if the inner sizes differ or the batch axes do not broadcast.

    >>> matmul(np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([1.0, 10.0]))
    array([21., 43.])
    """
    try:
        return a.dot(b) if a.ndim == 2 and b.ndim == 2 else np.matmul(a, b)
    except (ValueError, AttributeError):  # the latter of a Python number
        _shape_of_matmul(a, b)  # raises a better error
        raise


@primitive(
    rrule=(lambda g, y, a, b: bmm(g, transposed(b)), lambda g, y, a, b: bmm(transposed(a), g)),
    frule=(lambda t, y, a, b: bmm(t, b), lambda t, y, a, b: bmm(a, t)),
    batch=_batch_matmul,
    abstract=_shape_of_matmul,
)
def bmm(a: Num[Tensor, "batch n k"], b: Num[Tensor, "batch k m"]) -> Num[Tensor, "batch n m"]:
    """The product of two stacks of matrices, pair by pair: Num "batch n k", Num "batch k m" -> Num "batch n m".

    Unlike `matmul` it does not broadcast. Raises ShapeError unless both operands have exactly these axes.

    >>> bmm(np.ones((2, 1, 3)), np.ones((2, 3, 1))).tolist()
    [[[3.0]], [[3.0]]]
    """
    return np.matmul(a, b)


# Products of tensors --------------------------------------------------------------------------------------------------


def _joined(rank_a: int, rank_b: int, pairs: Sequence[tuple[int, int]]) -> tuple[Labels, Labels, Labels]:
    """The labels of two operands and of their product, which sums over these pairs of axes."""
    of_a: list[Hashable] = [f"a{axis}" for axis in range(rank_a)]
    of_b: list[Hashable] = [f"b{axis}" for axis in range(rank_b)]
    for axis_a, axis_b in pairs:
        of_b[axis_b] = of_a[axis_a]
    summed = set(of_a) & set(of_b)
    return tuple(of_a), tuple(of_b), tuple(label for label in (*of_a, *of_b) if label not in summed)


def _require_equal_sizes(a: Any, b: Any, of_a: Labels, of_b: Labels) -> None:
    """Raise ValueError if two axes that are summed together differ in size: these products do not broadcast."""
    for i, label in enumerate(of_a):
        if label in of_b and np.shape(a)[i] != np.shape(b)[of_b.index(label)]:
            j = of_b.index(label)
            raise ValueError(f"axis {i} of a has size {np.shape(a)[i]}, but axis {j} of b has size {np.shape(b)[j]}")


def _bilinear(labels: Callable[..., tuple[Labels, Labels, Labels]]) -> dict[str, Any]:
    """The rules of a product that is an Einstein sum; `labels` makes its labels from ranks and static arguments."""

    def pull_left(g: Any, y: Any, a: Any, b: Any, **static: Any) -> Any:
        of_a, of_b, of_y = labels(np.ndim(a), np.ndim(b), **static)
        return contraction([g, b], [of_y, of_b], of_a)

    def pull_right(g: Any, y: Any, a: Any, b: Any, **static: Any) -> Any:
        of_a, of_b, of_y = labels(np.ndim(a), np.ndim(b), **static)
        return contraction([a, g], [of_a, of_y], of_b)

    def batch(op: Primitive, size: int, inputs: Any, mapped: Any, static: Any) -> Any:
        of_a, of_b, of_y = labels(*(np.ndim(x) - own for x, own in zip(inputs, mapped, strict=True)), **static)
        return batch_contraction(inputs, mapped, [of_a, of_b], of_y)

    def abstract(a: Any, b: Any, **static: Any) -> ShapeDtype:
        of_a, of_b, of_y = labels(np.ndim(a), np.ndim(b), **static)
        _require_equal_sizes(a, b, of_a, of_b)
        return shape_of_contraction([a, b], [of_a, of_b], of_y)

    return {"rrule": (pull_left, pull_right), "batch": batch, "abstract": abstract}


def _labels_of_dot(rank_a: int, rank_b: int) -> tuple[Labels, Labels, Labels]:
    return _joined(rank_a, rank_b, [(rank_a - 1, max(rank_b - 2, 0))] if rank_a and rank_b else [])


def _labels_of_inner(rank_a: int, rank_b: int) -> tuple[Labels, Labels, Labels]:
    return _joined(rank_a, rank_b, [(rank_a - 1, rank_b - 1)] if rank_a and rank_b else [])


def _labels_of_tensordot(rank_a: int, rank_b: int, axes: Any) -> tuple[Labels, Labels, Labels]:
    if isinstance(axes, tuple):
        pair: tuple[Any, ...] = axes
        if len(pair) != 2:
            raise ArgumentError(f"tensordot: axes must be a number or a pair (axes of a, axes of b), not {axes!r}.")
        of_a, of_b = (
            np.lib.array_utils.normalize_axis_tuple(own, rank, name)
            for own, rank, name in zip(pair, (rank_a, rank_b), ("axes of a", "axes of b"), strict=True)
        )
    elif isinstance(axes, int | np.integer) and 0 <= axes <= min(rank_a, rank_b):
        of_a, of_b = range(rank_a - int(axes), rank_a), range(int(axes))
    else:
        raise ArgumentError(f"tensordot: axes={axes!r}, but a has {rank_a} axes and b has {rank_b}.")
    if len(of_a) != len(of_b):
        raise ArgumentError(f"tensordot: axes={axes!r} pairs {len(of_a)} axes of a with {len(of_b)} of b.")
    return _joined(rank_a, rank_b, list(zip(of_a, of_b, strict=True)))


_DOT = _bilinear(_labels_of_dot)


def _is_matmul(a: Any, b: Any) -> bool:
    return np.ndim(a) > 0 and 0 < np.ndim(b) <= 2


def _pull_dot(position: int) -> Rule:
    as_matmul, otherwise = (_pull_left, _pull_right)[position], _DOT["rrule"][position]
    return lambda g, y, a, b: as_matmul(g, y, a, b) if _is_matmul(a, b) else otherwise(g, y, a, b)


@primitive(
    rrule=(_pull_dot(0), _pull_dot(1)),
    frule=(lambda t, y, a, b: dot(t, b), lambda t, y, a, b: dot(a, t)),
    batch=_DOT["batch"],
    abstract=_DOT["abstract"],
    numpy=[np.dot],
)
def dot(a: T, b: T) -> T:
    """The sum of products over the last axis of `a` and the last but one of `b` (its only one if it has one).

    Num "*a k", Num "*b k m" -> Num "*a *b m"; Num "*a k", Num "k" -> Num "*a"; a scalar multiplies. For two matrices it
    is their product. Unlike `matmul` it does not broadcast: it combines every batch axis of `a` with every one of `b`.

    Raises ShapeError if the sizes of the summed axes differ.

    >>> float(dot(np.array([1.0, 2.0]), np.array([3.0, 4.0])))
    11.0
    """
    try:
        return np.dot(a, b)
    except ValueError:
        _require_equal_sizes(a, b, *_labels_of_dot(np.ndim(a), np.ndim(b))[:2])
        raise


@primitive(
    **_bilinear(_labels_of_inner),
    frule=(lambda t, y, a, b: inner(t, b), lambda t, y, a, b: inner(a, t)),
    numpy=[np.inner],
)
def inner(a: T, b: T) -> T:
    """The sum of products over the last axes: Num "*a k", Num "*b k" -> Num "*a *b"; a scalar multiplies.

    Raises ShapeError if the last axes differ in size.

    >>> inner(np.eye(2), np.array([3.0, 4.0]))
    array([3., 4.])
    """
    try:
        return np.inner(a, b)
    except ValueError:
        _require_equal_sizes(a, b, *_labels_of_inner(np.ndim(a), np.ndim(b))[:2])
        raise


@primitive(
    **_bilinear(_labels_of_tensordot),
    frule=(lambda t, y, a, b, axes: tensordot(t, b, axes), lambda t, y, a, b, axes: tensordot(a, t, axes)),
    numpy=[np.tensordot],
)
def tensordot(a: T, b: T, axes: Axes = 2) -> T:
    """The sum of products over several axes; the result has the other axes of `a`, then the other axes of `b`.

    `axes` is a pair `(axes of a, axes of b)`, or a number n: the last n of `a` with the first n of `b`.

    Shapes: Num "...", Num "..." -> Num "...". Raises ArgumentError for axes that do not exist, repeat or do not form
    pairs, ShapeError if paired axes differ in size.

    >>> tensordot(np.ones((2, 3, 4)), np.ones((3, 4)), axes=2)
    array([12., 12.])
    >>> tensordot(np.ones((2, 3)), np.ones((4, 2)), axes=(0, 1)).shape
    (3, 4)
    """
    _require_equal_sizes(a, b, *_labels_of_tensordot(np.ndim(a), np.ndim(b), axes)[:2])
    return np.tensordot(a, b, axes)


def _flat_examples(x: Any, is_mapped: bool) -> Any:
    return np.reshape(x, (*np.shape(x)[:is_mapped], math.prod(np.shape(x)[is_mapped:])))


def _batch_outer(op: Primitive, size: int, inputs: Any, mapped: Any, static: Any) -> Any:
    a, b = (_flat_examples(x, own) for x, own in zip(inputs, mapped, strict=True))
    return np.expand_dims(a, -1) * np.expand_dims(b, -2)


def _batch_vdot(op: Primitive, size: int, inputs: Any, mapped: Any, static: Any) -> Any:
    a, b = (_flat_examples(x, own) for x, own in zip(inputs, mapped, strict=True))
    return matmul(np.expand_dims(conjugated(a), -2), np.expand_dims(b, -1))[:, 0, 0]


@primitive(
    rrule=(
        lambda g, y, a, b: np.reshape(matmul(g, np.reshape(b, (-1,))), np.shape(a)),
        lambda g, y, a, b: np.reshape(matmul(np.reshape(a, (-1,)), g), np.shape(b)),
    ),
    frule=(lambda t, y, a, b: outer(t, b), lambda t, y, a, b: outer(a, t)),
    batch=_batch_outer,
    numpy=[np.outer],
)
def outer(a: T, b: T) -> Num[Tensor, "n m"]:
    """The product of every element of `a` with every element of `b`, both flattened: Num "n", Num "m" -> Num "n m".

    >>> outer(np.array([1.0, 2.0]), np.array([3.0, 4.0]))
    array([[3., 4.],
           [6., 8.]])
    """
    return np.outer(a, b)


@primitive(
    rrule=(
        lambda g, y, a, b: conjugated(g * np.reshape(b, np.shape(a))),
        lambda g, y, a, b: g * conjugated(np.reshape(a, np.shape(b))),
    ),
    frule=(lambda t, y, a, b: vdot(t, b), lambda t, y, a, b: vdot(a, t)),
    batch=_batch_vdot,
    numpy=[np.vdot],
)
def vdot(a: T, b: T) -> Num[Tensor, ""]:
    """The sum of the products of all elements, both operands flattened: Num "...", Num "..." -> Num "".

    If `a` is complex, its conjugate is taken, as in NumPy.

    Raises ShapeError if the numbers of elements differ.

    >>> float(vdot(np.ones((2, 3)), np.ones(6)))
    6.0
    """
    if np.size(a) != np.size(b):
        raise ValueError(f"a has {np.size(a)} elements, but b has {np.size(b)}")
    return np.vdot(a, b)  # pyright: ignore[reportReturnType]  # NumPy's stubs say bool


__all__ = ["bmm", "dot", "einsum", "inner", "matmul", "outer", "tensordot", "vdot"]
