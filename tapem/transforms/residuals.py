"""Residuals as nodes: what an op keeps for its derivative, where the sweep itself is recorded.

A sweep that is recorded needs the residuals as tracers. Where values are known they are computed again, by the op's
implementation on tracers. On an abstract tape, each is a node of the op `kept`, applied to the operands of the first
op; a compiled program computes an op and what it keeps by one call.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, cast

from tapem.core import Primitive, ShapeDtype, Static, abstract_residuals, tree_flatten, tree_unflatten
from tapem.doors.direct import Tracer
from tapem.ops import primitive


class Kept(NamedTuple):
    """Which array is kept: the leaf of that number of the residuals of an op with these static arguments.

    `places` are the positions of the operands that are not None, out of `arity`.
    """

    op: Primitive
    leaf: int
    static: Static
    arity: int
    places: tuple[int, ...]

    def operands(self, inputs: Sequence[Any]) -> list[Any]:
        """All operands of the op, from those that are not None."""
        operands: list[Any] = [None] * self.arity
        for place, value in zip(self.places, inputs, strict=True):
            operands[place] = value
        return operands

    def __call__(self, *inputs: Any) -> Any:
        """The array, computed by the op's implementation."""
        return tree_flatten(recomputed(self.op, self.operands(inputs), self.static))[0][self.leaf]


def recomputed(op: Primitive, inputs: Sequence[Any], static: Static) -> Any:
    """The residuals of an op, by its implementation."""
    return op.implementation(*inputs, **static)[1]


def _abstract_kept(*inputs: Any, what: Kept) -> ShapeDtype:
    return tree_flatten(abstract_residuals(what.op, what.operands(inputs), what.static))[0][what.leaf]


# No overload can describe an op of any number of inputs with a static argument without default.
_any_number = cast("Callable[[Any], Primitive]", primitive(abstract=_abstract_kept))


@_any_number
def kept(*inputs, what: Any) -> Any:  # pyright: ignore  # the op says what its operands are
    """One of the arrays that an op keeps for its derivative. Its own derivative is defined in `calls`."""
    return what(*inputs)  # pyright: ignore[reportUnknownVariableType]


kept.checked = False


def kept_by(op: Primitive, inputs: Sequence[Any], static: Static) -> Any:
    """The residuals of an op as nodes; what is no array, such as a count, is known from the shapes."""
    values = [x.node.output if type(x) is Tracer else x for x in inputs]
    leaves, structure = tree_flatten(abstract_residuals(op, values, static))
    places = tuple(place for place, x in enumerate(inputs) if x is not None)
    given = [inputs[place] for place in places]
    return tree_unflatten(
        structure,
        [
            kept(*given, what=Kept(op, index, static, len(inputs), places)) if type(leaf) is ShapeDtype else leaf
            for index, leaf in enumerate(leaves)
        ],
    )


__all__ = ["Kept", "kept", "kept_by", "recomputed"]
