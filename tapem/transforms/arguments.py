"""The arguments of transforms: checks, selection by argnums, and the names of their leaves in errors."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any, cast

from tapem.core import Structure, note, tree_flatten
from tapem.errors import ArgumentError
from tapem.types import NUMBERS, short_text


def as_function(f: Any, caller: str) -> Callable[..., Any]:
    """Return the function of a transform. Raises ArgumentError for anything else, such as the function's value.

    >>> as_function(3.0, "grad")
    Traceback (most recent call last):
    tapem.errors.ArgumentError: grad needs a function, not 3.0. Give it the function itself, f, and not its value, f(x).
    """
    if not callable(f):
        raise ArgumentError(
            f"{caller} needs a function, not {short_text(f)}. Give it the function itself, f, and not its value, f(x)."
        )
    return f


def as_argnums(argnums: Any, caller: str) -> int | tuple[int, ...]:
    """Convert argnums to a position or a tuple of positions. Raises ArgumentError for anything else.

    >>> as_argnums([0, -1], "grad")
    (0, -1)
    """
    several = isinstance(argnums, list | tuple)
    try:
        numbers = tuple(map(operator.index, cast("Sequence[Any]", argnums if several else (argnums,))))
    except TypeError:
        raise ArgumentError(
            f"{caller}: argnums={short_text(argnums)} must be the position of an argument, or a tuple of positions: "
            f"0, or (0, 2). An argument to be differentiated is passed by position; a point is given as "
            f"{caller}(f)(x)."
        ) from None
    return numbers if several else numbers[0]


def select(arguments: Sequence[Any], argnums: int | Sequence[int]) -> int | tuple[int, ...]:
    """The argnums as positions from the front; raises ArgumentError for one that does not exist, or occurs twice."""
    if isinstance(argnums, int):
        return position(argnums, len(arguments))
    selected = tuple(position(number, len(arguments)) for number in argnums)
    if len(set(selected)) < len(selected):
        raise ArgumentError(f"argnums={argnums!r} selects an argument twice; its gradient is one, so name it once.")
    return selected


def position(number: int, count: int) -> int:
    """An argnum as a position from the front; raises ArgumentError unless it is one of the `count` arguments."""
    if not -count <= number < count:
        raise ArgumentError(
            f"argnums={number} selects no argument: the function was called with {count} positional ones. An "
            "argument to be differentiated is passed by position, not by name."
        )
    return number % count


def replace(arguments: Sequence[Any], selected: int | tuple[int, ...], values: Any) -> Sequence[Any]:
    """The arguments with the selected ones replaced; for one of them, as nearly always, without a loop."""
    if not isinstance(selected, int):
        return merge(arguments, selected, values)
    result = list(arguments)
    result[selected] = values
    return result


def at_positions(leaves: list[Any], positions: list[int] | None) -> list[Any]:
    """The leaves in these positions; None stands for all of them."""
    return leaves if positions is None else [leaves[position] for position in positions]


def merge(leaves: Sequence[Any], positions: Sequence[int] | None, values: Sequence[Any]) -> Sequence[Any]:
    """The leaves, with the values in these positions."""
    if positions is None:
        return values
    result = list(leaves)
    for position, value in zip(positions, values, strict=True):
        result[position] = value
    return result


def as_pair(result: Any, f: Callable[..., Any], caller: str) -> tuple[Any, Any]:
    """The carry and the output that a function returned. Raises ArgumentError if the result is not a pair.

    >>> as_pair(None, lambda carry, x: None, "scan")
    Traceback (most recent call last):
    tapem.errors.ArgumentError: scan: <lambda> must return a pair (carry, y), but returned None: no `return`?
    """
    if type(result) is tuple and len(cast("tuple[Any, ...]", result)) == 2:
        return cast("tuple[Any, Any]", result)
    if isinstance(result, tuple | list) and len(cast("Sequence[Any]", result)) == 2:
        carry, output = cast("Sequence[Any]", result)
        return carry, output
    name, found = getattr(f, "__name__", None) or short_text(f), short_text(result)
    hint = ": no `return`?" if result is None else ". Where there is no y, return carry, None."
    raise ArgumentError(f"{caller}: {name} must return a pair (carry, y), but returned {found}{hint}")


def check_condition(value: Any, name: str) -> None:
    """Raise ArgumentError for a value that is not a bool, even if Python accepts it as a condition.

    >>> check_condition(None, "cond: the predicate")
    Traceback (most recent call last):
    tapem.errors.ArgumentError: cond: the predicate must be a bool, but is None: no `return`?
    """
    if value is None or callable(value) or isinstance(value, str | list | tuple | dict):
        given = cast("object", value)
        hint = ": no `return`?" if given is None else ". Give its value, f(x)." if callable(given) else "."
        raise ArgumentError(f"{name} must be a bool, but is {short_text(given)}{hint}")


def leaf_of_argument(structure: Structure, position: int, selected: int | Sequence[int] | None = None) -> str:
    """The name in errors of a leaf of the differentiated arguments.

    `structure` is that of a tuple of arguments, with their positions in `selected` (by default all of them in order),
    or of a single argument, if `selected` is its position.

    >>> leaf_of_argument(tree_flatten(({"w": 1.0, "b": [2.0, 3.0]},))[1], 1)
    "argument 0, leaf ['b'][1]"
    """
    entries: Any = structure.accessors()[position]
    number = selected
    if not isinstance(number, int):
        first: int = cast("Any", structure.paths())[position][0]
        number, entries = first if number is None else number[first], entries[1:]
    return f"argument {number}" + (f", leaf {entries.codify('')}" if len(entries) else "")


def hint_at_lists(error: Exception, arguments: Sequence[Any]) -> None:
    """Add a note to an error in a function if one of its arguments is a list, which is not an array."""
    for position, argument in enumerate(arguments):
        if isinstance(argument, list):
            leaves = tree_flatten(argument)[0]
            if leaves and NUMBERS.issuperset(map(type, leaves)):
                note(
                    error,
                    f"Argument {position} is a list, which is a tree of {len(leaves)} numbers: "
                    "if an array is meant, pass np.array(...) of it.",
                )
