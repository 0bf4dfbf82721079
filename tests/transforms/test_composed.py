"""Ops that are compositions of others, as users make them by `tm.composed`: signature, doors, derivatives, float16."""

import numpy as np
import pytest
from jaxtyping import Float

import tapem as tm


@tm.composed
def energy(v: Float[tm.Tensor, "n"], w: Float[tm.Tensor, "n"] | None = None, *, half: bool = False):
    """The sum of v w w, or of v."""
    return (0.5 if half else 1.0) * np.sum(v if w is None else v * w * w)


V, W = np.array([1.0, 2.0]), np.array([3.0, -1.0])


def test_arrays_lists_and_options():
    assert energy(V, W) == 11.0 and energy([1.0, 2.0], [3.0, -1.0], half=True) == 5.5 and energy(V) == 3.0
    assert energy.__name__ == "energy" and energy.__doc__ == "The sum of v w w, or of v."


def test_derivatives_are_those_of_its_ops():
    for got, expected in zip(tm.grad(energy, argnums=(0, 1))(V, W), (W * W, 2 * V * W), strict=True):
        np.testing.assert_array_equal(got, expected)
    np.testing.assert_array_equal(tm.vmap(energy, in_axes=(0, None))(np.stack([V, 2 * V]), W), [11.0, 22.0])


def test_a_ref_or_a_step_makes_a_step():
    v, tape = tm.Tape().leaf(V)
    y, tape = energy(tm.neg(v), W).run(tape)
    assert tape.value(y) == -11.0
    np.testing.assert_array_equal(tape.backward_scalar(y)[v], -W * W)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((V, W[:1]), tm.ShapeError, "energy(v, w): axis 'n' is 2 in v (2,) but 1 in w (1,)"),
        ((V[:, None],), tm.ShapeError, "energy(v, w)"),
        ((V, np.array([1, 2])), tm.DTypeError, "energy(v, w)"),
        ((None,), tm.DTypeError, "argument 'v' is None"),
    ],
)
def test_its_annotations_are_enforced(arguments, error, message):
    with pytest.raises(error) as raised:
        energy(*arguments)
    assert message in str(raised.value)


def test_float16_is_computed_in_float32():
    big = np.full(2, 300.0, np.float16)  # 300 * 300 is not a float16
    value = energy(big * np.float16(1e-4), big)
    assert value.dtype == np.float16 and abs(float(value) - 5400) < 10
    assert energy(big, np.ones(2, np.float32)).dtype == np.float32
