"""What the model level works on: a model, a loss, and the one function to be differentiated that they make together.

Nothing here knows what a layer is: whatever has `apply` is a model, and so is every function of parameters and input.
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
from tapem.transforms import differentiable, monadic, short

Tree: TypeAlias = Any
"""Any nesting of dict, list, tuple, NamedTuple and dataclass of arrays, tracers or Refs."""


class Applicable(Protocol):
    """What a model has that is an object: `apply`, as the layers of the package `layers` have it.

    Where it has state, `apply` takes `state=` too, and returns `(prediction, new state)` if that is given.

    >>> class Scale:
    ...     def apply(self, params, x, *, key=None, train=False):
    ...         return params * x
    >>> tm.model.vjp_input(Scale(), 3.0, np.ones(2), np.array([1.0, 2.0]))
    array([3., 6.])
    """

    def apply(self, params: Any, x: Any, *, key: Any = None, train: bool = False) -> Any:
        """The prediction for the input x."""
        ...


# The second is a case of the third, but from it a checker learns what the parameters of a lambda are.
Model: TypeAlias = Applicable | Callable[[Any, Any], Any] | Callable[..., Any]
"""An object with `apply`, or a program `(params, x) -> prediction`: a plain function, or a `do` program."""

Loss: TypeAlias = Callable[[Any, Any], Any]
"""A program `(prediction, target) -> scalar`."""


class Setting(NamedTuple):
    """What a model may be given besides parameters and input."""

    key: Tree = None
    train: bool = False
    state: Tree = None


def at(setting: Setting, body: Callable[..., tuple[Any, Any]], *point: Any) -> Any:
    """`body(setting, *point)`, a result and the new state, through the door that setting and point ask for.

    The state is given back only to those who gave one.
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

    Errors speak of the loss by its `role`.
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

    What has `apply` takes a key and `train` always; a function takes of them only what was given.
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
    """The options that a function has no parameter for."""
    try:
        parameters = inspect.signature(run).parameters
    except (TypeError, ValueError):  # a function that was not written in Python
        return []
    if any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in parameters.values()):
        return []
    return [name for name in options if name not in parameters]


def called(program: Callable[..., Any], arguments: tuple[Any, ...], options: dict[str, Any]) -> Any:
    """What a program gives inside a transform: an array or a tracer, or a tree of them.

    A `do` program takes a step for each op, and called with arrays alone an op gives none; so all that a `do` program
    is given are tracers. A step that a plain function returned is taken.
    """
    recorder = CONTEXT.get().recorder
    if hasattr(program, "__wrapped__") and inspect.isgeneratorfunction(inspect.unwrap(program)):
        leaves, structure = tree_flatten((arguments, options))
        arguments, options = tree_unflatten(structure, [constant_tracer(leaf, recorder) for leaf in leaves])
    return run_if_program(program(*arguments, **options), recorder)


def constant_tracer(value: Any, recorder: Recorder) -> Any:
    """A tracer for an array or a float, which is a constant to the recorder."""
    if isinstance(value, np.ndarray | np.generic | float):
        kept = constant(value, op="a do program", argument="one of its arguments")
        return Tracer(recorder, recorder.record(identity, (kept,)))
    return value


def check_scalar(value: Any, loss: str) -> None:
    """NotScalarError for a loss that is not one number, DTypeError for one that is no real number."""
    if getattr(value, "shape", None) == () and value.dtype.kind == "f":
        return
    if not hasattr(value, "dtype") and not isinstance(value, float | int):
        raise NotScalarError(f"{loss} must return a scalar, but returned {short(value)}{scalar_hint(value)}")
    kind = ShapeDtype.of(value)
    if kind.shape != ():
        raise NotScalarError(
            f"{loss} must return a scalar, but returned shape {kind.shape}. Let it reduce its terms to "
            'their "mean" or "sum" (where it has a reduction, not "none"), or wrap it with np.mean.'
        )
    if kind.dtype.kind != "f":
        raise DTypeError(f"{loss} must return a real number, but returned dtype {kind.dtype} ({value!r}).")


def scalar_hint(value: Any) -> str:
    """What was perhaps meant by a value that is no scalar."""
    if value is None:
        return ": no `return`?"
    if isinstance(value, list | tuple):
        parts = cast("Sequence[object]", value)
        return f", a {type(parts).__name__} of {len(parts)}. Return the loss itself" + (
            ", value and not [value]." if len(parts) == 1 else ", or the sum of its terms."
        )
    return "."


def check_floats(tree: Any, argument: str) -> None:
    """DTypeError for an argument to be differentiated that holds integers or bools."""
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
    """A function by its name, an object by its repr."""
    return getattr(function, "__name__", None) or repr(function)
