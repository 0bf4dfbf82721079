"""What no table can say of reductions, softmax, cumulative ops, shapes and joining: kinks, extremes, doors, errors."""

from __future__ import annotations

import re
import warnings
from typing import Any

import numpy as np
import pytest

import tapem as tm
from tapem.errors import ArgumentError, DTypeError, ShapeError
from tapem.ops import joining, padding, shaping
from tapem.ops import reductions as r
from tapem.ops.cumulative import cumprod, cumsum, sort
from tapem.ops.norms import norm
from tapem.ops.softmax import log_softmax, softmax
from tapem.transforms.derivatives import grad, jvp, vjp
from tapem.transforms.vectorize import vmap


def both(f: Any, x: Any) -> Any:
    """The gradient of a scalar function, which both modes must agree on to the last bit that matters."""
    x = np.asarray(x, float)
    backward = grad(f)(x)
    forward = np.array([jvp(f, (x,), (basis.reshape(x.shape),))[1] for basis in np.eye(x.size)]).reshape(x.shape)
    np.testing.assert_allclose(forward, backward, atol=1e-15)
    return backward


class TestKinks:
    def test_extremes_share_a_tie(self) -> None:
        np.testing.assert_array_equal(both(r.max, [1.0, 3.0, 3.0, 2.0]), [0, 0.5, 0.5, 0])
        np.testing.assert_array_equal(both(r.min, [[1.0, 1.0], [1.0, 2.0]]), np.array([[1, 1], [1, 0]]) / 3)
        by_row = both(lambda x: np.sum(r.max(x, axis=1)), [[1.0, 1.0], [1.0, 2.0]])
        np.testing.assert_array_equal(by_row, [[0.5, 0.5], [0, 1]])
        np.testing.assert_array_equal(both(r.max, np.full(4, -np.inf)), np.full(4, 0.25))
        np.testing.assert_array_equal(both(r.min, [1.0, np.nan, 0.0]), [0, 1, 0])

    @pytest.mark.parametrize("value", [0.1, 0.0, -3.7, 1e-300, 1e300])
    @pytest.mark.parametrize("ddof", [0, 1])
    def test_std_of_equal_elements(self, value: float, ddof: int) -> None:
        x = np.full((2, 3), value)
        np.testing.assert_array_equal(both(lambda x: r.std(x, ddof=ddof), x), np.zeros((2, 3)))
        mixed = both(lambda x: np.sum(r.std(x, axis=1)), [[0.1, 0.1, 0.1], [1.0, 2.0, 3.0]])
        np.testing.assert_array_equal(mixed[0], 0)
        np.testing.assert_allclose(mixed[1], np.array([-1, 0, 1]) / (3 * np.sqrt(2 / 3)))

    def test_std_of_equal_elements_at_second_order(self) -> None:
        hessian = jvp(grad(r.std), (np.full(3, 0.1),), (np.array([1.0, 2.0, 3.0]),))[1]
        np.testing.assert_array_equal(hessian, np.zeros(3))

    @pytest.mark.parametrize("ord", [1, 1.5, 2, 3, np.inf])
    def test_norm_at_zero(self, ord: float) -> None:
        np.testing.assert_array_equal(both(lambda x: norm(x, ord=ord), np.zeros(3)), np.zeros(3))
        rows = both(lambda x: np.sum(norm(x, axis=1, ord=ord)), [[0.0, 0.0], [0.0, 2.0]])
        np.testing.assert_array_equal(rows, [[0, 0], [0, 1]])

    def test_norm_inf_shares_a_tie(self) -> None:
        np.testing.assert_array_equal(both(lambda x: norm(x, ord=np.inf), [3.0, -3.0, 1.0]), [0.5, -0.5, 0])

    @pytest.mark.parametrize("zeros", [0, 1, 2, 3])
    def test_prod_and_cumprod_with_zeros(self, zeros: int) -> None:
        x = np.array([2.0, 3.0, 5.0, 7.0])
        x[:zeros] = 0
        others = [np.prod(np.delete(x, i)) for i in range(4)]
        np.testing.assert_array_equal(both(r.prod, x), others)
        np.testing.assert_array_equal(both(lambda x: cumprod(x)[-1], x), others)
        pairs = [[0.0 if i == j else np.prod(np.delete(x, [i, j])) for j in range(4)] for i in range(4)]
        for f in (r.prod, lambda x: cumprod(x)[3]):
            forward = np.stack([jvp(grad(f), (x,), (basis,))[1] for basis in np.eye(4)])
            backward = np.stack([grad(lambda x, i=i, f=f: grad(f)(x)[i])(x) for i in range(4)])
            np.testing.assert_array_equal(forward, pairs)
            np.testing.assert_array_equal(backward, pairs)
            third = grad(lambda x, f=f: grad(lambda x: grad(f)(x)[0])(x)[1])(x)
            np.testing.assert_array_equal(third, [0, 0, x[3], x[2]])


class TestExtremes:
    def test_logsumexp(self) -> None:
        for scale in (1e4, -1e4, 1e300):
            x = np.array([scale, scale])
            assert r.logsumexp(x) == scale + np.log(2.0)
            np.testing.assert_array_equal(both(r.logsumexp, x), [0.5, 0.5])
        assert r.logsumexp(np.array([-1e4, 1e4])) == 1e4

    def test_logsumexp_of_nothing_is_minus_infinity(self) -> None:
        x = np.array([[-np.inf, -np.inf], [-np.inf, 1.0]])
        np.testing.assert_array_equal(r.logsumexp(x, axis=1), [-np.inf, 1.0])
        np.testing.assert_array_equal(both(lambda x: np.sum(r.logsumexp(x, axis=1)), x), [[0, 0], [0, 1]])
        second = jvp(grad(lambda x: np.sum(r.logsumexp(x, axis=1))), (x,), (np.ones((2, 2)),))[1]
        np.testing.assert_array_equal(second, np.zeros((2, 2)))
        assert r.logsumexp(np.zeros(0)) == -np.inf
        assert grad(r.logsumexp)(np.zeros(0)).shape == (0,)
        np.testing.assert_array_equal(both(r.logsumexp, [1.0, np.inf]), [0, 1])
        assert r.logsumexp(np.array([1.0, np.nan])) != r.logsumexp(np.array([1.0, np.nan]))

    @pytest.mark.parametrize("scale", [1e4, 1e30, 1e300])
    def test_softmax(self, scale: float) -> None:
        x = scale * np.array([1.0, 1.0, -1.0])
        np.testing.assert_array_equal(softmax(x), [0.5, 0.5, 0])
        np.testing.assert_array_equal(log_softmax(x), [-np.log(2.0), -np.log(2.0), -2 * scale - np.log(2.0)])
        np.testing.assert_array_equal(both(lambda x: softmax(x)[0], x), [0.25, -0.25, 0])
        np.testing.assert_array_equal(both(lambda x: log_softmax(x)[2], x), [-0.5, -0.5, 1])

    def test_softmax_with_a_masked_element(self) -> None:
        x = np.array([0.0, -np.inf, 0.0])
        np.testing.assert_array_equal(both(lambda x: softmax(x)[0], x), [0.25, 0, -0.25])
        np.testing.assert_array_equal(both(lambda x: log_softmax(x)[0], x), [0.5, 0, -0.5])

    def test_numpy_bit_for_bit(self) -> None:
        rng = np.random.default_rng(0)
        for dtype in (np.float64, np.float32, np.float16, np.int32, bool):
            x = (10 * rng.normal(size=(37, 113))).astype(dtype)
            for op, f in ((r.sum, np.sum), (r.mean, np.mean), (r.max, np.max), (r.min, np.min), (r.prod, np.prod)):
                for axis in (None, 0, 1, (0, 1)):
                    with np.errstate(all="ignore"):
                        ours, theirs = op(x, axis=axis), f(x, axis=axis)
                    np.testing.assert_array_equal(ours, theirs)
                    assert type(ours) is type(theirs) and ours.dtype == theirs.dtype

    def test_mean_of_more_than_a_float32_can_count(self) -> None:
        x = np.broadcast_to(np.float32(0.1), (2**24 + 1,))
        assert r.mean(x) == np.mean(x)

    def test_mean_of_nothing_warns_as_numpy_does(self) -> None:
        with warnings.catch_warnings(record=True) as ours:
            warnings.simplefilter("always")
            assert np.isnan(r.mean(np.zeros(0)))
        assert any("Mean of empty slice" in str(warning.message) for warning in ours)

    def test_float16_mean_of_many(self) -> None:
        x = np.ones(70_000, np.float16)
        gradient = vjp(r.mean, x)[1](np.float16(1.0))[0]
        assert gradient.dtype == np.float16
        np.testing.assert_array_equal(gradient, np.float16(1 / 70_000))

    def test_large_and_small_cotangents_of_a_sum(self) -> None:
        for size in (7, 20_000):
            gradient = grad(lambda x: np.sum(x * x))(np.ones(size))
            np.testing.assert_array_equal(gradient, np.full(size, 2.0))


class TestDoors:
    def test_concat_of_refs_steps_and_arrays(self) -> None:
        @tm.do
        def program(x: Any) -> Any:
            y = yield joining.concat([x, x * 2.0, np.array([5.0]), [6.0]])
            first, rest = yield joining.split(y, [1])
            z = yield joining.stack((first, 3.0 * first), axis=1)
            return z, rest

        x, tape = tm.Tape().leaf(np.array([1.0]))
        (z, rest), tape = program(x).run(tape)
        np.testing.assert_array_equal(tape.value(z), [[1.0, 3.0]])
        np.testing.assert_array_equal(tape.value(rest), [2.0, 5.0, 6.0])
        gradients = tape.backward([z, rest], [np.ones((1, 2)), np.ones(3)])
        np.testing.assert_array_equal(gradients[x], [6.0])

    def test_concat_and_stack_of_tracers(self) -> None:
        def f(x: Any) -> Any:
            pieces = joining.split(x, 2)
            assert type(pieces) is tuple
            return np.sum(joining.concat([pieces[1], np.ones(1), pieces[0] ** 2], axis=None) * np.arange(5.0))

        np.testing.assert_array_equal(both(f, [1.0, 2.0, 3.0, 4.0]), [6, 16, 0, 1])
        np.testing.assert_array_equal(both(lambda x: np.sum(joining.stack(list(x)) ** 2), [1.0, 2.0]), [2, 4])
        np.testing.assert_array_equal(both(lambda x: np.sum(joining.concat(x) ** 2), [[1.0], [2.0]]), [[2], [4]])

    def test_arrays_are_split_at_once(self) -> None:
        pieces = joining.split(np.arange(4.0), np.array([1, 3]))
        assert type(pieces) is tuple and [piece.tolist() for piece in pieces] == [[0.0], [1.0, 2.0], [3.0]]

    def test_only_one_piece_is_used(self) -> None:
        np.testing.assert_array_equal(grad(lambda x: np.sum(joining.split(x, 2)[1]))(np.ones(4)), [0, 0, 1, 1])

    def test_vmap_of_a_joined_constant(self) -> None:
        got = vmap(lambda x: joining.concat([x, np.array([9.0])]))(np.arange(4.0).reshape(2, 2))
        np.testing.assert_array_equal(got, [[0, 1, 9], [2, 3, 9]])

    def test_tape_door(self) -> None:
        x, tape = tm.Tape().leaf(np.array([[3.0, 1.0], [2.0, 2.0]]))
        y, tape = tape.record(r.max, x, axis=1)
        z, tape = tape.record(r.sum, y)
        np.testing.assert_array_equal(tape.backward_scalar(z)[x], [[1, 0], [0.5, 0.5]])

    def test_nested_vmap_of_an_extreme(self) -> None:
        x = np.array([[[1.0, 2.0], [2.0, 2.0]]])
        got = vmap(vmap(grad(r.max)))(x)
        np.testing.assert_array_equal(got, [[[0, 1], [0.5, 0.5]]])
        np.testing.assert_array_equal(vmap(vmap(grad(lambda x: np.sum(sort(x) * np.arange(2.0)))))(x)[0, 0], [0, 1])


X = np.ones((2, 3))


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: r.sum(X, axis=2), ArgumentError, "sum(x): axis 2 is out of bounds for array of dimension 2"),
        (lambda: r.sum(X, axis=(0, -2)), ArgumentError, "sum(x): duplicate value in 'axis'"),
        (lambda: r.sum(1.0, axis=1), ArgumentError, "sum(x): axis 1 is out of bounds for array of dimension 0"),
        (lambda: r.mean(X, axis=-3), ArgumentError, "mean(x): axis -3 is out of bounds"),
        (lambda: r.prod(X, axis=(1, 1)), ArgumentError, "prod(x): duplicate value in 'axis'"),
        (lambda: r.max(X, axis=(0, 0)), ArgumentError, "max(x): duplicate value in 'axis'"),
        (lambda: r.var(X, axis=(0, 0)), ArgumentError, "var(x): duplicate value in 'axis'"),
        (lambda: r.std(X, axis=2), ArgumentError, "std(x): axis 2 is out of bounds"),
        (lambda: norm(X, axis=(0, 0)), ArgumentError, "norm(x): repeated axis"),
        (lambda: r.logsumexp(X, axis=(0, 0)), ArgumentError, "logsumexp(x): duplicate value in 'axis'"),
        (lambda: r.max(np.zeros((0, 3)), axis=0), ArgumentError, "zero-size array to reduction operation maximum"),
        (lambda: norm(X, ord=0.5), ArgumentError, "norm(x): ord=0.5 does not give a norm of a vector"),
        (lambda: norm(X, ord="fro"), ArgumentError, "norm(x): ord='fro' does not give a norm of a vector"),
        (lambda: r.sum("x"), DTypeError, "sum(x): argument 'x' is 'x', which is not a tensor"),
        (lambda: r.sum(X, axis=0.5), DTypeError, "sum(x): "),
        (lambda: softmax(X, axis=2), ArgumentError, "softmax(x): axis 2 is out of bounds"),
        (lambda: softmax(1.0), ArgumentError, "softmax(x): axis -1 is out of bounds for array of dimension 0"),
        (lambda: log_softmax(X, axis=(0, 0)), ArgumentError, "log_softmax(x): duplicate value in 'axis'"),
        (lambda: cumsum(X, axis=2), ArgumentError, "cumsum(x): axis 2 is out of bounds"),
        (lambda: cumprod(2.0, axis=0), ArgumentError, "cumprod(x): axis 0 is out of bounds"),
        (lambda: sort(X, axis=-3), ArgumentError, "sort(x): axis -3 is out of bounds"),
        (
            lambda: shaping.reshape(X, (4, 2)),
            ArgumentError,
            "reshape(x): cannot reshape array of size 6 into shape (4,2)",
        ),
        (lambda: shaping.reshape(X, (-1, -1)), ArgumentError, "reshape(x): can only specify one unknown dimension"),
        (lambda: shaping.transpose(X, (0, 0)), ArgumentError, "transpose(x): repeated axis in transpose"),
        (lambda: shaping.transpose(X, (0,)), ArgumentError, "transpose(x): axes don't match array"),
        (lambda: shaping.swapaxes(X, 0, 2), ArgumentError, "swapaxes(x): axis2: axis 2 is out of bounds"),
        (lambda: shaping.moveaxis(X, (0, 0), (0, 1)), ArgumentError, "moveaxis(x): repeated axis in `source` argument"),
        (lambda: shaping.squeeze(X, axis=0), ArgumentError, "squeeze(x): cannot select an axis to squeeze out"),
        (lambda: shaping.squeeze(1.0, axis=1), ArgumentError, "squeeze(x): axis 1 is out of bounds"),
        (lambda: shaping.expand_dims(X, (0, 0)), ArgumentError, "expand_dims(x): repeated axis"),
        (lambda: shaping.broadcast_to(X, (2, 4)), ArgumentError, "broadcast_to(x): operands could not be broadcast"),
        (lambda: shaping.flip(X, (0, 0)), ArgumentError, "flip(x): repeated axis"),
        (lambda: shaping.roll(X, 1, 2), ArgumentError, "roll(x): axis 2 is out of bounds"),
        (lambda: shaping.roll(X, (1, 2, 3), (0, 1)), ArgumentError, "roll(x): "),
        (lambda: shaping.tile(X, (2, -1)), ArgumentError, "tile(x): reps=(2, -1) must not be negative"),
        (lambda: shaping.repeat(X, -1), ArgumentError, "repeat(x): repeats=-1 must not be negative"),
        (lambda: shaping.repeat(X, (1, 2), axis=1), ArgumentError, "repeat(x): "),
        (lambda: padding.pad(X, -1), ArgumentError, "pad(x): index can't contain negative values"),
        (lambda: padding.pad(X, (1, 2, 3)), ArgumentError, "pad(x): "),
        (lambda: padding.pad(X, 1, mode="median"), ArgumentError, "pad(x): mode='median' is not known"),
        (lambda: padding.pad(X, 1, "edge", 2.0), ArgumentError, "constant_values=2.0 has no meaning with mode='edge'"),
        (lambda: joining.concat([X, np.ones((3, 2))]), ShapeError, "concat(xs): all the input array dimensions except"),
        (lambda: joining.concat([X, X], axis=2), ArgumentError, "concat(xs): axis 2 is out of bounds"),
        (lambda: joining.concat([]), ArgumentError, "concat(xs): need at least one array to concatenate"),
        (lambda: joining.concat([1.0, 2.0]), ShapeError, "concat(xs): zero-dimensional arrays cannot be concatenated"),
        (lambda: joining.concat(1.0), ArgumentError, "concat(xs): xs is a float, but must be a sequence of operands"),
        (lambda: joining.concat([X, "x"]), DTypeError, "which is not a tensor"),
        (lambda: joining.concat_vectors(X, X), ShapeError, "concat_vectors(a, b)"),
        (lambda: joining.stack([X, np.ones(3)]), ShapeError, "stack(xs): all input arrays must have the same shape"),
        (lambda: joining.stack([X, X], axis=3), ArgumentError, "stack(xs): axis 3 is out of bounds"),
        (lambda: joining.stack([]), ArgumentError, "stack(xs): need at least one array to stack"),
        (lambda: joining.split(X, 2, axis=1), ArgumentError, "array split does not result in an equal division"),
        (lambda: joining.split(X, [2, 1], axis=1), ArgumentError, "the cuts (2, 1) must be in ascending order"),
        (lambda: joining.split(X, 0), ArgumentError, "x cannot be cut into 0 sections"),
        (lambda: joining.split(X, 2, axis=2), ArgumentError, "split(x): axis 2 is out of bounds"),
        (lambda: joining.split(X, 1.5), ArgumentError, "split(x)"),
    ],
)
def test_bad_arguments(call: Any, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=re.escape(text)):
        call()


def test_a_single_step_is_no_sequence() -> None:
    x, _ = tm.Tape().leaf(X)
    with pytest.raises(ArgumentError, match=re.escape("concat(xs): xs is a Ref, but must be a sequence of operands")):
        joining.concat(x)  # type: ignore[call-overload]
    with pytest.raises(ArgumentError, match=re.escape("stack(xs): xs is a Apply, but must be")):
        joining.stack(x * 2.0)  # type: ignore[call-overload]
