"""Static arguments: which ones a program is written for, and how they are taken out of a call and put back."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from typing import Any, cast

import numpy as np

from tapem.errors import ArgumentError


class StaticValues:
    """The static arguments of a call. They are equal if a program for the one is a program for the other."""

    def __init__(self, numbered: Sequence[tuple[int, Any]], named: Sequence[tuple[str, Any]]) -> None:
        """With the values by position and by name. Raises TypeError for one that cannot be hashed."""
        self.numbered = numbered
        self.named = named
        self.values = [value for _, value in (*numbered, *named)]
        self._key = tuple((which, exactly(value)) for which, value in (*numbered, *named))
        self._hash = hash(self._key)

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        return isinstance(other, StaticValues) and self._key == other._key


def exactly(value: Any) -> Hashable:
    """What equals only that of a value of the same type, in all its parts: 1, 1.0 and True are equal in Python.

    A number is known by its text: so 0.0 is not -0.0, and NaN equals itself.
    """
    if isinstance(value, float | complex | np.generic):
        return type(value), repr(value)
    if isinstance(value, tuple | frozenset):
        parts = map(exactly, cast("Iterable[Any]", value))
        return type(value), tuple(parts) if isinstance(value, tuple) else frozenset(parts)
    if dataclasses.is_dataclass(value) and not isinstance(value, type) and _compared_by_fields(value):
        hash(value)  # a dataclass that is not frozen may change
        compared = [field.name for field in dataclasses.fields(value) if field.compare and field.hash is not False]
        return type(value), tuple([exactly(getattr(value, name)) for name in compared])
    return type(value), value


def _compared_by_fields(value: Any) -> bool:
    return value.__dataclass_params__.eq


class StaticArguments:
    """The positions and names of a function's static arguments."""

    def __init__(self, function: Callable[..., Any], numbers: Sequence[int], names: Sequence[str]) -> None:
        """An argument may be given by position and by name, so each is known by both, if the function has a signature.

        Raises ArgumentError for what is no position or name, or for one that the function does not have.
        """
        for option, given, kind in (("static_argnums", numbers, int), ("static_argnames", names, str)):
            wrong = [value for value in given if type(value) is not kind]
            if wrong:
                raise ArgumentError(f"compile: {option} takes {kind.__name__}s, not {wrong[0]!r}.")
        self.function = function
        self.parameters = parameters_of(function)
        plain = [p.name for p in self.parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
        open_ended = not self.parameters or any(p.kind is p.VAR_POSITIONAL for p in self.parameters)
        named = {p.name for p in self.parameters}
        loose = not self.parameters or any(p.kind is p.VAR_KEYWORD for p in self.parameters)
        for number in numbers:
            if not open_ended and not -len(plain) <= number < len(plain):
                raise ArgumentError(f"compile: static_argnums={number}, but the arguments are {', '.join(plain)}.")
        for name in names:
            if not loose and name not in named:
                raise ArgumentError(f"compile: static_argnames={name!r}, but the arguments are {', '.join(named)}.")
        self.numbers = {number % len(plain) if plain and number < 0 else number for number in numbers}
        self.names = {*names, *(plain[number] for number in self.numbers if number < len(plain))}
        self.numbers |= {plain.index(name) for name in names if name in plain}

    def __bool__(self) -> bool:
        return bool(self.numbers or self.names)

    def split(
        self, arguments: tuple[Any, ...], options: Mapping[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any], StaticValues]:
        """The other arguments, and the static ones. Raises ArgumentError for a value that cannot be hashed."""
        numbered = tuple((number, value) for number, value in enumerate(arguments) if number in self.numbers)
        named = tuple((name, value) for name, value in sorted(options.items()) if name in self.names)
        try:
            static = StaticValues(numbered, named)
        except TypeError:
            raise self.cannot_be_hashed(*numbered, *named) from None
        rest = tuple(value for number, value in enumerate(arguments) if number not in self.numbers)
        others = {name: value for name, value in options.items() if name not in self.names}
        return rest, others, static

    def cannot_be_hashed(self, *values: tuple[int | str, Any]) -> ArgumentError:
        """The error that names the static argument that cannot be hashed."""

        def hashable(value: Any) -> bool:
            try:
                hash(exactly(value))
            except TypeError:
                return False
            return True

        which, value = next((pair for pair in values if not hashable(pair[1])), values[0])
        name = which if isinstance(which, str) else parameter_name(self.parameters, which)
        function = getattr(self.function, "__name__", type(self.function).__name__)
        return ArgumentError(
            f"{function}: the static argument {name!r} is a {type(value).__name__}, which cannot be hashed; pass a "
            "tuple, a frozen dataclass or a number."
        )

    def call(self, arguments: Sequence[Any], options: Mapping[str, Any], static: StaticValues | None) -> Any:
        """Call the function with its static arguments put back."""
        if static is None:
            return self.function(*arguments, **options)
        values = list(arguments)
        for number, value in static.numbered:
            values.insert(number, value)
        return self.function(*values, **options, **dict(static.named))

    def shown(self, count: int) -> list[str]:
        """The names of the first `count` arguments that are not static."""
        numbers = [number for number in range(count + len(self.numbers)) if number not in self.numbers]
        return [parameter_name(self.parameters, number) for number in numbers[:count]]


def parameters_of(function: Callable[..., Any]) -> list[inspect.Parameter]:
    """The parameters of a function; none if it does not tell."""
    try:
        return list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):
        return []


def parameter_name(parameters: Sequence[inspect.Parameter], number: int) -> str:
    """The name of the parameter that gets an argument."""
    if number < len(parameters) and parameters[number].kind in (
        inspect.Parameter.POSITIONAL_ONLY,
        inspect.Parameter.POSITIONAL_OR_KEYWORD,
    ):
        return parameters[number].name
    return f"x{number}"


__all__ = ["StaticArguments", "StaticValues"]
