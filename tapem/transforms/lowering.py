"""Lowering: a program in which the only calls are those of loops and conditions.

All other calls are inlined: first those of programs, of their derivatives and of batched programs, so that loops and
conditions have derivatives that are loops and conditions; and then functions with a rule of their own, whose rules are
not needed any more. What cannot be inlined, because it groups the examples of a batch by their values, stays as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from tapem.core import Primitive, UnknownNumber, detach, identity
from tapem.transforms.branching import Branching, Cond, While
from tapem.transforms.calls import Derivative, call, is_float
from tapem.transforms.closure_conversion import traced
from tapem.transforms.custom_call import custom_call
from tapem.transforms.loop_derivatives import derived
from tapem.transforms.loops import Scan, weak_kind
from tapem.transforms.program import Program
from tapem.transforms.residuals import Kept, kept


def lowered(program: Program) -> Program:
    """The program with all calls inlined but those of a Scan, While or Cond, whose parts are lowered in turn.

    The derivatives of loops and conditions, of any order, become loops and conditions.
    """
    return with_ops(inlined(program), _WITHOUT_RULES)


def inlined(program: Program) -> Program:
    """The same, but functions with a rule of their own stay, so that the program can be differentiated."""
    return with_ops(program, {call: inlined_call, identity: without_copy, detach: without_cut})


def without_copy(x: Any) -> Any:
    """The value itself in place of its copy; a Python number becomes an array."""
    return identity(x) if isinstance(weak_kind(x), UnknownNumber) else x


def without_cut(x: Any) -> Any:
    """The value itself in place of a constant, where it has no derivative anyhow."""
    return detach(x) if is_float(x) else x


def with_ops(program: Program, ops: Mapping[Primitive, Callable[..., Any]]) -> Program:
    """The program with other functions in the place of some ops; what they do is recorded."""
    nodes = [node._replace(op=ops.get(node.op, node.op)) for node in program.nodes]  # pyright: ignore
    changed = Program(nodes, program.inputs, program.outputs, program.__name__)
    return traced(changed, [program.nodes[id].output for id in program.inputs], program.__name__)


def inlined_call(*operands: Any, program: Any) -> tuple[Any, ...]:
    """Apply a program, inlined if it can be."""
    found = inlined_function(program, [*map(weak_kind, operands)])
    return found(*operands) if isinstance(found, Program) else call(*operands, program=found)


def inlined_function(function: Any, kinds: Sequence[Any]) -> Any:
    """An inlined Program that does the same, or a loop or condition of such; else the function itself."""
    parts = with_parts(fitted(function) if isinstance(function, Cond) else function, inlined)
    if parts is not None or isinstance(function, Branching):
        return function if parts is None else parts if isinstance(parts, Cond) else without_fixed_state(parts)
    if isinstance(function, Program):
        return inlined(function)
    if not isinstance(function, Derivative):
        return inlined(traced(function, kinds, function.__name__))
    inner = inlined_function(function.program, kinds[: len(function.moving)])
    if isinstance(inner, Program):
        own = type(function)(inner, function.moving, function.reached)
        return inlined(traced(own, kinds, own.__name__))
    alone = isinstance(inner, Scan | While | Cond) and not getattr(inner, "sizes", ())
    return derived(function, inner, inlined) if alone else function


def without_fixed_state(loop: Scan | While) -> Scan | While | Program:
    """The loop without the state that its body returns as it is, which the body captures instead.

    So a pullback does not stack it.
    """
    body, count = loop.body, loop.count
    fixed = [i for i in range(count) if body.outputs[i] == body.inputs[i]]
    if not fixed:
        return loop
    moving = [i for i in range(count) if i not in fixed]
    outputs = [body.outputs[i] for i in (*moving, *range(count, len(body.outputs)))]
    inner = Program.of(body.nodes, [*moving, *range(count, len(body.inputs)), *fixed], outputs, body.__name__)
    if isinstance(loop, Scan):
        smaller: Scan | While = replace(loop, body=inner, count=len(moving))
    else:
        test, captured = loop.test, loop.captured + len(fixed)
        inputs = [*moving, *range(count, len(test.inputs)), *fixed]
        holds = Program.of(test.nodes, inputs, test.outputs, test.__name__)
        axes = ((),) * (len(inner.inputs) + captured)
        smaller = replace(loop, axes=axes, test=holds, body=inner, count=len(moving), captured=captured)
    middle = count + (loop.captured if isinstance(loop, While) else 0)

    def run(*values: Any) -> list[Any]:
        state, same = [values[i] for i in moving], [values[i] for i in fixed]
        tested = (*values[count:middle], *same) if isinstance(loop, While) else ()
        found = call(*state, *tested, *values[middle:], *same, program=smaller)
        states = dict(zip((*moving, *fixed), (*found[: len(moving)], *same), strict=True))
        return [*(states[i] for i in range(count)), *found[len(moving) :]]

    return traced(run, loop.kinds, loop.__name__)


def fitted(cond: Cond) -> Cond:
    """The condition whose branches return the kinds on which both agree."""

    def fit(branch: Program) -> Program:
        kinds = [node.output for node in branch.nodes[: len(branch.inputs)]]
        return traced(lambda *inputs: cond.fitted(branch(*inputs), ()), kinds, branch.__name__)

    return cond if cond.sizes else replace(cond, yes=fit(cond.yes), no=fit(cond.no))


def with_parts(function: Any, change: Callable[[Program], Program]) -> Scan | While | Cond | None:
    """A loop or condition with its programs changed; None for what is none, or groups the examples of a batch."""
    match function:
        case Scan():
            return replace(function, body=change(function.body))
        case While(sizes=()):
            return replace(function, test=change(function.test), body=change(function.body))
        case Cond(sizes=()):
            return replace(function, yes=change(function.yes), no=change(function.no))
        case _:
            return None


def call_without_rules(*operands: Any, program: Any) -> tuple[Any, ...]:
    """A call of a loop or condition without rules."""
    return call(*operands, program=with_parts(program, lambda part: with_ops(part, _WITHOUT_RULES)) or program)


def custom_without_rule(*operands: Any, rule: Any) -> tuple[Any, ...]:
    """Apply a function with a rule of its own, without the rule."""

    def function(*inputs: Any) -> tuple[Any, ...]:
        return custom_call.implementation(*inputs, rule=rule)[0]

    return lowered(traced(function, [*map(weak_kind, operands)], rule.name))(*operands)


def kept_without_rule(*operands: Any, what: Kept) -> Any:
    """One of the arrays that an op keeps; what a function with its own rule keeps is computed by inlining it."""
    if what.op is not custom_call:
        return kept(*operands, what=what)
    return lowered(traced(lambda *inputs: [what(*inputs)], [*map(weak_kind, operands)], what.op.name))(*operands)[0]


_WITHOUT_RULES: Mapping[Primitive, Callable[..., Any]] = {
    call: call_without_rules,
    custom_call: custom_without_rule,
    kept: kept_without_rule,
}


__all__ = ["lowered"]
