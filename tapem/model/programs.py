"""Models and losses, and the one function of both that the model level differentiates.

This file does not depend on layers: an object with `apply` is a model, and so is a function of parameters and input.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol, TypeAlias, cast

import numpy as np

from tapem.core import CONTEXT, ShapeDtype, constant, identity, tree_flatten, tree_unflatten
from tapem.doors.direct import Recorder, Tracer
from tapem.doors.monadic import lift, run_if_program
from tapem.errors import ArgumentError, DTypeError, NotScalarError
from tapem.transforms import differentiable, monadic
from tapem.types import short_text

Tree: TypeAlias = Any
"""Any nesting of dict, list, tuple, NamedTuple and dataclass of arrays, tracers or Refs."""


class Applicable(Protocol):
    """A model that is an object with a method `apply`, such as the layers of the package `layers`.

    A model with state also takes `state=` in `apply`, and returns `(prediction, new state)` if a state is given.

    >>> class Scale:
    ...     def apply(self, params, x, *, key=None, train=False):
    ...         return params * x
    >>> tm.model.vjp_input(Scale(), 3.0, np.ones(2), np.array([1.0, 2.0]))
    array([3., 6.])
    """

    def apply(self, params: Any, x: Any, *, key: Any = None, train: bool = False) -> Any:
        """The prediction for the input x."""
        ...


# The second is a case of the third, but it tells a type checker the parameters of a lambda.
Model: TypeAlias = Applicable | Callable[[Any, Any], Any] | Callable[..., Any]
"""An object with `apply`, or a program `(params, x) -> prediction`: a plain function, or a `do` program."""

Loss: TypeAlias = Callable[[Any, Any], Any]
"""A program `(prediction, target) -> scalar`."""


class Setting(NamedTuple):
    """The arguments of a model besides parameters and input."""

    key: Tree = None
    train: bool = False
    state: Tree = None


def at(setting: Setting, body: Callable[..., tuple[Any, Any]], *point: Any) -> Any:
    """The result of `body(setting, *point)`, through the door that the types of setting and point select.

    `body` returns `(result, new state)`; the state is returned only if the setting has one.
    """

    def call(setting: Setting, *point: Any) -> Any:
        result, state = body(setting, *point)
        return result if setting.state is None else (result, state)

    if monadic(tree_flatten((*setting, *point))[0]):
        return lift(call)(setting, *point)
    return call(setting, *point)


def prediction(model: Model, setting: Setting) -> Callable[[Any, Any], tuple[Any, Any]]:
    """The model in this setting, as the function `(params, x) -> (prediction, new state)`."""
    run, options = runner(model, setting)

    def predict(params: Any, x: Any) -> tuple[Any, Any]:
        try:
            result = called(run, (params, x), options)
        except TypeError as error:
            refused = refused_options(run, options)
            if not refused:
                raise
            raise ArgumentError(
                f"model {named(model)} was to be given {' and '.join(refused)}, which it does not take."
            ) from error
        if result is None:
            raise ArgumentError(f"model {named(model)} must return a prediction, but returned None: no `return`?")
        if setting.state is None:
            return result, None
        if type(result) is tuple and len(cast(tuple[Any, ...], result)) == 2:
            return cast(tuple[Any, Any], result)
        raise ArgumentError(f"model {named(model)} was given a state, so it must return (prediction, new state).")

    return predict


def objective(
    model: Model, loss: Loss, setting: Setting, role: str = "loss"
) -> Callable[[Any, Any, Any], tuple[Any, Any]]:
    """The loss of the model in this setting, as the function `(params, x, target) -> (scalar, new state)`.

    `role` is the name of the loss in errors.
    """
    predict = prediction(model, setting)
    if not callable(loss):
        raise ArgumentError(f"{role} is {loss!r}, but must be a function (prediction, target) -> scalar.")

    def evaluate(params: Any, x: Any, target: Any) -> tuple[Any, Any]:
        predicted, state = predict(params, x)
        value = called(loss, (predicted, target), {})
        check_scalar(value, f"{role} {named(loss)}")
        return value, state

    return evaluate


def runner(model: Any, setting: Setting) -> tuple[Callable[..., Any], dict[str, Any]]:
    """The function that computes the prediction, and the options to call it with.

    `apply` always gets a key and `train`; a function gets only those that were given.
    """
    apply = getattr(model, "apply", None)
    if isinstance(model, type) or not (callable(apply) or callable(model)):
        raise ArgumentError(
            f"model is {model!r}, but must be an object with apply(params, x, *, key, train), or a function "
            "(params, x) -> prediction."
        )
    pairs = zip(Setting._fields, setting, strict=True)
    given = {name: value for name, value in pairs if value is not None and value is not False}
    if callable(apply):
        return apply, {"key": setting.key, "train": setting.train, **given}
    return model, given


def refused_options(run: Callable[..., Any], options: dict[str, Any]) -> list[str]:
    """The names of the options for which a function has no parameter."""
    try:
        parameters = inspect.signature(run).parameters
    except (TypeError, ValueError):  # a function that was not written in Python
        return []
    if any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in parameters.values()):
        return []
    return [name for name in options if name not in parameters]


def called(program: Callable[..., Any], arguments: tuple[Any, ...], options: dict[str, Any]) -> Any:
    """The result of a program inside a transform: an array or a tracer, or a tree of them.

    A `do` program needs a step from each op, and an op that is called with arrays only does not return one; so the
    arguments of a `do` program become tracers. If a plain function returns a step, the step is run.
    """
    recorder = CONTEXT.get().recorder
    if hasattr(program, "__wrapped__") and inspect.isgeneratorfunction(inspect.unwrap(program)):
        leaves, structure = tree_flatten((arguments, options))
        arguments, options = tree_unflatten(structure, [constant_tracer(leaf, recorder) for leaf in leaves])
    return run_if_program(program(*arguments, **options), recorder)


def constant_tracer(value: Any, recorder: Recorder) -> Any:
    """A tracer for an array or a float, which is a constant of the recorder."""
    if isinstance(value, np.ndarray | np.generic | float):
        kept = constant(value, op="a do program", argument="one of its arguments")
        return Tracer(recorder, recorder.record(identity, (kept,)))
    return value


def check_scalar(value: Any, loss: str) -> None:
    """Raise NotScalarError for a loss that is not one number, DTypeError for one that is not a real number."""
    if getattr(value, "shape", None) == () and value.dtype.kind == "f":
        return
    if not hasattr(value, "dtype") and not isinstance(value, float | int):
        raise NotScalarError(f"{loss} must return a scalar, but returned {short_text(value)}{scalar_hint(value)}")
    kind = ShapeDtype.of(value)
    if kind.shape != ():
        raise NotScalarError(
            f"{loss} must return a scalar, but returned shape {kind.shape}. Let it reduce its terms to "
            'their "mean" or "sum" (where it has a reduction, not "none"), or wrap it with np.mean.'
        )
    if kind.dtype.kind != "f":
        raise DTypeError(f"{loss} must return a real number, but returned dtype {kind.dtype} ({value!r}).")


def scalar_hint(value: Any) -> str:
    """The end of the error for a value that is not a scalar: what the user probably meant."""
    if value is None:
        return ": no `return`?"
    if isinstance(value, list | tuple):
        parts = cast("Sequence[object]", value)
        return f", a {type(parts).__name__} of {len(parts)}. Return the loss itself" + (
            ", value and not [value]." if len(parts) == 1 else ", or the sum of its terms."
        )
    return "."


def check_floats(tree: Any, argument: str) -> None:
    """Raise DTypeError if an argument that is to be differentiated holds integers or bools."""
    leaves, structure = tree_flatten(tree)
    floats = differentiable(leaves, structure, True, argument, 0)
    if floats is not None:
        first = next(position for position in range(len(leaves)) if position not in floats)
        numbered = tree_unflatten(structure, list(range(len(leaves))))
        raise DTypeError(
            f"{argument}: leaf {first} holds {ShapeDtype.of(leaves[first]).dtype} values, which have no derivative. "
            f"Convert them to floats, or keep them out of {argument} (leaves are numbered {numbered!r})."
        )


def named(function: Any) -> str:
    """The name of a function, or the repr of an object."""
    return getattr(function, "__name__", None) or repr(function)
