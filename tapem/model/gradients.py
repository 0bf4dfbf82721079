"""Gradients of the loss of a model: with respect to its parameters, its input, the target, or all of them at once.

All are one sweep of `tm.value_and_grad` over the same function. Their decorator says with respect to what they
differentiate, and their body arranges the result. So all give the same numbers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from tapem import transforms
from tapem.model.programs import Loss, Model, Setting, Tree, at, check_floats, objective

PARAMS, X, TARGET = range(3)


class ValueAndGrad(NamedTuple):
    """The value of a loss, and its gradients with respect to parameters, input and target.

    `dparams` is a tree like the parameters, `dx` like the input, `dtarget` like the target; integers and bools in input
    and target, such as token ids and labels, have None as gradient.

    >>> found = tm.model.value_and_grad(lambda w, x: w * x, lambda p, t: (p - t) ** 2, 3.0, 2.0, 5.0)
    >>> float(found.value), float(found.dparams)
    (1.0, 4.0)
    """

    value: Any
    dparams: Tree
    dx: Tree
    dtarget: Tree


def of_loss(*argnums: int):
    """Decorate a function of `(value, *gradients)`, the gradients with respect to these of `(params, x, target)`.

    It becomes a function of a model and a loss that computes them in one sweep.
    """

    def make(arrange: Callable[..., Any]):
        def derivative(
            model: Model, loss: Loss, params: Tree, x: Tree, target: Tree, *, key: Tree = None, train: bool = False,
            state: Tree = None,
        ) -> Any:  # fmt: skip
            def body(setting: Setting, *point: Tree) -> tuple[Any, Any]:
                if PARAMS in argnums:
                    check_floats(point[PARAMS], "params")
                scalar = objective(model, loss, setting)
                evaluate = transforms.value_and_grad(scalar, argnums, has_aux=True, allow_int=True)
                (value, after), gradients = evaluate(*point)
                return arrange(value, *gradients), after

            return at(Setting(key, train, state), body, params, x, target)

        for attribute in ("__name__", "__qualname__", "__doc__"):
            setattr(derivative, attribute, getattr(arrange, attribute))
        return derivative

    return make


@of_loss(PARAMS, X, TARGET)
def value_and_grad(value: Any, dparams: Tree, dx: Tree, dtarget: Tree):
    """The loss of a model, and its gradients with respect to parameters, input and target, from one sweep.

    `model` is an object with `apply(params, x, *, key, train)`, such as a layer, or a program `(params, x) ->
    prediction`; `loss` a program `(prediction, target) -> scalar`. The result is a `ValueAndGrad(value, dparams, dx,
    dtarget)`. x may be a single example or a batch, whatever the model takes.

    The arguments decide the kind of result, here and in the rest of `tm.model`: for arrays it is computed; for tracers
    it is recorded, so it can be differentiated and mapped over again; with Refs or steps anywhere in params, x or
    target it is a step, `TapeM`. Integers and bools in x or target get None as their gradient.

    `key` is for models that draw random numbers (dropout), `train` for models that work differently in training; a
    plain function gets them only if you pass them. With the `state` of a model that has one (running statistics), the
    result is `(result, new state)`.

    Raises NotScalarError if the loss is not a scalar (`reduction="none"`), DTypeError for parameters that are integers,
    ArgumentError for a value that is not a model, or a model that does not take the options.

    >>> linear = lambda params, x: x @ params["w"] + params["b"]
    >>> mean_square = lambda prediction, target: np.mean((prediction - target) ** 2)
    >>> params = {"w": np.array([1.0, 2.0]), "b": 0.5}
    >>> x, target = np.array([[1.0, 0.0], [0.0, 1.0]]), np.array([1.0, 2.0])
    >>> value, dparams, dx, dtarget = value_and_grad(linear, mean_square, params, x, target)
    >>> float(value), dparams
    (0.25, {'w': array([0.5, 0.5]), 'b': np.float64(1.0)})
    >>> dx, dtarget
    (array([[0.5, 1. ],
           [0.5, 1. ]]), array([-0.5, -0.5]))
    """
    return ValueAndGrad(value, dparams, dx, dtarget)


@of_loss(PARAMS)
def value_and_grad_params(value: Any, dparams: Tree):
    """`(value, dparams)`: the loss of a model, and its gradient with respect to the parameters; see `value_and_grad`.

    >>> value, dw = value_and_grad_params(lambda w, x: w * x, lambda p, t: (p - t) ** 2, 3.0, 2.0, 5.0)
    >>> float(value), float(dw)
    (1.0, 4.0)
    """
    return value, dparams


@of_loss(X)
def value_and_grad_x(value: Any, dx: Tree):
    """`(value, dx)`: the loss of a model, and its gradient with respect to the input; see `value_and_grad`.

    >>> value, dx = value_and_grad_x(lambda w, x: w * x, lambda p, t: (p - t) ** 2, 3.0, 2.0, 5.0)
    >>> float(value), float(dx)
    (1.0, 6.0)
    """
    return value, dx


@of_loss(TARGET)
def value_and_grad_target(value: Any, dtarget: Tree):
    """`(value, dtarget)`: the loss of a model, and its gradient with respect to the target; see `value_and_grad`.

    >>> value, dtarget = value_and_grad_target(lambda w, x: w * x, lambda p, t: (p - t) ** 2, 3.0, 2.0, 5.0)
    >>> float(value), float(dtarget)
    (1.0, -2.0)
    """
    return value, dtarget


@of_loss(PARAMS)
def grad_params(_: Any, dparams: Tree):
    """The gradient of the loss with respect to the parameters, a tree like them; see `value_and_grad`.

    >>> float(grad_params(lambda w, x: w * x, lambda p, t: (p - t) ** 2, 3.0, 2.0, 5.0))
    4.0
    """
    return dparams


@of_loss(X, TARGET)
def grad_inputs(_: Any, dx: Tree, dtarget: Tree):
    """`(dx, dtarget)`: the gradients of the loss with respect to all data, the input and the target.

    See `value_and_grad`; `grad_x` and `grad_target` give one of the two.

    >>> dx, dtarget = grad_inputs(lambda w, x: w * x, lambda p, t: (p - t) ** 2, 3.0, 2.0, 5.0)
    >>> float(dx), float(dtarget)
    (6.0, -2.0)
    """
    return dx, dtarget


@of_loss(X)
def grad_x(_: Any, dx: Tree):
    """The gradient of the loss with respect to the input; see `value_and_grad`.

    >>> float(grad_x(lambda w, x: w * x, lambda p, t: (p - t) ** 2, 3.0, 2.0, 5.0))
    6.0
    """
    return dx


@of_loss(TARGET)
def grad_target(_: Any, dtarget: Tree):
    """The gradient of the loss with respect to the target; see `value_and_grad`.

    >>> float(grad_target(lambda w, x: w * x, lambda p, t: (p - t) ** 2, 3.0, 2.0, 5.0))
    -2.0
    """
    return dtarget
