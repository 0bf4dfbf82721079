"""Arguments: what transforms ask of theirs, and how errors name a leaf of one."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any, cast

from tapem.errors import ArgumentError
from tapem.hints import note
from tapem.node import NUMBERS
from tapem.tree import Structure, flatten


def as_function(f: Any, what: str) -> Callable[..., Any]:
    """The function that a transform is to be applied to; ArgumentError for what is none, such as its value.

    >>> as_function(3.0, "grad")
    Traceback (most recent call last):
    tapem.errors.ArgumentError: grad needs a function, not 3.0. Give it the function itself, f, and not its value, f(x).
    """
    if not callable(f):
        raise ArgumentError(
            f"{what} needs a function, not {short(f)}. Give it the function itself, f, and not its value, f(x)."
        )
    return f


def as_argnums(argnums: Any, what: str) -> int | tuple[int, ...]:
    """Argnums as a position, or a tuple of positions; ArgumentError for anything else.

    >>> as_argnums([0, -1], "grad")
    (0, -1)
    """
    several = isinstance(argnums, list | tuple)
    try:
        numbers = tuple(map(operator.index, cast("Sequence[Any]", argnums if several else (argnums,))))
    except TypeError:
        raise ArgumentError(
            f"{what}: argnums={short(cast('object', argnums))} must be the position of an argument, or a tuple of "
            f"positions: 0, or (0, 2). An argument to be differentiated is passed by position; a point is given as "
            f"{what}(f)(x)."
        ) from None
    return numbers if several else numbers[0]


def leaf_name(structure: Structure, position: int, selected: int | Sequence[int] | None = None) -> str:
    """A leaf of the arguments that are differentiated, as an error speaks of it.

    `structure` is that of the tuple of the arguments that `selected` tells the positions of (by default all of them in
    order), or of a single argument, if `selected` is its position.

    >>> leaf_name(flatten(({"w": 1.0, "b": [2.0, 3.0]},))[1], 1)
    "argument 0, leaf ['b'][1]"
    """
    entries: Any = structure.accessors()[position]
    number = selected
    if not isinstance(number, int):
        first: int = cast("Any", structure.paths())[position][0]
        number, entries = first if number is None else number[first], entries[1:]
    return f"argument {number}" + (f", leaf {entries.codify('')}" if len(entries) else "")


def hint_at_lists(error: Exception, arguments: Sequence[Any]) -> None:
    """Add to an error in a function that one of its arguments is a list, which is no array."""
    for position, argument in enumerate(arguments):
        if isinstance(argument, list):
            leaves = flatten(argument)[0]
            if leaves and NUMBERS.issuperset(map(type, leaves)):
                note(
                    error,
                    f"Argument {position} is a list, which is a tree of {len(leaves)} numbers: "
                    "if an array is meant, pass np.array(...) of it.",
                )


def short(value: object) -> str:
    """A value in at most a line."""
    text = " ".join(repr(value).split())
    return text if len(text) <= 60 else f"{text[:57]}..."
