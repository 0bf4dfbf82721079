"""The model level: every function against differences, through every door, for layers, functions and programs."""

import inspect
import pickle
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

import layers
import losses
import tapem as tm
from layers import (
    AvgPool2d,
    BatchNorm,
    Conv2d,
    Dropout,
    Embedding,
    Flatten,
    Linear,
    MaxPool2d,
    Relu,
    SinusoidalPositions,
    Tanh,
    TransformerBlock,
)
from tapem.core.tree import tree_flatten, tree_map

from .cases import (
    Case,
    along,
    calls,
    check_close,
    check_equal,
    difference_gradient,
    direction_like,
    drawn,
    in_refs,
    initial,
    values_of,
)

KEY = tm.random.key(0)


def perceptron(params: Any, x: Any) -> Any:
    return np.tanh(x @ params["w1"] + params["b1"]) @ params["w2"]


@tm.do
def program(params: Any, x: Any) -> Any:
    h = yield from tm.tanh(tm.add(tm.matmul(x, params["w1"]), params["b1"]))
    out = yield from tm.matmul(h, params["w2"])
    return out


@tm.do
def mean_square(prediction: Any, target: Any) -> Any:
    error = yield from tm.sub(prediction, target)
    out = yield from tm.mean(tm.square(error))
    return out


def plain_mean_square(prediction: Any, target: Any) -> Any:
    return np.mean((prediction - target) ** 2)


def mlp() -> Any:
    return Linear(4, 3, dtype=np.float64) >> Tanh() >> Linear(3, 2, dtype=np.float64)


WEIGHTS = {"w1": drawn(1, 4, 3), "b1": drawn(2, 3), "w2": drawn(3, 3, 2)}
CASES = {
    "layers": Case(mlp(), losses.mse, initial(mlp()), drawn(4, 5, 4), drawn(5, 5, 2)),
    "one example": Case(mlp(), losses.log_cosh, initial(mlp()), drawn(4, 4), drawn(5, 2)),
    "labels": Case(mlp(), losses.cross_entropy, initial(mlp()), drawn(4, 5, 4), np.array([0, 1, 1, 0, 1])),
    "function": Case(perceptron, plain_mean_square, WEIGHTS, drawn(4, 5, 4), drawn(5, 5, 2)),
    "program": Case(program, mean_square, WEIGHTS, drawn(4, 5, 4), drawn(5, 5, 2)),
    "mixed": Case(program, losses.huber, WEIGHTS, drawn(4, 4), drawn(5, 2)),
}
CONVOLUTIONAL = Conv2d(1, 2, 3, padding=1) >> Tanh() >> MaxPool2d(2) >> Flatten(-3) >> Linear(8, 3)
NORMALIZED = Conv2d(1, 2, 2) >> BatchNorm(2) >> Relu() >> AvgPool2d(3) >> Flatten() >> Dropout(0.4) >> Linear(2, 3)
BLOCK = TransformerBlock(4, 2, 3, causal=True, dropout=0.3)
TOKENS = Embedding(5, 4) >> SinusoidalPositions() >> TransformerBlock(4, 2, 3, causal=True) >> Linear(4, 5)
IMAGES, LABELS = drawn(4, 3, 1, 4, 4), np.array([2, 0, 1])
STATE = tree_map(lambda leaf: leaf + 0.25, NORMALIZED.init_state())
TRAIN = {"key": KEY, "train": True}
CASES |= {
    "conv net": Case(CONVOLUTIONAL, losses.cross_entropy, initial(CONVOLUTIONAL), IMAGES, LABELS),
    "one image": Case(CONVOLUTIONAL, losses.mse, initial(CONVOLUTIONAL), IMAGES[0], drawn(5, 3)),
    "conv net, train": Case(
        NORMALIZED, losses.cross_entropy, initial(NORMALIZED), IMAGES, LABELS, {**TRAIN, "state": STATE}
    ),
    "conv net, eval": Case(NORMALIZED, losses.mse, initial(NORMALIZED), IMAGES, drawn(5, 3, 3), {"state": STATE}),
    "transformer, train": Case(BLOCK, losses.mse, initial(BLOCK), drawn(4, 2, 3, 4), drawn(5, 2, 3, 4), TRAIN),
    "transformer, eval": Case(BLOCK, losses.huber, initial(BLOCK), drawn(4, 3, 4), drawn(5, 3, 4)),
    "tokens": Case(TOKENS, losses.cross_entropy, initial(TOKENS), np.array([[0, 3, 3]]), np.array([[3, 3, 1]])),
}
every_case = pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())


# Against differences --------------------------------------------------------------------------------------------------


@every_case
def test_gradients_are_those_of_differences(case):
    point = params, x, target = case[2:5]
    found = case.of_loss(tm.model.value_and_grad, *point)
    assert type(found) is tm.model.ValueAndGrad
    np.testing.assert_allclose(found.value, case.value(*point), rtol=1e-14)
    check_close(found.dparams, difference_gradient(lambda p: case.value(p, x, target), params))
    check_close(found.dx, difference_gradient(lambda v: case.value(params, v, target), x))
    check_close(found.dtarget, difference_gradient(lambda t: case.value(params, x, t), target))


@every_case
def test_variants_are_parts_of_it(case):
    api = tm.model
    value, dparams, dx, dtarget = case.of_loss(api.value_and_grad, *case[2:5])
    for variant, expected in [
        (api.grad_params, dparams),
        (api.grad_inputs, (dx, dtarget)),
        (api.grad_x, dx),
        (api.grad_target, dtarget),
        (api.value_and_grad_params, (value, dparams)),
        (api.value_and_grad_x, (value, dx)),
        (api.value_and_grad_target, (value, dtarget)),
    ]:
        check_equal(case.of_loss(variant, *case[2:5]), expected)


@every_case
def test_pullbacks_and_jacobians_are_those_of_differences(case):
    _, _, params, x, _, _ = case
    cotangent = drawn(21, *np.shape(case.predict(params, x)))

    def pulled(jacobian: Any) -> Any:
        return np.tensordot(cotangent, jacobian, axes=cotangent.ndim)

    by_params = difference_gradient(lambda p: case.predict(p, x), params)
    check_close(case.of_model(tm.model.jacrev, params, x), by_params)
    check_close(case.of_model(tm.model.vjp_params, params, x, cotangent), tree_map(pulled, by_params))
    by_input = difference_gradient(lambda v: case.predict(params, v), x)
    check_close(case.of_model(tm.model.vjp_input, params, x, cotangent), tree_map(pulled, by_input))
    if by_input is not None:
        check_close(case.of_model(tm.model.jacrev_input, params, x), by_input)


@every_case
def test_slope_and_curvature_are_those_of_differences(case):
    _, _, params, x, target, _ = case
    tangent = direction_like(params)
    slope = case.of_loss(tm.model.jvp, params, x, target, tangent)
    assert np.shape(slope) == ()
    expected = along(lambda p: case.value(p, x, target), params, tangent)
    np.testing.assert_allclose(slope, expected, rtol=1e-7, atol=1e-9)

    def gradient(p: Any) -> Any:
        return case.of_loss(tm.model.grad_params, p, x, target)

    product = case.of_loss(tm.model.hvp, params, x, target, tangent)
    check_close(product, along(gradient, params, tangent), 1e-6)


# Doors ----------------------------------------------------------------------------------------------------------------


@every_case
def test_the_numbers_do_not_depend_on_the_door(case):
    point = case.params, case.x, case.target
    refs, tape = in_refs(point, tm.Tape())
    # Only one of the three as Refs is enough to get a step.
    some = refs[0], case.x, case.target
    for name, call in calls(case).items():
        expected = call(*point)
        step = call(*refs)
        assert isinstance(step, tm.TapeM), name
        assert not any(isinstance(leaf, np.ndarray) for leaf in tree_flatten(expected)[0] if leaf is None)
        check_close(values_of(*step.run(tape)), expected, 1e-13)
        check_close(values_of(*call(*some).run(tape)), expected, 1e-13)

        aux = tm.grad(lambda p, call=call: (0.0 * np.sum(tree_flatten(p)[0][0]), call(p, *point[1:])), has_aux=True)
        check_close(aux(point[0])[1], expected, 1e-13)


def test_a_step_in_the_place_of_the_input():
    case = CASES["function"]
    step = tm.model.grad_params(perceptron, plain_mean_square, WEIGHTS, tm.leaf(case.x), case.target)
    gradient, tape = step.run()
    expected = tm.model.grad_params(perceptron, plain_mean_square, WEIGHTS, case.x, case.target)
    check_close(values_of(gradient, tape), expected, 1e-14)


def test_what_was_recorded_can_be_swept_again():
    """The gradient penalty: the square of the gradient in x, differentiated in the parameters, through two doors."""
    model, loss, params, x, target, _ = CASES["function"]

    def penalty(params):
        return np.sum(tm.model.grad_x(model, loss, params, x, target) ** 2)

    found = tm.grad(penalty)(params)
    check_close(found, difference_gradient(penalty, params), 1e-6)

    refs, tape = in_refs(params, tm.Tape())
    dx, tape = tm.model.grad_x(model, loss, refs, x, target).run(tape)
    total, tape = tm.sum(tm.square(dx)).run(tape)
    gradients = tape.backward_scalar(total)
    check_close(tree_map(lambda ref: gradients[ref], refs), found, 1e-13)


def test_the_hessian_by_products_is_the_hessian():
    model, loss, params, x, target, _ = CASES["function"]
    vector, unravel = tm.ravel(params)
    full = tm.hessian(lambda v: loss(model(unravel(v), x), target))(vector)

    def column(unit):
        return tm.ravel(tm.model.hvp(model, loss, params, x, target, unravel(unit)))[0]

    np.testing.assert_allclose(tm.vmap(column)(np.eye(len(vector))), full, atol=1e-12)


# Single examples and batches ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["layers", "labels", "function", "program"])
def test_the_gradient_of_a_batch_is_the_mean_of_those_of_its_examples(name):
    model, loss, params, x, target, _ = CASES[name]
    whole = tm.model.grad_params(model, loss, params, x, target)
    each = [tm.model.grad_params(model, loss, params, one, t) for one, t in zip(x, target, strict=True)]
    check_close(tree_map(lambda *gs: sum(gs) / len(gs), *each), whole, 1e-13)
    mapped = tm.vmap(lambda one, t: tm.model.grad_params(model, loss, params, one, t))(x, target)
    check_close(tree_map(lambda g: np.mean(g, axis=0), mapped), whole, 1e-13)
    if target.dtype.kind == "f":
        by_target = tm.vmap(lambda one, t: tm.model.grad_target(model, loss, params, one, t))(x, target)
        check_close(by_target / len(x), tm.model.grad_target(model, loss, params, x, target), 1e-13)


# What is not differentiated -------------------------------------------------------------------------------------------


def lookup(params: Any, ids: Any) -> Any:
    return np.tanh(np.take(params["table"], ids, axis=0)) @ params["out"]


def test_tokens_and_labels_have_no_gradient():
    params = {"table": drawn(1, 5, 3), "out": drawn(2, 3, 4)}
    ids, labels = np.array([0, 3, 3]), np.array([1, 0, 2])
    found = tm.model.value_and_grad(lookup, losses.cross_entropy, params, ids, labels)
    assert found.dx is None and found.dtarget is None
    check_close(
        found.dparams,
        difference_gradient(lambda p: losses.cross_entropy(lookup(p, ids), labels), params),
    )
    assert tm.model.grad_x(lookup, losses.cross_entropy, params, ids, labels) is None
    assert tm.model.grad_inputs(lookup, losses.cross_entropy, params, ids, labels) == (None, None)
    value, dtarget = tm.model.value_and_grad_target(lookup, losses.cross_entropy, params, ids, labels)
    assert dtarget is None and float(value) == float(found.value)
    assert tm.model.vjp_input(lookup, params, ids, np.ones((3, 4))) is None


def test_a_tree_of_inputs_has_a_tree_of_gradients():
    def model(w, x):
        return w * x["scale"] * x["ids"]

    x = {"scale": 2.0, "ids": np.array([1, 2])}
    found = tm.model.grad_x(model, lambda p, t: np.sum(p * t), 3.0, x, np.ones(2))
    assert found["ids"] is None and float(found["scale"]) == 9.0


def test_a_detached_loss_reaches_the_target_only():
    model, _, params, x, target, _ = CASES["layers"]
    metric = losses.detach(losses.mse)
    found = tm.model.value_and_grad(model, metric, params, x, target)
    attached = tm.model.value_and_grad(model, losses.mse, params, x, target)
    assert found.value == attached.value
    np.testing.assert_array_equal(found.dtarget, attached.dtarget)
    for zero, leaf in zip(tree_flatten((found.dparams, found.dx))[0], tree_flatten((params, x))[0], strict=True):
        np.testing.assert_array_equal(zero, np.zeros_like(leaf))
    refs, tape = in_refs(params, tm.Tape())
    again, tape = tm.model.value_and_grad(model, metric, refs, x, target).run(tape)
    np.testing.assert_array_equal(values_of(again, tape).dtarget, attached.dtarget)
    assert tm.model.jvp(model, metric, params, x, target, direction_like(params)) == 0.0
    check_equal(tm.model.hvp(model, metric, params, x, target, direction_like(params)), tree_map(np.zeros_like, params))


def test_float32_stays_float32():
    model = Linear(4, 8) >> Relu() >> Linear(8, 2)
    params = model.init(KEY)
    x, target = np.ones((5, 4), np.float32), np.ones((5, 2), np.float32)
    tangent = tree_map(np.ones_like, params)
    found = [
        tm.model.value_and_grad(model, losses.mse, params, x, target),
        tm.model.jacrev(model, params, x),
        tm.model.vjp_input(model, params, x, np.ones((5, 2), np.float32)),
        tm.model.jvp(model, losses.mse, params, x, target, tangent),
        tm.model.hvp(model, losses.mse, params, x, target, tangent),
    ]
    assert {leaf.dtype for leaf in tree_flatten(found)[0]} == {np.dtype(np.float32)}


# Key, train, state ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Noise(layers.Layer):
    """Adds noise in training, scaled by a parameter."""

    def init(self, key: Any, input_shape: Any = None) -> Any:
        return np.array(0.5)

    def forward(self, params: Any, x: Any, *, key: Any = None, train: bool = False) -> Any:
        return x + params * tm.random.normal(key, np.shape(x)) if train else x


@dataclass(frozen=True)
class Center(layers.Layer):
    """Subtracts a running mean, which is its state; times a parameter."""

    def init(self, key: Any, input_shape: Any = None) -> Any:
        return np.array(2.0)

    def init_state(self) -> Any:
        return {"mean": np.array(0.25)}

    def step(self, params: Any, state: Any, x: Any, *, key: Any = None, train: bool = False) -> tuple[Any, Any]:
        mean = np.mean(x)
        after = {"mean": 0.5 * state["mean"] + 0.5 * mean} if train else state
        return params * (x - (mean if train else state["mean"])), after


def noisy() -> Case:
    model = Linear(4, 3, dtype=np.float64) >> Noise() >> Tanh()
    return Case(model, losses.mse, initial(model), drawn(4, 5, 4), drawn(5, 5, 3), {"key": KEY, "train": True})


def test_key_and_train_reach_the_layers():
    case = noisy()
    test_gradients_are_those_of_differences(case)
    test_slope_and_curvature_are_those_of_differences(case)
    test_pullbacks_and_jacobians_are_those_of_differences(case)
    test_the_numbers_do_not_depend_on_the_door(case)
    test_variants_are_parts_of_it(case)
    other = tm.model.value_and_grad_x(*case[:5], key=tm.random.key(1), train=True)[0]
    calm = tm.model.value_and_grad_x(*case[:5])[0]
    assert len({float(v) for v in (other, calm, case.value(*case[2:5]))}) == 3


def centered() -> tuple[Case, Any]:
    model = Linear(4, 3, dtype=np.float64) >> Center() >> Tanh()
    options = {"state": model.init_state(), "train": True}
    case = Case(model, losses.mse, initial(model), drawn(4, 5, 4), drawn(5, 5, 3), options)
    return case, model.apply(case.params, case.x, **options)[1]


def test_state_is_given_and_given_back():
    case, after = centered()
    outside = Case(*case[:5], {**case.options})
    for name, call in calls(case).items():
        result, state = call(*case[2:5])
        check_equal(state, after)
        refs, tape = in_refs(case[2:5], tm.Tape())
        again, tape = call(*refs).run(tape)
        check_close(values_of(again, tape), (result, after), 1e-13)
        mapped = tm.vmap(lambda x, call=call: call(case.params, x, case.target))(case.x[None])
        check_close(mapped, tree_map(lambda leaf: np.asarray(leaf)[None], (result, after)), 1e-13)
        if name == "value_and_grad":
            check_close(
                result.dparams, difference_gradient(lambda p: outside.value(p, case.x, case.target), case.params)
            )
            check_close(result.dx, difference_gradient(lambda x: outside.value(case.params, x, case.target), case.x))


def test_a_state_of_refs_asks_for_a_step():
    case, after = centered()
    refs, tape = in_refs(case.options["state"], tm.Tape())
    step = tm.model.grad_x(*case[:5], state=refs, train=True)
    assert isinstance(step, tm.TapeM)
    result, tape = step.run(tape)
    check_close(values_of(result, tape)[1], after, 1e-14)


def test_a_function_gets_the_options_that_it_is_given():
    def model(w, x, *, key, train=False, state=None):
        return w * x + tm.random.normal(key), {"calls": state["calls"] + 1, "train": float(train)}

    result = tm.model.grad_params(model, lambda p, t: p * t, 2.0, 3.0, 1.0, key=KEY, state={"calls": 1.0})
    assert result == (3.0, {"calls": 2.0, "train": 0.0})


# What is refused ------------------------------------------------------------------------------------------------------


def complaint(kind: type[Exception], call: Callable[..., Any], *arguments: Any, **options: Any) -> str:
    with pytest.raises(kind) as error:
        call(*arguments, **options)
    assert isinstance(error.value, tm.TapeError)
    return str(error.value)


def with_loss(loss: Any) -> tuple[Any, ...]:
    return CASES["layers"].model, loss, *CASES["layers"][2:5]


@pytest.mark.parametrize("call", [tm.model.value_and_grad, tm.model.grad_x, tm.model.jvp, tm.model.hvp])
def test_a_loss_that_is_no_scalar_is_refused(call):
    more = (CASES["layers"].params,) if call in (tm.model.jvp, tm.model.hvp) else ()

    def mse(prediction, target):
        return losses.mse(prediction, target, reduction="none")

    assert complaint(tm.NotScalarError, call, *with_loss(mse), *more) == (
        "loss mse must return a scalar, but returned shape (5, 2). Let it reduce its terms to their "
        '"mean" or "sum" (where it has a reduction, not "none"), or wrap it with np.mean.'
    )
    assert complaint(tm.NotScalarError, call, *with_loss(lambda p, t: (np.sum(p), np.sum(t))), *more).startswith(
        "loss <lambda> must return a scalar, but returned (Tracer"
    )
    assert complaint(tm.NotScalarError, call, *with_loss(lambda p, t: None), *more) == (
        "loss <lambda> must return a scalar, but returned None: no `return`?"
    )
    assert complaint(tm.DTypeError, call, *with_loss(lambda p, t: np.sum(p > t)), *more).startswith(
        "loss <lambda> must return a real number, but returned dtype int64 ("
    )


def test_what_is_no_model_or_no_loss_is_refused():
    _, loss, params, x, target, _ = CASES["layers"]
    assert complaint(tm.ArgumentError, tm.model.grad_x, params, loss, params, x, target).endswith(
        "but must be an object with apply(params, x, *, key, train), or a function (params, x) -> prediction."
    )
    assert complaint(tm.ArgumentError, tm.model.jacrev, Linear, params, x).startswith(
        "model is <class 'layers.dense.Linear'>, but must be"
    )
    assert complaint(tm.ArgumentError, tm.model.grad_x, perceptron, target, params, x, target).endswith(
        "but must be a function (prediction, target) -> scalar."
    )


def test_options_that_a_function_does_not_take_are_refused():
    case = CASES["function"]
    assert complaint(tm.ArgumentError, tm.model.grad_x, *case[:5], key=KEY, train=True) == (
        "model perceptron was to be given key and train, which it does not take."
    )
    assert complaint(tm.ArgumentError, tm.model.jacrev, perceptron, WEIGHTS, case.x, state=()) == (
        "model perceptron was to be given state, which it does not take."
    )
    assert complaint(tm.ArgumentError, tm.model.jacrev, lambda p, x, state: x, 1.0, 2.0, state=()) == (
        "model <lambda> was given a state, so it must return (prediction, new state)."
    )
    with pytest.raises(TypeError, match="my own"):
        tm.model.jacrev(raises_type_error, 1.0, 2.0)


def raises_type_error(params: Any, x: Any) -> Any:
    raise TypeError("my own")


def test_a_model_with_state_asks_for_it():
    case, _ = centered()
    assert "has state: start from model.init_state()" in complaint(tm.ArgumentError, tm.model.grad_x, *case[:5])


def test_parameters_that_are_integers_are_refused():
    params = {"w": np.ones((4, 2)), "steps": np.array(3)}
    message = (
        "params: leaf 0 holds int64 values, which have no derivative. Convert them to floats, or keep them out of "
        "params (leaves are numbered {'w': 1, 'steps': 0})."
    )
    arguments = (lambda p, x: x @ p["w"]), plain_mean_square, params, np.ones((3, 4)), np.ones((3, 2))
    model, _, _, x, _ = arguments
    assert complaint(tm.DTypeError, tm.model.value_and_grad, *arguments) == message
    assert complaint(tm.DTypeError, tm.model.grad_params, *arguments) == message
    assert complaint(tm.DTypeError, tm.model.jvp, *arguments, params) == message
    assert complaint(tm.DTypeError, tm.model.hvp, *arguments, params) == message
    assert complaint(tm.DTypeError, tm.model.jacrev, model, params, x) == message
    assert complaint(tm.DTypeError, tm.model.vjp_params, model, params, x, np.ones((3, 2))) == message
    assert tm.model.grad_x(*arguments).shape == (3, 4)  # where they are not differentiated they do no harm
    assert complaint(tm.DTypeError, tm.model.jacrev_input, model, params, np.ones((3, 4), int)).startswith(
        "x: leaf 0 holds int64 values, which have no derivative."
    )


def test_cotangents_and_tangents_that_do_not_fit_are_refused():
    model, loss, params, x, target, _ = CASES["layers"]
    assert "has shape (2, 5), but belongs to a value of shape (5, 2)" in complaint(
        tm.ShapeError, tm.model.vjp_params, model, params, x, np.ones((2, 5))
    )
    assert "structures differ" in complaint(tm.TreeError, tm.model.vjp_input, model, params, x, [np.ones((5, 2))])
    assert "tangents are" in complaint(tm.TreeError, tm.model.jvp, model, loss, params, x, target, params[0])
    wrong = tree_map(lambda leaf: leaf[..., :1], params)
    assert "the tangent has shape" in complaint(tm.ShapeError, tm.model.hvp, model, loss, params, x, target, wrong)


def test_flatten_and_shapes_are_as_the_layers_say():
    model = Flatten(-2) >> Linear(4, 2, dtype=np.float64)
    jacobian = tm.model.jacrev_input(model, initial(model), drawn(4, 3, 2, 2))
    assert jacobian.shape == (3, 2, 3, 2, 2)
    assert complaint(tm.ShapeError, tm.model.grad_x, model, losses.mse, initial(model), drawn(4, 3, 2), drawn(5, 3, 2))


@pytest.mark.parametrize("name", [name for name in tm.model.__all__ if "grad" in name and name != "ValueAndGrad"])
def test_gradients_say_who_they_are(name: str):
    """They are made by one maker, but each has its name, its own help, and the parameters of all."""
    function = getattr(tm.model, name)
    assert function.__name__ == function.__qualname__ == name and f"{name}(" in function.__doc__
    parameters = ["model", "loss", "params", "x", "target", "key", "train", "state"]
    assert list(inspect.signature(function).parameters) == parameters
    assert pickle.loads(pickle.dumps(function)) is function
