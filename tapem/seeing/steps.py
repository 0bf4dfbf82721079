"""The steps of a sweep, of a tape as a whole: what explain, the displays and the explorer are made of."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, overload

from tapem.core import CONTEXT, LEAF, Immutable, ShapeDtype, prepared, run, setter
from tapem.display import Displayed
from tapem.doors.pure import Ref, Tape
from tapem.errors import ArgumentError
from tapem.sweeps import (
    ForwardStep,
    Notes,
    ReverseStep,
    fit_given,
    forward,
    forward_steps_of,
    reverse_steps_of,
)
from tapem.types import short_text

Step = ReverseStep | ForwardStep


class Sweep(Immutable, Displayed, Sequence[Step]):
    """A sweep over a tape as a sequence of immutable steps, one for each node, in the order of the sweep.

    `mode` is "reverse" or "forward", and `start` are the ids of the nodes whose derivative was given. The text of a
    sweep is what `explain` says.
    """

    __slots__ = ("_steps", "mode", "start", "tape")

    tape: Tape
    mode: Literal["reverse", "forward"]
    start: tuple[int, ...]
    _steps: tuple[Step, ...]

    def __init__(
        self, tape: Tape, mode: Literal["reverse", "forward"], start: Sequence[int], steps: Sequence[Step]
    ) -> None:
        """Of steps in order."""
        for name, value in (("tape", tape), ("mode", mode), ("start", tuple(start)), ("_steps", tuple(steps))):
            setter(Sweep, name)(self, value)

    @overload
    def __getitem__(self, index: int, /) -> Step: ...

    @overload
    def __getitem__(self, index: slice, /) -> tuple[Step, ...]: ...

    def __getitem__(self, index: int | slice, /) -> Step | tuple[Step, ...]:
        """A step by its place in the sweep."""
        return self._steps[index]

    def __len__(self) -> int:
        return len(self._steps)

    def __iter__(self) -> Iterator[Step]:
        return iter(self._steps)

    def __eq__(self, other: object) -> bool:
        return self is other  # comparing steps would compare arrays

    def __hash__(self) -> int:
        return object.__hash__(self)

    def __repr__(self) -> str:
        visited = sum(step.skipped is None for step in self)
        return f"<Sweep {self.mode}: {visited} of {len(self)} nodes visited>"


def reverse_steps(tape: Tape, out: Ref | int, cotangent: Any = None) -> Sweep:
    """Sweep backward from an output, and return the steps: one for each node, from the last to the first.

    A step has `node`, `rule` (its source text), `cotangent`, `contributions` (one for each parent, with its own `rule`,
    the rule's `numbers`, `value` and `running` sum), `running` (the sums by parent) and `skipped` (why the sweep does
    not visit the node, or None). Without a cotangent the output is a scalar, whose cotangent is 1.

    Raises what `tape.backward_scalar` and `tape.backward` raise, and ArgumentError for a tape without values.

    >>> import tapem as tm
    >>> x, tape = tm.Tape().leaf(3.0)
    >>> y, tape = tape.record(tm.mul, x, 2.0)
    >>> step = reverse_steps(tape, y)[0]
    >>> step.rule, step.cotangent, step.contributions[0].numbers, step.contributions[0].value
    ('a: g * b, b: g * a', array(1.), '1. * 2.', np.float64(2.0))
    """
    check_values(tape, "reverse_steps")
    nodes, output, last = list(tape), Ref(tape[out]), tape[out].id
    notes = Notes(nodes)
    context = prepared(CONTEXT.get()._replace(watcher=notes))
    if cotangent is None:
        gradients = run(context, tape.backward_scalar, output)
    else:
        gradients = run(context, tape.backward, output, cotangent)
    arrived = {id: gradients[id] for id in gradients if id <= last}
    if not tape[out].requires_grad:  # the gradients of a constant output are zeros that no sweep has computed
        arrived = {}
    return Sweep(tape, "reverse", (last,), list(reverse_steps_of(nodes, notes, arrived, last)))


def forward_steps(tape: Tape, tangents: Mapping[Any, Any]) -> Sweep:
    """Sweep forward from tangents of some leaves, and return the steps: one for each node, from the first to the last.

    `tangents` maps a leaf's Ref or id to an array of the leaf's shape. A step is like one of `reverse_steps`, with
    `tangent` in place of `cotangent`; its contributions come from the parents.

    Raises ArgumentError for what is no leaf and for a tape without values, ShapeError or DTypeError for a tangent that
    does not fit.

    >>> import tapem as tm
    >>> x, tape = tm.Tape().leaf(3.0)
    >>> y, tape = tape.record(tm.mul, x, 2.0)
    >>> step = forward_steps(tape, {x: 1.0})[1]
    >>> step.tangent, step.contributions[0].numbers
    (np.float64(2.0), '1. * 2.')
    """
    mapping: Any = tangents
    if not isinstance(mapping, Mapping):
        raise ArgumentError(
            f"forward_steps: tangents must map leaves to arrays, {{x: 1.0}}, not {short_text(mapping)}."
        )
    check_values(tape, "forward_steps")
    given: dict[int, Any] = {}
    for key, tangent in tangents.items():
        node = tape[key]
        if node.op is not LEAF or not node.requires_grad:
            raise ArgumentError(
                f"forward_steps: {node.label()} ({node.op.name}) is no leaf that requires a gradient; tangents are "
                "given for such leaves."
            )
        kind = ShapeDtype(node.shape, node.dtype)
        given[node.id] = fit_given(
            tangent, kind, f"forward_steps: the tangent of {node.label()}", "a leaf", promoted=True
        )
    nodes = list(tape)
    found = forward(nodes, dict(given), len(nodes) - 1, outputs=range(len(nodes)), watcher=CONTEXT.get().watcher)
    return Sweep(tape, "forward", sorted(given), list(forward_steps_of(nodes, found, set(given))))


def check_values(tape: Tape, caller: str) -> None:
    """Raise ArgumentError for an abstract tape, whose rules have nothing to compute with."""
    if any(isinstance(node.output, ShapeDtype) for node in tape):
        raise ArgumentError(f"{caller}: the tape holds shapes and no values; record it with arrays.")


__all__ = ["Step", "Sweep", "forward_steps", "reverse_steps"]
