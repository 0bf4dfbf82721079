"""Which arguments of a rule are used by value: those whose shape or sign alone is used may as well be constants."""

from __future__ import annotations

import ast
import itertools
from collections.abc import Callable, Iterator, Mapping
from types import FunctionType
from typing import Any

from tapem.core import Primitive
from tapem.sweeps import Written, written_as
from tapem.testing.mutation.rebuilding import names_of

KINDS = frozenset({"shape", "ndim", "dtype", "size", "itemsize", "flags", "__class__"})
OF_KINDS = frozenset(
    "shape ndim size len isinstance type hasattr getattr result_type promote_types zeros_like ones_like empty_like "
    "full_like isnan isfinite isinf isneginf isposinf sign signbit equal not_equal less greater less_equal "
    "greater_equal logical_not logical_and logical_or floor ceil rint argsort argmax argmin searchsorted iscomplexobj "
    "isrealobj floor_divide argpartition lexsort unique astype_like count_nonzero bool int issubdtype any all".split()
)
"""Functions of a value whose results have no derivative in it."""


def by_value(function: FunctionType, position: int, seen: frozenset[Any] = frozenset()) -> bool:
    """Whether a function uses more of its parameter at this position than shape, dtype and comparisons.

    >>> by_value(lambda g, x: g * (x > 0), 1), by_value(lambda g, x: g * x, 1)
    (False, True)
    """
    written = written_as(function)
    if written is None or (function, position) in seen:
        return written is None
    arguments = [*written.args.posonlyargs, *written.args.args]
    rest = written.args.vararg
    if position >= len(arguments) and rest is None:
        return False
    name = arguments[position].arg if position < len(arguments) or rest is None else rest.arg
    return named_by_value(written, name, names_of(function), seen | {(function, position)})


def named_by_value(written: Written, name: str, names: Mapping[str, Any], seen: frozenset[Any]) -> bool:
    """Whether a function uses what a name stands for by value, itself or under the names that are made from it."""
    for path in uses(written, name):
        if not matters(path, names, seen):
            continue
        targets = made_from(path)
        if targets is None:
            return True
        for target in targets:
            if (written, target) not in seen and named_by_value(written, target, names, seen | {(written, target)}):
                return True
    return False


def made_from(path: list[ast.AST]) -> set[str] | None:
    """The names that a statement or a comprehension gives to what is made of a use; None for any other use."""
    for above, node in itertools.pairwise(path):
        if isinstance(above, ast.Assign):
            made = above.targets
        elif isinstance(above, ast.comprehension) and node is above.iter:
            made = [above.target]
        else:
            continue
        return {part.id for target in made for part in ast.walk(target) if isinstance(part, ast.Name)}
    return None


def uses(written: Written, name: str) -> Iterator[list[ast.AST]]:
    """Every use of a name: the nodes from the function down to it."""

    def walk(node: ast.AST, above: list[ast.AST]) -> Iterator[list[ast.AST]]:
        path = [*above, node]
        if isinstance(node, ast.Name) and node.id == name and isinstance(node.ctx, ast.Load):
            yield path
        for child in ast.iter_child_nodes(node):
            yield from walk(child, path)

    yield from walk(written, [])


def matters(path: list[ast.AST], names: Mapping[str, Any], seen: frozenset[Any]) -> bool:
    """Whether a use can carry a derivative."""
    for above, node in itertools.pairwise(path):
        if isinstance(above, ast.Compare | ast.Raise | ast.Assert):
            return False
        if isinstance(above, ast.If | ast.IfExp | ast.While) and node is above.test:
            return False
        if isinstance(above, ast.Attribute) and above.attr in KINDS:
            return False
        if isinstance(above, ast.Call) and not passes_on(above, node, names, seen):
            return False
    return True


def passes_on(call: ast.Call, argument: ast.AST, names: Mapping[str, Any], seen: frozenset[Any]) -> bool:
    """Whether the result of a call can have a derivative in this argument of it."""
    function = call.func
    if isinstance(function, ast.Attribute) and function.attr in OF_KINDS:
        return False
    if not isinstance(function, ast.Name):
        return True
    known: Callable[..., Any] | None = names.get(function.id)
    if function.id in OF_KINDS or (isinstance(known, Primitive) and not known.differentiable):
        return False
    if not isinstance(known, FunctionType) or any(isinstance(given, ast.Starred) for given in call.args):
        return True
    return argument not in call.args or by_value(known, call.args.index(argument), seen)  # type: ignore[arg-type]


__all__ = ["by_value"]
