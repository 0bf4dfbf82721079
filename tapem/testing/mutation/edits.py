"""The wrong versions of a function, each one small change of its source."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator, Mapping
from types import ModuleType
from typing import Any, NamedTuple, cast

from tapem.sweeps import Written
from tapem.testing.mutation.faults import PREFIX

COMBINED = frozenset("unbroadcast sum spread restore broadcast_to per_channel channel_sums repeat".split())
MOVED = frozenset("transpose swapaxes moveaxis matrix_transpose adjoint flip roll".split())
CONJUGATED = frozenset("conj conjugate conjugated real".split())
CAST = frozenset("astype as_dtype".split())
ORDERED = frozenset(
    "matmul dot outer inner tensordot kron solve solve_triangular subtract divide true_divide power arctan2".split()
)
FUNCTIONS = frozenset(
    "exp expm1 log log1p sin cos tan sinh cosh tanh sqrt square reciprocal sign abs absolute negative cumsum cumprod "
    "sigmoid triu tril cholesky inv linalg_inv".split()
)
DROPPED: Mapping[str, frozenset[str]] = {
    "missing unbroadcast": COMBINED,
    "transposed": MOVED,
    "dropped conjugate": CONJUGATED,
    "wrong dtype": CAST,
    "dropped function": FUNCTIONS,
}
"""The calls that a wrong version leaves out, so that their first argument takes their place."""

OTHER_OPERATOR: Mapping[type[ast.operator], type[ast.operator]] = {ast.Add: ast.Sub, ast.Sub: ast.Add}


class Edit(NamedTuple):
    """One change: its kind, the node that it replaces, and what stands there instead."""

    kind: str
    old: ast.expr
    new: ast.expr

    @property
    def place(self) -> tuple[int, int, int]:
        """The line, the column and the last line of the change."""
        return self.old.lineno, self.old.col_offset, self.old.end_lineno or self.old.lineno

    def texts(self) -> tuple[str, str]:
        """The source before and after."""
        return ast.unparse(self.old), ast.unparse(self.new)

    def applied(self, root: Written) -> Written:
        """The function with this change."""
        return replaced(root, self.old, self.new)


def replaced(node: Any, old: ast.AST, new: ast.AST) -> Any:
    """A copy of a tree with one node replaced."""
    if node is old:
        return ast.copy_location(new, old)
    if isinstance(node, list):
        return [replaced(part, old, new) for part in cast("list[Any]", node)]
    if not isinstance(node, ast.AST):
        return node
    fields = {name: replaced(part, old, new) for name, part in ast.iter_fields(node)}
    return ast.copy_location(type(node)(**fields), node)


def edits(root: Written, names: Mapping[str, Any]) -> Iterator[Edit]:
    """Every change within the expressions of a function; `names` are the globals that it sees."""

    def is_module(node: ast.expr) -> bool:
        while isinstance(node, ast.Attribute):
            node = node.value
        return isinstance(node, ast.Name) and isinstance(names.get(node.id), ModuleType)

    for node in expressions(root):
        if isinstance(node, ast.BinOp):
            yield from of_operator(node)
        elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
            if not isinstance(node.operand, ast.Constant):
                yield Edit("sign", node, node.operand)
        elif isinstance(node, ast.Attribute) and node.attr in ("T", "mT"):
            yield Edit("transposed", node, node.value)
        elif isinstance(node, ast.Call):
            yield from of_call(node, is_module)


def of_operator(node: ast.BinOp) -> Iterator[Edit]:
    """The changes of an arithmetic expression; tuples and texts are left alone."""
    left, right, op = node.left, node.right, node.op
    if any(isinstance(side, ast.Tuple | ast.List | ast.JoinedStr) for side in (left, right)):
        return
    if type(op) in OTHER_OPERATOR:
        yield Edit("sign", node, ast.BinOp(left, OTHER_OPERATOR[type(op)](), right))
        yield Edit("dropped term", node, left)
        yield Edit("dropped term", node, right if isinstance(op, ast.Add) else ast.UnaryOp(ast.USub(), right))
    if isinstance(op, ast.Mult | ast.MatMult | ast.Div | ast.Pow):
        yield Edit("dropped factor", node, left)
    if isinstance(op, ast.Mult | ast.MatMult):
        yield Edit("dropped factor", node, right)
    if isinstance(op, ast.Sub | ast.Div | ast.MatMult):
        yield Edit("swapped operands", node, ast.BinOp(right, op, left))


def of_call(node: ast.Call, is_module: Callable[[ast.expr], bool]) -> Iterator[Edit]:
    """The changes of a call: the call left out, its operands swapped, its axis another one."""
    function = node.func
    name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
    is_method = isinstance(function, ast.Attribute) and not is_module(function.value)
    given = [cast("ast.Attribute", function).value, *node.args] if is_method else node.args
    if not given or any(isinstance(argument, ast.Starred) for argument in given):
        return
    for kind, dropped in DROPPED.items():
        if name in dropped:
            yield Edit("sign" if name == "negative" else kind, node, given[0])
    if name in ORDERED and len(given) > 1 and not is_method:
        yield Edit("swapped operands", node, ast.Call(function, [given[1], given[0], *given[2:]], node.keywords))
    if name == "where" and len(given) == 3:
        yield Edit("swapped operands", node, ast.Call(function, [given[0], given[2], given[1]], node.keywords))
    for keyword in node.keywords:
        if keyword.arg in ("axis", "axes"):
            yield Edit("wrong axis", keyword.value, call("other_axis", keyword.value))
        elif keyword.arg == "keepdims":
            yield Edit("wrong axis", keyword.value, ast.UnaryOp(ast.Not(), keyword.value))


def of_results(root: Written) -> Iterator[Edit]:
    """The changes of what a rule returns: of each derivative, where it returns a tuple of them."""
    multiplies = any(
        (isinstance(node, ast.BinOp) and isinstance(node.op, ast.MatMult))
        or (isinstance(node, ast.Call) and "matmul" in ast.unparse(node.func))
        for node in ast.walk(root)
    )
    for result in results(root):
        for part in result.elts if isinstance(result, ast.Tuple) else [result]:
            value = part.value if isinstance(part, ast.Starred) else part
            if is_nothing(value):
                continue
            whole = ast.Call(ast.Name("tuple", ast.Load()), [value], []) if isinstance(part, ast.Starred) else value
            yield Edit("sign", value, call("negative", whole))
            yield Edit("wrong dtype", value, call("in_double", whole))
            yield Edit("detach", value, call("detach", whole))
            if multiplies:
                yield Edit("transposed", value, call("transposed", whole))


def is_nothing(node: ast.expr) -> bool:
    """Whether a result is None, or a symbol such as `Zero()`."""
    if isinstance(node, ast.Call) and not node.args:
        return ast.unparse(node.func).split(".")[-1] in ("Zero", "DoesNotExist", "ZeroTangent", "NoTangent")
    return isinstance(node, ast.Constant)


def call(fault: str, argument: ast.expr) -> ast.Call:
    """A call of a fault."""
    return ast.Call(ast.Name(PREFIX + fault, ast.Load()), [argument], [])


def results(root: Written) -> list[ast.expr]:
    """The expressions that a function returns; those of functions inside it are not its own."""
    if isinstance(root, ast.Lambda):
        return [root.body]
    return [node.value for line in root.body for node in own(line) if isinstance(node, ast.Return) and node.value]


def own(node: ast.AST) -> Iterator[ast.AST]:
    """The node and what is in it, but for functions."""
    if isinstance(node, ast.FunctionDef | ast.Lambda):
        return
    yield node
    for child in ast.iter_child_nodes(node):
        yield from own(child)


def expressions(node: ast.AST) -> Iterator[ast.expr]:
    """The expressions in a function, those of functions inside it too; no annotations, decorators or error messages."""
    if isinstance(node, ast.expr):
        yield node
    if isinstance(node, ast.Raise | ast.JoinedStr | ast.Assert | ast.arguments):
        return
    if isinstance(node, ast.FunctionDef):
        children: list[ast.AST] = list(node.body)
    elif isinstance(node, ast.AnnAssign):
        children = [node.value] if node.value else []
    else:
        children = list(ast.iter_child_nodes(node))
    for child in children:
        yield from expressions(child)


__all__ = ["Edit", "edits", "of_results", "results"]
