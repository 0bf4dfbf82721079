"""Rules for everyone: the queries `frule` and `rrule`, and ops that users declare."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from jaxtyping import Float

import tapem as tm
from tapem.testing import check_grads, check_rule

Vector = Float[tm.Tensor, "n"]
Scalar = Float[tm.Tensor, ""]
NO_FIELDS = tm.NO_FIELDS


# The queries, with the examples of ChainRulesCore's documentation.


def test_rrule_of_sin() -> None:
    x = 0.8236475079774124
    y, pullback = tm.rrule(np.sin, x)
    assert y == np.sin(x)
    assert pullback(1) == (NO_FIELDS, np.cos(x))


def test_frule_of_sin() -> None:
    x = 0.8236475079774124
    assert tm.frule((NO_FIELDS, 1), np.sin, x) == (np.sin(x), np.cos(x))


def test_rrule_of_hypot() -> None:
    x, y = 0.3, 1.7
    value, pullback = tm.rrule(np.hypot, x, y)
    assert value == np.hypot(x, y)
    assert pullback(1) == (NO_FIELDS, x / np.hypot(x, y), y / np.hypot(x, y))


def sincos_op(**options: Any) -> Any:
    """The document's op with two results."""

    def sincos(x: Float[tm.Tensor, "*shape"]) -> tuple[Float[tm.Tensor, "*shape"], Float[tm.Tensor, "*shape"]]:
        return np.sin(x), np.cos(x)

    return tm.scalar_rule(sincos, (lambda y, x: y[1],), (lambda y, x: -y[0],), **options)


def test_sincos_an_op_with_two_results() -> None:
    sincos, x = sincos_op(), 0.7
    assert tm.frule((NO_FIELDS, 1), sincos, x) == ((np.sin(x), np.cos(x)), (np.cos(x), -np.sin(x)))
    y, pullback = tm.rrule(sincos, x)
    assert y == (np.sin(x), np.cos(x))
    for cotangent in ((2.0, 3.0), tm.Composite(tuple, 2.0, tm.thunk(3.0))):
        assert pullback(cotangent) == (NO_FIELDS, pytest.approx(2 * np.cos(x) - 3 * np.sin(x)))
    assert pullback((tm.One(), tm.Zero())) == (NO_FIELDS, np.cos(x))
    assert pullback(tm.Zero()) == pullback(tm.DoesNotExist()) == (NO_FIELDS, tm.Zero())


@pytest.mark.parametrize("op", [np.sin, tm.sin], ids=["numpy", "tapem"])
def test_symbolic_tangents_and_cotangents(op: Any) -> None:
    _, pullback = tm.rrule(op, 0.5)
    for one in (1, 1.0, np.float64(1), np.array(1.0), tm.One(), tm.thunk(1.0), tm.thunk(tm.thunk(tm.One()))):
        assert pullback(one) == (NO_FIELDS, np.cos(0.5))
        assert tm.frule((NO_FIELDS, one), op, 0.5) == (np.sin(0.5), np.cos(0.5))
    for nothing in (tm.Zero(), tm.DoesNotExist()):
        assert pullback(nothing) == (NO_FIELDS, tm.Zero())
        assert tm.frule((NO_FIELDS, nothing), op, 0.5) == (np.sin(0.5), tm.Zero())


def test_a_pullback_may_be_called_again_and_checks_its_cotangent() -> None:
    x = np.array([0.5, 2.0])
    _, pullback = tm.rrule(np.square, x)
    first, second = pullback(np.ones(2))[1], pullback(np.ones(2))[1]
    first[:] = 0
    np.testing.assert_array_equal(second, 2 * x)
    np.testing.assert_array_equal(pullback(np.ones(2))[1], 2 * x)
    with pytest.raises(tm.ShapeError, match=r"has shape \(3,\), but belongs to a value of shape \(2,\)"):
        pullback(np.ones(3))


def test_arrays_and_static_arguments() -> None:
    x = np.arange(6.0).reshape(2, 3)
    for op in (tm.sum, np.sum):
        y, pullback = tm.rrule(op, x, axis=1)
        np.testing.assert_array_equal(y, [3.0, 12.0])
        np.testing.assert_array_equal(pullback(np.array([1.0, 10.0]))[1], [[1, 1, 1], [10, 10, 10]])
        y, dy = tm.frule((NO_FIELDS, np.ones((2, 3))), op, x, axis=1, keepdims=True)
        assert y.shape == (2, 1)
        np.testing.assert_array_equal(dy, [[3.0], [3.0]])


def test_numpy_functions_that_are_made_of_several_ops() -> None:
    x = np.array([1.0, 5.0])
    np.testing.assert_array_equal(tm.rrule(np.clip, x, 0.0, 3.0)[1](np.ones(2))[1], [1.0, 0.0])
    np.testing.assert_allclose(tm.frule((NO_FIELDS, np.ones(2)), np.linalg.norm, x)[1], 6 / np.sqrt(26))


def test_the_derivative_of_an_index_does_not_exist() -> None:
    x, ids = np.arange(3.0), np.array([0, 2, 2])
    y, pullback = tm.rrule(tm.take, x, ids, axis=0)
    np.testing.assert_array_equal(y, [0.0, 2.0, 2.0])
    op, x_bar, ids_bar = pullback(np.ones(3))
    assert op is NO_FIELDS and ids_bar is tm.DoesNotExist()
    np.testing.assert_array_equal(x_bar, [1.0, 0.0, 2.0])
    y, dy = tm.frule((NO_FIELDS, x, tm.DoesNotExist()), tm.take, x, ids, axis=0)
    np.testing.assert_array_equal(dy, [0.0, 2.0, 2.0])
    assert tm.frule((NO_FIELDS, tm.Zero(), tm.DoesNotExist()), tm.take, x, ids, axis=0)[1] is tm.Zero()
    assert tm.rrule(np.multiply, 2.0, 3)[1](1.0) == (NO_FIELDS, 3.0, tm.DoesNotExist())


def test_none_where_there_is_no_rule() -> None:
    @tm.primitive
    def ruleless(x: Vector) -> Vector:
        return x

    forward = tm.primitive(frule=(lambda t, y, x: t,), name="forward")(lambda x: x)
    backward = tm.primitive(rrule=(lambda g, y, x: g,), name="backward")(lambda x: x)
    x = np.ones(2)
    for unknown in (ruleless, print, len, np.busday_count, np.put, lambda x: x):
        assert tm.rrule(unknown, x) is None
        assert tm.frule((NO_FIELDS, x), unknown, x) is None
    assert tm.rrule(forward, x) is None and tm.frule((NO_FIELDS, x), forward, x) is not None
    assert tm.rrule(backward, x) is not None and tm.frule((NO_FIELDS, x), backward, x) is None


@pytest.mark.parametrize("op", [np.sign, np.floor, tm.sign])
def test_an_op_whose_derivative_is_zero_has_rules(op: Any) -> None:
    y, pullback = tm.rrule(op, 1.5)
    assert y == op(1.5) and pullback(1.0) == (NO_FIELDS, 0.0)
    assert tm.frule((NO_FIELDS, 1.0), op, 1.5) == (op(1.5), 0.0)


def test_a_tangent_too_few() -> None:
    with pytest.raises(tm.ArgumentError) as caught:
        tm.frule((1.0,), np.sin, 0.5)
    assert str(caught.value) == (
        "frule: sin was given 1 primals, so there must be 2 tangents, the first for the op itself, but there are 1."
    )


def test_the_queries_are_differentiable() -> None:
    second = tm.grad(lambda x: tm.rrule(np.sin, x)[1](1.0)[1])(0.3)
    np.testing.assert_allclose(second, -np.sin(0.3))
    np.testing.assert_allclose(tm.grad(lambda x: tm.frule((NO_FIELDS, 1.0), np.sin, x)[1])(0.3), -np.sin(0.3))


# Ops of a user's own.


def cube_op(**rules: Any) -> Any:
    @tm.primitive(**rules)
    def cube(x: Vector) -> Vector:
        return x**3

    return cube


def pull_cube(g: Any, y: Any, x: Any) -> Any:
    return 3 * x**2 * g


def of_both_modes(how: str) -> Any:
    """One op, given its rules in each of the ways that there are."""
    if how == "primitive":
        return cube_op(rrule=(pull_cube,), frule=(pull_cube,))
    if how == "def":
        return tm.deffrule(tm.defrrule(cube_op(), pull_cube), pull_cube)
    if how == "joint":
        op = tm.defrrule(cube_op(), joint=lambda g, y, x: (tm.Thunk(lambda: pull_cube(g, y, x)),))
        return tm.deffrule(op, joint=lambda t, y, x: pull_cube(t[0], y, x))
    if how == "batch":
        op = of_both_modes("primitive")
        return tm.defbatch(op, lambda op, size, inputs, mapped, static: inputs[0] ** 3)
    if how == "elementwise":
        return tm.elementwise(pull_cube)(lambda x: x**3)
    return tm.scalar_rule(cube_op(), lambda y, x: 3 * x**2)


WAYS = ["primitive", "def", "joint", "batch", "elementwise", "scalar_rule"]
X = np.array([0.5, -1.5, 2.0])


@pytest.mark.parametrize("how", WAYS)
def test_a_users_op_through_every_door_at_every_order(how: str) -> None:
    cube = of_both_modes(how)
    x, tape = tm.Tape().leaf(X)
    y, tape = tape.record(cube, x)  # pure
    np.testing.assert_array_equal(tape.backward(y, np.ones(3))[x], 3 * X**2)
    step, tape = cube(x).run(tape)  # monadic
    np.testing.assert_array_equal(tape.value(step), X**3)
    np.testing.assert_array_equal(cube(X), X**3)  # arrays
    np.testing.assert_array_equal(tm.grad(lambda x: np.sum(cube(x)))(X), 3 * X**2)  # direct
    np.testing.assert_array_equal(tm.jvp(cube, (X,), (np.ones(3),))[1], 3 * X**2)
    np.testing.assert_allclose(tm.hessian(lambda x: np.sum(cube(x)))(X), np.diag(6 * X))
    np.testing.assert_allclose(tm.jacfwd(tm.jacfwd(tm.jacrev(cube)))(X).sum((1, 2, 3)), [6, 6, 6])
    batch = np.stack([X, 2 * X])
    np.testing.assert_array_equal(tm.vmap(cube)(batch), batch**3)
    np.testing.assert_allclose(tm.vmap(tm.grad(lambda x: np.sum(cube(x))))(batch), 3 * batch**2)
    check_grads(cube, (X,), order=3)
    check_rule(cube, X)


@pytest.mark.parametrize("how", ["primitive", "batch"])
def test_vmap_with_and_without_a_batch_rule(how: str) -> None:
    cube, calls = of_both_modes(how), []
    implementation = cube.implementation
    cube.implementation = lambda x: calls.append(x.shape) or implementation(x)
    np.testing.assert_array_equal(tm.vmap(cube)(np.stack([X, X, X, X])), np.stack([X**3] * 4))
    computed = [shape for shape in calls if shape == (3,)]
    assert len(computed) == {"primitive": 5, "batch": 1}[how]  # one call finds the shapes, with stand-ins
    no_examples = np.zeros((0, 3))
    if how == "batch":
        assert tm.vmap(cube)(no_examples).shape == (0, 3)
    else:
        with pytest.raises(tm.ConcretizationError, match=r"cube has no batch rule.*Give it one with tm\.defbatch"):
            tm.vmap(cube)(no_examples)


def test_shapes_are_typed() -> None:
    @tm.primitive
    def affine(w: Float[tm.Tensor, "out in"], x: Float[tm.Tensor, "*batch in"]) -> Float[tm.Tensor, "*batch out"]:
        return np.asarray(x) @ np.asarray(w).T

    w, x = np.ones((2, 3)), np.ones((5, 4))
    expected = (
        "affine(w, x): axis 'in' is 3 in w (2, 3) but 4 in x (5, 4)\n"
        '  w: Float[Tensor, "out in"]     f64[2,3]\n'
        '  x: Float[Tensor, "*batch in"]  f64[5,4]'
    )
    ref, tape = tm.Tape().leaf(x)
    calls: list[Callable[[], Any]] = [
        lambda: affine(w, x),
        lambda: tm.grad(lambda x: np.sum(affine(w, x)))(x),
        lambda: tm.vmap(affine, in_axes=(None, 0))(w, np.ones((2, 5, 4))),
    ]
    for call in calls:
        with pytest.raises(tm.ShapeError) as caught:
            call()
        assert str(caught.value).replace("  node 0", "") == expected
    for call in (lambda: tape.record(affine, w, ref), lambda: affine(w, ref).run(tape)):
        with pytest.raises(tm.ShapeError, match=r"axis 'in' is 3 in w \(2, 3\) but 4 in x \(5, 4\)"):
            call()
    with pytest.raises(tm.DTypeError, match="affine"):
        affine(w, np.ones((5, 3), np.int64))


def test_a_result_that_is_not_as_annotated() -> None:
    @tm.primitive
    def wrong(x: Vector) -> Vector:
        return x[:-1]

    with pytest.raises(tm.ShapeError, match="the op or its return annotation is wrong"):
        wrong(X)


def test_the_docstring_and_the_name_are_the_functions() -> None:
    @tm.primitive
    def documented(x: Vector) -> Vector:
        """What it does."""
        return x

    assert documented.__doc__ == "What it does." and documented.name == "documented"
    assert documented.usage() == "documented(x)"


# No rule.


def test_no_rule_is_an_error_only_when_differentiated_and_only_in_that_mode() -> None:
    ruleless = cube_op()
    ones = np.ones(3)
    x, tape = tm.Tape().leaf(X)
    y, tape = tape.record(ruleless, x)
    np.testing.assert_array_equal(tape.value(y), X**3)
    np.testing.assert_array_equal(ruleless(X), X**3)
    np.testing.assert_array_equal(tm.vmap(ruleless)(np.stack([X, X])), [X**3, X**3])
    assert tm.eval_shape(ruleless, X).shape == (3,)
    unused = tm.grad(lambda x: np.sum(np.sin(x)) + 0 * np.sum(ruleless(X)))  # not on the way
    np.testing.assert_array_equal(unused(X), np.cos(X))
    np.testing.assert_array_equal(tm.grad(lambda x: np.sum(x) + np.sum(ruleless(tm.detach(x))))(X), ones)
    tm.grad(lambda x: (ruleless(x), np.sum(x))[1])(X)  # nor is what no output depends on

    for differentiated in (
        lambda: tape.backward(y, ones),
        lambda: tm.grad(lambda x: np.sum(ruleless(x)))(X),
        lambda: tm.vjp(ruleless, X)[1](ones),
    ):
        with pytest.raises(tm.NoRuleError) as caught:
            differentiated()
        assert str(caught.value) == (
            "cube(x) (node 1) cannot be differentiated in reverse mode: it has no rrule. "
            "Give it one with tm.defrrule, or keep it out of the derivative with tm.detach."
        )
        assert isinstance(caught.value, NotImplementedError)
    with pytest.raises(tm.NoRuleError, match=r"in forward mode: it has no frule\. Give it one with tm\.deffrule"):
        tm.jvp(ruleless, (X,), (ones,))


def test_the_other_mode_works() -> None:
    backward, forward = cube_op(rrule=(pull_cube,)), cube_op(frule=(pull_cube,))
    np.testing.assert_array_equal(tm.jacrev(backward)(X), np.diag(3 * X**2))
    np.testing.assert_array_equal(tm.jacfwd(forward)(X), np.diag(3 * X**2))
    with pytest.raises(tm.NoRuleError, match=r"cube\(x\) \(node 1\) .* in forward mode: it has no frule"):
        tm.jacfwd(backward)(X)
    with pytest.raises(tm.NoRuleError, match=r"cube\(x\) \(node 1\) .* in reverse mode: it has no rrule"):
        tm.jacrev(forward)(X)


def test_a_rule_may_be_missing_for_one_operand() -> None:
    @tm.primitive(rrule=(lambda g, y, a, b: g * b, None), frule=(None, lambda t, y, a, b: a * t))
    def times(a: Vector, b: Vector) -> Vector:
        return a * b

    np.testing.assert_array_equal(tm.grad(lambda a: np.sum(times(a, 2 * X)))(X), 2 * X)
    np.testing.assert_array_equal(tm.jvp(lambda b: times(2 * X, b), (X,), (X,))[1], 2 * X * X)
    with pytest.raises(tm.NoRuleError, match=r"times\(a, b\).* with respect to argument 'b' in reverse mode"):
        tm.grad(lambda b: np.sum(times(X, b)))(X)
    with pytest.raises(tm.NoRuleError, match=r"times\(a, b\).* with respect to argument 'a' in forward mode"):
        tm.jvp(lambda a: times(a, X), (X,), (X,))


def test_a_rule_given_later_makes_an_op_differentiable() -> None:
    def half() -> Any:
        return tm.primitive(differentiable=False, name="half")(lambda x: x / 2)

    backward, forward = half(), half()
    assert tm.grad(backward)(1.0) == 0 and tm.jvp(forward, (1.0,), (1.0,))[1] == 0
    assert tm.defrrule(backward, lambda g, y, x: g / 2) is backward
    assert tm.deffrule(forward, lambda t, y, x: t / 2) is forward
    assert tm.grad(backward)(1.0) == 0.5 and tm.jvp(forward, (1.0,), (1.0,))[1] == 0.5


# Nothing.


@pytest.mark.parametrize(
    "nothing",
    [lambda: None, tm.Zero, tm.DoesNotExist, lambda: tm.Thunk(tm.Zero), lambda: tm.Thunk(lambda: tm.Thunk(tm.Zero))],
    ids=["None", "Zero", "DoesNotExist", "thunk", "nested thunk"],
)
def test_rules_may_return_nothing(nothing: Callable[[], Any]) -> None:
    calls: list[str] = []

    def pull(g: Any, y: Any, x: Any) -> Any:
        calls.append("before")
        return g

    before = tm.primitive(rrule=(pull,), frule=(pull,), name="before")(lambda x: x * 1)
    first = tm.primitive(
        rrule=(lambda g, y, a, b: g, lambda g, y, a, b: nothing()),
        frule=(lambda t, y, a, b: t, lambda t, y, a, b: nothing()),
        name="first",
    )(lambda a, b: a + 0 * b)
    joint = tm.primitive(
        rrule=lambda g, y, a, b: (g, nothing()),
        frule=lambda t, y, a, b: t[0] if type(t[0]) is not tm.Zero else nothing(),
        name="first",
    )(lambda a, b: a + 0 * b)
    for op in (first, joint):
        gradients = tm.grad(lambda a, b, op=op: np.sum(op(a, before(b))), (0, 1))(X, X)
        np.testing.assert_array_equal(gradients, [np.ones(3), np.zeros(3)])
        assert not calls  # nothing arrived, so the rule before was not asked
        np.testing.assert_array_equal(tm.jvp(op, (X, X), (X, X))[1], X)
        np.testing.assert_array_equal(tm.jvp(lambda b, op=op: np.sin(op(X, b)), (X,), (X,))[1], np.zeros(3))
        _, tape = tm.Tape().leaf(X)
        b, tape = tape.leaf(X, name="b")
        y, tape = tape.record(op, X, b)
        with pytest.raises(tm.MissingGradientError, match="was not reached"):
            tape.backward(y, np.ones(3))[b]
