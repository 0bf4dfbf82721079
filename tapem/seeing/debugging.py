"""Debugging: print ops as they run, and find the first value that is not finite."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tapem.core import (
    CONTEXT,
    Node,
    ShapeDtype,
    UnknownNumber,
    is_several,
    node_line,
    prepared,
    run,
    set_back,
    tree_flatten,
    tree_unflatten,
)
from tapem.doors.direct import Recorder, Tracer, current_recorder, new_recorder, opened
from tapem.errors import TapeError
from tapem.ops import where
from tapem.sweeps import Printer, value_text
from tapem.tangents import Zero
from tapem.transforms import plain_tree
from tapem.types import is_inexact


def debug(f: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap f so that it prints every op with its inputs and outputs as it runs; the results stay the same.

    Inside a transform the ops of its sweeps are printed too.

    >>> import numpy as np
    >>> float(debug(lambda x: np.sin(x) * 2.0)(0.0))
    %1 f64[] = sin(%0)
        0. -> 0.
    %2 f64[] = mul(%1, 2.0)
        0., 2. -> 0.
    0.0
    """

    @functools.wraps(f)
    def printing(*arguments: Any, **options: Any) -> Any:
        def record(recorder: Recorder) -> Any:
            leaves, structure = tree_flatten((arguments, options))
            positional, keywords = tree_unflatten(structure, [traced(recorder, leaf) for leaf in leaves])
            return plain_tree(f(*positional, **keywords), recorder)

        watched = prepared(CONTEXT.get()._replace(watcher=Printer()))
        if current_recorder() is not None:
            return run(watched, functools.partial(f, *arguments, **options))
        return run(watched, opened, new_recorder(), record)

    return printing


def traced(recorder: Recorder, value: Any) -> Any:
    """A tracer for a value that is a float or complex number, or an array of them; any other value unchanged."""
    is_float = isinstance(value, float | complex) or (type(value) is np.ndarray and is_inexact(value.dtype))
    return Tracer(recorder, recorder.leaf(value)) if is_float else value


class FiniteGuard:
    """A watcher that raises TapeError at the first value, tangent or cotangent that is not finite."""

    def recorded(self, node: Node) -> None:
        """Check the value of a node."""
        for value in node.output if is_several(node.output) else (node.output,):
            if not is_finite(value):
                raise not_finite(node, node.op.name, "a value", value, IF_DISCARDED)

    def pushed(self, node: Node, tangent: Any, nodes: Sequence[Node]) -> None:
        """Check a tangent."""
        for part in tangent if is_several(tangent) else (tangent,):
            if not is_finite(part):
                raise not_finite(node, f"the frule of {node.op.name}", "a tangent", part, discarded(node, part, nodes))

    def contributed(self, node: Node, cotangent: Any, position: int, contribution: Any, nodes: Sequence[Node]) -> None:
        """Check a contribution to a parent's cotangent."""
        if not is_finite(contribution):
            op: Any = node.op
            raise not_finite(
                node,
                f"the rrule of {op.name}",
                f"{op.argument(position)} a cotangent",
                contribution,
                f"\n  cotangent in: {value_text(cotangent)}{discarded(node, contribution, nodes)}",
            )


def not_finite(node: Node, who: str, what: str, value: Any, why: str) -> TapeError:
    """The error for a value that is not finite: what gave it, for which inputs, and why."""
    return TapeError(
        f"debug_mode: {who} ({node.label()}) gave {what} that is not finite: {value_text(value)}\n"
        f"  {node_line(node)}\n  inputs: {', '.join(map(value_text, node.inputs))}{why}"
    )


HARMLESS = "\n  Give it harmless numbers to work on: np.where(c, f(np.where(c, x, 1.0)), other)."
IF_DISCARDED = f"\n  If a where discards it later, its derivative is NaN all the same.{HARMLESS}"


def discarded(node: Node, derivative: Any, nodes: Sequence[Node]) -> str:
    """Name the `where` that discards the value of a node with a derivative that is not finite; "" if there is none."""
    after = {node.id}
    for index in range(node.id + 1, len(nodes)):
        later = nodes[index]
        branches = [position for position, parent in enumerate(later.parents) if parent in after]
        if later.op is where and not isinstance(later.inputs[0], Tracer | ShapeDtype):
            chosen = np.asarray(later.inputs[0], bool)
            for position in branches:
                lost = ~chosen if position == 1 else chosen
                bad = ~np.isfinite(derivative)
                if np.any(lost & bad if lost.shape == bad.shape else lost):
                    reason = "does not choose this branch, but 0 times an infinite derivative is NaN."
                    return f"\n  The where ({later.label()}) {reason}{HARMLESS}"
        if branches:
            after.add(index)
    return ""


def is_finite(value: Any) -> bool:
    """Whether all elements are finite; an unknown value counts as finite."""
    return type(value) in (ShapeDtype, Tracer, UnknownNumber, Zero) or bool(np.all(np.isfinite(value)))


class debug_mode:
    """Raise TapeError at the first value, tangent or cotangent that is not finite.

    `debug_mode(True)` switches the checks on for this thread or task, `debug_mode(False)` off; a `with` block switches
    back at its end. Values are checked where ops are recorded: on a tape, or inside a transform. A `debug_mode` that is
    switched on inside a transform ends with the transform at the latest. Outside, Ctrl-C between the call and the start
    of the `with` block leaves it on.

    >>> import numpy as np, tapem as tm
    >>> with debug_mode(True), np.errstate(divide="ignore"):
    ...     tm.grad(lambda x: np.log(x * 0.0))(2.0)
    Traceback (most recent call last):
        ...
    tapem.errors.TapeError: debug_mode: log (node 2) gave a value that is not finite: -inf
      log(%1)
      inputs: 0.
      If a where discards it later, its derivative is NaN all the same.
      Give it harmless numbers to work on: np.where(c, f(np.where(c, x, 1.0)), other).
    """

    def __init__(self, on: bool = True) -> None:
        """Switch the checks on or off, at once."""
        self._token = CONTEXT.set(CONTEXT.get()._replace(watcher=FiniteGuard() if on else None).usual())

    def __enter__(self) -> debug_mode:
        return self

    def __exit__(self, *problem: object) -> None:
        set_back(self._token, lambda now, before: now._replace(watcher=before.watcher))


__all__ = ["debug", "debug_mode"]
