"""Derivatives of loops and branches without values: the family is closed, so they exist to any order.

The tangent of a loop is the loop that carries the tangents beside the values. The pullback of a loop is made from the
pullback of its body, which is split by dependence on the cotangents: the forward part becomes a loop that also stacks
what the backward part needs of each step, and the backward part becomes a scan over these stacks in the opposite
direction. So the pullback of a `while_loop` is a scan, too, of a length that is known when it runs. The pullback of a
condition is a condition of pullbacks.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple, TypeAlias

from tapem.core import LEAF, ShapeDtype
from tapem.sweeps import zeros_of
from tapem.transforms.arguments import merge
from tapem.transforms.branching import Cond, While
from tapem.transforms.calls import Derivative, Pullback, call, is_float
from tapem.transforms.closure_conversion import traced
from tapem.transforms.derivatives import jvp, vjp
from tapem.transforms.loops import Scan
from tapem.transforms.program import Program, union

Lower: TypeAlias = Callable[[Program], Program]


def derived(derivative: Derivative, control: Scan | While | Cond, lower: Lower) -> Program | Cond:
    """The pullback or pushforward of a loop or a condition; `lower` does the same to what its parts contain."""
    moving, reached = derivative.moving, derivative.reached
    if isinstance(control, Cond):
        return derived_cond(type(derivative), control, moving, reached, lower)
    return (pulled if isinstance(derivative, Pullback) else pushed)(control, moving, reached, lower)


def derived_cond(
    kind: type[Derivative], cond: Cond, moving: tuple[bool, ...], reached: tuple[bool, ...], lower: Lower
) -> Cond:
    """The condition of the derivatives of the branches, each a function of the operands and the captures of both."""
    operands, for_yes = (part.nodes[: len(part.inputs)] for part in (cond.no, cond.yes))
    before = [node.output for node in (*for_yes, *operands[cond.operands :])]
    given = [ShapeDtype.of(x) for x, flag in zip(before, moving[1:], strict=True) if flag]
    if issubclass(kind, Pullback):
        given = [x for x, flag in zip(cond.kinds, reached, strict=True) if flag]

    def of(branch: Program) -> Program:
        def fitted(*values: Any) -> Sequence[Any]:
            return cond.fitted(branch(*cond.of(branch, (None, *values))), ())

        whole = traced(fitted, before, branch.__name__)
        derivative = kind(whole, moving[1:], reached)
        return lower(traced(derivative, [*before, *given], derivative.__name__))

    yes, no = of(cond.yes), of(cond.no)
    kinds = tuple(ShapeDtype.of(yes.nodes[id].output) for id in yes.outputs)
    return Cond((), ((),) * (1 + len(yes.inputs)), yes, no, len(yes.inputs), 0, kinds)


class Active(NamedTuple):
    """Which inputs and outputs of the body of a loop have a derivative that matters."""

    inputs: list[bool]
    outputs: list[bool]

    def of(self, inputs: Sequence[Any]) -> list[Any]:
        """Those of the inputs that have one."""
        return [value for value, is_active in zip(inputs, self.inputs, strict=True) if is_active]

    def results(self, outputs: Sequence[Any]) -> list[Any]:
        """Those of the outputs that have one."""
        return [value for value, is_active in zip(outputs, self.outputs, strict=True) if is_active]


def active(body: Program, count: int, moving: Sequence[bool], reached: Sequence[bool]) -> Active:
    """What depends on the moving inputs, at any step, and matters for the reached outputs, at any step."""
    links = body.links
    floats = [is_float(body.nodes[id].output) for id in body.inputs]
    moves, matters = [*moving], [*reached]
    while True:
        along = union(1 << number for number, flag in enumerate(moves) if flag)
        wanted = union(link for link, flag in zip(links, matters, strict=True) if flag)
        found = [moves[i] or (floats[i] and bool(links[i] & along)) for i in range(count)]
        needed = [matters[i] or (floats[i] and bool(wanted >> i & 1)) for i in range(count)]
        if found == moves[:count] and needed == matters[:count]:
            break
        moves[:count], matters[:count] = found, needed
    state = [moves[i] and matters[i] for i in range(count)]
    inputs = [moves[i] and bool(wanted >> i & 1) for i in range(count, len(moves))]
    outputs = [matters[i] and bool(links[i] & along) for i in range(count, len(matters))]
    return Active([*state, *inputs], [*state, *outputs])


def positions_of(loop: Scan | While) -> list[int]:
    """For each input of the body, which input of the loop it is."""
    if isinstance(loop, Scan):
        return [*loop.body.inputs]
    return [*range(loop.count), *range(loop.count + loop.captured, len(loop.kinds))]


# -- forward -----------------------------------------------------------------------------------------------------------


def pushed(loop: Scan | While, moving: tuple[bool, ...], reached: tuple[bool, ...], lower: Lower) -> Program:
    """The loop that carries tangents beside the values, as a program of the loop's inputs and their tangents."""
    body, count, positions = loop.body, loop.count, positions_of(loop)
    act = active(body, count, [moving[position] for position in positions], reached)
    numbers = [number for number, is_active in enumerate(act.inputs) if is_active]
    # The body's inputs, in the order of the new body: values and then tangents, for the state, the xs and the captures.
    ends = (0, count, count + loop.xs, len(positions))
    order: list[tuple[bool, int]] = []
    for start, end in itertools.pairwise(ends):
        order += [(False, number) for number in range(start, end)]
        order += [(True, number) for number in numbers if start <= number < end]

    def step(*values: Any) -> list[Any]:
        given = dict(zip(order, values, strict=True))
        inputs = [given[False, number] for number in body.inputs]

        def function(*own: Any) -> tuple[Any, Any]:
            outputs = body(*merge(inputs, numbers, own))
            return tuple(act.results(outputs)), outputs

        primals = tuple(inputs[number] for number in numbers)
        tangents = tuple(given[True, number] for number in numbers)
        _, found, outputs = jvp(function, primals, tangents, has_aux=True)
        return [*outputs[:count], *found]

    kinds = [body.nodes[number].output for number in body.inputs]
    steps = [ShapeDtype.of(kinds[number]) if is_tangent else kinds[number] for is_tangent, number in order]
    name = f"pushforward of {body.__name__}"
    new = lower(traced(step, steps, name))
    states = count + sum(act.outputs[:count])
    extended = with_body(loop, new, states, loop.xs + sum(act.inputs[count : count + loop.xs]))

    def push(*values: Any) -> list[Any]:
        inputs, rest = values[: len(moving)], iter(values[len(moving) :])
        tangents = {number: next(rest) for number, moves in enumerate(moving) if moves}
        given = [
            inputs[positions[number]]
            if not is_tangent
            else tangents[positions[number]]
            if positions[number] in tangents
            else zeros_of(kinds[number])
            for is_tangent, number in order
        ]
        tested = () if isinstance(loop, Scan) else inputs[count : count + loop.captured]
        found = call(*given[:states], *tested, *given[states:], program=extended)
        ends = iter(found[count:])
        results = [next(ends) if is_active else None for is_active in act.outputs]
        return [
            zeros_of(kind) if result is None else result
            for result, kind, wanted in zip(results, loop.shapes(*inputs), reached, strict=True)
            if wanted
        ]

    along = [ShapeDtype.of(kind) for kind, moves in zip(loop.kinds, moving, strict=True) if moves]
    return traced(push, [*loop.kinds, *along], name)


def with_body(loop: Scan | While, body: Program, count: int, xs: int = 0) -> Scan | While:
    """The same loop with another body, whose state begins with that of the old one; the condition ignores the rest."""
    if isinstance(loop, Scan):
        return Scan(body, count, xs, loop.length, loop.reverse)
    old, more = loop.test, body.nodes[loop.count : count]
    inputs = [*old.nodes[: loop.count], *more, *old.nodes[loop.count : len(old.inputs)]]

    def test(*values: Any) -> tuple[Any, ...]:
        return old(*values[: loop.count], *values[count:])

    wider = traced(test, [node.output for node in inputs], old.__name__) if more else old
    axes = ((),) * (len(body.inputs) + loop.captured)
    return replace(loop, axes=axes, test=wider, body=body, count=count)


# -- backward ----------------------------------------------------------------------------------------------------------


class Parts(NamedTuple):
    """The pullback of the body of a loop, split.

    `forward` computes the outputs of the body, and then the values of the nodes `kept`, which are stacked. `before`
    computes the `fixed` nodes from the captures alone, once for the loop. `backward` computes the cotangents from those
    of the outputs, and from the values `kept`, the inputs `used`, and the `fixed` values.
    """

    forward: Program
    before: Program
    backward: Program
    kept: list[int]
    used: list[int]
    fixed: list[int]


def pulled(loop: Scan | While, moving: tuple[bool, ...], reached: tuple[bool, ...], lower: Lower) -> Program:
    """The pullback of a loop as a program of the loop's inputs and the cotangents of the reached outputs."""
    body, count, positions = loop.body, loop.count, positions_of(loop)
    act = active(body, count, [moving[position] for position in positions], reached)
    middle = count + loop.xs
    counted = isinstance(loop, While) or loop.length is None
    parts = split(lower(joint(body, act)), len(body.inputs), len(body.outputs), count, middle, counted)
    states, rows = sum(act.inputs[:count]), sum(act.inputs[count:middle])
    sums = [ShapeDtype.of(body.nodes[number].output) for number in range(middle, len(positions)) if act.inputs[number]]
    slices = [number for number in parts.used if count <= number < middle]
    shared = [number for number in parts.used if number >= middle]
    results = sum(act.outputs)
    ends = [states, len(sums), results - states, len(parts.kept), len(slices), len(shared), len(parts.fixed)]

    def step(*values: Any) -> list[Any]:
        state, totals, *rest = apart(values, ends)
        found = parts.backward(*state, *(value for part in rest for value in part))
        added = [total + one for total, one in zip(totals, found[states + rows :], strict=True)]
        return [*found[:states], *added, *found[states : states + rows]]

    given = [node.output for node in parts.backward.nodes[: len(parts.backward.inputs)]]
    back = traced(step, [*given[:states], *sums, *given[states:]], parts.backward.__name__)
    length, reverse = (loop.length, not loop.reverse) if isinstance(loop, Scan) else (None, True)
    backward = Scan(back, states + len(sums), sum(ends[2:5]), length, reverse)
    forward = with_body(loop, parts.forward, count, loop.xs)

    def pull(*values: Any) -> list[Any]:
        inputs, rest = values[: len(moving)], iter(values[len(moving) :])
        own = [inputs[position] for position in positions]
        cotangents = [next(rest) if was_reached else None for was_reached in reached]
        seeds = [
            zeros_of(body.nodes[number].output) if cotangents[number] is None else cotangents[number]
            for number in range(count)
            if act.inputs[number]
        ]
        stacks = call(*inputs, program=forward)[len(body.outputs) :]
        found = call(
            *seeds,
            *map(zeros_of, sums),
            *(ct for ct, is_active in zip(cotangents[count:], act.outputs[count:], strict=True) if is_active),
            *stacks,
            *(own[number] for number in (*slices, *shared)),
            *parts.before(*own[middle:]),
            program=backward,
        )
        state, totals, of_rows = apart(found, [states, len(sums), rows])
        ready = iter([*state, *of_rows, *totals])
        by_input = {
            position: next(ready) for position, is_active in zip(positions, act.inputs, strict=True) if is_active
        }
        wanted = [number for number, moves in enumerate(moving) if moves]
        return [by_input[number] if number in by_input else zeros_of(inputs[number]) for number in wanted]

    ends_of_loop = [kind for kind, was_reached in zip(loop.shapes(*loop.kinds), reached, strict=True) if was_reached]
    return traced(pull, [*loop.kinds, *ends_of_loop], f"pullback of {loop.__name__}")


def joint(body: Program, act: Active) -> Program:
    """The body of a loop together with its pullback: the inputs and cotangents to the outputs and cotangents."""

    def both(*values: Any) -> list[Any]:
        inputs, cotangents = values[: len(body.inputs)], values[len(body.inputs) :]
        numbers = [number for number, is_active in enumerate(act.inputs) if is_active]

        def function(*own: Any) -> tuple[Any, Any]:
            outputs = body(*merge(inputs, numbers, own))
            return tuple(act.results(outputs)), outputs

        _, pullback, outputs = vjp(function, *act.of(inputs), has_aux=True)
        return [*outputs, *pullback(tuple(cotangents))]

    kinds = [body.nodes[number].output for number in body.inputs]
    given = [ShapeDtype.of(body.nodes[id].output) for id in act.results(body.outputs)]
    return traced(both, [*kinds, *given], f"pullback of {body.__name__}")


def split(both: Program, inputs: int, outputs: int, count: int, middle: int, counted: bool) -> Parts:
    """Split a body with its pullback by dependence on the cotangents.

    The first `count` inputs are the state, those from `middle` on captures. If the backward loop is `counted` by the
    rows that it gets, since its length is not known, it gets some in any case. What differs in length from step to
    step, as the stacks of an inner loop do, cannot be stacked: the backward part computes it again.
    """
    late, fixed = set(both.inputs[inputs:]), set(range(middle, inputs))
    for node in both.nodes[len(both.inputs) :]:
        if not late.isdisjoint(node.parents):
            late.add(node.id)
        elif fixed.issuperset(parent for parent in node.parents if parent is not None):
            fixed.add(node.id)
    cotangents = both.outputs[outputs:]
    wanted = [id for id in cotangents if id not in late]
    for id in late.difference(both.inputs):
        wanted.extend(parent for parent in both.nodes[id].parents if parent is not None and parent not in late)
    needed: set[int] = set()
    while wanted:
        node = both.nodes[wanted.pop()]
        if node.id not in needed and has_rows(node.output):
            needed.add(node.id)
        elif node.id not in needed:
            wanted.extend(parent for parent in node.parents if parent is not None)
    needed = {id for id in needed if both.nodes[id].op is not LEAF or id < inputs}
    used = sorted(id for id in needed if count <= id < inputs)
    once = sorted(id for id in needed if id in fixed and id >= inputs)
    kept = sorted(needed.difference(used, once))
    if counted and not kept and not any(id < middle for id in used):
        smallest = min(range(middle), key=lambda id: (id < count < middle, both.nodes[id].output.size))
        (kept if smallest < count else used).insert(0, smallest)
    given = both.inputs[:inputs]
    name = both.__name__
    return Parts(
        forward=Program.of(both.nodes, given, [*both.outputs[:outputs], *kept], f"forward part of {name}"),
        before=Program.of(both.nodes, given[middle:], once, f"fixed part of {name}"),
        backward=Program.of(both.nodes, [*both.inputs[inputs:], *kept, *used, *once], cotangents, name),
        kept=kept,
        used=used,
        fixed=once,
    )


def has_rows(kind: Any) -> bool:
    """Whether values of this kind have the same shape at every step, so that they can be stacked."""
    return isinstance(kind, ShapeDtype) and -1 not in kind.shape


def apart(values: Sequence[Any], lengths: Sequence[int]) -> list[Sequence[Any]]:
    """Values in groups of these lengths."""
    groups: list[Sequence[Any]] = []
    start = 0
    for length in lengths:
        groups.append(values[start : start + length])
        start += length
    return groups


__all__ = ["derived"]
