"""Rows of the products: every pair of ranks, broadcast batch axes, empty and size-1 axes, all of einsum's syntax."""

from __future__ import annotations

from typing import Any

import numpy as np

from tapem.ops.einsum import contract, explicit
from tapem.ops.kronecker import kron
from tapem.ops.linalg import bmm, dot, inner, matmul, outer, tensordot, vdot
from tests.tables import Row


def _values(*shape: int) -> Any:
    return np.random.default_rng([len(shape), *shape]).normal(size=shape)


_MATMUL = [
    ((2, 3), (3, 4)),
    ((3,), (3,)),
    ((3,), (3, 4)),
    ((2, 3), (3,)),
    ((3,), (2, 3, 4)),
    ((2, 3, 4), (4,)),
    ((2, 3, 4), (4, 5)),
    ((3, 4), (2, 4, 5)),
    ((2, 1, 3, 4), (5, 4, 2)),
    ((1, 3, 4), (2, 4, 2)),
    ((2, 3, 4), (1, 4, 2)),
    ((1, 1), (1, 1)),
    ((2, 0), (0, 3)),
    ((0, 2), (2, 3)),
    ((0, 2, 3), (3, 2)),
    ((0,), (0,)),
]

_DOT = [
    ((), ()),
    ((), (2, 3)),
    ((3,), ()),
    ((3,), (3,)),
    ((2, 3), (3,)),
    ((3,), (3, 2)),
    ((2, 3), (3, 4)),
    ((2, 2, 3), (3,)),
    ((2, 3), (2, 3, 2)),
    ((2, 2, 3), (2, 3, 2)),
    ((3,), (2, 3, 2)),
    ((2, 0), (0, 3)),
]

_INNER = [
    ((), (3,)),
    ((3,), (3,)),
    ((2, 3), (4, 3)),
    ((2, 1, 3), (3,)),
    ((2, 2, 3), (2, 3)),
    ((3,), (2, 2, 3)),
    ((0,), (2, 0)),
]

_TENSORDOT: list[tuple[tuple[int, ...], tuple[int, ...], Any]] = [
    ((2, 3, 4), (3, 4, 2), 2),
    ((2, 3), (3, 2), 1),
    ((2,), (3,), 0),
    ((2, 3), (4, 2), (0, 1)),
    ((2, 3, 4), (4, 5, 2), ([0, 2], [2, 0])),
    ((2, 3, 4), (4, 5, 2), ((-1, 0), (0, -1))),
    ((2, 3), (2, 3), ([0, 1], [0, 1])),
    ((0, 3), (3, 0), 1),
]

_PAIRS = [((2,), (3,)), ((2, 2), (3, 1)), ((), (2,)), ((0,), (2,)), ((1, 2, 1), ())]

_KRON = [((2, 3), (2, 1)), ((2,), (3,)), ((2,), (2, 3)), ((2, 2, 1), (1, 3)), ((), (2, 2)), ((0, 2), (2, 2))]

_EINSUM: list[tuple[str, tuple[tuple[int, ...], ...], str]] = [
    ("ij,jk->ik", ((2, 3), (3, 4)), "matrix product"),
    ("ij,jk", ((2, 3), (3, 4)), "implicit output"),
    ("ba", ((2, 3),), "implicit output, in alphabetical order"),
    ("ij->ji", ((2, 3),), "transpose"),
    ("ij->", ((2, 3),), "sum"),
    ("ij->j", ((2, 3),), "sum over one axis"),
    ("ii->i", ((3, 3),), "diagonal"),
    ("ii", ((3, 3),), "trace"),
    ("iji->j", ((2, 3, 2),), "trace over outer axes"),
    ("iii->i", ((2, 2, 2),), "diagonal of three axes"),
    ("iijj->ij", ((2, 2, 3, 3),), "two diagonals"),
    ("ii,i->i", ((3, 3), (3,)), "diagonal times vector"),
    ("ii,jj->", ((2, 2), (3, 3)), "product of traces"),
    ("i,j->ij", ((2,), (3,)), "outer product"),
    ("i,i->i", ((3,), (3,)), "elementwise"),
    ("ij,ij->", ((2, 3), (2, 3)), "inner product"),
    ("ij,k->j", ((2, 3), (4,)), "labels that occur nowhere else"),
    ("bij,bjk->bik", ((2, 2, 3), (2, 3, 2)), "batched"),
    ("i,ij,j->", ((2,), (2, 3), (3,)), "three operands"),
    ("ab,bc,cd,da->", ((2, 3), (3, 2), (2, 3), (3, 2)), "four operands"),
    ("...ij,...jk->...ik", ((2, 2, 3), (3, 2)), "ellipsis on both sides, of different ranks"),
    ("...ij,...jk->...ik", ((2, 1, 2, 3), (3, 3, 2)), "ellipsis that broadcasts"),
    ("...i->...", ((2, 3),), "ellipsis, last axis summed"),
    ("i...->...i", ((2, 3, 4),), "ellipsis behind"),
    ("i...j,j", ((2, 3, 4), (4,)), "ellipsis in the middle, implicit output"),
    ("...ii->...i", ((2, 3, 3),), "batched diagonal"),
    ("...,...", ((2, 3), (3,)), "nothing but ellipses"),
    ("...i,i", ((3,), (3,)), "empty ellipsis"),
    ("ij,jk->ik", ((2, 1), (3, 4)), "an axis of size 1 that stretches"),
    ("i,i->", ((1,), (3,)), "one that stretches and is summed"),
    ("i,i->i", ((3,), (1,)), "and on the right"),
    (",ij->ij", ((), (2, 3)), "scalar"),
    ("->", ((),), "scalar alone"),
    ("ij,jk->ik", ((2, 0), (0, 3)), "empty axis, summed"),
    ("ij->j", ((0, 3),), "empty axis"),
    (" i j , j -> i ", ((2, 3), (3,)), "spaces"),
]


def _einsum(*operands: Any, subscripts: str, optimize: Any = False) -> Any:
    return np.einsum(subscripts, *operands, optimize=optimize)


ROWS: list[Row] = [
    *(Row(matmul, (_values(*a), _values(*b)), reference=np.matmul) for a, b in _MATMUL),
    # int8, because NumPy makes float64 of int64 and float32.
    Row(matmul, (np.arange(6, dtype=np.int8).reshape(2, 3), _values(3, 2)), reference=np.matmul, note="integers"),
    *(
        Row(bmm, (_values(*a), _values(*b)), reference=np.matmul)
        for a, b in [((2, 3, 4), (2, 4, 1)), ((1, 1, 2), (1, 2, 3)), ((2, 2, 0), (2, 0, 2)), ((0, 2, 2), (0, 2, 2))]
    ),
    *(Row(dot, (_values(*a), _values(*b)), reference=np.dot) for a, b in _DOT),
    *(Row(inner, (_values(*a), _values(*b)), reference=np.inner) for a, b in _INNER),
    *(Row(tensordot, (_values(*a), _values(*b)), {"axes": axes}, reference=np.tensordot) for a, b, axes in _TENSORDOT),
    *(Row(outer, (_values(*a), _values(*b)), reference=np.outer) for a, b in _PAIRS),
    *(
        Row(vdot, (_values(*a), _values(*b)), reference=np.vdot)
        for a, b in [((3,), (3,)), ((2, 3), (6,)), ((2, 3), (3, 2)), ((), ()), ((0,), (0, 2))]
    ),
    *(Row(kron, (_values(*a), _values(*b)), reference=np.kron) for a, b in _KRON),
    *(
        Row(contract, tuple(_values(*shape) for shape in shapes), {"subscripts": explicit(text)}, _einsum, note)
        for text, shapes, note in _EINSUM
    ),
    Row(
        contract,
        (_values(2, 3), _values(3, 2), _values(2, 2)),
        {"subscripts": "ij,jk,kl->il", "optimize": True},
        _einsum,
        "optimized",
    ),
]
