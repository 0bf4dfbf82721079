"""grad, value_and_grad, vjp, jvp and linearize, as their users call them."""

import dataclasses
import itertools
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
    with pytest.raises(tm.DTypeError, match="complex"):
        tm.grad(lambda x: np.sum(np.abs(x)))(X * 1j)


# -- zeros, dtypes, memory ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16])
def test_gradients_have_the_dtype_and_shape_of_their_arguments(dtype):
    x, w = X.astype(dtype), np.outer(X, Y).astype(dtype)
    gx, gw = tm.grad(lambda x, w: np.sum(np.sin(w @ x) * 2.0), argnums=(0, 1))(x, w)
    assert gx.dtype == gw.dtype == dtype and gx.shape == (3,) and gw.shape == (3, 3)
    value, _ = tm.value_and_grad(lambda x: np.sum(x))(x)
    assert value.dtype == dtype
    assert tm.jvp(lambda x: np.sin(x) * 2, (x,), (x,))[1].dtype == dtype
    assert tm.jacfwd(np.sin)(x).dtype == tm.jacrev(np.sin)(x).dtype == dtype
    assert tm.hvp(lambda x: np.sum(np.sin(x)), (x,), (x,)).dtype == dtype
    assert tm.hessian(lambda x: np.sum(np.sin(x)))(x).dtype == dtype


def test_mixed_dtypes_each_keep_their_own():
    single, double = X.astype(np.float32), Y
    a, b = tm.grad(lambda x, y: np.sum(x * y), argnums=(0, 1))(single, double)
    assert a.dtype == np.float32 and b.dtype == np.float64
    close(a, Y, 1e-6)
    close(b, single)
    assert tm.jvp(lambda x, y: x * y, (single, double), (single, double))[1].dtype == np.float64
    for jacobian in (tm.jacfwd, tm.jacrev):
        a, b = jacobian(lambda x, y: x * y, argnums=(0, 1))(single, double)
        assert a.dtype == np.float32 and b.dtype == np.float64


def test_an_order_of_bytes_is_no_dtype_of_its_own():
    # Arrays from files may have another one than the machine; NumPy's functions keep it or not, as they please.
    x = np.outer(X, Y).astype(np.dtype(np.float64).newbyteorder("S"))

    def loss(x):
        y = np.transpose(x)
        return np.sum(y * np.sin(y))

    native = x.astype(np.float64)
    close(tm.grad(loss)(x), tm.grad(loss)(native))
    close(tm.jvp(loss, (x,), (native,))[1], tm.jvp(loss, (native,), (native,))[1])
    close(tm.hvp(loss, (x,), (x,)), tm.hvp(loss, (native,), (native,)))
    close(tm.vjp(np.transpose, x)[1](native)[0], native.T)


def test_unused_inputs_get_zeros():
    a, b, c = tm.grad(lambda x, y, z: np.sum(x), argnums=(0, 1, 2))(X, np.ones((2, 2), np.float32), 3.0)
    close(a, np.ones(3))
    close(b, np.zeros((2, 2)))
    assert b.dtype == np.float32 and float(c) == 0.0
    close(tm.grad(lambda x: 3.0)(X), np.zeros(3))
    close(tm.grad(lambda x: np.float64(3.0))(X), np.zeros(3))
    close(tm.grad(lambda x: np.array(3.0))(X), np.zeros(3))
    close(tm.jvp(lambda x: Y, (X,), (V,)), (Y, np.zeros(3)))
    _y, pullback = tm.vjp(lambda x: Y, X)
    close(pullback(V), (np.zeros(3),))
    close(tm.linearize(lambda x: Y, X)[1](V), np.zeros(3))
    close(tm.jacfwd(lambda x: Y)(X), np.zeros((3, 3)))
    close(tm.jacrev(lambda x: Y)(X), np.zeros((3, 3)))
    close(tm.hessian(np.sum)(X), np.zeros((3, 3)))
    close(tm.hvp(np.sum, (X,), (V,)), np.zeros(3))


def test_the_identity():
    assert tm.grad(lambda x: x)(2.0) == 1.0
    close(tm.jvp(lambda x: x, (X,), (V,)), (X, V))
    close(tm.vjp(lambda x: x, X)[1](V), (V,))
    close(tm.vjp(lambda x: (x, x), X)[1]((V, X)), (V + X,))
    close(tm.jacfwd(lambda x: x)(X), np.eye(3))
    close(tm.jacrev(lambda x: x)(X), np.eye(3))


def owned(*arrays):
    """Assert that the arrays are writeable and share memory with nobody else among them."""
    for array in arrays:
        assert type(array) is np.ndarray and array.flags.writeable
    for a, b in itertools.combinations(arrays, 2):
        assert not np.shares_memory(a, b)


@pytest.mark.parametrize(
    "f",
    [
        lambda x, y: np.sum(x + y),
        lambda x, y: np.sum(x) + np.sum(y),
        lambda x, y: np.sum(np.reshape(x, (3, 1)) + y),
        lambda x, y: np.sum(x * 1.0) * 0.0,
        lambda x, y: 1.0,
        lambda x, y: np.sum(np.broadcast_to(x, (4, 3)) + np.stack([y] * 4)),
        lambda x, y: np.sum(np.concatenate([x, y])),
        lambda x, y: np.sum(x.T[::-1] - y),
        lambda x, y: np.dot(x, y),
    ],
)
def test_gradients_belong_to_the_caller(f):
    x, y = X.copy(), Y.copy()
    a, b = tm.grad(f, argnums=(0, 1))(x, y)
    owned(a, b, x, y)
    again = tm.grad(f, argnums=(0, 1))(x, y)
    close(again, (a.copy(), b.copy()))
    a += 100.0  # what the caller does with its gradients ...
    b *= -5.0
    close(tm.grad(f, argnums=(0, 1))(x, y), again)
    close((x, y), (X, Y))
    a, b = tm.grad(lambda pair: f(*pair))((x, x))
    owned(a, b, x)


def test_results_of_vjp_jvp_and_jacobians_belong_to_the_caller():
    x, v = X.copy(), V.copy()
    y, pullback = tm.vjp(lambda x, z: x + z, x, x)
    a, b = pullback(v)
    c, d = pullback(v)
    owned(x, v, y, a, b, c, d)
    y, dy = tm.jvp(lambda x: x, (x,), (v,))
    owned(x, v, y, dy)
    y, derivative = tm.linearize(lambda x: (x, x), x)
    owned(x, v, *y, *derivative(v))
    owned(x, *tm.jacfwd(lambda x: (x, x))(x), *tm.jacrev(lambda x: (x, x))(x))
    value, aux = tm.vjp(lambda x: (x, x), x, has_aux=True)[::2]
    owned(x, value, aux)


def test_pullbacks_remember_the_point_at_which_they_were_made():
    x = X.copy()
    _, pullback = tm.vjp(lambda x: x**2, x)
    _, derivative = tm.linearize(lambda x: x**2, x)
    x[:] = 100.0
    close(pullback(V), (2 * X * V,))
    close(derivative(V), 2 * X * V)
    y, pullback = tm.vjp(np.exp, X)
    expected = np.exp(X)
    y += 7.0  # the value is the caller's, the pullback has its own
    close(pullback(V), (expected * V,))
    y, _aux = tm.vjp(lambda x: (np.exp(x), x), X, has_aux=True)[::2]


def test_inputs_and_cotangents_are_not_written_to():
    x, v = X.copy(), V.copy()
    x.flags.writeable = v.flags.writeable = False
    _y, pullback = tm.vjp(lambda x: x + x * x + x, x)
    close(pullback(v), ((2 + 2 * X) * V,))
    close(tm.jvp(lambda x: x + x * x + x, (x,), (v,))[1], (2 + 2 * X) * V)
    close(tm.grad(lambda x: np.sum(x + x + x))(x), np.full(3, 3.0))


def test_constants_of_the_function_are_left_alone():
    constant = np.ones(3)
    tm.vjp(lambda x: x + constant, X)[1](V)[0][:] = 9
    tm.jvp(lambda x: constant, (X,), (V,))[1][:] = 9
    tm.grad(lambda x: np.sum(x * constant))(X)[:] = 9
    close(constant, np.ones(3))


def test_views_and_orders_of_memory_do_not_matter():
    base = np.arange(24.0).reshape(2, 3, 4) / 10
    for x in (base[:, ::2, ::-1], base.T, np.asfortranarray(base), np.broadcast_to(base[0], (2, 3, 4))):
        close(tm.grad(lambda x: np.sum(np.sin(x)))(x), np.cos(x))
        close(tm.jvp(np.sin, (x,), (x,))[1], np.cos(x) * x)


def test_empty_arrays():
    x = np.zeros((0, 3))
    assert tm.grad(lambda x: np.sum(x**2))(x).shape == (0, 3)
    assert tm.jacfwd(lambda x: x**2)(x).shape == (0, 3, 0, 3)
    assert tm.jacrev(lambda x: x**2)(x).shape == (0, 3, 0, 3)
    assert tm.jvp(np.sin, (x,), (x,))[1].shape == (0, 3)


# -- what is wrong --------------------------------------------------------------------------------------------------


def test_grad_needs_a_scalar():
    with pytest.raises(tm.NotScalarError, match=r"output of shape \(\), but the function returned shape \(3,\).*sin"):
        tm.grad(np.sin)(X)
    with pytest.raises(tm.NotScalarError, match=r"shape \(1,\)"):
        tm.grad(lambda x: x[:1])(X)
    with pytest.raises(tm.NotScalarError, match="2 values"):
        tm.grad(lambda x: (np.sum(x), np.sum(x)))(X)
    with pytest.raises(tm.NotScalarError, match="returned None: no `return`"):
        tm.grad(lambda x: None)(X)
    with pytest.raises(tm.DTypeError, match=r"real output.*text"):
        tm.grad(lambda x: "text")(X)
    with pytest.raises(tm.DTypeError, match=r"real output.*int64"):
        tm.grad(lambda x: np.argmax(x))(X)
    with pytest.raises(tm.DTypeError, match=r"real output.*bool"):
        tm.grad(lambda x: x[0] > 0)(X)


def test_a_cotangent_must_fit_the_output():
    _, pullback = tm.vjp(lambda x: {"a": np.sin(x), "b": np.sum(x)}, X)
    close(pullback({"a": V, "b": 1.0}), (np.cos(X) * V + 1,))
    with pytest.raises(tm.ShapeError, match=r"cotangent has shape \(2,\).*\(3,\)"):
        pullback({"a": np.ones(2), "b": 1.0})
    with pytest.raises(tm.ShapeError, match=r"cotangent has shape \(\).*\(3,\)"):
        pullback({"a": 1.0, "b": 1.0})
    with pytest.raises(tm.TreeError, match="structures differ"):
        pullback({"a": V})
    with pytest.raises(tm.TreeError, match="structures differ"):
        pullback(V)
    _, single = tm.vjp(np.sin, X.astype(np.float32))
    with pytest.raises(tm.DTypeError, match=r"float64.*float32.*astype\(np.float32\)"):
        single(V)
    for wrong in (V * 1j, np.array(["a", "b", "c"])):
        with pytest.raises(tm.DTypeError):
            pullback({"a": wrong, "b": 1.0})


def test_a_tangent_must_fit_its_primal():
    with pytest.raises(tm.ShapeError, match=r"tangent has shape \(2,\).*\(3,\)"):
        tm.jvp(np.sin, (X,), (np.ones(2),))
    with pytest.raises(tm.TreeError, match=r"primals.*tangents"):
        tm.jvp(np.sin, (X,), (X, X))
    with pytest.raises(tm.TreeError, match="tuple with one entry per argument, not ndarray"):
        tm.jvp(np.sin, X, X)
    with pytest.raises(tm.DTypeError, match=r"float64.*float32"):
        tm.jvp(np.sin, (X.astype(np.float32),), (V,))
    with pytest.raises(tm.TreeError, match="linearize"):
        tm.linearize(np.sin, X)[1](V, V)
    with pytest.raises(tm.ShapeError, match="tangent has shape"):
        tm.linearize(np.sin, X)[1](np.ones((3, 1)))


def test_the_functions_own_errors_come_through():
    class Mine(Exception):
        pass

    def f(x):
        raise Mine("inside")

    for call in (
        lambda: tm.grad(f)(X),
        lambda: tm.vjp(f, X),
        lambda: tm.jvp(f, (X,), (X,)),
        lambda: tm.vmap(f)(X),
        lambda: tm.jacfwd(f)(X),
        lambda: tm.grad(tm.checkpoint(lambda x: f(x)))(X),
    ):
        with pytest.raises(Mine, match="inside"):
            call()
    with pytest.raises(TypeError):
        tm.grad(lambda: 1.0)(X)


def test_vjp_and_linearize_run_the_function_once():
    runs = []

    def f(x):
        runs.append(x)
        return np.sin(x)

    _, pullback = tm.vjp(f, X)
    for scale in range(1, 4):
        close(pullback(scale * V), (scale * V * np.cos(X),))
    _y, derivative = tm.linearize(f, X)
    for scale in range(1, 4):
        close(derivative(scale * V), scale * V * np.cos(X))
    tm.value_and_grad(lambda x: np.sum(f(x)))(X)
    tm.jvp(f, (X,), (V,))
    assert len(runs) == 4


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
