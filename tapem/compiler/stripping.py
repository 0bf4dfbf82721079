"""Stripping: the source of a function or class without annotations, docstrings and decorators, and with names replaced.

The text is edited where the syntax tree says, so the author's lines and comments stay.
"""

from __future__ import annotations

import ast
import builtins
import functools
import linecache
from collections.abc import Callable, Iterator
from types import CodeType
from typing import Any, NamedTuple, TypeAlias, cast, get_args

from tapem.compiler.unwritable import Unwritable

Definition: TypeAlias = ast.FunctionDef | ast.Lambda | ast.ClassDef


class Edit(NamedTuple):
    """What stands in the place of a part of the text, from byte to byte."""

    start: int
    end: int
    text: str


class Source:
    """The text of a file, with the places of its syntax tree and the definitions in it."""

    def __init__(self, lines: list[str]) -> None:
        """Of the lines of a file."""
        self.text = "".join(lines).encode()
        tree = ast.parse(self.text)
        self.definitions = [part for part in ast.walk(tree) if isinstance(part, Definition)]
        self.starts = [0]
        for line in self.text.splitlines(keepends=True):
            self.starts.append(self.starts[-1] + len(line))

    def start(self, node: Any) -> int:
        """The byte at which a node begins."""
        return self.starts[node.lineno - 1] + node.col_offset

    def end(self, node: Any) -> int:
        """The byte at which a node ends."""
        return self.starts[node.end_lineno - 1] + node.end_col_offset

    def cut(self, node: Any, edits: list[Edit]) -> str:
        """The text of a node after some edits, without its indentation; edits inside of another one do not count."""
        parts: list[bytes] = []
        at, end = self.start(node), self.end(node)
        for edit in sorted([*edits, *self.indentation(node)], key=lambda edit: (edit.start, -edit.end)):
            if at <= edit.start <= end:
                parts += [self.text[at : edit.start], edit.text.encode()]
                at = edit.end
        parts.append(self.text[at:end])
        return b"".join(parts).decode()

    def indentation(self, node: Any) -> list[Edit]:
        """The edits that take away the indentation of a node's lines, except of those inside of a string."""
        first = self.text[self.starts[node.lineno - 1] : self.starts[node.lineno]]
        indent = first[: len(first) - len(first.lstrip())]
        strings = [part for part in ast.walk(node) if isinstance(part, ast.JoinedStr | ast.Constant)]
        inside = {line for part in strings for line in range(part.lineno, part.end_lineno or 0)}
        return [
            Edit(start, start + len(indent), "")
            for line, start in enumerate(self.starts[node.lineno : node.end_lineno], node.lineno)
            if line not in inside and self.text.startswith(indent, start)
        ]


@functools.lru_cache(maxsize=256)
def _parsed(lines: tuple[str, ...]) -> Source:
    return Source(list(lines))


def source_of_file(file: str, module_globals: dict[str, Any] | None) -> Source:
    """The source of a file. Raises Unwritable if there is none."""
    linecache.checkcache(file)
    lines = linecache.getlines(file, module_globals)
    if not lines:
        raise Unwritable("its source is not available")
    return _parsed(tuple(lines))


def definition_of_function(source: Source, code: CodeType) -> ast.FunctionDef | ast.Lambda:
    """The definition from which a function's code was compiled."""
    found: list[ast.FunctionDef | ast.Lambda] = []
    for node in source.definitions:
        if code.co_name == "<lambda>" and isinstance(node, ast.Lambda) and node.lineno == code.co_firstlineno:
            found.append(node)
        elif isinstance(node, ast.FunctionDef) and code.co_firstlineno in (
            node.lineno,
            *(d.lineno for d in node.decorator_list),
        ):
            found.append(node)
    names = [node for node in found if isinstance(node, ast.Lambda) or node.name == code.co_name]
    arguments = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
    fitting = [node for node in names or found if names_of_arguments(node) == arguments]
    exact = [node for node in fitting if isinstance(node, ast.Lambda) and holds(node, code)]
    if len(exact) == 1:
        return exact[0]
    if len(fitting) != 1:
        raise Unwritable("its source is not available")
    return fitting[0]


def holds(node: ast.Lambda, code: CodeType) -> bool:
    """Whether all instructions of some code come from a lambda's body."""
    lines = [(line, column) for line, _, column, _ in code.co_positions() if line is not None and column is not None]
    body = node.body
    return (body.lineno, body.col_offset) in lines and max(lines) <= (body.end_lineno or 0, body.end_col_offset or 0)


def names_of_arguments(node: ast.FunctionDef | ast.Lambda) -> tuple[str, ...]:
    """The names of a function's arguments, as its code has them."""
    given = node.args
    return tuple(argument.arg for argument in (*given.posonlyargs, *given.args, *given.kwonlyargs))


def definition_of_class(source: Source, name: str) -> ast.ClassDef:
    """The definition of a class. Raises Unwritable if the file has none, or several of that name."""
    found = [node for node in source.definitions if isinstance(node, ast.ClassDef) and node.name == name]
    if len(found) != 1:
        raise Unwritable("its source is not available")
    return found[0]


# -- what is left out --------------------------------------------------------------------------------------------------


def stripped(source: Source, node: Definition, fields: bool = False) -> list[Edit]:
    """The edits that take away annotations, docstrings and decorators.

    The annotations of a class whose `fields` they name become `object`.
    """
    edits: list[Edit] = []
    own = node.body if isinstance(node, ast.ClassDef) and fields else []
    for inner in ast.walk(node):
        match inner:
            case ast.arguments():
                edits += [parameter(source, *pair) for pair in with_defaults(inner) if pair[0].annotation is not None]
            case ast.AnnAssign() if inner in own:
                edits.append(Edit(source.start(inner.annotation), source.end(inner.annotation), "object"))
            case ast.AnnAssign(value=ast.expr() as value):
                edits.append(Edit(source.end(inner.target), source.start(value), " = "))
            case ast.AnnAssign():
                edits.append(Edit(source.start(inner), source.end(inner), "pass"))
            case ast.FunctionDef() | ast.ClassDef():
                if isinstance(inner, ast.FunctionDef) and inner.returns is not None:
                    edits.append(arrow(source, inner.returns))
                if ast.get_docstring(inner, clean=False) is not None:
                    edits.append(docstring(source, inner))
            case _:
                pass
    return edits


def with_defaults(given: ast.arguments) -> Iterator[tuple[ast.arg, ast.expr | None]]:
    """The arguments of a function, each with its default value."""
    plain = [*given.posonlyargs, *given.args]
    yield from zip(plain, [*[None] * (len(plain) - len(given.defaults)), *given.defaults], strict=True)
    yield from zip(given.kwonlyargs, given.kw_defaults, strict=True)
    yield from ((argument, None) for argument in (given.vararg, given.kwarg) if argument is not None)


def parameter(source: Source, argument: ast.arg, default: ast.expr | None) -> Edit:
    """The edit that takes away the annotation of an argument."""
    name_end = source.start(argument) + len(argument.arg.encode())
    return Edit(name_end, source.end(argument), "") if default is None else Edit(name_end, source.start(default), "=")


def arrow(source: Source, returns: ast.expr) -> Edit:
    """The edit that takes away what a function returns."""
    return Edit(source.text.rindex(b"->", 0, source.start(returns)) - 1, source.end(returns), "")


def docstring(source: Source, node: ast.FunctionDef | ast.ClassDef) -> Edit:
    """The edit that takes away a docstring, with its line."""
    text = node.body[0]
    start, end = source.start(text), source.end(text)
    if len(node.body) == 1:
        return Edit(start, end, "pass")
    start = source.text.rindex(b"\n", 0, start) + 1
    end = source.text.index(b"\n", end) + 1
    while source.text[end : end + 1] == b"\n":  # the empty line behind it
        end += 1
    return Edit(start, end, "")


def left_out(node: ast.AST) -> Iterator[ast.expr]:
    """What says no more than types; and the default values, which are known."""
    for inner in ast.walk(node):
        match inner:
            case ast.arg(annotation=ast.expr() as annotation) | ast.AnnAssign(annotation=annotation):
                yield annotation
            case ast.arguments():
                yield from inner.defaults
                yield from (value for value in inner.kw_defaults if value is not None)
            case ast.FunctionDef(returns=ast.expr() as returns):
                yield returns
            case _:
                pass
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        yield from node.decorator_list


# -- names -------------------------------------------------------------------------------------------------------------


def bound_names(node: ast.AST) -> set[str]:
    """The names that are bound anywhere in a definition."""
    found: set[str] = set()
    for inner in ast.walk(node):
        if isinstance(inner, ast.arg):
            found.add(inner.arg)
        elif isinstance(inner, ast.Name) and isinstance(inner.ctx, ast.Store):
            found.add(inner.id)
        elif isinstance(inner, ast.FunctionDef | ast.ClassDef) and inner is not node:
            found.add(inner.name)
    return found


def paths(node: ast.AST) -> Iterator[tuple[ast.expr, list[str]]]:
    """All names and attributes of names in an expression or definition, the longest ones first: `a.b.c`, `a.b`, `a`."""
    for inner in ast.walk(node):
        path: list[str] = []
        part: Any = inner
        while isinstance(part, ast.Attribute):
            path.append(part.attr)
            part = part.value
        if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Load):
            yield cast("ast.expr", inner), [part.id, *path[::-1]]


_LOCAL = object()


def value_of(look_up: Callable[[str], Any], name: str) -> Any:
    """The value of a name; `_LOCAL` for a name that is none from around."""
    try:
        return look_up(name)
    except KeyError:
        return _LOCAL


def resolve(
    source: Source,
    node: ast.AST,
    look_up: Callable[[str], Any],
    written: Callable[[Any, str], str],
    is_ours: Callable[[Any], bool],
) -> list[Edit]:
    """The edits that put in the place of each global name what `written` says for its value.

    `look_up` finds the value of a name, and raises KeyError for a name that is local. A name of a module of ours
    (`is_ours`) is written together with its attribute. A `cast` becomes its value, `get_args` what it returns.
    """
    edits: list[Edit] = []
    local = bound_names(node)
    done = {id(part) for said in left_out(node) for part in ast.walk(said)}
    for inner in ast.walk(node):
        if not (isinstance(inner, ast.Call) and isinstance(inner.func, ast.Name)):
            continue
        called = value_of(look_up, inner.func.id)
        if called is cast:
            edits.append(Edit(source.start(inner), source.start(inner.args[1]), ""))
            edits.append(Edit(source.end(inner.args[1]), source.end(inner), ""))
            done.add(id(inner.func))
            done.update(id(part) for part in ast.walk(inner.args[0]))
        elif called is get_args and isinstance(inner.args[0], ast.Name):
            values = get_args(value_of(look_up, inner.args[0].id))
            edits.append(Edit(source.start(inner), source.end(inner), repr(values)))
            done.update(id(part) for part in ast.walk(inner))
    for inner, (name, *rest) in paths(node):
        if id(inner) in done:
            continue
        value, shown = value_of(look_up, name), name
        if value is _LOCAL:
            continue
        while is_ours(value) and rest:
            shown = rest.pop(0)
            value = getattr(value, shown)
        if rest:
            continue
        if is_ours(value):
            raise Unwritable(f"it uses the module {value.__name__}")
        if isinstance(inner, ast.Attribute):
            done.update(id(part) for part in ast.walk(inner.value))
        text = written(value, shown)
        if text != name or shown != name:
            if text.split(".")[0] in local:
                text = written(value, "")
            if name in local:
                raise Unwritable(f"the name {name!r} stands for two things in it")
            edit = Edit(source.start(inner), source.end(inner), text)
            if not source.text[edit.start : edit.end].startswith(name.encode()):
                raise Unwritable(f"it uses {name} in a formatted string of several lines")
            edits.append(edit)
    return edits


BUILTINS = frozenset(dir(builtins))


__all__ = [
    "BUILTINS", "Definition", "Edit", "Source", "bound_names", "definition_of_class", "definition_of_function",
    "resolve", "source_of_file", "stripped",
]  # fmt: skip
