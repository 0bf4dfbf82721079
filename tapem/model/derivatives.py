"""Derivatives of a model beyond the gradient of its loss: pullbacks and Jacobians, directions and curvature."""

from __future__ import annotations

from typing import Any

from tapem import transforms
from tapem.model.programs import Loss, Model, Setting, Tree, at, check_floats, objective, prediction


def vjp_params(
    model: Model, params: Tree, x: Tree, cotangent: Tree, *, key: Tree = None, train: bool = False, state: Tree = None
) -> Any:
    """Pull a cotangent of the prediction back to the parameters: a tree like them (the vector-Jacobian product).

    If the cotangent is the gradient of a loss, the result is the gradient of that loss. Doors and options are
    those of `value_and_grad`. Raises ShapeError, DTypeError or TreeError for a cotangent that does not fit the
    prediction.

    >>> vjp_params(lambda w, x: w * x, np.array([1.0, 2.0]), np.array([3.0, 4.0]), np.array([1.0, 10.0]))
    array([ 3., 40.])
    """

    def body(setting: Setting, params: Tree, x: Tree, cotangent: Tree) -> tuple[Any, Any]:
        check_floats(params, "params")
        predict = prediction(model, setting)
        _, pullback, after = transforms.vjp(lambda params: predict(params, x), params, has_aux=True)  # pyright: ignore
        return pullback(cotangent)[0], after

    return at(Setting(key, train, state), body, params, x, cotangent)


def vjp_input(
    model: Model, params: Tree, x: Tree, cotangent: Tree, *, key: Tree = None, train: bool = False, state: Tree = None
) -> Any:
    """Pull a cotangent of the prediction back to the input: a tree like x, with None for integers.

    This is `vjp_params` for the other argument of the model.

    >>> vjp_input(lambda w, x: w * x, np.array([1.0, 2.0]), np.array([3.0, 4.0]), np.array([1.0, 10.0]))
    array([ 1., 20.])
    """

    def body(setting: Setting, params: Tree, x: Tree, cotangent: Tree) -> tuple[Any, Any]:
        predict = prediction(model, setting)
        _, pullback, after = transforms.vjp(lambda x: predict(params, x), x, has_aux=True)  # pyright: ignore
        return pullback(cotangent)[0], after

    return at(Setting(key, train, state), body, params, x, cotangent)


def jacrev(model: Model, params: Tree, x: Tree, *, key: Tree = None, train: bool = False, state: Tree = None) -> Any:
    """The Jacobian of the prediction by the parameters: a tree like them, each leaf `prediction.shape + leaf.shape`.

    The model runs once; the pullback is mapped over all cotangents of the prediction at once. If the prediction is a
    tree, the result has one such tree for each of its leaves. Doors and options are those of `value_and_grad`. Raises
    DTypeError for integer parameters or predictions.

    >>> jacrev(lambda w, x: w * x, np.array([1.0, 2.0]), np.array([3.0, 4.0]))
    array([[3., 0.],
           [0., 4.]])
    """

    def body(setting: Setting, params: Tree, x: Tree) -> tuple[Any, Any]:
        check_floats(params, "params")
        return transforms.jacrev(prediction(model, setting), 0, has_aux=True)(params, x)

    return at(Setting(key, train, state), body, params, x)


def jacrev_input(
    model: Model, params: Tree, x: Tree, *, key: Tree = None, train: bool = False, state: Tree = None
) -> Any:
    """The Jacobian of the prediction by the input: a tree like x, each leaf `prediction.shape + leaf.shape`.

    This is `jacrev` for the other argument of the model. Raises DTypeError for an input of integers.

    >>> jacrev_input(lambda w, x: w @ x, np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([0.5, 1.5]))
    array([[1., 2.],
           [3., 4.]])
    """

    def body(setting: Setting, params: Tree, x: Tree) -> tuple[Any, Any]:
        check_floats(x, "x")
        return transforms.jacrev(prediction(model, setting), 1, has_aux=True)(params, x)

    return at(Setting(key, train, state), body, params, x)


def jvp(
    model: Model, loss: Loss, params: Tree, x: Tree, target: Tree, tangent: Tree, *, key: Tree = None,
    train: bool = False, state: Tree = None,
) -> Any:  # fmt: skip
    """The derivative of the loss along a direction of the parameters, `d/dt loss(params + t tangent)` at 0: a scalar.

    Forward mode: one run of the model, without a sweep back. `tangent` is a tree like params. Doors and options are
    those of `value_and_grad`. Raises ShapeError, DTypeError or TreeError for a tangent that does not fit the
    parameters.

    >>> float(jvp(lambda w, x: w * x, lambda p, t: (p - t) ** 2, 3.0, 2.0, 5.0, tangent=10.0))
    40.0
    """

    def body(setting: Setting, params: Tree, x: Tree, target: Tree, tangent: Tree) -> tuple[Any, Any]:
        check_floats(params, "params")
        evaluate = objective(model, loss, setting)

        def along(params: Tree) -> Any:
            return evaluate(params, x, target)

        _, derivative, after = transforms.jvp(along, (params,), (tangent,), has_aux=True)
        return derivative, after

    return at(Setting(key, train, state), body, params, x, target, tangent)


def hvp(
    model: Model, loss: Loss, params: Tree, x: Tree, target: Tree, tangent: Tree, *, key: Tree = None,
    train: bool = False, state: Tree = None,
) -> Any:  # fmt: skip
    """The Hessian of the loss by the parameters, times a direction: the gradient's derivative along it.

    Forward over reverse, at a small multiple of the cost of a gradient; the Hessian itself is never made. `tangent` and
    the result are trees like params. Doors, options and errors are those of `jvp`.

    >>> hvp(lambda w, x: w * x, lambda p, t: np.sum((p - t) ** 3), np.ones(2), 1.0, 0.0, np.array([1.0, 10.0]))
    array([ 6., 60.])
    """

    def body(setting: Setting, params: Tree, x: Tree, target: Tree, tangent: Tree) -> tuple[Any, Any]:
        check_floats(params, "params")
        evaluate = objective(model, loss, setting)

        def slope(params: Tree) -> Any:
            return transforms.grad(evaluate, has_aux=True)(params, x, target)

        _, product, after = transforms.jvp(slope, (params,), (tangent,), has_aux=True)
        return product, after

    return at(Setting(key, train, state), body, params, x, target, tangent)
