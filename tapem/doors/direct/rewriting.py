"""The user's call rewritten: what to write where NumPy or SciPy makes an array without a hook for traced values.

`np.mean([x, y])` converts its list by itself, so an error is all that can be given. It shows the call as it has to be,
`np.mean(np.stack([x, y]))`, found in the user's source. SciPy's functions in Python convert whatever they are given:
where tapem has the same function, the error names it.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from types import ModuleType
from typing import Any

import numpy as np

from tapem.core import Handle, instead
from tapem.types import users_expression

# The expressions that a list is written as.
_LITERALS = ast.List, ast.Tuple

# Functions that only make an array: np.stack does it in their place.
_MAKERS = {"array", "asarray", "asanyarray", "ascontiguousarray", "asfortranarray"}


def rewritten_call() -> tuple[str, str] | None:
    """The user's call of NumPy or SciPy that is running, and what to write instead; None if that is not known."""
    source, scope = users_expression()
    try:
        call = ast.parse(f"({source})", mode="eval").body
    except SyntaxError:
        return None
    if isinstance(call, ast.Subscript):
        return _joined(call, scope)
    if not isinstance(call, ast.Call) or not call.args:
        return None
    function = _value(call.func, scope)
    library, *modules = str(getattr(function, "__module__", "")).split(".")
    if library == "scipy":
        known = f"scipy.{modules[0]}.{function.__name__}"
        return (f"{known}(x)", instead(known)) if instead(known) else None
    if library != "numpy" and not isinstance(function, np.ufunc):
        return None
    before = ast.unparse(call)
    stack = ast.parse(f"{_numpy(call.func, scope)}.stack", mode="eval").body
    call.args = [_stacked(argument, scope, stack) for argument in call.args]
    name = call.func.attr if isinstance(call.func, ast.Attribute) else ast.unparse(call.func)
    after = ast.unparse(_made(call) if name in _MAKERS else call)
    return None if after == before else (before, after)


def _joined(joining: ast.Subscript, scope: Mapping[str, Any]) -> tuple[str, str] | None:
    """`np.r_[x, y]` and `np.c_[x, y]`, and the functions that join what stands in the brackets."""
    joiner = _value(joining.value, scope)
    parts = joining.slice.elts if isinstance(joining.slice, ast.Tuple) else [joining.slice]
    if not (joiner is np.r_ or joiner is np.c_) or any(isinstance(part, ast.Slice | ast.Constant) for part in parts):
        return None  # a range, or a text that says how to join
    numpy = _numpy(joining.value, scope)
    written = [ast.unparse(part) for part in parts]
    if joiner is np.c_:
        return ast.unparse(joining), f"{numpy}.column_stack([{', '.join(written)}])"
    lines = [
        text if np.ndim(_value(part, scope)) else f"{numpy}.atleast_1d({text})"
        for part, text in zip(parts, written, strict=True)
    ]
    return ast.unparse(joining), f"{numpy}.concatenate([{', '.join(lines)}])"


def _made(call: ast.Call) -> ast.expr:
    """The argument of a function that only makes an array, in the dtype that is asked for."""
    dtype = [*call.args[1:2], *(keyword.value for keyword in call.keywords if keyword.arg == "dtype")]
    return ast.Call(ast.Attribute(call.args[0], "astype"), dtype, []) if dtype else call.args[0]


def _stacked(part: ast.expr, scope: Mapping[str, Any], stack: ast.expr) -> ast.expr:
    """A list or tuple with traced values, stacked, and so the lists in it; anything else as it is."""
    if not _traced(part, scope):
        return part
    if isinstance(part, _LITERALS):
        rows = [_row(element, scope, stack) for element in part.elts]
        return ast.Call(stack, [type(part)(rows, ast.Load())], [])
    if isinstance(part, ast.ListComp) or type(_value(part, scope)) in (list, tuple):
        return ast.Call(stack, [part], [])
    return part


def _row(part: ast.expr, scope: Mapping[str, Any], stack: ast.expr) -> ast.expr:
    """What stands in a stacked list; a list of constants has to be an array there."""
    if isinstance(part, _LITERALS) and not _traced(part, scope):
        assert isinstance(stack, ast.Attribute)
        return ast.Call(ast.Attribute(stack.value, "array"), [part], [])
    return _stacked(part, scope, stack)


def _traced(part: ast.expr, scope: Mapping[str, Any]) -> bool:
    """Whether something that is named in an expression is traced, or holds what is."""
    return any(_holds_traced(_value(node, scope)) for node in ast.walk(part) if isinstance(node, ast.Name))


def _holds_traced(value: Any) -> bool:
    return any(map(_holds_traced, value)) if type(value) in (list, tuple) else isinstance(value, Handle)


def _value(expression: ast.expr, scope: Mapping[str, Any]) -> Any:
    """What a name, or a name in a module, stands for; None for anything else."""
    if isinstance(expression, ast.Name):
        return scope.get(expression.id)
    if isinstance(expression, ast.Attribute):
        module = _value(expression.value, scope)
        return getattr(module, expression.attr, None) if isinstance(module, ModuleType) else None
    return None


def _numpy(function: ast.expr, scope: Mapping[str, Any]) -> str:
    """The user's name of NumPy, if the function is called by it."""
    while isinstance(function, ast.Attribute):
        function = function.value
    return function.id if isinstance(function, ast.Name) and _value(function, scope) is np else "np"


__all__ = ["rewritten_call"]
