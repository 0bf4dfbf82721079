"""Reverse mode: one fold over a tape, from its end to its beginning.

The `rrule` of each node's op takes the node's cotangent and returns a cotangent for each parent. A parent sums the
contributions of its children. Rules are plain NumPy: on arrays, the sweep runs at NumPy's speed; on tracers, the sweep
itself is recorded and can be swept again.
"""

from __future__ import annotations

from collections.abc import Callable, MutableMapping, Sequence
from sys import getrefcount
from typing import Any, TypeAlias

import numpy as np

from tapem import tangents
from tapem.core import Node, Static, Watcher, pick
from tapem.sweeps.broadcasting import unbroadcast, zeros_of
from tapem.sweeps.fitting import fitted
from tapem.sweeps.rule_errors import call_rule, missing_rule, refuse_missing, rule_failed, wrong_count
from tapem.tangents import InplaceableThunk

# The arguments that a node's rules get: (value, residuals, inputs).
View: TypeAlias = Callable[[Node], tuple[Any, Any, tuple[Any, ...], Any]]

# The types of cotangents that are arrays or numbers, not tracers.
_PLAIN = frozenset(
    {np.ndarray, np.float16, np.float32, np.float64, np.longdouble, np.complex64, np.complex128, float, complex}
)


def reverse(
    nodes: Sequence[Node],
    cotangents: MutableMapping[int, Any],
    *,
    active: Callable[[int], bool] | None = None,
    view: View | None = None,
    keep: bool = True,
    first: int = 0,
    sources: int = 0,
    watcher: Watcher | None = None,
) -> MutableMapping[int, Any]:
    """Pull cotangents back through the nodes with id >= first; fills and returns the given mapping `cotangents`.

    The sweep ends at the first `sources` of those nodes: they receive cotangents and do not pass them on.

    - `active`: which nodes are swept; by default those that require a gradient.
    - `view`: how the rules see a node's values; by default as the arrays that it holds.
    - `keep`: whether the cotangents of op nodes are kept after their use.
    - `watcher`: is notified of every contribution to a parent.

    Raises NoRuleError where an op on the way has no rule, ShapeError or DTypeError where a rule returns a cotangent
    that does not fit its operand.

    Without options, for ops of one result whose rules are given one by one, the sweep is this:

    >>> def backward(nodes, cotangents):
    ...     for node in reversed(nodes):
    ...         if node.id not in cotangents or not node.parents:
    ...             continue
    ...         cotangent = cotangents[node.id]
    ...         for parent, value, rule in zip(node.parents, node.inputs, node.op.rrule):
    ...             if parent is None or not nodes[parent].requires_grad:
    ...                 continue
    ...             part = rule(cotangent, node.output, *node.inputs, **node.static)
    ...             part = unbroadcast(part, np.shape(part), np.shape(value))
    ...             cotangents[parent] = cotangents[parent] + part if parent in cotangents else part
    ...     return cotangents
    >>> import tapem as tm
    >>> x, tape = tm.Tape().leaf(np.array([1.0, 2.0]))
    >>> y, tape = tape.record(tm.square, x)
    >>> z, tape = tape.record(tm.mul, y, x)
    >>> out, tape = tape.record(tm.sum, z)
    >>> backward(list(tape), {out.id: np.array(1.0)})[x.id]
    array([ 3., 12.])
    >>> reverse(list(tape), {out.id: np.array(1.0)})[x.id]
    array([ 3., 12.])
    """
    if not cotangents:
        return cotangents
    # A thunk may add in place only if it computes arrays: all cotangents and the values must be arrays.
    arrays = view is None and watcher is None and _PLAIN.issuperset(map(type, cotangents.values()))
    for index in range(max(cotangents), first + sources - 1, -1):
        cotangent = cotangents.get(index) if keep else cotangents.pop(index, None)
        if cotangent is None:
            continue
        node = nodes[index]
        _, op, parents, inputs, static, output, residuals, _, _ = node
        if not parents:
            cotangents[index] = cotangent
            continue
        if op is pick:
            add_to_slot(cotangents, node, cotangent, nodes, active)
            continue
        if type(output) is tuple:
            cotangents.pop(index, None)
            whole: bool = op.whole_cotangent  # pyright: ignore[reportAttributeAccessIssue]
            cotangent = instantiate_zeros(cotangent, output) if whole else tuple(cotangent)
        rules: Any = op.rrule  # pyright: ignore[reportAttributeAccessIssue]  # what has parents is a Primitive's
        if view is not None:
            output, residuals, inputs, rules = view(node)
        if op.residuals:  # pyright: ignore[reportAttributeAccessIssue]  # what has parents is a Primitive's
            shown = (cotangent, output, residuals, *inputs)
        else:
            shown = (cotangent, output, *inputs)
        jointly = type(rules) is not tuple
        if jointly:
            rules = all_cotangents(node, rules, shown, static)
        for position, parent in enumerate(parents):
            if parent is None or parent < first:
                continue
            if not (nodes[parent].requires_grad if active is None else active(parent)):
                continue
            part = rules[position] if position < len(rules) else None
            if not jointly:
                if part is None:
                    refuse_missing(node, position)
                    continue
                try:
                    part = part(*shown, **static)
                except Exception as error:
                    rule_failed(node, "rrule", error, position)
            value = inputs[position]
            if not (
                type(part) is np.ndarray
                and type(value) is np.ndarray
                and part.shape == value.shape
                and (part.dtype is value.dtype or part.dtype == value.dtype)
            ):
                if arrays and type(part) is InplaceableThunk and parent in cotangents:
                    try:
                        if added_in_place(cotangents, parent, part):
                            continue
                    except Exception as error:
                        rule_failed(node, "rrule", error, position)
                part = fitted(part, value, node, "rrule", position)
                if part is None:
                    continue
            if watcher is not None:
                watcher.contributed(node, cotangent, position, part, nodes)
            if parent not in cotangents:
                cotangents[parent] = part
            elif not added_in_place(cotangents, parent, part):
                cotangents[parent] = tangents.add(cotangents[parent], part)
    return cotangents


def all_cotangents(node: Node, rule: Any, shown: tuple[Any, ...], static: Static) -> tuple[Any, ...]:
    """The cotangents of all operands of a node, by its op's joint rule."""
    if rule is None:
        raise missing_rule(node, "reverse")
    found = call_rule(node, "rrule", rule, shown, static)
    if type(found) is not tuple or len(found) != len(node.parents):
        raise wrong_count(node, found)
    return found


def added_in_place(cotangents: MutableMapping[int, Any], parent: int, part: Any) -> bool:
    """Add an array or an InplaceableThunk to a parent's cotangent in place, if nothing else can hold that memory.

    A rule may return its cotangent, a kept value or a view, so a sum may be written over only if the mapping holds the
    only reference to it: then no view of it exists either, since a view refers to its base.
    """
    # Two references: the mapping's, and that of the argument.
    if getrefcount(cotangents[parent]) != 2:
        return False
    total = cotangents[parent]
    if type(total) is not np.ndarray or total.base is not None or not total.flags.writeable:
        return False
    if type(part) is np.ndarray:
        np.add(total, part, total)
        return True
    if type(part) is InplaceableThunk:
        tangents.accumulate(total, part)
        return True
    return False


def add_to_slot(
    cotangents: MutableMapping[int, Any],
    node: Node,
    cotangent: Any,
    nodes: Sequence[Node],
    active: Callable[[int], bool] | None,
) -> None:
    """Add the cotangent of one result to the slots of the node that has several."""
    parent = node.parents[0]
    if parent is None or not (nodes[parent].requires_grad if active is None else active(parent)):
        return
    slots = cotangents.get(parent)
    if slots is None:
        slots = cotangents[parent] = [None] * len(nodes[parent].output)
    index = node.static["index"]
    slots[index] = cotangent if slots[index] is None else tangents.add(slots[index], cotangent)


def instantiate_zeros(slots: Sequence[Any], output: tuple[Any, ...]) -> tuple[Any, ...]:
    """The cotangent of a node with several results: a tuple, with zeros for unused results."""
    return tuple(
        zeros_of(value, writeable=False) if part is None else part for part, value in zip(slots, output, strict=True)
    )


def reached(nodes: Sequence[Node], sources: Sequence[int], last: int) -> set[int]:
    """The ids of the nodes, up to and including `last`, whose values depend on one of the sources."""
    found = set(sources)
    if not found:
        return found
    for index in range(min(found) + 1, last + 1):
        node = nodes[index]
        if node.requires_grad and not found.isdisjoint(node.parents):
            found.add(index)
    return found


__all__ = ["View", "reached", "reverse", "unbroadcast"]
