"""The source of a rule, read from the file of its op's declaration."""

from __future__ import annotations

import ast
import functools
import inspect
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

from tapem.core import Primitive, linear_in_all
from tapem.ops import batch_elementwise

Written: TypeAlias = "ast.Lambda | ast.FunctionDef"


def source_of(rule: Callable[..., Any] | None) -> str:
    """The text of a rule: the expression that it returns; for a rule of several statements, a call of it.

    >>> import tapem as tm
    >>> source_of(tm.tanh.rrule[0])
    'g * (1 - y * y)'
    """
    if rule is None:
        return "none"
    if rule is linear_in_all:
        return "the op itself, applied to the tangents"
    if rule is batch_elementwise:
        return "operands lined up behind the batch axis"
    if isinstance(rule, functools.partial):
        given = [repr(value) for value in rule.args] + [f"{name}={value!r}" for name, value in rule.keywords.items()]
        return f"{rule.func.__name__}({', '.join(given)}, ...)"
    if isinstance(rule, Primitive):
        return rule.usage()
    written = written_as(rule)
    if isinstance(written, ast.Lambda):
        return ast.unparse(written.body)
    if written is not None:
        body = [line for line in written.body if not _is_docstring(line)]
        if len(body) == 1 and isinstance(body[0], ast.Return) and body[0].value is not None:
            return ast.unparse(body[0].value)
    return f"{getattr(rule, '__name__', type(rule).__name__)}({', '.join(_parameters(rule))})"


def written_as(function: Callable[..., Any]) -> Written | None:
    """The lambda or `def` that made a function; None if there is no file to read."""
    code = getattr(function, "__code__", None)
    module = inspect.getmodule(function)
    if code is None or module is None:
        return None
    candidates = [node for node in _functions(module.__name__, code.co_filename) if _spans(node, code)]
    return min(candidates, key=_extent, default=None)


def _parameters(function: Callable[..., Any]) -> list[str]:
    try:
        return [
            str(parameter).split(":")[0].split("=")[0] for parameter in inspect.signature(function).parameters.values()
        ]
    except (TypeError, ValueError):  # a function that was not written in Python
        return ["..."]


def _is_docstring(line: ast.stmt) -> bool:
    return isinstance(line, ast.Expr) and isinstance(line.value, ast.Constant)


@functools.lru_cache(maxsize=256)
def _functions(module: str, filename: str) -> tuple[Written, ...]:
    """Every lambda and `def` of a file; the module's name is part of the cache's key."""
    try:
        with open(filename, encoding="utf-8") as file:
            tree = ast.parse(file.read())
    except (OSError, SyntaxError):
        return ()
    return tuple(node for node in ast.walk(tree) if isinstance(node, ast.Lambda | ast.FunctionDef))


def _spans(node: Written, code: Any) -> bool:
    """Whether the source positions of the code all lie within the node."""
    name = "<lambda>" if isinstance(node, ast.Lambda) else node.name
    return name == code.co_name and all(_within(node, place) for place in _places(code))


def _places(code: Any) -> Iterator[tuple[int, int]]:
    for line, _, column, _ in code.co_positions():
        if line is not None and column:  # column 0 is the position of the function as a whole
            yield line, column


def _within(node: Written, place: tuple[int, int]) -> bool:
    end = (node.end_lineno or node.lineno, node.end_col_offset or 0)
    return (node.lineno, node.col_offset) <= place < end


def _extent(node: Written) -> tuple[int, int]:
    return (node.end_lineno or node.lineno) - node.lineno, (node.end_col_offset or 0) - node.col_offset
