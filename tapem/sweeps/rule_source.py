"""The source of a rule, read from the file of its op's declaration."""

from __future__ import annotations

import ast
import functools
import inspect
import linecache
import re
import textwrap
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, TypeAlias

from tapem.core import Primitive, is_several, linear_in_all

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
    if isinstance(rule, functools.partial):
        given = {**dict(zip(parameters_of(rule.func), rule.args, strict=False)), **rule.keywords}
        return f"{source_of(rule.func)} with {', '.join(f'{name}={value!r}' for name, value in given.items())}"
    if isinstance(rule, Primitive):
        return rule.usage()
    written = written_as(inspect.unwrap(rule))
    if isinstance(written, ast.Lambda):
        return _text(written.body)
    if written is not None:
        body = [line for line in written.body if not _is_docstring(line)]
        if len(body) == 1 and isinstance(body[0], ast.Return) and body[0].value is not None:
            return _text(body[0].value)
    name = getattr(rule, "__name__", type(rule).__name__)
    return f"{_without_underscores(name)}({', '.join(parameters_of(rule))})"


def partials_of(rule: object) -> tuple[str, ...]:
    """The texts of the partial derivatives from which `scalar_rule` made a rule, one per operand; else none."""
    return tuple(
        f"({source_of(partial)})" if callable(partial) else repr(partial) for partial in partials_functions(rule)
    )


def partials_functions(rule: object) -> tuple[Any, ...]:
    """The partial derivatives from which `scalar_rule` made a rule, one per operand; none for another rule."""
    partials: tuple[Any, ...] = getattr(rule, "partials", ())
    of_several_results = any(isinstance(partial, tuple) for partial in partials)  # a row of them for each result
    return () if of_several_results else partials


def sources_of(rules: Any, change: str) -> tuple[str, ...]:
    """The texts of an op's rules for one mode: one per operand, or a single one for all of them together.

    `change` is the cotangent or the tangent by which `scalar_rule` multiplies the partial derivatives.

    >>> import tapem as tm
    >>> sources_of(tm.mul.rrule, "g")
    ('g * b', 'g * a')
    """
    if is_several(rules):
        return tuple(map(source_of, rules))
    return tuple(f"{change} * {partial}" for partial in partials_of(rules)) or (source_of(rules),)


class Place(NamedTuple):
    """Where a function is written: the file, as its module names it, the line, and its text."""

    file: str
    line: int
    text: str

    def __str__(self) -> str:
        return f"{self.file}, line {self.line}"


def place_of(function: Any) -> Place | None:
    """Where a rule, or the declaration of an op, is written; None if it is not in Python.

    >>> import tapem as tm
    >>> place_of(tm.tanh).file, place_of(tm.tanh.rrule[0]).text
    ('tapem/ops/trigonometry.py', '@elementwise(lambda g, y, x: g * (1 - y * y), numpy=[np.tanh])')
    """
    if isinstance(function, functools.partial):
        return place_of(function.func)
    inner = inspect.unwrap(function) if callable(function) else function
    code = getattr(inner, "__code__", None)
    if code is None:
        return None
    module = str(inner.__globals__.get("__name__", ""))
    folders = module.count(".") + code.co_filename.endswith("__init__.py")
    written = written_as(inner)
    first = code.co_firstlineno if written is None else written.lineno
    last = first if written is None else written.end_lineno or first
    lines = linecache.getlines(code.co_filename, inner.__globals__)[first - 1 : last]
    return Place(file_text(code.co_filename, folders), first, textwrap.dedent("".join(lines)).rstrip())


def file_text(path: str, folders: int = 0) -> str:
    """A file as a reader knows it: its name with the folders of its package, or the cell of a notebook.

    >>> file_text("/usr/lib/tapem/ops/linalg.py", 2), file_text("/tmp/ipykernel_7/123.py")
    ('tapem/ops/linalg.py', 'a cell')
    """
    parts = path.replace("\\", "/").split("/")
    cell = path.startswith("<ipython") or (len(parts) > 1 and parts[-2].startswith("ipykernel_"))
    return "a cell" if cell else "/".join(parts[-1 - folders :])


def places_of(rules: Any) -> tuple[Place | None, ...]:
    """Where an op's rules for one mode are written, one for each text of `sources_of`."""
    if is_several(rules):
        return tuple(map(place_of, rules))
    partials = partials_functions(rules)
    return tuple(place_of(partial if callable(partial) else rules) for partial in partials) or (place_of(rules),)


def written_as(function: Callable[..., Any]) -> Written | None:
    """The lambda or `def` that made a function; None if its source cannot be read, as in Python's own prompt.

    The source is whatever Python shows in a traceback: a file, or the cell of a notebook.
    """
    code = getattr(function, "__code__", None)
    if code is None:
        return None
    lines = linecache.getlines(code.co_filename, function.__globals__)
    places = list(_places(code))
    if not places:  # an interpreter that keeps no columns: lambdas of one line cannot be told apart
        return None
    candidates = [node for node in _functions("".join(lines)) if _spans(node, code.co_name, places)]
    return min(candidates, key=_extent, default=None)


def _text(expression: ast.expr) -> str:
    return _without_underscores(ast.unparse(expression))


def _without_underscores(source: str) -> str:
    """Leave out the underscores that mark names as private to a file: a reader of the table need not know."""
    return re.sub(r"(?<![\w.])_(?=[A-Za-z])", "", source)


def parameters_of(function: Callable[..., Any]) -> list[str]:
    """The names of the parameters of a function."""
    try:
        return [
            str(parameter).split(":")[0].split("=")[0] for parameter in inspect.signature(function).parameters.values()
        ]
    except (TypeError, ValueError):  # a function that was not written in Python
        return ["..."]


def _is_docstring(line: ast.stmt) -> bool:
    return isinstance(line, ast.Expr) and isinstance(line.value, ast.Constant)


@functools.lru_cache(maxsize=256)
def _functions(source: str) -> tuple[Written, ...]:
    """Every lambda and `def` of a source."""
    try:
        tree = ast.parse(source)
    except SyntaxError:  # what IPython adds to Python
        return ()
    return tuple(node for node in ast.walk(tree) if isinstance(node, ast.Lambda | ast.FunctionDef))


def _spans(node: Written, name: str, places: Sequence[tuple[int, int]]) -> bool:
    """Whether code of this name, whose places these are, was compiled from the node."""
    own_name = "<lambda>" if isinstance(node, ast.Lambda) else node.name
    return name == own_name and all(_within(node, place) for place in places)


def _places(code: Any) -> Iterator[tuple[int, int]]:
    for line, _, column, _ in code.co_positions():
        if line is not None and column:  # column 0 is the position of the function as a whole
            yield line, column


def _within(node: Written, place: tuple[int, int]) -> bool:
    end = (node.end_lineno or node.lineno, node.end_col_offset or 0)
    return (node.lineno, node.col_offset) <= place < end


def _extent(node: Written) -> tuple[int, int]:
    return (node.end_lineno or node.lineno) - node.lineno, (node.end_col_offset or 0) - node.col_offset
