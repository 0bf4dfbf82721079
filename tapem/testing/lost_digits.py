"""Where a program loses digits: its tape is replayed in a higher precision, node by node, beside the run that it holds.

Both sweeps are replayed. Forward, a node loses digits if its value is less exact than its operands. Backward, a rule
loses them if what it contributes is less exact than what it gets, and a node if the sum of the contributions is less
exact than they are. Cancellation is the usual reason.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from tapem.core import Node, ShapeDtype, is_several
from tapem.errors import ArgumentError, TapeError
from tapem.sweeps import reverse
from tapem.testing.flattening import Flat, first_line, magnitude, packed, real_input
from tapem.testing.precise_replay import longer, replayed
from tapem.transforms import Trace, trace
from tapem.types import argument_names, is_inexact

SHOWN = 5
"""How many nodes of each sweep the report shows."""


class Loss(NamedTuple):
    """A node that loses digits: how many decimal digits are lost there, and how many are right afterwards."""

    node: int
    text: str
    lost: float
    left: float

    def __str__(self) -> str:
        return f"{self.text}: loses {self.lost:.1f} digits, {self.left:.1f} are left"


@dataclass(frozen=True)
class FloatError:
    """What rounding does to a program's value and gradient, and the nodes that lose digits, the worst first.

    `value` and `gradient` are relative errors, against the largest element. `forward` and `backward` have the nodes
    that lose half a digit or more. `skipped` tells which ops could not be replayed in the higher precision, and why.

    >>> report = float_error(lambda x: (x + 1000) - 1000, np.float32(0.1))
    >>> print(report.forward[0])
    %2 = sub(%1, constant): loses 3.6 digits, 3.6 are left
    """

    name: str
    precision: np.dtype[Any]
    beside: np.dtype[Any]
    value: float
    gradient: float | None
    forward: tuple[Loss, ...]
    backward: tuple[Loss, ...]
    skipped: Mapping[str, str]

    def __repr__(self) -> str:
        there = digits_of(0.0, self.precision)
        lines = [f"FloatError of {self.name}: {self.precision}, replayed in {self.beside}"]
        for what, error, losses in (
            ("value", self.value, self.forward),
            ("gradient", self.gradient, self.backward),
        ):
            if error is None:
                continue
            left = digits_of(error, self.precision)
            lines.append(f"  {what}: {left:.1f} of {there:.1f} digits are right (relative error {error:.2g})")
            lines += [f"    {loss}" for loss in losses[:SHOWN]]
            if len(losses) > SHOWN:
                lines.append(f"    ... and {len(losses) - SHOWN} more")
        lines += [f"  not replayed: {what} ({reason})" for what, reason in self.skipped.items()]
        return "\n".join(lines)

    __str__ = __repr__


def float_error(f: Callable[..., Any], x: Any) -> FloatError:
    """Find where `f` loses digits at `x`, in its value and in its gradient (of several outputs, with random weights).

    The program's tape is replayed in float64 beside float32 or float16, and in `np.longdouble` beside float64; which
    of them it is, the dtype of x decides. x may be a tree. Comparisons and indices keep their outcome.

    What overflows in one precision and not in the other has lost all digits.

    Raises DTypeError for integers in x; ArgumentError if `np.longdouble` is no longer than float64 here, and where
    nothing that f returns is finite.

    >>> x = np.float32(1000.0) + np.arange(8, dtype=np.float32) / 8
    >>> print(float_error(lambda x: np.mean(x**2) - np.mean(x) ** 2, x))
    FloatError of x: float32, replayed in float64
      value: 0.6 of 7.2 digits are right (relative error 0.24)
        %5 = sub(%2, %4): loses 6.6 digits, 0.6 are left
      gradient: 7.2 of 7.2 digits are right (relative error 0)
    """
    flat = Flat(f, (x,))
    real_input(flat, "float_error")
    precision = flat.precision
    exact = longer(precision)
    if exact is None:
        given = "float32, which is replayed in float64" if precision == np.float64 else "float64"
        raise ArgumentError(f"float_error: nothing on this machine is longer than {precision}; give x in {given}.")
    with np.errstate(all="ignore"):  # what overflows is told of in the report
        recorded = trace(lambda leaves: flat(*leaves), list(flat.leaves))
    names = dict(zip((node.id for node in recorded.inputs), flat.inputs.names, strict=True))
    nodes = list(recorded.recorder.nodes)
    skipped: dict[str, str] = {}
    with np.errstate(all="ignore"):
        better = replayed(nodes, exact, precision, skipped)
        errors = [relative_error(one.output, other.output) for one, other in zip(nodes, better, strict=True)]
        found = [recorded.output_node(output) for output in recorded.outputs]
        ends = [node.id for node in found if node is not None]
        values = packed([better[end].output for end in ends], exact)
        if values.size and not np.isfinite(values).any():
            raise ArgumentError("float_error: nothing that f returns is finite at x; choose a point inside its domain.")
        forward = forward_losses(nodes, errors, precision, names)
        backward: list[Loss] = []
        gradient: float | None = None
        try:
            two = [Contributions(one, ends) for one in (nodes, better)]
            backward, gradient = backward_losses(nodes, errors, two, precision, names, recorded)
        except (TapeError, TypeError, ValueError) as error:
            skipped["the reverse sweep"] = first_line(error)
    if precision == np.float64:  # LAPACK has no longer floats
        skipped = {what: f"{reason}; give x in float32, to replay in float64" for what, reason in skipped.items()}
    value = max((errors[end] for end in ends), default=0.0)
    name = argument_names(f, 1)[0]
    return FloatError(name, precision, exact, value, gradient, tuple(forward), tuple(backward), skipped)


def relative_error(one: Any, other: Any) -> float:
    """How far a value is from the better one, relative to the largest element."""
    if is_several(one):
        return max((relative_error(*parts) for parts in zip(one, other, strict=True)), default=0.0)
    if one is None or not is_inexact(ShapeDtype.of(one).dtype):
        return 0.0
    right = np.asarray(other)
    value = np.asarray(one, right.dtype)
    same = (value == right) | (np.isnan(value) & np.isnan(right))
    apart = np.where(same, 0, np.abs(value - right))
    if not np.isfinite(apart).all():
        return 1.0
    error, size = float(np.max(apart, initial=0)), float(magnitude(np.abs(right)))
    return 0.0 if error == 0 else error / size if size else 1.0


def digits_of(error: float, precision: np.dtype[Any]) -> float:
    """The number of decimal digits that are right, at most those that the precision has."""
    least = float(np.finfo(precision).eps) / 2
    return float(max(0.0, -np.log10(min(1.0, max(error, least)))))


class Contributions:
    """What every node contributes to the cotangents of its parents, by node and position, and those cotangents."""

    def __init__(self, nodes: Sequence[Node], ends: Sequence[int]) -> None:
        """Sweep from random weights of the outputs that every precision can hold, the same at every call."""
        self.parts: dict[tuple[int, int], Any] = {}
        start: dict[int, Any] = {}
        rng = np.random.default_rng(0)
        for end in ends:
            value = np.asarray(nodes[end].output)
            weights = np.ones(value.shape) if value.size == 1 else rng.integers(8, 24, value.shape) / 16
            start[end] = start.get(end, 0) + weights.astype(value.dtype)
        self.cotangents: Mapping[int, Any] = reverse(nodes, start, watcher=self)

    def recorded(self, node: Node) -> None:
        """See nothing: no node is recorded in a sweep of arrays."""

    def pushed(self, node: Node, tangent: Any, nodes: Sequence[Node]) -> None:
        """See nothing: there is no forward sweep."""

    def contributed(self, node: Node, cotangent: Any, position: int, contribution: Any, nodes: Sequence[Node]) -> None:
        """Keep a contribution, whose memory the sweep then does not write to."""
        self.parts[node.id, position] = contribution


def forward_losses(
    nodes: Sequence[Node], errors: Sequence[float], precision: np.dtype[Any], names: Mapping[int, str]
) -> list[Loss]:
    """The nodes whose values are less exact than their operands."""
    losses: list[Loss] = []
    for node in nodes:
        before = max((errors[parent] for parent in node.parents if parent is not None), default=0.0)
        add_loss(losses, node.id, text_of(node, names), before, errors[node.id], precision)
    return sorted(losses, key=lambda loss: -loss.lost)


def backward_losses(
    nodes: Sequence[Node],
    errors: Sequence[float],
    two: Sequence[Contributions],
    precision: np.dtype[Any],
    names: Mapping[int, str],
    recorded: Trace,
) -> tuple[list[Loss], float]:
    """The rules and the sums of cotangents that lose digits, and the error of the gradient."""
    one, other = two
    several = {at for at, value in one.cotangents.items() if type(value) is list}
    off = {at: relative_error(one.cotangents[at], other.cotangents[at]) for at in {*one.cotangents} - several}
    losses: list[Loss] = []
    arrived: dict[int, float] = {}
    for (at, position), part in one.parts.items():
        node = nodes[at]
        parent = node.parents[position]
        if parent is None:
            continue
        after = relative_error(part, other.parts[at, position])
        arrived[parent] = max(arrived.get(parent, 0.0), after)
        operands = [errors[operand] for operand in node.parents if operand is not None]
        before = max([off.get(at, 0.0), errors[at], *operands])
        add_loss(losses, at, f"rule of {text_of(node, names)}, for %{parent}", before, after, precision)
    for at, before in arrived.items():
        if at in off:
            text = f"cotangent of {text_of(nodes[at], names)}, as the sum of what arrives"
            add_loss(losses, at, text, before, off[at], precision)
    sizes = {node.id: magnitude(packed([other.cotangents[node.id]])) for node in recorded.inputs if node.id in off}
    size = max(sizes.values(), default=0.0)
    error = max((off[at] * own for at, own in sizes.items()), default=0.0) / size if size else 0.0
    return sorted(losses, key=lambda loss: -loss.lost), error


def add_loss(losses: list[Loss], node: int, text: str, before: float, after: float, precision: np.dtype[Any]) -> None:
    """Note a node that loses half a digit or more."""
    left = digits_of(after, precision)
    lost = digits_of(before, precision) - left
    if lost >= 0.5:
        losses.append(Loss(node, text, lost, left))


def text_of(node: Node, names: Mapping[int, str]) -> str:
    """A node in the report: an input by its name, anything else by its op and operands."""
    if node.id in names:
        return f"%{node.id} ({names[node.id]})"
    parents = ", ".join("constant" if parent is None else f"%{parent}" for parent in node.parents)
    name = f" {node.name!r}" if node.name else ""
    return f"%{node.id}{name} = {node.op.name}({parents})"


__all__ = ["FloatError", "Loss", "float_error"]
