"""Recording: how an op that is applied to operands becomes a node.

The doors differ in how an operand finds its node: on a tape, on the current recorder, among what a recorder captured.
All else is the same for them, and stands here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from tapem.core.abstract import abstract_evaluate, number_of
from tapem.core.node import Handle, Node, Static, new_node
from tapem.core.primitive import Primitive
from tapem.core.structure import identity
from tapem.types import NUMBERS


def recorded(
    id: int,
    op: Primitive,
    operands: Sequence[Any],
    static: Static,
    node_of: Callable[[Any], Node | None] | None = None,
    abstract: bool = False,
    outcome: tuple[Any, Any] | None = None,
    requires_grad: bool = False,
) -> Node:
    """The node of an op applied to operands, each of which is a Handle, an array or a number.

    `node_of` tells the node for which a Handle stands, or None where it is a constant; by default its own. The value is
    computed here, or only its shape and dtype if `abstract`; what was computed elsewhere is given as `outcome`, the
    value and the residuals. The node requires a gradient if one of its parents does, or if it is told to, provided that
    the op is differentiable.

    >>> from tapem import sin
    >>> recorded(0, sin, [0.0], Static())
    <Node node 0: sin[None]>
    """
    parents: list[int | None] = []
    inputs: list[Any] = []
    for operand in operands:
        if not isinstance(operand, Handle):
            parents.append(None)
            inputs.append(operand if type(operand) in NUMBERS else op.captured(len(inputs), operand))
            continue
        node: Node | None = operand.node
        if node_of is not None:
            node = node_of(operand)
            if node is None:
                parents.append(None)
                inputs.append(operand if abstract else operand.node.output)
                continue
        parents.append(node.id)
        inputs.append(node.output)
        if node.requires_grad:
            requires_grad = True
    if outcome is not None:
        output, residuals = outcome
    elif abstract:
        number = None if requires_grad and op is not identity else number_of(op, inputs)
        output, residuals = number or abstract_evaluate(op, inputs, static, operands), None
    else:
        output, residuals = op.evaluate(inputs, static, operands)
    requires_grad = requires_grad and op.differentiable
    return new_node((id, op, tuple(parents), tuple(inputs), static, output, residuals, requires_grad, None))


__all__ = ["recorded"]
