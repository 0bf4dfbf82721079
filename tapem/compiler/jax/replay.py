"""Replay: a program on JAX arrays, op by op, so that it is a JAX function.

An op is computed by its form in the table, or by the ops of which its implementation is made. Its derivative under a
transform of JAX is tapem's own: the op's rule, traced and replayed in turn, so that all kinks are tapem's, of any
order. Ops that are linear in each operand leave theirs to JAX.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, cast

import numpy as np

from tapem.compiler.jax.control import replayed_call
from tapem.compiler.jax.custom import replayed_custom
from tapem.compiler.jax.forms import BACKWARD, LINEAR, form_of
from tapem.compiler.jax.kinds import (
    as_dtype,
    as_tangent,
    is_float,
    jax_dtype,
    kind_of_operand,
    like,
    no_tangent,
    strong,
    to_jax_value,
    trace,
)
from tapem.compiler.jax.lazy import custom_derivatives, jax, lax
from tapem.compiler.passes.foreign import is_ours
from tapem.compiler.passes.parts import LABELED, PARTS, can_be_taken_apart
from tapem.core import LEAF, Node, ShapeDtype, UnknownNumber, pick, python_operator
from tapem.errors import DTypeError, NoRuleError, TapeError
from tapem.ops import astype
from tapem.transforms import Program, call, custom_call, jvp, kept, pulled, vjp
from tapem.types import NUMBERS, is_inexact

_MEETING = frozenset(
    (
        "power matmul bmm dot inner outer tensordot vdot kron einsum concat concat_vectors stack clamp isclose "
        "from_parts"
    ).split()
)
"""Ops other than NumPy's ufuncs whose operands meet in one dtype."""

_CANNOT = (TapeError, TypeError, ValueError, AttributeError, IndexError, NotImplementedError, RecursionError)
"""What an implementation that cannot be recorded raises, and a form in JAX for operands that it does not take."""


class Replay:
    """Replays programs on JAX arrays; `caller` is named in errors.

    With `callback`, an op without a form runs in Python, called back from JAX.
    """

    def __init__(self, caller: str, callback: bool) -> None:
        """Replay nothing yet."""
        self.caller = caller
        self.callback = callback

    def __call__(self, program: Program, inputs: Sequence[Any]) -> list[Any]:
        """The outputs of a program for JAX arrays. Raises NoRuleError, which names the op that has no form."""
        wide = bool(jax.config.jax_enable_x64)
        values: dict[int | None, Any] = dict(zip(program.inputs, inputs, strict=True))
        for node in program.nodes:
            if not wide:
                self.check_narrow(node)
            if node.id in values:
                continue
            if node.op is LEAF:
                values[node.id] = to_jax_value(node.output, self.caller)
                continue
            operands = [
                to_jax_value(x, self.caller) if parent is None else values[parent]
                for parent, x in zip(node.parents, node.inputs, strict=True)
            ]
            values[node.id] = self.node(node, operands)
        return [values[id] for id in program.outputs]

    def check_narrow(self, node: Node) -> None:
        """Raise DTypeError for a node of float64 or complex128, which JAX would silently compute in float32."""
        for part in node.output if type(node.output) is tuple else (node.output,):
            if type(part) is UnknownNumber or type(part) in NUMBERS or node.op is kept:
                continue
            dtype = ShapeDtype.of(part).dtype
            if dtype in (np.dtype(np.float64), np.dtype(np.complex128)):
                what = "an input or a constant" if node.op is LEAF else f"the result of {node.op.name}"
                raise DTypeError(
                    f"{self.caller}: {what} is {dtype}, but JAX is set to 32 bits. Set "
                    'jax.config.update("jax_enable_x64", True) before JAX is used, or compute with float32: '
                    "x.astype(np.float32)."
                )

    def node(self, node: Node, operands: list[Any]) -> Any:
        """The value of one node."""
        op: Any = node.op
        static = node.static
        if op is pick:
            return operands[0][static["index"]]
        if op is call:
            return replayed_call(self, static["program"], operands, node)
        if op is custom_call:
            return replayed_custom(self, static["rule"], operands, node)
        if op is kept or op is pulled:
            try:
                return self.expanded(node, operands, static["what"])
            except _CANNOT as error:
                raise self.without_form(static["what"].op.name, "the derivative of ") from error
        weak = type(node.output) is UnknownNumber
        operator = python_operator(op, node.inputs) if weak else None
        if operator is not None:
            return operator(*operands)
        run = self.value_of(node)
        if not op.differentiable:
            return run(*[lax.stop_gradient(x) if x is not None else None for x in operands])
        return run(*operands) if is_ours(op) and op.name in LINEAR else self.with_rule(node, run, operands)

    def value_of(self, node: Node) -> Callable[..., Any]:
        """The function that computes a node from its operands, with the dtypes of NumPy."""
        op: Any = node.op
        form = form_of(op) if is_ours(op) else None

        def run(*operands: Any) -> Any:
            try:
                if form is not None:
                    return like(form(*promoted(node, operands), **node.static), node.output)
                if not is_ours(op):
                    raise TapeError("it is a user's op")
                return self.expanded(node, operands, parts_of(node))
            except _CANNOT as error:
                if not self.callback:
                    raise self.without_form(op.name) from error
            return self.called_back(node, operands)

        return run

    def without_form(self, name: str, what: str = "") -> NoRuleError:
        """The error for an op without a form in JAX."""
        return NoRuleError(
            f"{self.caller}: {what}{name} has no form in JAX for these operands. With callback=True an op runs in "
            "Python, called back from JAX at every call."
        )

    def expanded(self, node: Node, operands: Sequence[Any], parts: Callable[..., Any]) -> Any:
        """The value of a node, by the ops of which it is made."""
        given = [place for place, x in enumerate(node.inputs) if x is not None]
        fixed = [*node.inputs]

        def apply(leaves: Sequence[Any]) -> Any:
            filled = list(fixed)
            for place, leaf in zip(given, leaves, strict=True):
                filled[place] = leaf
            return parts(*filled)

        found = trace(apply, [kind_of_operand(fixed[place]) for place in given], node.op.name)
        if any(inner.op is node.op and inner.static == node.static for inner in found.program.nodes):
            raise TapeError(f"{node.op.name} is made of itself")
        outputs = self(found.program, [operands[place] for place in given])
        several = type(node.output) is tuple
        return like(tuple(outputs) if several else outputs[0], node.output)

    def called_back(self, node: Node, operands: Sequence[Any]) -> Any:
        """The value of a node, computed by NumPy."""
        op: Any = node.op
        places = [place for place, x in enumerate(operands) if isinstance(x, jax.Array)]

        def compute(*arrays: Any) -> Any:
            filled = list(operands)
            for place, array in zip(places, arrays, strict=True):
                filled[place] = np.asarray(array).astype(ShapeDtype.of(node.inputs[place]).dtype)
            result = op(*filled, **node.static)
            kinds = [np.asarray(x).astype(jax_dtype(x)) for x in (result if type(result) is tuple else (result,))]
            return tuple(kinds) if type(node.output) is tuple else kinds[0]

        shapes = jax.tree.map(
            lambda kind: jax.ShapeDtypeStruct(kind.shape, jax_dtype(kind)),
            node.output,
            is_leaf=lambda x: isinstance(x, ShapeDtype),
        )
        arrays = [operands[place] for place in places]
        return jax.pure_callback(compute, shapes, *arrays, vmap_method="sequential")

    def with_rule(self, node: Node, run: Callable[..., Any], operands: list[Any]) -> Any:
        """The value of a node, whose derivative for JAX is that of tapem's rule."""
        op: Any = node.op
        places = [place for place, x in enumerate(operands) if isinstance(x, jax.Array)]
        kinds = [strong(node.inputs[place]) for place in places]
        floats = [position for position, place in enumerate(places) if is_float(node.inputs[place])]

        def value(*values: Any) -> Any:
            return run(*filled(operands, places, values))

        def differentiated(first: Sequence[Any], moving: Sequence[int]) -> Callable[..., Any]:
            def of_moving(*values: Any) -> Any:
                own = filled(node.inputs, places, filled(first, moving, values))
                result: Any = op(*own, **node.static)
                if type(result) is tuple or result.dtype == node.dtype:
                    return cast("Any", result)
                return astype(result, node.dtype)  # a Python number is an array here, which made the result wider

            return of_moving

        def push(primals: Sequence[Any], tangents: Sequence[Any]) -> Any:
            moving = [i for i in floats if type(tangents[i]) is not custom_derivatives.SymbolicZero]
            if not moving:
                y = value(*primals)
                return y, no_tangent(y)

            def along(leaves: Sequence[Any]) -> Any:
                first, rest = leaves[: len(places)], leaves[len(places) :]
                return jvp(differentiated(first, moving), tuple(first[i] for i in moving), tuple(rest))

            found = trace(along, [*kinds, *(kinds[i] for i in moving)], op.name)
            outputs = self(found.program, [*primals, *(tangents[i] for i in moving)])
            half = len(outputs) // 2
            y = outputs[:half]
            dy = [as_tangent(t, x) for t, x in zip(outputs[half:], y, strict=True)]
            return (tuple(y), tuple(dy)) if type(node.output) is tuple else (y[0], dy[0])

        def pull(primals: Sequence[Any], g: Any) -> Any:
            def back(leaves: Sequence[Any]) -> Any:
                first, cotangent = leaves[: len(places)], leaves[len(places)]
                return vjp(differentiated(first, floats), *(first[i] for i in floats))[1](cotangent)

            found = trace(back, [*kinds, ShapeDtype.of(node.output)], op.name)
            return tuple(filled([None] * len(places), floats, self(found.program, [*primals, g])))

        arrays = [operands[place] for place in places]
        if not BACKWARD.get(op.name, frozenset()).isdisjoint(places[i] for i in floats):
            backward = jax.custom_vjp(value)
            backward.defvjp(lambda *values: (value(*values), values), pull)
            return backward(*arrays)
        function = jax.custom_jvp(value)
        function.defjvp(push, symbolic_zeros=True)
        return function(*arrays)


def filled(values: Sequence[Any], places: Sequence[int], others: Sequence[Any]) -> list[Any]:
    """The values, with others in some places."""
    found = list(values)
    for place, other in zip(places, others, strict=True):
        found[place] = other
    return found


def parts_of(node: Node) -> Callable[..., Any]:
    """What an op is made of, as a function of the operands: known parts, or what its implementation does."""
    op: Any = node.op
    kinds = [kind_of_operand(x) for x in node.inputs if x is not None]
    part = PARTS.get(op.name) or LABELED.get(op.name)
    some = part is not None and all(min(kind.shape, default=1) > 0 for kind in kinds)
    known = some and can_be_taken_apart(op.name, part, node.static, kinds)
    function: Callable[..., Any] = part if part is not None and known else op.implementation

    def parts(*operands: Any) -> Any:
        result = function(*operands, **node.static)
        return result[0] if op.residuals else result

    return parts


def promoted(node: Node, operands: Sequence[Any]) -> list[Any]:
    """The operands in the dtype in which NumPy computes with them."""
    op: Any = node.op
    ufunc = isinstance(op.implementation, np.ufunc) and op.name != "ldexp"
    if type(node.output) is tuple or not (ufunc or len(operands) == 1 or op.name in _MEETING):
        return list(operands)
    known = [x for x in node.inputs if x is not None]
    common = np.result_type(*map(promoting, known))
    output = ShapeDtype.of(node.output).dtype
    if is_inexact(output):
        common = np.result_type(common, np.real(np.zeros((), output)).dtype)
    return [as_dtype(x, common) if isinstance(x, jax.Array) and x.dtype != jax_dtype(common) else x for x in operands]


def promoting(value: Any) -> Any:
    """What NumPy is to know of an operand to promote it: its dtype, or a number that is weak."""
    if type(value) is UnknownNumber:
        return value.kind(0)
    return value if type(value) in NUMBERS else ShapeDtype.of(value).dtype


__all__ = ["Replay"]
