"""Residuals and pullbacks as nodes: how a sweep is recorded that a compiled program will run.

A sweep that is recorded needs the residuals as tracers. Where values are known they are computed again, by the op's
implementation on tracers. Where they will never be known, each is a node of the op `kept`, applied to the operands of
the first op; a compiled program computes an op and what it keeps by one call. And the pullback of an `opaque` op,
such as a convolution, is one node, `pulled`: it calls the op's rule on arrays, for which it was written.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, cast

from tapem.core import (
    Node,
    Primitive,
    ShapeDtype,
    Static,
    Structure,
    abstract_residuals,
    tree_flatten,
    tree_unflatten,
)
from tapem.doors.direct import Recorder, Tracer
from tapem.errors import ShapeError
from tapem.ops import astype, primitive
from tapem.sweeps import zeros_of
from tapem.tangents import AbstractZero, Zero, unthunk
from tapem.types import is_inexact


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


class Pulled(NamedTuple):
    """The cotangents of some operands of an op, from the leaves of `(cotangent, output, residuals, inputs)`.

    Of a joint rule all positions in `wanted` are taken, else there is one.
    """

    op: Primitive
    static: Static
    structure: Structure
    wanted: tuple[int, ...]

    def __call__(self, *leaves: Any) -> Any:
        """The cotangents, by the op's rule: fitted to the operands. Raises ShapeError for one that does not fit."""
        g, output, residuals, inputs = tree_unflatten(self.structure, leaves)
        shown = (g, output, residuals, *inputs) if self.op.residuals else (g, output, *inputs)
        rules: Any = self.op.rrule
        if type(rules) is tuple:
            (position,) = self.wanted
            return self.fitted(rules[position](*shown, **self.static), inputs[position], position)
        found = rules(*shown, **self.static)
        return tuple(self.fitted(found[position], inputs[position], position) for position in self.wanted)

    def fitted(self, part: Any, like: Any, position: int) -> Any:
        """The result of a rule as an array of the operand's shape and dtype."""
        part = unthunk(part)
        if isinstance(part, AbstractZero):
            return zeros_of(like)
        kind, own = ShapeDtype.of(like), ShapeDtype.of(part)
        if own.shape != kind.shape:
            raise ShapeError(
                f"the rrule of {self.op.usage()} for {self.op.argument(position)} returned a cotangent of shape "
                f"{own.shape}, but the operand has shape {kind.shape}."
            )
        return part if own.dtype == kind.dtype else astype(part, kind.dtype)

    def kinds(self, leaves: Sequence[Any]) -> Any:
        """Shapes and dtypes of the cotangents: those of the operands."""
        inputs = tree_unflatten(self.structure, leaves)[3]
        kinds = tuple(ShapeDtype.of(inputs[position]) for position in self.wanted)
        return kinds if type(self.op.rrule) is not tuple else kinds[0]


@cast("Callable[[Any], Primitive]", primitive(abstract=lambda *leaves, what: what.kinds(leaves)))
def pulled(*leaves, what: Any) -> Any:  # pyright: ignore  # the leaves of what a rule is shown
    """The cotangents of operands of an op, by its rule. Its own derivative is defined in `calls`."""
    return what(*leaves)  # pyright: ignore[reportUnknownVariableType]


pulled.checked = False


def rules_by_calls(node: Node) -> Any:
    """The rules of an op's reverse mode, each as one node that calls the op's rule."""
    op = cast("Primitive", node.op)
    given: Any = op.rrule
    movable = [is_inexact(ShapeDtype.of(x).dtype) if x is not None else False for x in node.inputs]

    def call(wanted: tuple[int, ...], shown: tuple[Any, ...], static: Static) -> Any:
        g, output, *rest = shown
        residuals, inputs = (rest[0], rest[1:]) if op.residuals else (None, rest)
        leaves, structure = tree_flatten((g, output, residuals, tuple(inputs)))
        return pulled(*leaves, what=Pulled(op, static, structure, wanted))

    def jointly(*shown: Any, **static: Any) -> tuple[Any, ...]:
        wanted = tuple(position for position, moves in enumerate(movable) if moves)
        found = iter(call(wanted, shown, Static(static)))
        return tuple(next(found) if moves else Zero() for moves in movable)

    def alone(position: int) -> Callable[..., Any]:
        return lambda *shown, **static: call((position,), shown, Static(static))

    if type(given) is not tuple:
        return jointly
    return tuple(None if rule is None else alone(position) for position, rule in enumerate(given))


def kept_by(op: Primitive, inputs: Sequence[Any], static: Static) -> Any:
    """The residuals of an op as nodes; what is no array, such as a count, is known from the shapes."""
    values = [x.node.output if type(x) is Tracer else x for x in inputs]
    leaves, structure = tree_flatten(abstract_residuals(op, values, static))
    places = tuple(place for place, x in enumerate(inputs) if x is not None)
    given = [inputs[place] for place in places]
    return tree_unflatten(
        structure,
        [
            kept(*given, what=Kept(op, index, static, len(inputs), places)) if isinstance(leaf, ShapeDtype) else leaf
            for index, leaf in enumerate(leaves)
        ],
    )


def will_run(recorder: Recorder) -> bool:
    """Whether what is recorded will run as a program; what `vmap` records is folded instead."""
    return recorder.whole and recorder.captures is not None


__all__ = ["Kept", "Pulled", "kept", "kept_by", "pulled", "recomputed", "rules_by_calls", "will_run"]
