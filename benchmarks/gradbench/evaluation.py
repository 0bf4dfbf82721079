"""Eval: one of the twelve problems as a program, and the functions that a checker asks a module for."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

Inputs: TypeAlias = Mapping[str, Any]
"""The inputs of one case by name: NumPy arrays, numbers, and a mode."""

Function: TypeAlias = Callable[..., Any]


@dataclass(frozen=True)
class Eval:
    """One problem: a function and its derivative, of the same arguments.

    ``arguments`` picks the arguments out of the inputs, which is not timed. ``static`` holds the positions of those
    that a compiled program is made for (a size, a mode); all others are arrays and numbers.
    """

    name: str
    arguments: Callable[[Inputs], tuple[Any, ...]]
    primal: Function
    derivative: Function
    static: tuple[int, ...] = ()


def offered(evals: Iterable[Eval], made: Callable[[Function, tuple[int, ...]], Function]) -> dict[str, Function]:
    """``<eval>_prepare``, ``<eval>_primal`` and ``<eval>_derivative`` of every eval; ``made`` may compile them."""
    functions: dict[str, Function] = {}
    for one in evals:
        functions[f"{one.name}_prepare"] = one.arguments
        functions[f"{one.name}_primal"] = _of_prepared(made(one.primal, one.static))
        functions[f"{one.name}_derivative"] = _of_prepared(made(one.derivative, one.static))
    return functions


def _of_prepared(function: Function) -> Function:
    def called(prepared: tuple[Any, ...]) -> Any:
        return function(*prepared)

    return called
