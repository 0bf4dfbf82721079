"""A rule with one of its functions replaced: the functions that lead to it are made again, and the originals stay.

A rule is a function, or a partial, a wrapper or a closure over one, and calls helpers of its module. So that a wrong
helper is wrong in the rule only, not in the op's value, every function between the rule and the helper is copied with
globals and cells of its own.
"""

from __future__ import annotations
import __future__

import ast
import functools
from collections.abc import Callable, Iterator, Mapping
from types import CellType, CodeType, FunctionType
from typing import Any, cast

from tapem.core import linear_in_all
from tapem.ops import batch_elementwise
from tapem.sweeps import Written
from tapem.testing.mutation.faults import FAULTS

GENERIC = {linear_in_all, batch_elementwise}


def functions_of(value: Any) -> Iterator[FunctionType]:
    """The functions in a value: itself, those of a partial, a tuple, a list or a dict."""
    if isinstance(value, FunctionType):
        yield value
    elif isinstance(value, functools.partial):
        partial = cast("functools.partial[Any]", value)
        yield from functions_of((partial.func, partial.args, partial.keywords))
    elif isinstance(value, tuple | list):
        for part in cast("list[Any]", value):
            yield from functions_of(part)
    elif isinstance(value, dict):
        yield from functions_of(list(cast("dict[Any, Any]", value).values()))


def swapped(value: Any, new: Mapping[FunctionType, Callable[..., Any]]) -> Any:
    """The value with functions replaced, also inside partials, tuples, lists and dicts."""
    if isinstance(value, FunctionType):
        return new.get(value, value)
    if next(functions_of(value), None) is None:
        return value
    if isinstance(value, functools.partial):
        partial = cast("functools.partial[Any]", value)
        keywords = {name: swapped(part, new) for name, part in partial.keywords.items()}
        return functools.partial(swapped(partial.func, new), *swapped(partial.args, new), **keywords)
    if isinstance(value, dict):
        return {key: swapped(part, new) for key, part in cast("dict[Any, Any]", value).items()}
    return type(value)(swapped(part, new) for part in value)


def names_in(code: CodeType) -> Iterator[str]:
    """The names of globals and attributes in a code, and in the codes inside it."""
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from names_in(constant)


def cells_of(function: FunctionType) -> Iterator[tuple[str, Any]]:
    """The names that a function closes over, with their values; those that have none yet are left out."""
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        try:
            yield name, cell.cell_contents
        except ValueError:  # a name that is given a value later, such as a function's own
            continue


def names_of(function: FunctionType) -> dict[str, Any]:
    """The names that a function sees outside itself: globals, and what it closes over."""
    return {**function.__globals__, **dict(cells_of(function))}


def helpers_of(function: FunctionType, home: set[str]) -> Iterator[tuple[str, FunctionType]]:
    """The global functions that a function calls, if they stand in one of the modules that are the rule's home."""
    if function.__module__ in home:
        for name in dict.fromkeys(names_in(function.__code__)):
            value = function.__globals__.get(name)
            if isinstance(value, FunctionType) and value.__module__ in home:
                yield name, value


def reached(rules: Any, home: set[str]) -> list[FunctionType]:
    """The rules' functions and all that these call or close over, in the order in which they are met."""
    found: dict[FunctionType, None] = {}
    waiting = list(functions_of(rules))
    while waiting:
        function = waiting.pop(0)
        if function in found or function in GENERIC:
            continue
        found[function] = None
        waiting += [inner for _, value in cells_of(function) for inner in functions_of(value)]
        waiting += [helper for _, helper in helpers_of(function, home)]
    return list(found)


def rebuilt(rules: Any, old: FunctionType, new: Callable[..., Any], home: set[str]) -> Any:
    """The rules with `new` in place of `old`, however deep it stands in them."""
    every = reached(rules, home)
    callers: dict[FunctionType, set[FunctionType]] = {function: set() for function in every}
    for function in every:
        below = [inner for _, value in cells_of(function) for inner in functions_of(value)]
        for inner in [*below, *(helper for _, helper in helpers_of(function, home))]:
            if inner in callers:
                callers[inner].add(function)
    changed, waiting = {old}, [old]
    while waiting:
        above = callers[waiting.pop()] - changed
        changed |= above
        waiting += above
    made: dict[FunctionType, Callable[..., Any]] = {old: new}
    made |= {function: copied(function, function.__code__) for function in changed if function is not old}
    for function, copy in made.items():
        if not (isinstance(copy, FunctionType) and FAULTS.keys() <= copy.__globals__.keys()):
            continue  # a wrapper around the original, which goes on calling the right version
        copy.__globals__.update({name: made[helper] for name, helper in helpers_of(function, home) if helper in made})
        values = dict(cells_of(function))
        for name, cell in zip(copy.__code__.co_freevars, copy.__closure__ or (), strict=True):
            if name in values:
                cell.cell_contents = swapped(values[name], made)
    return swapped(rules, made)


def copied(function: FunctionType, code: CodeType) -> FunctionType:
    """A function like this one with this code, and with globals and cells of its own."""
    names = {**function.__globals__, **FAULTS}
    copy = FunctionType(
        code, names, function.__name__, function.__defaults__, tuple(CellType() for _ in code.co_freevars)
    )
    copy.__kwdefaults__ = function.__kwdefaults__
    copy.__module__ = function.__module__
    copy.__dict__.update({name: value for name, value in vars(function).items() if name != "__wrapped__"})
    return copy


def compiled(function: FunctionType, written: Written) -> FunctionType:
    """A function like this one whose source is `written`."""
    free = function.__code__.co_freevars
    arguments = without_annotations(written.args)
    body: list[ast.stmt]
    if isinstance(written, ast.Lambda):
        body = [ast.Return(ast.Lambda(arguments, written.body))]
    else:
        # Under another name: a function that calls itself means the global one, or the one that it closes over.
        body = [ast.FunctionDef("mutated", arguments, written.body, [])]
    empty = ast.arguments([], [ast.arg(name) for name in free], None, [], [], None, [])
    maker = ast.FunctionDef("make", empty, body, [])
    module = ast.fix_missing_locations(ast.Module([maker], []))
    flags = __future__.annotations.compiler_flag
    code = compile(module, "<mutant>", "exec", flags=flags, dont_inherit=True)
    inner = next(const for const in code.co_consts if isinstance(const, CodeType))
    return copied(function, next(const for const in inner.co_consts if isinstance(const, CodeType)))


def without_annotations(arguments: ast.arguments) -> ast.arguments:
    """Parameters by name alone; defaults stand in for themselves, as the function keeps its own."""

    def bare(argument: ast.arg | None) -> ast.arg | None:
        return argument and ast.arg(argument.arg)

    def all_bare(given: list[ast.arg]) -> list[ast.arg]:
        return [ast.arg(argument.arg) for argument in given]

    return ast.arguments(
        all_bare(arguments.posonlyargs),
        all_bare(arguments.args),
        bare(arguments.vararg),
        all_bare(arguments.kwonlyargs),
        [None for _ in arguments.kw_defaults],
        bare(arguments.kwarg),
        [],
    )


__all__ = ["compiled", "functions_of", "names_of", "reached", "rebuilt"]
