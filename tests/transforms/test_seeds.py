"""The worked examples of the libraries that tapem learned from, as far as they concern transforms."""

import numpy as np
import pytest

import tapem as tm

from .judges import close, loop

# -- Rune: functional transformations ---------------------------------------------------------------------------


def test_grads_of_a_list_of_tensors():
    xs = [np.array([1.0, 2.0]), np.array([3.0, 4.0])]
    gradients = tm.grad(lambda xs: np.sum(xs[0] * xs[1] ** 2))(xs)
    close(gradients, [xs[1] ** 2, 2 * xs[0] * xs[1]])
    value, gradients = tm.value_and_grad(lambda xs: np.sum(xs[0] * xs[1] ** 2))(xs)
    close(value, 1 * 9 + 2 * 16)
    # grad is the second part of value_and_grad
    close(gradients, tm.grad(lambda xs: np.sum(xs[0] * xs[1] ** 2))(xs))


def test_value_and_grad_aux():
    (y, aux), gradient = tm.value_and_grad(lambda x: (np.sum(x**2), x + 1), has_aux=True)(np.array([1.0, 2.0]))
    close((y, aux, gradient), (5.0, [2.0, 3.0], [2.0, 4.0]))


def test_vjp_needs_no_scalar_output():
    x, v = np.array([1.0, 2.0, 3.0]), np.array([1.0, 0.5, -1.0])
    y, pullback = tm.vjp(lambda x: x**2, x)
    close((y, pullback(v)[0]), (x**2, v * 2 * x))
    y, tangent = tm.jvp(lambda x: x**2, (x,), (v,))
    close((y, tangent), (x**2, 2 * x * v))
    y, tangent, aux = tm.jvp(lambda x: (x**2, "aux"), (x,), (v,), has_aux=True)
    close(tangent, 2 * x * v)
    assert aux == "aux"


def test_no_grad_and_detach():
    close(tm.grad(lambda x: x * tm.no_grad(lambda: x * x))(3.0), 9.0)
    close(tm.grad(lambda x: x * tm.detach(x * x))(3.0), 9.0)


def test_custom_rules_override_the_derivative():
    """A straight-through estimator, and a rule with residuals, also where derivatives are nested."""
    rounded = tm.custom_vjp(lambda x: (np.round(x), None), lambda _, g: (g,))
    close(rounded(np.array([0.4, 1.6])), [0.0, 2.0])
    close(tm.grad(lambda x: np.sum(rounded(x) ** 2))(np.array([0.4, 1.6])), [0.0, 4.0])
    cube = tm.custom_vjp(lambda x: (x**3, x), lambda x, g: (g * 3 * x**2,))
    close(tm.grad(lambda x: tm.grad(cube)(x))(2.0), 12.0)
    sine = tm.custom_jvp(np.sin, lambda xs, ts: (np.sin(xs[0]), ts[0] * np.cos(xs[0])))
    close(tm.jvp(sine, (0.5,), (2.0,))[1], 2 * np.cos(0.5))
    both = tm.custom_vjp(lambda x, y: (x * y, (x, y)), lambda r, g: (g * r[1], g * r[0]))
    close(tm.grad(both, argnums=(0, 1))(2.0, 5.0), (5.0, 2.0))


def test_gradient_checks():
    x = np.array([0.5, -1.0, 2.0])
    close(tm.testing.finite_diff(lambda x: np.sum(x**3), x), 3 * x**2, 1e-5)
    jacobian = tm.testing.finite_diff_jacobian(lambda x: x**2, x)
    close(jacobian, np.diag(2 * x), 1e-5)
    check = tm.testing.check_gradient(lambda x: np.sum(np.sin(x)), x)
    assert check and check.passed and check.num_checked == 3 and check.num_failed == 0 and not check.failed_indices
    wrong = tm.custom_vjp(lambda x: (np.sum(x**2), x), lambda x, g: (g * 3 * x,))
    check = tm.testing.check_gradient(wrong, x)
    assert not check and check.num_failed == 3
    assert all(check for check in tm.testing.check_gradients(lambda a, b: np.sum(a * b), [x, x]))


def test_vectorizing_map():
    x = np.arange(6.0).reshape(2, 3)
    close(tm.vmap(np.sum)(x), [3.0, 12.0])
    close(tm.vmap(np.sum, in_axes=1)(x), [3.0, 5.0, 7.0])
    close(tm.vmap(lambda a, b: a + b, in_axes=(0, None))(x, np.ones(3)), x + 1)
    close(tm.vmap(lambda a: a * 2, out_axes=1)(x), 2 * x.T)
    close(tm.vmap(lambda a: a * 2, in_axes=None, axis_size=2)(x[0]), 2 * np.stack([x[0], x[0]]))


# -- Nabla: automatic differentiation ---------------------------------------------------------------------------


def test_grad_of_a_square():
    def my_loss(x):
        return x**2

    assert tm.grad(my_loss)(3.0) == 6.0
    assert tm.value_and_grad(my_loss)(3.0) == (9.0, 6.0)

    @tm.grad
    def loss(x):
        return x**2

    assert loss(3.0) == 6.0

    @tm.value_and_grad
    def both(x):
        return x**2

    assert both(3.0) == (9.0, 6.0)


def test_vjp_of_one_and_of_two_inputs():
    y, pullback = tm.vjp(lambda x: x**2, 3.0)
    assert y == 9.0 and pullback(1.0) == (6.0,)
    y, pullback = tm.vjp(lambda x, y: x * y + x**2, 3.0, 4.0)
    assert y == 21.0 and pullback(1.0) == (10.0, 3.0)


def test_jvp_of_one_and_of_two_inputs():
    assert tm.jvp(lambda x: x**2, (3.0,), (1.0,)) == (9.0, 6.0)
    assert tm.jvp(lambda x, y: x * y + x**2, (3.0, 4.0), (1.0, 0.0)) == (21.0, 10.0)


@pytest.mark.parametrize("jacobian", [tm.jacfwd, tm.jacrev])
def test_jacobians(jacobian):
    close(jacobian(lambda x: x**2)(np.array([1.0, 2.0, 3.0])), np.diag([2.0, 4.0, 6.0]))
    close(
        jacobian(lambda x: np.stack([x[0] ** 2, x[0] * x[1], x[1] ** 2]))(np.array([3.0, 4.0])),
        [[6.0, 0.0], [4.0, 3.0], [0.0, 8.0]],
    )
    x, y = np.array([1.0, 2.0]), np.array([3.0, 4.0])
    f = lambda x, y: x * y + x**2  # noqa: E731
    close(jacobian(f, argnums=0)(x, y), np.diag(y + 2 * x))
    close(jacobian(f, argnums=(0, 1))(x, y), (np.diag(y + 2 * x), np.diag(x)))


def test_backward_from_several_outputs():
    x, tape = tm.Tape().leaf(np.array([1.0, 2.0]))
    y, tape = tape.record(tm.square, x)
    z, tape = tape.record(tm.sin, x)
    gradients = tape.backward([y, z], [np.ones(2), np.array([1.0, -1.0])])
    close(gradients[x], 2 * np.array([1.0, 2.0]) + np.cos([1.0, 2.0]) * [1.0, -1.0])


# -- ChainRules: rules of sin and sincos ------------------------------------------------------------------------


def test_the_rules_of_sin():
    x = 0.8236475079774124
    y, dy = tm.frule((tm.NO_FIELDS, 1.0), tm.sin, x)
    assert float(y) == np.sin(x) and float(dy) == np.cos(x)
    close(float(y), 0.7336293678134624, 1e-15)
    close(float(dy), 0.6795498147167869, 1e-15)
    y, pullback = tm.rrule(tm.sin, x)
    itself, x_bar = pullback(1.0)
    assert y == np.sin(x) and itself is tm.NO_FIELDS and x_bar == np.cos(x)
    assert tm.grad(np.sin)(x) == np.cos(x) == tm.jvp(np.sin, (x,), (1.0,))[1]


def test_one_function_of_two_outputs_and_one_of_two_inputs():
    x, y = 0.3, 0.8
    sincos, derivative = tm.jvp(lambda x: (np.sin(x), np.cos(x)), (x,), (1.0,))
    assert sincos == (np.sin(x), np.cos(x)) and derivative == (np.cos(x), -np.sin(x))
    _value, pullback = tm.vjp(np.hypot, x, y)
    close(pullback(1.0), (x / np.hypot(x, y), y / np.hypot(x, y)))


def test_per_example_gradients_are_what_the_loop_gives():
    weight, xs = np.array([[0.5, -1.0], [2.0, 0.25]]), np.array([[1.0, 2.0], [0.5, -1.0], [3.0, 0.0]])
    loss = lambda w, x: np.sum(np.tanh(w @ x) ** 2)  # noqa: E731
    close(tm.vmap(tm.grad(loss), in_axes=(None, 0))(weight, xs), loop(lambda x: tm.grad(loss)(weight, x), xs))
