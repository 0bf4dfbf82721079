"""grad, value_and_grad, vjp, jvp and linearize, as their users call them."""

import dataclasses
from typing import NamedTuple

import numpy as np
import pytest

import tapem as tm

from .judges import close, complex_jacobian

X = np.array([0.3, -0.8, 1.1])
Y = np.array([1.5, 0.4, -0.6])
V = np.array([1.0, -2.0, 0.5])


class Pair(NamedTuple):
    first: object
    second: object


@dataclasses.dataclass
class Layer:
    weight: object
    bias: object


@dataclasses.dataclass(frozen=True)
class Checked:
    """A frozen dataclass whose constructor checks what it is given."""

    value: object

    def __post_init__(self):
        assert isinstance(self.value, np.ndarray), "made from something that is no array"


def product(x, y, z=2.0):
    return np.sum(x**2 * y) * z


# -- which arguments ------------------------------------------------------------------------------------------------


def test_argnums_select_arguments():
    dx, dy = 2 * X * Y * 2.0, X**2 * 2.0
    close(tm.grad(product)(X, Y), dx)
    close(tm.grad(product, 1)(X, Y), dy)
    close(tm.grad(product, argnums=-1)(X, Y), dy)
    close(tm.grad(product, argnums=-2)(X, Y), dx)
    close(tm.grad(product, argnums=(1, 0))(X, Y), (dy, dx))
    close(tm.grad(product, argnums=[0, -1])(X, Y), (dx, dy))
    close(tm.grad(product, argnums=(0,))(X, Y), (dx,))
    assert tm.grad(product, argnums=())(X, Y) == ()
    value, gradients = tm.value_and_grad(product, argnums=(0, 1))(X, Y)
    close(value, product(X, Y))
    close(gradients, (dx, dy))


@pytest.mark.parametrize("argnums", [(0, 0), (1, 0, -1)])
def test_an_argument_cannot_be_selected_twice(argnums):
    for transform in (tm.grad, tm.value_and_grad, tm.jacfwd, tm.jacrev, tm.hessian):
        with pytest.raises(tm.ArgumentError, match=r"argnums=\(.*\) selects an argument twice"):
            transform(product, argnums=argnums)(X, Y)


@pytest.mark.parametrize("argnums", [2, -3, (0, 5)])
def test_an_argnum_out_of_range_is_an_error(argnums):
    with pytest.raises(tm.ArgumentError, match=r"argnums=(2|-3|5) selects no argument.* 2 positional"):
        tm.grad(product, argnums=argnums)(X, Y)
    with pytest.raises(tm.ArgumentError, match="selects no argument"):
        tm.jacrev(product, argnums=argnums)(X, Y)


def test_keyword_arguments_are_passed_on():
    close(tm.grad(product)(X, Y, z=3.0), 2 * X * Y * 3.0)
    close(tm.grad(product)(X, y=Y, z=3.0), 2 * X * Y * 3.0)
    close(tm.value_and_grad(product)(X, y=Y)[0], product(X, Y))
    close(tm.jacfwd(product)(X, y=Y, z=3.0), 2 * X * Y * 3.0)
    close(tm.jacrev(product)(X, y=Y, z=3.0), 2 * X * Y * 3.0)


def test_a_tracer_may_be_a_keyword_argument():
    close(tm.grad(lambda z: np.sum(tm.grad(product)(X, Y, z=z)))(3.0), np.sum(2 * X * Y))
    close(tm.grad(lambda z: tm.value_and_grad(product)(X, Y, z=z)[0])(3.0), np.sum(X**2 * Y))


def test_as_decorators():
    @tm.grad
    def first(x):
        """A docstring."""
        return np.sum(x**2)

    @tm.value_and_grad(argnums=1)
    def second(x, y):
        return np.sum(x * y**2)

    @tm.grad(has_aux=True)
    def third(x):
        return np.sum(x), {"kept": x * 2}

    close(first(X), 2 * X)
    assert first.__name__ == "first" and first.__doc__ == "A docstring."
    close(second(X, Y), (np.sum(X * Y**2), 2 * X * Y))
    gradient, aux = third(X)
    close(gradient, np.ones(3))
    close(aux["kept"], X * 2)

    @tm.jacfwd(argnums=1)
    def fourth(x, y):
        return x * y

    @tm.jacrev(has_aux=True)
    def fifth(x):
        return x**2, "aux"

    @tm.hessian
    def sixth(x):
        return np.sum(x**3)

    @tm.vmap(in_axes=1)
    def seventh(x):
        return np.sum(x)

    close(fourth(X, Y), np.diag(X))
    close(fifth(X)[0], np.diag(2 * X))
    assert fifth(X)[1] == "aux"
    close(sixth(X), np.diag(6 * X))
    close(seventh(np.ones((2, 3))), np.full(3, 2.0))


# -- trees ----------------------------------------------------------------------------------------------------------


def test_gradients_have_the_structure_of_their_arguments():
    parameters = {
        "layers": [Layer(np.outer(X, Y), X), Layer(np.outer(Y, X), Y)],
        "pair": Pair(2.0, (X, None)),
        "nothing": None,
        "empty": {},
        "checked": Checked(Y),
    }

    def loss(p):
        h = X
        for layer in p["layers"]:
            h = np.tanh(layer.weight @ h + layer.bias)
        return np.sum(h * p["pair"].second[0]) * p["pair"].first + np.sum(p["checked"].value ** 2)

    gradient = tm.grad(loss)(parameters)
    assert set(gradient) == set(parameters)
    assert type(gradient["layers"]) is list and all(type(layer) is Layer for layer in gradient["layers"])
    assert type(gradient["pair"]) is Pair and gradient["pair"].second[1] is None
    assert gradient["nothing"] is None and gradient["empty"] == {} and type(gradient["checked"]) is Checked
    close(gradient["checked"].value, 2 * Y)

    def replaced(weight, bias, first, second):
        changed = {**parameters, "layers": [Layer(weight, bias), parameters["layers"][1]]}
        return loss({**changed, "pair": Pair(first, (second, None)), "checked": Checked(Y)})

    given = parameters["layers"][0].weight, X, 2.0, X
    found = gradient["layers"][0].weight, gradient["layers"][0].bias, gradient["pair"].first, gradient["pair"].second[0]
    for position, (value, ours) in enumerate(zip(given, found, strict=True)):
        others = list(given)

        def along(z, position=position, others=others):
            return replaced(*others[:position], z, *others[position + 1 :])

        close(ours, complex_jacobian(along, value))
        assert ours.dtype == np.float64


def test_trees_in_vjp_jvp_and_linearize():
    def f(tree, scale):
        return {"sum": tree["a"] + tree["b"][0], "scaled": Pair(tree["a"] * scale, None)}

    tree = {"a": X, "b": (Y,)}
    y, pullback = tm.vjp(f, tree, 2.0)
    close(y["scaled"].first, X * 2)
    in_tree, in_scale = pullback({"sum": V, "scaled": Pair(X, None)})
    close(in_tree["a"], V + 2 * X)
    close(in_tree["b"][0], V)
    close(in_scale, np.sum(X * X))
    y, dy = tm.jvp(f, (tree, 2.0), ({"a": V, "b": (X,)}, 0.5))
    close(dy["sum"], V + X)
    close(dy["scaled"].first, 2 * V + 0.5 * X)
    assert type(dy["scaled"]) is Pair and dy["scaled"].second is None
    _, derivative = tm.linearize(f, tree, 2.0)
    close(derivative({"a": V, "b": (X,)}, 0.5)["scaled"].first, 2 * V + 0.5 * X)


def test_lists_and_numbers_are_trees_and_scalars():
    gradient = tm.grad(lambda xs: xs[0] * xs[1])([2.0, 3.0])
    assert gradient == [3.0, 2.0] and type(gradient) is list
    assert tm.grad(lambda x: x**2)(3.0) == 6.0
    assert tm.grad(lambda x: x**2)(np.float32(3.0)).dtype == np.float32
    gradient = tm.grad(lambda x: x**2)(np.array(3.0))
    assert type(gradient) is np.ndarray and gradient.shape == () and gradient == 6.0


# -- aux ------------------------------------------------------------------------------------------------------------


def test_aux_is_carried_through_as_plain_values():
    def f(x):
        return np.sum(x**2), {"double": 2 * x, "label": "text", "shape": x.shape, "none": None, "number": 3}

    gradient, aux = tm.grad(f, has_aux=True)(X)
    (value, same), again = tm.value_and_grad(f, has_aux=True)(X)
    close(gradient, 2 * X)
    close(again, 2 * X)
    close(value, np.sum(X**2))
    for found in (aux, same):
        assert type(found["double"]) is np.ndarray
        close(found["double"], 2 * X)
        assert (found["label"], found["shape"], found["none"], found["number"]) == ("text", (3,), None, 3)
    y, pullback, aux = tm.vjp(lambda x: (x**2, x + 1), X, has_aux=True)
    close(pullback(V), (2 * X * V,))
    close(aux, X + 1)
    y, dy, aux = tm.jvp(lambda x: (x**2, x + 1), (X,), (V,), has_aux=True)
    close((y, dy, aux), (X**2, 2 * X * V, X + 1))
    for jacobian in (tm.jacfwd, tm.jacrev):
        matrix, aux = jacobian(lambda x: (x**2, x + 1), has_aux=True)(X)
        close(matrix, np.diag(2 * X))
        close(aux, X + 1)


def test_aux_of_an_inner_transform_keeps_its_outer_derivative():
    def outer(x):
        gradient, aux = tm.grad(lambda z: (np.sum(z**2 * x), z * x), has_aux=True)(x)
        return np.sum(gradient) + np.sum(aux)

    close(tm.grad(outer)(X), complex_jacobian(lambda x: np.sum(2 * x * x + x * x), X))


@pytest.mark.parametrize("result", [lambda x: np.sum(x), lambda x: (np.sum(x), 1, 2), lambda x: [np.sum(x), 1]])
def test_has_aux_needs_a_pair(result):
    with pytest.raises(tm.TapeError, match=r"has_aux=True the function must return a pair"):
        tm.grad(result, has_aux=True)(X)


# -- ints and bools -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [3, True, np.arange(3), np.array([True, False]), np.int8(3)])
def test_integers_are_refused_or_none(value):
    def f(x):
        return np.sum(x * 1.5)

    said = r"argument .* is (int|bool)\d*, and .* no derivative.*floats, or leave it out of argnums"
    for transform in (tm.grad, tm.value_and_grad):
        with pytest.raises(tm.DTypeError, match=said + "; or pass allow_int=True"):
            transform(f)(value)
    for transform in (tm.jacfwd, tm.jacrev, tm.hessian):  # which have no such option
        with pytest.raises(tm.DTypeError, match=said + r"\.$"):
            transform(f)(value)
    assert tm.grad(f, allow_int=True)(value) is None
    assert tm.value_and_grad(f, allow_int=True)(value) == (f(value), None)


def test_an_integer_leaf_of_a_tree_gets_none():
    tree = {"x": X, "n": np.arange(3), "flag": True}
    with pytest.raises(tm.DTypeError, match="leaf"):
        tm.grad(lambda t: np.sum(t["x"] * t["n"]))(tree)
    gradient = tm.grad(lambda t: np.sum(t["x"] * t["n"]), allow_int=True)(tree)
    close(gradient["x"], np.arange(3.0))
    assert gradient["n"] is None and gradient["flag"] is None


def test_integers_among_other_arguments_are_constants():
    close(tm.grad(lambda x, n: np.sum(x**n))(X, 3), 3 * X**2)
    close(tm.grad(lambda x, index: x[index])(X, 1), [0.0, 1.0, 0.0])
    close(tm.grad(lambda x, index: np.sum(x[index]))(X, np.array([0, 0, 2])), [2.0, 0.0, 1.0])
    _, pullback = tm.vjp(lambda x, n: x * n, X, np.arange(3))
    gradient, nothing = pullback(V)
    close(gradient, V * np.arange(3))
    assert nothing is None
    close(tm.jvp(lambda x, n: x * n, (X, np.arange(3)), (V, np.zeros(3, int)))[1], V * np.arange(3))


def test_what_is_no_tensor_is_refused():
    for wrong in ("text", object(), np.array(["a"]), np.array([None, 1], dtype=object)):
        with pytest.raises(tm.DTypeError):
            tm.grad(lambda x: 1.0)(wrong)


# -- detach and no_grad ---------------------------------------------------------------------------------------------


def test_detach_and_no_grad_cut_the_derivative():
    for cut in (tm.detach, tm.stop_gradient, lambda v: tm.no_grad(lambda: v), lambda v: tm.no_grad(lambda: v * 1.0)):
        close(tm.grad(lambda x, cut=cut: np.sum(x * cut(x)))(X), X)
        close(tm.jvp(lambda x, cut=cut: x * cut(x), (X,), (V,))[1], X * V)
        close(tm.vmap(tm.grad(lambda x, cut=cut: x * cut(x)))(X), X)
        close(tm.grad(tm.grad(lambda x, cut=cut: x * x * cut(x)))(3.0), 6.0)
        close(tm.jacrev(lambda x, cut=cut: x * cut(x))(X), np.diag(X))
        close(tm.jacfwd(lambda x, cut=cut: x * cut(x))(X), np.diag(X))
    close(tm.detach({"a": X})["a"], X)

    def with_block(x):
        with tm.no_grad():
            y = np.sin(x) * x
        return np.sum(x * y)

    close(tm.grad(with_block)(X), np.sin(X) * X)
    close(tm.grad(lambda x: np.sum(tm.vmap(with_block)(x)))(X), np.sin(X) * X)


def test_a_derivative_inside_no_grad_is_computed_and_then_constant():
    def f(x):
        slope = tm.no_grad(lambda: tm.grad(lambda z: z**3)(x))
        return x * slope

    assert tm.grad(f)(2.0) == 12.0
    assert tm.jvp(f, (2.0,), (1.0,)) == (24.0, 12.0)
    with tm.no_grad():
        assert tm.grad(lambda x: x**3)(2.0) == 12.0
    close(tm.vmap(tm.grad(f))(X), 3 * X**2)

    def newton(x):
        with tm.no_grad():
            gradient, hessian = tm.grad(g)(x), tm.hessian(g)(x)
        return np.sum(x * np.linalg.solve(hessian, gradient))

    def g(x):
        return np.sum(np.cosh(x))

    close(tm.grad(newton)(X), np.tanh(X))


def test_no_grad_ends_when_its_block_raises():
    def f(x):
        try:
            with tm.no_grad():
                raise ValueError
        except ValueError:
            pass
        return x**2

    assert tm.grad(f)(3.0) == 6.0


# -- Python control flow --------------------------------------------------------------------------------------------


def test_python_control_flow_on_values():
    def piecewise(x):
        total = 0.0
        for element in x:
            if element > 0:
                total = total + element**2
            elif element < -0.5:
                total = total - element
        while total > 1:
            total = total / 2
        return total

    close(tm.grad(piecewise)(X), complex_jacobian(lambda x: (x[0] ** 2 - x[1] + x[2] ** 2) / 4, X))
    assert float(tm.grad(tm.grad(lambda x: x**3 if x > 1 else x))(2.0)) == 12.0
