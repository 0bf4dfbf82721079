"""Algebraic simplification: rules, each from a node to a simpler value.

No rule changes a value, except that `sum(broadcast_to(x))` is a product, which rounds once instead of often. NaN,
infinities and the signs of zeros stay as they are: x * 0 is not 0, and x + 0.0 is not x, since -0.0 + 0.0 is 0.0.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, cast

import numpy as np

from tapem.compiler.rewriting import Rewriter, Value, kind_matches, rewritten
from tapem.core import LEAF, Node, UnknownNumber
from tapem.ops import add, broadcast_to, mul, neg, reshape, transpose
from tapem.transforms import Program
from tapem.types import NUMBERS

ALL = slice(None)

Rule = Callable[[Rewriter, Node], Any]


def simplify(program: Program) -> Program:
    """Apply the rules to every node, from the inputs to the outputs."""

    def replace(rewriter: Rewriter, node: Node) -> Any:
        for rule in RULES.get(getattr(node.op, "name", ""), ()):
            value = rule(rewriter, node)
            if value is not None:
                return value
        return None

    return rewritten(program, replace)


def number_in(rewriter: Rewriter, operand: Any) -> Any:
    """The number that all elements of a constant are, in its own dtype; None for what is no such constant."""
    if type(operand) is Value:
        node = rewriter.nodes[operand.id]
        if node.op is not LEAF or not isinstance(node.output, np.ndarray | np.generic):
            return None
        operand = node.output
    if type(operand) in NUMBERS:
        return operand
    if not isinstance(operand, np.ndarray | np.generic) or not operand.size:
        return None
    array = np.asarray(operand)
    first = array.flat[0]
    same = array.tobytes() == first.tobytes() * array.size if array.size <= 4096 else bool(np.all(array == first))
    return first if same and not (array.size > 4096 and first == 0) else None


def is_whole(rewriter: Rewriter, node: Node, operand: Any) -> bool:
    """Whether a value has the shape and dtype of the node, so that it can stand for it."""
    return type(operand) is Value and kind_matches(rewriter.kind(operand), node.output) and not weak(rewriter, operand)


def weak(rewriter: Rewriter, operand: Any) -> bool:
    """Whether a value is a Python number."""
    return type(rewriter.kind(operand)) is UnknownNumber


# -- arithmetic --------------------------------------------------------------------------------------------------------


def times_one(rewriter: Rewriter, node: Node) -> Any:
    """x * 1 is x; x * -1 is -x."""
    a, b = rewriter.operands(node)
    for x, factor in ((a, b), (b, a)):
        number = number_in(rewriter, factor)
        if number is None or not is_whole(rewriter, node, x):
            continue
        if number == 1:
            return x
        if number == -1 and node.dtype.kind == "f":
            return rewriter.apply(neg, x)
    return None


def scalar_factor(rewriter: Rewriter, node: Node) -> Any:
    """A factor that is an array of equal numbers is one number, if the other operand has the whole shape."""
    a, b = rewriter.operands(node)
    for x, factor in ((a, b), (b, a)):
        number = number_in(rewriter, factor)
        if number is not None and np.ndim(rewriter.kind(factor)) and is_whole(rewriter, node, x):
            return rewriter.apply(cast("Any", node.op), *((x, number) if factor is b else (number, x)))
    return None


def minus_zero(rewriter: Rewriter, node: Node) -> Any:
    """x - 0 is x."""
    x, other = rewriter.operands(node)
    number = number_in(rewriter, other)
    return x if number is not None and number == 0 and not np.signbit(number) and is_whole(rewriter, node, x) else None


def plus_minus_zero(rewriter: Rewriter, node: Node) -> Any:
    """x + -0.0 is x, and so is x + 0 for integers."""
    a, b = rewriter.operands(node)
    for x, other in ((a, b), (b, a)):
        number = number_in(rewriter, other)
        if number is None or number != 0 or not is_whole(rewriter, node, x):
            continue
        if node.dtype.kind in "iu" or (isinstance(number, float | np.floating) and np.signbit(number)):
            return x
    return None


def over_one(rewriter: Rewriter, node: Node) -> Any:
    """x / 1 is x."""
    x, divisor = rewriter.operands(node)
    number = number_in(rewriter, divisor)
    return x if number is not None and number == 1 and is_whole(rewriter, node, x) else None


def twice_negative(rewriter: Rewriter, node: Node) -> Any:
    """-(-x) is x."""
    inner = made_by(rewriter, rewriter.operands(node)[0], "neg")
    return None if inner is None else of(rewriter, inner, 0)


def times_of_negative(rewriter: Rewriter, node: Node) -> Any:
    """-x * c is x * -c."""
    a, b = rewriter.operands(node)
    for x, factor in ((a, b), (b, a)):
        inner, number = made_by(rewriter, x, "neg"), number_in(rewriter, factor)
        floating = isinstance(number, float | np.floating)
        if inner is None or not floating or np.ndim(rewriter.kind(factor)) or not is_whole(rewriter, node, x):
            continue
        return rewriter.apply(cast("Any", node.op), of(rewriter, inner, 0), -number)
    return None


def small_operand(rewriter: Rewriter, node: Node) -> Any:
    """An operand that was repeated to the shape of the other one is taken as it was: the op repeats it itself."""
    a, b = rewriter.operands(node)
    for position, (x, other) in enumerate(((a, b), (b, a))):
        inner = made_by(rewriter, x, "broadcast_to")
        if inner is None or np.shape(rewriter.kind(other)) != node.shape:
            continue
        small = of(rewriter, inner, 0)
        if type(small) is Value and not weak(rewriter, small) and rewriter.kind(small).dtype == inner.dtype:
            return rewriter.apply(cast("Any", node.op), *((small, other) if position == 0 else (other, small)))
    return None


# -- shapes ------------------------------------------------------------------------------------------------------------


def made_by(rewriter: Rewriter, operand: Any, name: str) -> Node | None:
    """The node of a value, if the op of this name made it."""
    node = rewriter.nodes[operand.id] if type(operand) is Value else None
    return node if node is not None and getattr(node.op, "name", "") == name else None


def of(rewriter: Rewriter, node: Node, position: int) -> Any:
    """An operand of a new node."""
    parent = node.parents[position]
    return node.inputs[position] if parent is None else Value(parent)


def reshape_of_reshape(rewriter: Rewriter, node: Node) -> Any:
    """A reshape to the shape that there is already is nothing; of two, the last one counts."""
    (x,) = rewriter.operands(node)
    if is_whole(rewriter, node, x):
        return x
    for name in ("reshape", "expand_dims", "squeeze", "flatten"):
        inner = made_by(rewriter, x, name)
        if inner is not None:
            first = of(rewriter, inner, 0)
            return first if is_whole(rewriter, node, first) else rewriter.apply(reshape, first, shape=node.shape)
    return None


def new_axes_only(rewriter: Rewriter, node: Node) -> Any:
    """An index of whole axes and new ones is a reshape."""
    x, *indices = rewriter.operands(node)
    if (
        indices
        or type(x) is not Value
        or not all(part in (None, ...) or part == ALL for part in node.static["at"].parts)
    ):
        return None
    return rewriter.apply(reshape, x, shape=node.shape)


def put_in_new_axes_only(rewriter: Rewriter, node: Node) -> Any:
    """To put all elements into zeros is a reshape, and a sum with 0.0 that turns -0.0 into 0.0."""
    value = new_axes_only(rewriter, node) if node.dtype.kind in "fiu" else None
    return value if value is None or node.dtype.kind != "f" else rewriter.apply(add, value, 0.0)


def transpose_of_transpose(rewriter: Rewriter, node: Node) -> Any:
    """Two transposes are one, or none."""
    (x,) = rewriter.operands(node)
    inner = made_by(rewriter, x, "transpose")
    order = order_of(node)
    if inner is not None:
        inside = order_of(inner)
        order = tuple(inside[axis] for axis in order)
        x = of(rewriter, inner, 0)
    if order == tuple(range(len(order))):
        return x
    return None if inner is None else rewriter.apply(transpose, x, axes=order)


def order_of(node: Node) -> tuple[int, ...]:
    """The order of axes of a transpose, from the front."""
    axes, rank = node.static["axes"], len(node.shape)
    return tuple(range(rank))[::-1] if axes is None else tuple(axis % rank for axis in axes)


def nothing_broadcast(rewriter: Rewriter, node: Node) -> Any:
    """A broadcast to the shape that there is already is nothing; of two, the last one counts."""
    (x,) = rewriter.operands(node)
    if is_whole(rewriter, node, x):
        return x
    inner = made_by(rewriter, x, "broadcast_to")
    return None if inner is None else rewriter.apply(broadcast_to, of(rewriter, inner, 0), shape=node.shape)


def cast_of_cast(rewriter: Rewriter, node: Node) -> Any:
    """A cast to the dtype that there is already is nothing; a cast there and back is, if it loses nothing."""
    (x,) = rewriter.operands(node)
    if is_whole(rewriter, node, x):
        return x
    inner = made_by(rewriter, x, "cast")
    if inner is not None:
        first = of(rewriter, inner, 0)
        before = rewriter.kind(first)
        if not weak(rewriter, first) and np.can_cast(before.dtype, inner.dtype, "safe"):
            return (
                first
                if kind_matches(before, node.output)
                else rewriter.apply(cast("Any", node.op), first, dtype=node.dtype)
            )
    return None


# -- choices and sums --------------------------------------------------------------------------------------------------


def equal_branches(rewriter: Rewriter, node: Node) -> Any:
    """where(c, x, x) is x. Constants are not compared: 0.0 equals -0.0, and 1 equals 1.0."""
    _, x, y = rewriter.operands(node)
    return x if type(x) is type(y) is Value and x == y and is_whole(rewriter, node, x) else None


def reduction_of_one(rewriter: Rewriter, node: Node) -> Any:
    """The sum, the maximum or the minimum of a value without axes is that value."""
    (x,) = rewriter.operands(node)[:1]
    return x if np.shape(rewriter.kind(x)) == () and is_whole(rewriter, node, x) else None


def sum_of_broadcast(rewriter: Rewriter, node: Node) -> Any:
    """The sum of a value that was only repeated is a product with the number of repetitions."""
    inner = made_by(rewriter, rewriter.operands(node)[0], "broadcast_to")
    if inner is None or node.dtype.kind != "f" or node.static["axis"] is not None:
        return None
    x = of(rewriter, inner, 0)
    small = rewriter.kind(x)
    if np.shape(small) != () or weak(rewriter, x) or node.shape != ():
        return None
    return rewriter.apply(mul, x, node.dtype.type(math.prod(inner.shape)))


RULES: Mapping[str, tuple[Rule, ...]] = {
    "mul": (times_one, scalar_factor, times_of_negative, small_operand),
    "div": (over_one, small_operand),
    "sub": (minus_zero, small_operand),
    "add": (plus_minus_zero, small_operand),
    "neg": (twice_negative,),
    "reshape": (reshape_of_reshape,),
    "flatten": (reshape_of_reshape,),
    "expand_dims": (reshape_of_reshape,),
    "squeeze": (reshape_of_reshape,),
    "getitem": (new_axes_only,),
    "scatter": (put_in_new_axes_only,),
    "transpose": (transpose_of_transpose,),
    "broadcast_to": (nothing_broadcast,),
    "cast": (cast_of_cast,),
    "where": (equal_branches,),
    "sum": (reduction_of_one, sum_of_broadcast),
    "max": (reduction_of_one,),
    "min": (reduction_of_one,),
}
"""From the name of an op to the rules for it."""


__all__ = ["RULES", "simplify"]
