"""explain: a sweep as text, step by step, so that a reader can follow it by hand."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np

from tapem.core import LEAF, node_line
from tapem.errors import ArgumentError
from tapem.seeing.steps import Sweep, forward_steps, reverse_steps
from tapem.seeing.subjects import leaves_of, subject_of
from tapem.sweeps import ForwardStep, ReverseStep, value_text


def explain(
    x: Any,
    *arguments: Any,
    mode: Literal["reverse", "forward"] = "reverse",
    cotangent: Any = None,
    tangents: Mapping[Any, Any] | None = None,
) -> str:
    """Describe a sweep step by step: of a tape and an output, or of a function and its arguments.

    For every node, from the last to the first: its op, its value, its cotangent, what its rule contributes to each
    parent, with the rule's source and the numbers put in, and the running sum there. The last lines give the gradients
    of the leaves, as `tape.backward_scalar(out)` gives them. With mode="forward" the nodes come from the first to the
    last, each with its tangent; `tangents` maps leaves to theirs, and without it each leaf has the tangent 1.

    x may be a `do` program or a model with an input as well, or a sweep, as `reverse_steps` gives it.

    Raises NotScalarError as `backward_scalar` does, unless a `cotangent` is given; ArgumentError for another mode.

    >>> import numpy as np, tapem as tm
    >>> print(explain(lambda x: np.tanh(x) * x, 0.0))
    Reverse sweep from %2, whose cotangent is 1.
    %2 = mul(%1, %0)   value 0.
        cotangent in: 1.
        to %1 (its a): 0.
            g * b = 1. * 0.
        to %0 (its b): 0.
            g * a = 1. * 0.
    %1 = tanh(%0)   value 0.
        cotangent in: 0.
        to %0 (its x): 0., running sum 0.
            g * (1 - y * y) = 0. * (1 - 0. * 0.)
    Gradients of the leaves:
        %0 'x': 0.
    """
    if isinstance(x, Sweep):
        return sweep_text(x)
    subject = subject_of(x, *arguments, caller="explain")
    if mode == "reverse":
        return sweep_text(reverse_steps(subject.tape, subject.output("explain"), cotangent))
    if mode != "forward":
        raise ArgumentError(f'explain: mode is "reverse" or "forward", not {mode!r}.')
    given = {ref: np.ones(ref.shape, ref.dtype) for ref in leaves_of(subject.tape)} if tangents is None else tangents
    return sweep_text(forward_steps(subject.tape, given))


def sweep_text(sweep: Sweep) -> str:
    """The text of a sweep."""
    return reverse_text(sweep) if sweep.mode == "reverse" else forward_text(sweep)


def reverse_text(sweep: Sweep) -> str:
    """The text of a reverse sweep, which ends with the gradients of the leaves."""
    (last,) = sweep.start
    steps = [step for step in sweep if isinstance(step, ReverseStep)]
    began = next((step.cotangent for step in steps if step.node.id == last and step.skipped is None), 1.0)
    lines = [f"Reverse sweep from %{last}, whose cotangent is {value_text(began).removesuffix('.')}."]
    for step in steps:
        if step.contributions:
            lines += [heading(step), f"    cotangent in: {value_text(step.cotangent)}", *contributed(step, "to")]
    lines.append("Gradients of the leaves:")
    for step in reversed(steps):
        if step.node.op is LEAF:
            unreached = "not reached, so zero" if step.node.requires_grad else "constant, so it has none"
            lines.append(f"    {name(step)}: {unreached if step.skipped else value_text(step.cotangent)}")
    return "\n".join(lines)


def forward_text(sweep: Sweep) -> str:
    """The text of a forward sweep, which begins with the tangents of the leaves."""
    lines = ["Forward sweep from the tangents of the leaves:"]
    steps = [step for step in sweep if isinstance(step, ForwardStep)]
    for step in steps:
        if step.node.op is LEAF:
            lines.append(f"    {name(step)}: {step.skipped or value_text(step.tangent)}")
    for step in steps:
        if step.contributions:
            lines += [heading(step), *contributed(step, "from"), f"    tangent out: {value_text(step.tangent)}"]
    return "\n".join(lines)


def heading(step: ReverseStep | ForwardStep) -> str:
    """A node: its op, its operands and its value."""
    return f"%{step.node.id} = {node_line(step.node)}   value {value_text(step.node.output)}"


def name(step: ReverseStep | ForwardStep) -> str:
    """A leaf, with its name."""
    return f"%{step.node.id}" + ("" if step.node.name is None else f" {step.node.name!r}")


def contributed(step: ReverseStep | ForwardStep, direction: str) -> list[str]:
    """The lines of the contributions of a step; `direction` is "to" the parents or "from" them."""
    lines: list[str] = []
    for part in step.contributions:
        line = f"    {direction} %{part.parent} (its {part.operand}): {value_text(part.value)}"
        first = part.running is part.value
        lines.append(line if first else f"{line}, running sum {value_text(part.running)}")
        lines.append(f"        {part.rule}" + (f" = {part.numbers}" if part.numbers else ""))
    return lines


__all__ = ["explain", "sweep_text"]
