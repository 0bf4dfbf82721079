"""vmap: axes of every kind, closures, per-example gradients, and what it refuses."""

import dataclasses
import tracemalloc
from typing import NamedTuple

import numpy as np
import pytest

import tapem as tm

from .judges import close, loop

rng = np.random.default_rng(0)
A = rng.normal(size=(4, 3))
B = rng.normal(size=(4, 3))
C = rng.normal(size=(4, 3, 2))
W = rng.normal(size=(2, 3))


class Pair(NamedTuple):
    first: object
    second: object


@dataclasses.dataclass
class Box:
    value: object


# -- axes -----------------------------------------------------------------------------------------------------------


def test_the_default_maps_every_argument_over_axis_0():
    close(tm.vmap(np.dot)(A, B), np.sum(A * B, axis=1))
    close(tm.vmap(lambda a, c: a @ c)(A, C), np.einsum("ni,nij->nj", A, C))


@pytest.mark.parametrize("axis", [0, 1, 2, -1, -2, -3])
def test_in_axes_positive_and_negative(axis):
    expected = np.stack([np.sin(part) * part.shape[0] for part in np.moveaxis(C, axis, 0)])
    close(tm.vmap(lambda c: np.sin(c) * len(c), in_axes=axis)(C), expected)
    close(tm.vmap(lambda c: np.sin(c) * len(c), in_axes=(axis,))(C), expected)
    close(tm.vmap(lambda c: np.sin(c) * len(c), in_axes=[axis])(C), expected)


@pytest.mark.parametrize("axis", [0, 1, 2, -1, -2, -3])
def test_out_axes_positive_and_negative(axis):
    close(tm.vmap(lambda c: c * 2, out_axes=axis)(C), np.moveaxis(C * 2, 0, axis))
    close(
        tm.vmap(lambda a: np.ones((2, 2)), out_axes=axis)(A),
        np.ones({0: (4, 2, 2), 1: (2, 4, 2)}.get(axis % 3, (2, 2, 4))),
    )


def test_none_is_not_mapped():
    close(tm.vmap(lambda w, a: w @ a, in_axes=(None, 0))(W, A), A @ W.T)
    close(tm.vmap(lambda a, s: a * s, in_axes=(0, None))(A, 2.0), A * 2)


def test_unmapped_arguments_keep_their_values():
    def f(a, n):
        for _ in range(n):  # n is a Python number, and stays one
            a = a * 2
        return a

    close(tm.vmap(f, in_axes=(0, None))(A, 3), A * 8)
    close(tm.vmap(lambda a, flag: a if flag else -a, in_axes=(0, None))(A, False), -A)


def test_trees_of_axes():
    tree = {"w": W, "pair": Pair(A, C), "box": Box(B.T)}
    axes = ({"w": None, "pair": Pair(0, 0), "box": Box(1)},)

    def f(t):
        return t["w"] @ t["pair"].first + t["pair"].first @ t["pair"].second + np.sum(t["box"].value)

    expected = A @ W.T + np.einsum("ni,nij->nj", A, C) + np.sum(B, axis=1)[:, None]
    close(tm.vmap(f, in_axes=axes)(tree), expected)
    axes = ({"w": None, "pair": 0, "box": -1},)  # a prefix of the tree
    close(tm.vmap(f, in_axes=axes)(tree), expected)
    close(tm.vmap(lambda pair: pair[0] * pair[1])((A, B)), A * B)
    close(
        tm.vmap(lambda t, s: t["a"] * s, in_axes=(None, 0))({"a": A}, np.arange(5.0)), np.arange(5.0)[:, None, None] * A
    )


def test_trees_of_out_axes():
    def f(a):
        return {"row": a, "sum": np.sum(a), "pair": Pair(a * 2, 7.0), "box": Box(a[:2])}

    out = tm.vmap(f, out_axes={"row": 1, "sum": 0, "pair": Pair(-1, None), "box": -1})(A)
    close(out["row"], A.T)
    close(out["sum"], np.sum(A, axis=1))
    close(out["pair"].first, A.T * 2)
    assert type(out["pair"]) is Pair and out["pair"].second == 7.0 and type(out["box"]) is Box
    close(out["box"].value, A[:, :2].T)
    a, b = tm.vmap(lambda a: (a, np.sum(a)), out_axes=(1, 0))(A)
    close((a, b), (A.T, np.sum(A, axis=1)))


def test_keyword_arguments_are_mapped_over_axis_0():
    close(tm.vmap(lambda a, b: a * b)(A, b=B), A * B)
    close(tm.vmap(lambda a, scale=2.0: a * scale)(A), A * 2)


def test_axis_size():
    close(tm.vmap(lambda: 3.0, axis_size=4)(), np.full(4, 3.0))
    close(tm.vmap(lambda a: a * 2, in_axes=None, axis_size=5)(W), np.stack([W * 2] * 5))
    close(tm.vmap(lambda a: a * 2, axis_size=4)(A), A * 2)
    close(tm.vmap(lambda a: a * 2, in_axes=None, out_axes=None, axis_size=5)(W), W * 2)


def test_results_that_do_not_depend_on_the_example_are_repeated():
    close(tm.vmap(lambda a: W)(A), np.stack([W] * 4))
    close(tm.vmap(lambda a: 1.0)(A), np.ones(4))
    close(tm.vmap(lambda a: (a, W), out_axes=(0, None))(A)[1], W)
    found = tm.vmap(lambda a: W)(A)
    found[0] = 0.0  # and are separate copies
    close(found[1], W)


def test_results_share_no_memory():
    a = A.copy()
    x, y, z = tm.vmap(lambda a: (a, a, a[::-1]))(a)
    for one, other in ((x, y), (x, z), (y, z), (x, a), (z, a)):
        assert not np.shares_memory(one, other)
    p, q = tm.vmap(tm.grad(lambda u, v: np.sum(u + v), argnums=(0, 1)))(A, B)
    assert not np.shares_memory(p, q) and p.flags.writeable and q.flags.writeable
    assert tm.vmap(lambda a: np.broadcast_to(a, (2, 3)))(A).flags.writeable


def test_dtypes_are_kept():
    assert tm.vmap(lambda a: np.sin(a) * 2)(A.astype(np.float32)).dtype == np.float32
    assert tm.vmap(lambda i: i + 1)(np.arange(3)).dtype == np.arange(3).dtype
    assert tm.vmap(lambda a: a > 0)(A).dtype == bool
    assert tm.vmap(lambda i: i * 0.5)(np.arange(3)).dtype == np.float64


def test_an_empty_batch():
    assert tm.vmap(lambda a: np.sum(np.sin(a)))(np.zeros((0, 3))).shape == (0,)
    assert tm.vmap(tm.grad(lambda a: np.sum(np.sin(a) ** 2)))(np.zeros((0, 3))).shape == (0, 3)


# -- composition ----------------------------------------------------------------------------------------------------


def test_nested_maps():
    close(tm.vmap(tm.vmap(np.sum))(C), np.sum(C, axis=-1))
    close(tm.vmap(tm.vmap(lambda x, y: x * y, in_axes=(None, 0)), in_axes=(0, None))(A[0], B[0]), np.outer(A[0], B[0]))
    close(tm.vmap(tm.vmap(np.sum, in_axes=-1), in_axes=1)(C), np.einsum("nij->ij", C))
    inner = lambda c: np.stack([row * 2 for row in c], axis=-1)  # noqa: E731
    expected = np.stack([inner(C[..., k]) for k in range(2)], axis=1)
    close(tm.vmap(tm.vmap(lambda c: c * 2, out_axes=-1), in_axes=-1, out_axes=1)(C), expected)


def test_constants_and_tracers_with_batch_axes_of_their_own():
    def program(w):
        h = tm.vmap(lambda a: np.tanh(w @ a))(A)  # w is a tracer of grad, shared by the examples
        return np.sum(tm.vmap(lambda row, c: np.sum(row @ c.T) * h[0, 0])(h, C))  # h, too

    def plain(w):
        h = np.tanh(A @ w.T)
        return sum(np.sum(row @ c.T) * h[0, 0] for row, c in zip(h, C, strict=True))

    eps = 1e-6
    judged = np.zeros_like(W)
    for index in np.ndindex(W.shape):
        step = np.zeros_like(W)
        step[index] = eps
        judged[index] = (plain(W + step) - plain(W - step)) / (2 * eps)
    close(tm.grad(program)(W), judged, 1e-6, 1e-8)
    # A tracer that has a batch axis of its own in the outer map, closed over by the inner one.
    found = tm.vmap(lambda a: tm.vmap(lambda b: a * b + np.sum(a))(B))(A)
    close(found, A[:, None] * B[None] + np.sum(A, axis=1)[:, None, None])
    found = tm.vmap(lambda a: tm.vmap(lambda x: x * np.sum(a), in_axes=0, out_axes=0)(a))(A)
    close(found, A * np.sum(A, axis=1, keepdims=True))


def test_per_example_gradients():
    def loss(w, x, y):
        return np.sum((np.tanh(w @ x) - y) ** 2)

    y = rng.normal(size=(4, 2))
    found = tm.vmap(tm.grad(loss), in_axes=(None, 0, 0))(W, A, y)
    close(found, np.stack([tm.grad(loss)(W, a, b) for a, b in zip(A, y, strict=True)]))
    h = np.tanh(A @ W.T)
    close(found, np.einsum("ni,nj->nij", 2 * (h - y) * (1 - h**2), A))
    values, gradients = tm.vmap(tm.value_and_grad(loss, argnums=(0, 1)), in_axes=(None, 0, 0))(W, A, y)
    close(values, np.sum((h - y) ** 2, axis=1))
    close(gradients[0], found)
    close(np.sum(found, axis=0), tm.grad(lambda w: np.sum(tm.vmap(loss, (None, 0, 0))(w, A, y)))(W))


def test_vjp_jvp_and_linearize_inside():
    close(tm.vmap(lambda a, b: tm.vjp(np.sin, a)[1](b)[0])(A, B), np.cos(A) * B)
    close(tm.vmap(lambda a: tm.vjp(np.sin, a)[1](A[0])[0])(A), np.cos(A) * A[0])
    close(tm.vmap(lambda b: tm.vjp(np.sin, A[0])[1](b)[0])(B), np.cos(A[0]) * B)
    close(tm.vmap(lambda a, b: tm.jvp(np.sin, (a,), (b,))[1])(A, B), np.cos(A) * B)
    close(tm.vmap(lambda b: tm.jvp(np.sin, (A[0],), (b,))[1])(B), np.cos(A[0]) * B)
    close(tm.vmap(lambda a: tm.linearize(np.sin, a)[1](a))(A), np.cos(A) * A)


# Ops that batch in ways of their own, each against a loop, with every subset of the operands mapped.
BINARY = {
    "matmul": (lambda a, b: a @ b, (2, 3), (3, 4)),
    "matvec": (lambda a, b: a @ b, (2, 3), (3,)),
    "vecmat": (lambda a, b: a @ b, (3,), (3, 2)),
    "dot": (np.dot, (3,), (3,)),
    "dot of matrices": (np.dot, (2, 3), (4, 3, 2)),
    "outer": (np.outer, (3,), (2,)),
    "tensordot": (lambda a, b: np.tensordot(a, b, 2), (2, 3, 4), (3, 4, 5)),
    "einsum": (lambda a, b: np.einsum("ij,kj->ik", a, b), (2, 3), (4, 3)),
    "einsum dots": (lambda a, b: np.einsum("...j,j->...", a, b), (2, 3), (3,)),
    "solve": (lambda a, b: np.linalg.solve(a @ a.T + np.eye(3), b), (3, 3), (3,)),
    "broadcast": (lambda a, b: a * b, (3,), (2, 3)),
    "broadcast up": (lambda a, b: a + b, (2, 1), (3,)),
    "scalar": (lambda a, b: a * b, (), (2, 3)),
    "concatenate": (lambda a, b: np.concatenate([a, b], axis=-1), (2, 3), (2, 1)),
    "stack": (lambda a, b: np.stack([a, b], axis=1), (2, 3), (2, 3)),
    "where": (lambda a, b: np.where(a > 0, a, b), (2, 3), (3,)),
    "maximum": (np.maximum, (2, 3), (3,)),
    "power": (lambda a, b: (a**2 + 0.1) ** b, (2,), (2,)),
    "arctan2": (np.arctan2, (3,), ()),
}


@pytest.mark.parametrize("name", BINARY)
@pytest.mark.parametrize("mapped", [(0, None), (None, 0), (0, 0)])
def test_binary_ops_with_any_operand_mapped(name, mapped):
    f, *shapes = BINARY[name]
    inputs = [
        rng.normal(size=(5, *shape)) if axis == 0 else rng.normal(size=shape)
        for shape, axis in zip(shapes, mapped, strict=True)
    ]
    stacks = [x if axis == 0 else np.stack([x] * 5) for x, axis in zip(inputs, mapped, strict=True)]
    close(tm.vmap(f, in_axes=mapped)(*inputs), loop(f, *stacks), 1e-10, 1e-10)
    total = lambda a, b: np.sum(np.sin(f(a, b)))  # noqa: E731
    found = tm.vmap(tm.grad(total, argnums=(0, 1)), in_axes=mapped)(*inputs)
    for position in range(2):
        expected = loop(tm.grad(total, argnums=position), *stacks)
        close(found[position], expected, 1e-10, 1e-10)


UNARY = {
    "sum of an axis": lambda x: np.sum(x, axis=0),
    "sum of all": np.sum,
    "mean kept": lambda x: np.mean(x, axis=-1, keepdims=True),
    "max": lambda x: np.max(x, axis=-2),
    "var": lambda x: np.var(x, axis=(0, 1)),
    "prod": lambda x: np.prod(x, axis=1),
    "cumsum": lambda x: np.cumsum(x, axis=-1),
    "cumsum of all": np.cumsum,
    "sort": lambda x: np.sort(x, axis=0),
    "argmax": lambda x: np.argmax(x, axis=0),
    "transpose": lambda x: x.T,
    "transpose with axes": lambda x: np.transpose(x, (1, 0)),
    "swapaxes": lambda x: np.swapaxes(x, 0, -1),
    "reshape": lambda x: x.reshape(-1),
    "ravel": np.ravel,
    "expand": lambda x: x[None, :, None],
    "index": lambda x: x[1],
    "negative index": lambda x: x[-1, ::-1],
    "ellipsis": lambda x: x[..., 0],
    "fancy": lambda x: x[[0, 1, 0], [2, 1, 0]],
    "fancy one axis": lambda x: x[:, [2, 0]],
    "take": lambda x: np.take(x, [1, 0], axis=1),
    "roll": lambda x: np.roll(x, 1, axis=0),
    "flip": lambda x: np.flip(x),
    "pad": lambda x: np.pad(x, ((1, 0), (0, 2))),
    "repeat": lambda x: np.repeat(x, 2, axis=0),
    "tile": lambda x: np.tile(x, (2, 1)),
    "trace": np.trace,
    "diag": np.diag,
    "triu": np.triu,
    "norm": lambda x: np.linalg.norm(x, axis=-1),
    "inv": lambda x: np.linalg.inv(x[:, :2] + 3 * np.eye(2)),
    "det": lambda x: np.linalg.det(x[:, :2]),
    "constant mask": lambda x: x[np.array([True, False])],
    "split": lambda x: np.split(x, 3, axis=1)[1],
    "clip": lambda x: np.clip(x, -0.5, 0.5),
}


@pytest.mark.parametrize("name", UNARY)
@pytest.mark.parametrize("axis", [0, 1, -1])
def test_unary_ops_against_a_loop(name, axis):
    f = UNARY[name]
    x = np.random.default_rng(3).normal(size=(5, 2, 3))
    placed = np.moveaxis(x, 0, axis)
    close(tm.vmap(f, in_axes=axis)(placed), loop(f, x), 1e-10, 1e-10)
    if name != "argmax":
        total = lambda x: np.sum(np.sin(f(x)))  # noqa: E731
        close(
            tm.vmap(tm.grad(total), in_axes=axis, out_axes=axis)(placed), np.moveaxis(loop(tm.grad(total), x), 0, axis)
        )


def test_mapped_indices():
    rows = np.array([2, 0, 1, 2])
    close(tm.vmap(lambda a, i: np.take(a, i))(A, rows), A[np.arange(4), rows])
    close(tm.vmap(lambda a, i: tm.getitem(a, i))(A, rows), A[np.arange(4), rows])
    close(tm.vmap(lambda i: tm.take(A, i, axis=0))(rows), A[rows])
    close(tm.vmap(lambda a, i: np.take_along_axis(a, i, axis=0))(A, np.argsort(A, axis=1)), np.sort(A, axis=1))
    close(tm.vmap(lambda a: np.take_along_axis(a, np.argsort(a), axis=0))(A), np.sort(A, axis=1))
    close(tm.vmap(lambda a: a[np.argmax(a)])(A), np.max(A, axis=1))
    close(tm.vmap(tm.grad(lambda a: a[np.argmax(a)]))(A), (A == np.max(A, axis=1, keepdims=True)) * 1.0)


# -- what is refused ------------------------------------------------------------------------------------------------


def test_batch_sizes_that_differ_are_both_named():
    with pytest.raises(
        tm.ShapeError, match=r"batch sizes differ: 4 in leaf 0 of shape \(4, 3\), but 3 in leaf 1 of shape \(3, 3\)"
    ):
        tm.vmap(np.dot)(A, A[:3])
    with pytest.raises(tm.ShapeError, match=r"over 'examples'.*4.*3"):
        tm.vmap(np.dot, axis_name="examples")(A, A[:3])
    with pytest.raises(tm.ShapeError, match=r"differ: 7 in axis_size, but 4"):
        tm.vmap(np.sum, axis_size=7)(A)


def test_there_must_be_something_to_map():
    with pytest.raises(tm.TapeError, match="axis_size"):
        tm.vmap(np.sum, in_axes=None)(A)
    with pytest.raises(tm.TapeError, match="axis_size"):
        tm.vmap(lambda: 1.0)()


@pytest.mark.parametrize("axis", [2, -3])
def test_axes_out_of_range(axis):
    with pytest.raises(tm.ArgumentError, match=rf"in_axes={axis} names no axis of an argument of shape \(4, 3\)"):
        tm.vmap(np.sum, in_axes=axis)(A)
    with pytest.raises(tm.ArgumentError, match=rf"out_axes={axis}"):
        tm.vmap(lambda a: a, out_axes=axis)(A)
    with pytest.raises(tm.ArgumentError):
        tm.vmap(lambda a: a)(2.0)


def test_axes_that_do_not_match():
    with pytest.raises(tm.ArgumentError, match=r"in_axes.* 1 entries, but f was called with 2"):
        tm.vmap(np.dot, in_axes=(0,))(A, B)
    with pytest.raises(tm.ArgumentError, match=r"integers and None, not 0.5"):
        tm.vmap(np.sum, in_axes=0.5)(A)
    with pytest.raises(tm.ArgumentError, match="integers and None, not True"):
        tm.vmap(np.sum, in_axes=True)(A)
    with pytest.raises(tm.TapeError, match="in_axes"):
        tm.vmap(lambda t: t["a"], in_axes=({"b": 0},))({"a": A})
    with pytest.raises(tm.TapeError, match="out_axes"):
        tm.vmap(lambda a: (a, a), out_axes=(0, 0, 0))(A)


def test_an_output_that_depends_on_the_example_cannot_have_out_axis_none():
    with pytest.raises(tm.ConcretizationError, match=r"out_axes is None.*depends on the mapped axis"):
        tm.vmap(np.sum, out_axes=None)(A)


def test_reading_a_mapped_value_names_the_line_and_what_to_write():
    def branch(a):
        return a if np.sum(a) > 0 else -a

    def loops(a):
        while np.sum(a) > 1:
            a = a / 2
        return a

    line = branch.__code__.co_firstlineno + 1
    with pytest.raises(
        tm.ConcretizationError,
        match=rf"test_vmap\.py, line {line}, `return a if np.sum\(a\) > 0 else -a`: .*where.*cond",
    ):
        tm.vmap(branch)(A)
    with pytest.raises(tm.ConcretizationError, match=r"where.*cond"):
        tm.vmap(loops)(A)
    with pytest.raises(tm.ConcretizationError, match=r"where.*cond"):
        tm.vmap(tm.grad(lambda a: np.sum(branch(a))))(A)
    with pytest.raises(tm.ConcretizationError, match=r"where.*cond"):
        tm.grad(lambda a: np.sum(tm.vmap(branch)(a)))(A)
    for read in (float, int, bool, lambda a: a.item(), lambda a: list(range(a)), np.asarray, lambda a: [0, 1][a]):
        with pytest.raises(tm.ConcretizationError):
            tm.vmap(lambda a, read=read: read(a) * a)(A[0])


def test_a_mapped_mask_has_no_known_shape():
    with pytest.raises(tm.ConcretizationError, match=r"mask.*where"):
        tm.vmap(lambda a: a[a > 0])(A)
    with pytest.raises(tm.ConcretizationError):
        tm.vmap(lambda a: a[np.nonzero(a)])(A)


def test_an_array_indexed_by_a_mapped_integer_says_what_to_write():
    for read in (lambda i: A[i], lambda i: np.take(A, i, axis=0), lambda i: list(A)[i], lambda i: A[i > 0]):
        with pytest.raises(tm.ConcretizationError, match=r"test_vmap\.py, line \d+, .*tm.take\(array, i, axis=0\)"):
            tm.vmap(read)(np.array([0, 1]))


def test_a_value_lives_only_as_long_as_it_is_needed():
    def f(x):
        for _ in range(100):
            x = np.sin(x) * x[0]
        return x

    def peak(rows):
        batch = np.ones((rows, 3))
        tm.vmap(f)(batch)
        tracemalloc.start()
        tm.vmap(f)(batch)
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return found

    assert peak(3000) - peak(1000) < 2000 * 240  # ten arrays of three; those of a hundred steps are 5,600 bytes a row
