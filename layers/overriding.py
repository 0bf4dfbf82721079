"""Adapt the methods that a user's own layer overrides, so that they can be called like those of Layer.

Layers made of layers call all layers in the same way. So an `init` without a parameter for the shape does not get it,
an `output_shape` for known sizes may fail on patterns, and an `apply` gets the three doors and the checks of
`Layer.apply`.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

from layers.shapes import ANY, Pattern, check_pattern, is_known
from tapem import ArgumentError, TapeError

Method = Callable[..., Any]


def parameters_of(method: Method) -> list[str] | None:
    """The names of a method's parameters; None if it takes any keyword."""
    parameters = inspect.signature(method).parameters
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values()):
        return None
    return list(parameters)


def init_with_shape(own: Method) -> Method:
    """Turn an `init(self, key)` into `init(self, key, input_shape=None)`."""
    names = parameters_of(own)
    if names is None or len(names) > 2:
        return own

    @functools.wraps(own)
    def init(self: Any, key: Any, input_shape: Pattern | None = None) -> Any:
        if input_shape is not None:
            self.output_shape(input_shape)
        return own(self, key)

    return init


def output_shape_of_patterns(own: Method) -> Method:
    """Turn an `output_shape` for known shapes into one for patterns: if it fails on unknown sizes, any shape fits."""

    def asked(self: Any, input_shape: Pattern) -> Pattern:
        found = own(self, input_shape)
        if not isinstance(found, tuple | list):
            raise ArgumentError(f"{self!r}: output_shape must return a tuple of sizes, but returned {found!r}.")
        return tuple(check_pattern(tuple(found)))

    @functools.wraps(own)
    def output_shape(self: Any, input_shape: Pattern) -> Pattern:
        if is_known(check_pattern(input_shape)):
            return asked(self, input_shape)
        try:
            found = asked(self, input_shape)
            # An index from the front may drop a trailing `...`, but not one before a last axis.
            return asked(self, (..., None)) if tuple(input_shape) == ANY and found[:1] != ANY else found
        except (TypeError, ValueError, IndexError) as error:
            if isinstance(error, TapeError) and tuple(input_shape) != ANY:
                raise
            return ANY

    return output_shape


def apply_with_doors(own: Method) -> Method:
    """Turn a plain `apply` into one that checks, takes Refs, and does not need parameters for key and train."""
    names = parameters_of(own)

    @functools.wraps(own)
    def apply(self: Any, params: Any, x: Any, *more: Any, **options: Any) -> Any:
        options.update(zip((names or [])[3:], more, strict=False))
        state = options.pop("state", None)
        if names is not None:
            options = {name: value for name, value in options.items() if name in names or name not in ("key", "train")}
        return self.entered(functools.partial(own, self), params, x, state, options)

    return apply


ADAPTERS: dict[str, Callable[[Method], Method]] = {
    "init": init_with_shape,
    "output_shape": output_shape_of_patterns,
    "apply": apply_with_doors,
}


def adapt(layer_type: type[Any]) -> None:
    """Adapt the methods that a new subclass of Layer overrides."""
    for name, adapter in ADAPTERS.items():
        own = vars(layer_type).get(name)
        if inspect.isfunction(own):
            setattr(layer_type, name, adapter(own))


__all__ = ["adapt"]
