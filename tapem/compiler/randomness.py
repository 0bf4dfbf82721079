"""Randomness: the states of the random generators from which a function can be seen to draw.

A program would return the numbers that were drawn when it was traced. NumPy's and Python's global states are seen, and
generators that the function closes over, has as a global, a default or an attribute, or that functions which it calls
have so. A generator that is made and used inside of the function is not seen.
"""

from __future__ import annotations

import functools
import pickle
import random
from collections.abc import Iterator, Sequence
from types import CellType, CodeType, FunctionType, MethodType
from typing import Any

import numpy as np

_GENERATORS = (np.random.Generator, np.random.RandomState, np.random.BitGenerator, random.Random)
_NOT_THE_USERS = frozenset({"tapem", "layers", "losses", "numpy", "scipy"})


def random_states(sources: Sequence[Any]) -> list[bytes]:
    """What changes when a function draws from a global random state, or from a generator seen in one of the sources."""
    seen: set[int] = set()
    local = [generator for source in sources for generator in generators(source, seen)]
    return [pickle.dumps(state) for state in (random.getstate(), np.random.get_state(), *map(state_of, local))]


def state_of(generator: Any) -> Any:
    """What changes when a generator draws."""
    if isinstance(generator, random.Random):
        return generator.getstate()
    if isinstance(generator, np.random.RandomState):
        return generator.get_state()
    return getattr(generator, "bit_generator", generator).state


def generators(value: Any, seen: set[int]) -> Iterator[Any]:
    """The generators that can be reached from a function, or from what it uses."""
    if id(value) in seen:
        return
    seen.add(id(value))
    parts: list[Any] = []
    if isinstance(value, _GENERATORS):
        if not isinstance(value, random.SystemRandom):  # which has no state
            yield value
    elif isinstance(value, functools.partial):
        parts = [value.func, *value.args, *value.keywords.values()]
    elif isinstance(value, MethodType):
        parts = [value.__func__, *getattr(value.__self__, "__dict__", {}).values()]
    elif isinstance(value, FunctionType) and str(value.__module__).split(".")[0] not in _NOT_THE_USERS:
        names = set(names_in(value.__code__)).intersection(value.__globals__)
        parts = [*(value.__globals__[name] for name in names), *map(contents, value.__closure__ or ())]
        parts += [*(value.__defaults__ or ()), *(value.__kwdefaults__ or {}).values()]
    elif callable(value) and not isinstance(value, type):
        parts = [getattr(value, "__wrapped__", None), *getattr(value, "__dict__", {}).values()]
    for part in parts:
        yield from generators(part, seen)


def contents(cell: CellType) -> Any:
    """What a closure holds in a cell; None for a cell that is still empty."""
    try:
        return cell.cell_contents
    except ValueError:
        return None


def names_in(code: CodeType) -> Iterator[str]:
    """The names that a function uses, and the functions inside of it."""
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from names_in(constant)


__all__ = ["random_states"]
