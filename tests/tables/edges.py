"""Rows with an empty axis, an axis of size 1, or operands that broadcast, for ops whose other rows have none."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.special

import losses
from tapem.core import structure
from tapem.ops import (
    arithmetic,
    casting,
    comparison,
    cumulative,
    decompositions,
    diagonals,
    integers,
    joining,
    linalg,
    padding,
    reductions,
    searching,
    selection,
    shaping,
    solving,
    spectral,
)  # fmt: skip
from tapem.ops.softmax import softmax_or_zero
from tests.tables import Row
from tests.tables.elementwise import cast, constant, one, spread

UNARY = [
    arithmetic.sign, comparison.logical_not, comparison.isfinite, comparison.isinf, comparison.isnan,
    comparison.signbit, comparison.floor, comparison.ceil, comparison.trunc, comparison.rint, comparison.round,
]  # fmt: skip
BINARY = [
    comparison.less, comparison.less_equal, comparison.greater, comparison.greater_equal, comparison.equal,
    comparison.not_equal, comparison.isclose, comparison.floor_divide, comparison.heaviside, comparison.logical_and,
    comparison.logical_or, comparison.logical_xor,
]  # fmt: skip
BITWISE = [integers.bitwise_and, integers.bitwise_or, integers.bitwise_xor]
PAIRS = [((2, 1), (1, 3)), ((0, 3), (1, 3)), ((), (2,))]


def whole(*shape: int) -> Any:
    return np.arange(1, 1 + int(np.prod(shape))).reshape(shape)


ELEMENTWISE = [
    *[constant(op, spread(-2, 2, shape)) for op in UNARY for shape in ((), (0,), (1, 3))],
    *[constant(op, spread(-2, 2, a), spread(0.3, 2, b, 1)) for op in BINARY for a, b in PAIRS],
    *[constant(op, whole(*a), whole(*b)) for op in BITWISE for a, b in PAIRS],
    *[constant(integers.bitwise_not, whole(*shape)) for shape in ((), (0,), (1, 3))],
    *[constant(structure.detach, spread(-2, 2, shape), reference=lambda x: x) for shape in ((0,), (1, 3))],
    *[
        constant(casting.discretize, spread(-2, 2, shape), reference=cast, dtype=np.dtype("int64"))
        for shape in ((0,), (1, 3))
    ],
    *one(arithmetic.fabs, -2, -0.1),
    Row(selection.clamp, (spread(-2, 2, (0, 3)), -1.0, np.ones((1, 3))), {}, np.clip, "empty"),
]

SQUARE = np.array([[[2.0]], [[-0.5]]])


def softmax_of_all(x: Any, axis: Any) -> Any:
    return scipy.special.softmax(x, axis=axis) if x.size else x


ARRAYS = [
    *[
        row
        for shape in ((0, 3), (1, 3))
        for x in (spread(-2, 2, shape),)
        for row in (
            Row(shaping.swapaxes, (x,), {"axis1": 0, "axis2": -1}, np.swapaxes),
            Row(shaping.moveaxis, (x,), {"source": 0, "destination": 1}, np.moveaxis),
            Row(shaping.expand_dims, (x,), {"axis": 1}, np.expand_dims),
            Row(shaping.flip, (x,), {"axis": 0}, np.flip),
            Row(shaping.roll, (x,), {"shift": 2, "axis": 0}, np.roll),
            Row(shaping.repeat, (x,), {"repeats": 2, "axis": 0}, np.repeat),
            Row(shaping.flatten, (x,), {}, np.ravel),
            Row(shaping.broadcast_to, (x,), {"shape": (2, *shape)}, np.broadcast_to),
            Row(diagonals.triu, (x,), {"k": 1}, np.triu),
            Row(diagonals.tril, (x,), {}, np.tril),
            Row(joining.stack_arrays, (x, x + 1), {"axis": 1}, lambda *xs, axis: np.stack(xs, axis)),
            Row(joining.split_array, (x,), {"indices_or_sections": (1,), "axis": 0}, np.split),
            Row(cumulative.permute, (x, np.argsort(x)), {"axis": 1}, np.take_along_axis),
            Row(softmax_or_zero, (x,), {"axis": 0}, softmax_of_all),
            Row(reductions.ties, (x, np.zeros((1, 3))), {"axis": 0}, lambda x, extreme, axis: x * 0, order=0),
            Row(reductions.differs, (x,), {"axis": 0}, lambda x, axis: np.zeros((1, 3)), order=0),
            Row(searching.argsort, (x,), {"axis": 0}, np.argsort, order=0),
            *(
                Row(op, (x,), {"axis": 0}, op.numpy[0], order=0)
                for op in (searching.count_nonzero, searching.any, searching.all)
            ),
        )
    ],
    Row(reductions.std, (spread(-2, 2, (2, 1)),), {"axis": 0}, np.std),
    Row(shaping.segment_sum, (spread(-2, 2, (1, 2)),), {"lengths": (0, 1), "axis": 0}, note="size 1"),
    Row(padding.unpad, (spread(-2, 2, (2, 1)),), {"widths": ((1, 1), (0, 0)), "mode": "constant"}, note="nothing left"),
    Row(padding.unpad, (np.zeros((3, 0)),), {"widths": ((1, 1), (0, 0)), "mode": "edge"}, note="empty"),
    Row(padding.unpad, (spread(-2, 2, (3, 1)),), {"widths": ((1, 1), (0, 0)), "mode": "edge"}, note="size 1"),
    Row(linalg.dot, (spread(-2, 2, (2, 1)), spread(-2, 2, (1, 3))), {}, np.dot),
    Row(linalg.vdot, (spread(-2, 2, (1,)), spread(-2, 2, (1, 1))), {}, np.vdot),
    Row(linalg.tensordot, (spread(-2, 2, (2, 1)), spread(-2, 2, (1, 3))), {"axes": 1}, np.tensordot),
    Row(decompositions.independent_columns, (np.zeros((0, 2, 2)),), {}, lambda r: r),
    Row(decompositions.independent_columns, (SQUARE,), {}, lambda r: r),
    Row(solving.cofactors, (np.zeros((0, 2, 2)),), {}, lambda a: a),
    Row(solving.second_cofactors, (np.zeros((0, 2, 2)), np.zeros((0, 2, 2))), {}, lambda a, e: a),
    Row(spectral.reciprocal_gaps, (np.zeros((0, 2)),), {"of": "eigh"}, lambda x, of: np.zeros((0, 2, 2))),
]

ONE_CLASS = {"reduction": "mean"}

LOSSES = [
    Row(losses.nll, (spread(-2, 2, (2, 1)), np.zeros(2, int)), ONE_CLASS, lambda p, t, reduction: -np.mean(p)),
    Row(losses.kl_divergence, (spread(-2, 2, (2, 1)), np.ones((2, 1))), ONE_CLASS, lambda p, t, reduction: -np.mean(p)),
    Row(losses.cosine_similarity, (np.array([[0.5, 1.5]]), np.array([[1.2, -0.7]])), ONE_CLASS, note="one vector"),
]

ROWS: list[Row] = [*ELEMENTWISE, *ARRAYS, *LOSSES]
