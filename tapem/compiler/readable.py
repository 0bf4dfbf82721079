"""Readable texts: how a program that a person reads writes an op, where that differs from what runs.

An op whose implementation checks its arguments, and then returns one expression of NumPy, is written as this
expression: the checks were made when the program was traced.
"""

from __future__ import annotations

import ast
import functools
import inspect
import io
import tokenize
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias, cast

import numpy as np

from tapem.compiler.stripping import definition_of_function, source_of_file
from tapem.compiler.texts import literal, text_of
from tapem.compiler.unwritable import Unwritable
from tapem.core import Primitive, ShapeDtype, Static

Show: TypeAlias = Callable[[Any], str]
Text: TypeAlias = Callable[[Sequence[str], Sequence[Any], Static], "str | None"]


def readable(op: Primitive, operands: Sequence[str], kinds: Sequence[Any], static: Static, show: Show) -> str | None:
    """The expression for an op applied to operands of these texts and kinds; None if the op has no text.

    `show` writes a static argument.
    """
    own = READABLE.get(op.name)
    text = None
    axis = static.get("axis")
    if isinstance(axis, tuple) and len(cast("tuple[Any, ...]", axis)) == 1 and op.name in _REDUCTIONS:
        static = Static({**static, "axis": axis[0]})
    if isinstance(own, str):
        text = text_of(op, operands, kinds, static, show, own)
    elif own is not None:
        text = own(operands, kinds, static)
    if text is None:
        text = derived(op, operands, static, show) or text_of(op, operands, kinds, static, show)
    return text


_REDUCTIONS = frozenset({"sum", "prod", "max", "min", "all", "any", "mean", "var", "squeeze", "expand_dims", "flip"})


# -- texts that depend on shapes ---------------------------------------------------------------------------------------


def is_array(kind: Any) -> bool:
    """Whether a value is an array with axes: NumPy returns numbers of its own where there are none."""
    return type(kind) is ShapeDtype and kind.ndim > 0


def _power(operands: Sequence[str], kinds: Sequence[Any], static: Static) -> str | None:
    base, exponent = operands
    if type(kinds[1]) is not int or kinds[1] != 2 or type(kinds[0]) is not ShapeDtype or kinds[0].dtype.kind != "f":
        return f"np.power({base}, {exponent})"
    return (
        f"np.square({base})" if kinds[0].ndim else f"np.square({base}) if type({base}) is np.ndarray else {base} ** 2"
    )


def _transpose(operands: Sequence[str], kinds: Sequence[Any], static: Static) -> str | None:
    return f"{operands[0]}.T" if static["axes"] is None and is_array(kinds[0]) else None


def _cast(operands: Sequence[str], kinds: Sequence[Any], static: Static) -> str | None:
    return f"{operands[0]}.astype({literal(static['dtype'])})" if is_array(kinds[0]) else None


def _linear(operands: Sequence[str], kinds: Sequence[Any], static: Static) -> str | None:
    weight, bias, x = operands
    flat = type(kinds[2]) is ShapeDtype and kinds[2].ndim <= 2 and is_array(kinds[0])
    return f"np.dot({x}, {weight}.T) + {bias}" if flat else None


def _getitem(operands: Sequence[str], kinds: Sequence[Any], static: Static) -> str | None:
    x = operands[0] if is_array(kinds[0]) else f"np.asarray({operands[0]})"
    return f"{x}[{index_text(static['at'], operands[1:])}]"


def index_text(at: Any, arrays: Sequence[str]) -> str:
    """An index as Python writes it between brackets: `0, 1:, None`."""
    rest = iter(arrays)
    parts = [next(rest) if part == "array" else part for part in repr(at)[1:-1].split(", ")]
    return ", ".join(parts) or "()"


READABLE: Mapping[str, str | Text] = {
    "power": _power,
    "transpose": _transpose,
    "cast": _cast,
    "linear": _linear,
    "getitem": _getitem,
    "matmul": "{a} @ {b}",
    "bmm": "{a} @ {b}",
    "mean": "np.mean({x}{axis=}{keepdims=})",
    "tril": "np.tril({x}{k=})",
    "triu": "np.triu({x}{k=})",
    "diag": "np.diag({x}{k=})",
    "repeat": "np.repeat({x}, {repeats}{axis=})",
    "roll": "np.roll({x}, {shift}{axis=})",
    "tile": "np.tile({x}, {reps})",
    "split": "np.split({x}, {indices_or_sections}{axis=})",
    "vdot": "np.vdot({a}, {b})",
    "svd": "np.linalg.svd({a}{full_matrices=})",
    "eigh": "np.linalg.eigh({a}{UPLO=})",
    "qr": "np.linalg.qr({a}{mode=})",
    "slogdet": "np.linalg.slogdet({a})",
}
"""From the name of an op to its expression, or to a function of operands, kinds and static arguments."""


# -- texts from implementations ----------------------------------------------------------------------------------------


_OURS = ("tapem", "layers", "losses")


@functools.lru_cache(maxsize=1024)
def expression_of(implementation: Any) -> ast.expr | None:
    """What an implementation returns, if that is one expression of NumPy and its arguments, behind mere checks."""
    try:
        code = implementation.__code__
        node = definition_of_function(source_of_file(code.co_filename, implementation.__globals__), code)
    except (AttributeError, Unwritable):
        return None
    body = node.body if isinstance(node, ast.FunctionDef) else [ast.Return(node.body)]
    ours = str(implementation.__module__).split(".")[0] in _OURS
    left_out = ast.Call | ast.Constant if ours else ast.Constant  # a user's op may check values
    body = [part for part in body if not (isinstance(part, ast.Expr) and isinstance(part.value, left_out))]
    if len(body) == 1 and isinstance(body[0], ast.Try) and ours:
        body = body[0].body  # what it catches it raises again, in better words
    if len(body) != 1 or not isinstance(body[0], ast.Return) or body[0].value is None:
        return None
    value, given = body[0].value, node.args
    known = {
        argument.arg for argument in (*given.args, *given.kwonlyargs, *given.posonlyargs, given.vararg) if argument
    }
    for inner in ast.walk(value):
        if isinstance(inner, ast.Lambda | ast.comprehension | ast.Tuple | ast.IfExp):
            return None
        if isinstance(inner, ast.Name) and inner.id not in known:
            if inner.id != "np" or implementation.__globals__.get("np") is not np:
                return None
    return value


def derived(op: Primitive, operands: Sequence[str], static: Static, show: Show) -> str | None:
    """The expression for an op, from what its implementation returns."""
    if isinstance(op.implementation, np.ufunc) or op.residuals:
        return None
    found = expression_of(op.implementation)
    if found is None:
        return None
    texts = dict(zip(op.operand_names, operands, strict=False))
    if op.variadic:
        texts[op.operand_names[-1]] = ", ".join(operands[op.arity - 1 :])

    class Fill(ast.NodeTransformer):
        def visit_Starred(self, node: ast.Starred) -> Any:
            return cast("ast.Tuple", expression(f"({texts[cast('ast.Name', node.value).id]},)")).elts

        def visit_Call(self, node: ast.Call) -> Any:
            without_defaults(node, static)
            return self.generic_visit(node)

        def visit_Name(self, node: ast.Name) -> Any:
            if node.id in texts:
                return expression(texts[node.id])
            return expression(show(static[node.id])) if node.id in static else node

    copy = expression(ast.unparse(found))
    if op.variadic and not any(isinstance(part, ast.Starred) for part in ast.walk(copy)):
        return None
    return ast.unparse(Fill().visit(copy))


def expression(text: str) -> ast.expr:
    """An expression as a tree."""
    return ast.parse(text, mode="eval").body


def without_defaults(call: ast.Call, static: Static) -> None:
    """Leave out static arguments that are NumPy's own defaults."""
    function: Any = None
    if isinstance(call.func, ast.Attribute):
        try:
            function = eval(ast.unparse(call.func), {"np": np})
        except (NameError, AttributeError):
            return
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):
        return
    by_name = {parameter.name: parameter for parameter in parameters}

    def usual(node: ast.expr, parameter: Any) -> bool:
        if not isinstance(node, ast.Name) or node.id not in static or parameter is None:
            return False
        value, default = static[node.id], parameter.default
        return (default is cast("Any", np)._NoValue and value in (False, None)) or (
            type(value) is type(default) and value == default
        )

    call.keywords = [option for option in call.keywords if not usual(option.value, by_name.get(option.arg or ""))]
    while not call.keywords and call.args and len(call.args) <= len(parameters):
        if not usual(call.args[-1], parameters[len(call.args) - 1]):
            break
        call.args.pop()


# -- beauty ------------------------------------------------------------------------------------------------------------


def tidy(line: str) -> str:
    """A line without brackets that it does not need, and with double quotes; the head of a block stays as it is."""
    start = line[: len(line) - len(line.lstrip())]
    try:
        statement = ast.parse(line.lstrip()).body[0]
        text = start + ast.unparse(statement)
    except SyntaxError:
        return line
    if isinstance(statement, ast.Assign) and isinstance(statement.value, ast.Tuple) and len(statement.value.elts) > 1:
        values = ", ".join(map(ast.unparse, statement.value.elts))
        targets = ast.unparse(statement.targets[0]).removeprefix("(").removesuffix(")")
        text = f"{start}{targets} = {values}"
    return double_quoted(text)


def double_quoted(text: str) -> str:
    """A line of source in which the strings have double quotes."""
    start = len(text) - len(text.lstrip())
    tokens = tokenize.generate_tokens(io.StringIO(text.lstrip()).readline)
    strings = [token for token in tokens if token.type == tokenize.STRING and token.string.startswith("'")]
    for token in reversed(strings):
        inside = token.string[1:-1]
        if '"' not in inside and "\\" not in inside:
            first, last = token.start[1] + start, token.end[1] + start
            text = f'{text[:first]}"{inside}"{text[last:]}'
    return text


def tidy_return(result: str) -> str:
    """The statement that returns an expression; a long one on several lines."""
    tree = expression(result)
    bare = isinstance(tree, ast.Tuple) and len(tree.elts) > 1 and len(result) <= _WIDTH
    return f"return {double_quoted(ast.unparse(tree))[1:-1] if bare else wrapped(tree, '')}"


_WIDTH = 90


def wrapped(tree: ast.expr, indent: str) -> str:
    """A tuple, list or dict with one element per line, if it is too long for a line."""
    text = double_quoted(ast.unparse(tree))
    if len(indent) + len(text) <= _WIDTH or not isinstance(tree, ast.Tuple | ast.List | ast.Dict):
        return text
    inner = indent + "    "
    if isinstance(tree, ast.Dict):
        keys = [double_quoted(ast.unparse(cast("ast.expr", key))) for key in tree.keys]
        parts = [f"{key}: {wrapped(value, inner)}" for key, value in zip(keys, tree.values, strict=True)]
    else:
        parts = [wrapped(part, inner) for part in tree.elts]
    return "\n".join([text[0], *(f"{inner}{part}," for part in parts), indent + text[-1]])


__all__ = ["READABLE", "index_text", "readable", "tidy", "tidy_return"]
