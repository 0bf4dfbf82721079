"""Reverse mode: one fold over a tape, from its end to its beginning.

Every node hands its cotangent to its op's `rrule`, which answers with a cotangent for each parent. What a parent
receives from several children is summed. Rules are plain NumPy: when the nodes are swept as arrays, the sweep runs at
NumPy's speed; when they are swept as tracers, the sweep itself is recorded and can be swept again.
"""

from __future__ import annotations

from collections.abc import Callable, MutableMapping, Sequence
from typing import Any, NoReturn, TypeAlias

import numpy as np

from tapem.core import Node, Primitive, ShapeDtype, Watcher, pick
from tapem.errors import DTypeError, EscapedTracerError, NoRuleError, ShapeError, TapeError
from tapem.sweeps.broadcasting import broadcasts_to, unbroadcast, zeros_without_memory
from tapem.tangents import AbstractZero, InplaceableThunk, One, Thunk, accumulate, add

# A node seen as the values that its rules are given: (value, residuals, inputs).
View: TypeAlias = Callable[[Node], tuple[Any, Any, tuple[Any, ...]]]


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
    """Pull cotangents back through the nodes with id >= first; the mapping that was passed in is filled and returned.

    The sweep ends at the first `sources` of those nodes: they receive cotangents and hand none on.

    - `active`: which nodes are swept at all; by default those that require a gradient.
    - `view`: how a node's values are shown to the rules; by default as the arrays that it holds.
    - `keep`: whether the cotangents of op nodes are kept once they were used.
    - `watcher`: is told of every contribution to a parent.

    Raises NoRuleError where an op on the way has no rule, ShapeError or DTypeError where a rule returns a cotangent
    that does not fit its operand.
    """
    if not cotangents:
        return cotangents
    # The sums that were made here: nobody else holds them, so the next contribution may be added in place. A sum is
    # known by the array itself, not by its node, whose next sum may be a tracer.
    owned: dict[int, Any] = {}
    # A thunk adds whatever its rule computes of the cotangents: an array only if all of them, and the values, are.
    in_place = view is None and watcher is None and all(map(is_plain, cotangents.values()))
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
            put(cotangents, parents[0], node, cotangent, nodes, active)
            continue
        if view is not None:
            output, residuals, inputs = view(node)
        if type(output) is tuple:
            cotangents.pop(index, None)
            cotangent = filled(cotangent, output) if op.whole_cotangent else tuple(cotangent)  # pyright: ignore[reportAttributeAccessIssue]
        rules: Any = op.rrule  # pyright: ignore[reportAttributeAccessIssue]  # what has parents is a Primitive's
        if rules is None:
            raise missing_rule(node, "reverse")
        if op.residuals:  # pyright: ignore[reportAttributeAccessIssue]
            arguments = (cotangent, output, residuals, *inputs)
        else:
            arguments = (cotangent, output, *inputs)
        jointly = type(rules) is not tuple
        if jointly:
            rules = call_rule(node, "rrule", rules, arguments, static)
            if type(rules) is not tuple or len(rules) != len(parents):
                raise wrong_count(node, rules)
        for position, parent in enumerate(parents):
            if parent is None or parent < first:
                continue
            if not (nodes[parent].requires_grad if active is None else active(parent)):
                continue
            value = inputs[position]
            if jointly:
                part = rules[position]
            else:
                rule = rules[position] if position < len(rules) else None
                if rule is None:
                    refuse_missing(node, value, position)
                    continue
                try:
                    part = rule(*arguments, **static)
                except Exception as error:
                    rule_failed(node, "rrule", error, position)
            before = cotangents.get(parent)
            if in_place and type(part) is InplaceableThunk and before is not None and owned.get(parent) is before:
                try:
                    cotangents[parent] = accumulate(before, part)
                except Exception as error:
                    rule_failed(node, "rrule", error, position)
                continue
            if type(part) is Thunk:
                try:
                    part = part()
                except Exception as error:
                    rule_failed(node, "rrule", error, position)
            if not (
                type(part) is np.ndarray
                and type(value) is np.ndarray
                and part.shape == value.shape
                and part.dtype == value.dtype
            ):
                part = fitted(part, value, node, position)
                if part is None:
                    continue
            if watcher is not None:
                watcher.contributed(node, cotangent, position, part, nodes)
            if before is None:
                cotangents[parent] = part
            elif type(part) is np.ndarray and owned.get(parent) is before:
                np.add(before, part, before)
            else:
                cotangents[parent] = total = add(before, part)
                if type(total) is np.ndarray:
                    owned[parent] = total
    return cotangents


def is_plain(cotangent: Any) -> bool:
    """Whether a cotangent is an array or a number, not a tracer."""
    return isinstance(cotangent, np.ndarray | np.generic | float)


def refuse_missing(node: Node, value: Any, position: int) -> None:
    """An error if an operand that could be perturbed has no rule."""
    if ShapeDtype.of(value).dtype.kind == "f":
        raise missing_rule(node, "reverse", position)


def call_rule(node: Node, kind: str, rule: Callable[..., Any], arguments: tuple[Any, ...], static: Any) -> Any:
    """Call a rule; whatever it raises is told with the op and the rule in which it arose."""
    try:
        return rule(*arguments, **static)
    except Exception as error:
        rule_failed(node, kind, error)


def fits(part: Any, value: Any) -> bool:
    """Whether a tangent or cotangent is a float array like the value it belongs to, as nearly all are."""
    try:
        return part.dtype == value.dtype and part.shape == value.shape and value.dtype.kind == "f"
    except AttributeError:
        return False


def settled(part: Any, like: ShapeDtype, node: Node, kind: str, position: int | None = None) -> Any:
    """What a rule returned, as an array or a tracer, or None for nothing: thunks computed, numbers in their dtype."""
    try:
        while isinstance(part, Thunk):
            part = part()
    except Exception as error:
        rule_failed(node, kind, error, position)
    if part is None or isinstance(part, AbstractZero) or hasattr(part, "dtype"):
        return None if isinstance(part, AbstractZero) else part
    if type(part) is One or type(part) is float:  # neither has a dtype of its own
        return (like.dtype if like.dtype.kind == "f" else np.dtype(float)).type(1.0 if type(part) is One else part)
    raise DTypeError(
        f"the {rule_text(node, kind, position)} returned {type(part).__name__} where a float array is due "
        f"({like}, {node.label()})."
    )


def fitted(part: Any, value: Any, node: Node, position: int) -> Any:
    """A cotangent with the shape and dtype of its operand, or None for nothing; wrong ones are an error.

    Here, and only here, broadcasting is undone: whatever an elementwise op broadcast is summed.
    """
    if fits(part, value):
        return part
    if not hasattr(part, "dtype"):
        part = settled(part, ShapeDtype.of(value), node, "rrule", position)
        if part is None:
            return None
    operand, own = ShapeDtype.of(value), ShapeDtype.of(part)
    op: Any = node.op
    if own.dtype.kind != "f":
        raise DTypeError(
            f"the {rule_text(node, 'rrule')} returned a cotangent of dtype {own.dtype} for {op.argument(position)} "
            f"({operand}, {node.label()}); a cotangent is a float array of its operand's dtype."
        )
    if operand.dtype.kind != "f":
        raise DTypeError(
            f"the {rule_text(node, 'rrule')} returned a cotangent for {op.argument(position)}, which has dtype "
            f"{operand.dtype} ({node.label()}) and cannot be perturbed; it should return DoesNotExist()."
        )
    if own.shape != operand.shape:
        if not op.elementwise or not broadcasts_to(operand.shape, own.shape):
            raise ShapeError(
                f"the {rule_text(node, 'rrule')} returned a cotangent of shape {own.shape} for {op.argument(position)} "
                f"of shape {operand.shape} ({node.label()})."
            )
        part = unbroadcast(part, own.shape, operand.shape)
    if own.dtype != operand.dtype:
        output = ShapeDtype.of(node.output if type(node.output) is not tuple else node.output[0])
        # Another order of bytes is no other type; NumPy keeps it in some functions, and not in others.
        if output.dtype == operand.dtype and own.dtype.type is not operand.dtype.type:
            raise DTypeError(
                f"the {rule_text(node, 'rrule')} returned a cotangent of dtype {own.dtype} for {op.argument(position)} "
                f"of dtype {operand.dtype} ({node.label()}); rules keep the dtype of what they are given."
            )
        # The op promoted this operand; its cotangent goes back to the dtype that it came from.
        part = part.astype(operand.dtype)
    return part


def put(
    cotangents: MutableMapping[int, Any],
    parent: int | None,
    node: Node,
    cotangent: Any,
    nodes: Sequence[Node],
    active: Callable[[int], bool] | None,
) -> None:
    """Add the cotangent of one result to the slots of the node that has several."""
    if parent is None or not (nodes[parent].requires_grad if active is None else active(parent)):
        return
    slots = cotangents.get(parent)
    if slots is None:
        slots = cotangents[parent] = [None] * len(nodes[parent].output)
    index = node.static["index"]
    slots[index] = cotangent if slots[index] is None else add(slots[index], cotangent)


def filled(slots: Sequence[Any], output: tuple[Any, ...]) -> tuple[Any, ...]:
    """The cotangent of a node with several results: a tuple, with zeros for results that nobody used."""
    return tuple(
        zeros_without_memory(ShapeDtype.of(value)) if part is None else part
        for part, value in zip(slots, output, strict=True)
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


def missing_rule(node: Node, mode: str, position: int | None = None) -> NoRuleError:
    """The error for an op that cannot be differentiated in this mode."""
    op: Any = node.op
    rule = {"reverse": "rrule", "forward": "frule"}[mode]
    where = "" if position is None else f" with respect to {op.argument(position)}"
    assert isinstance(op, Primitive)
    return NoRuleError(
        f"{op.usage()} ({node.label()}) cannot be differentiated{where} in {mode} mode: it has no {rule}. "
        f"Give it one with tm.def{rule}, or keep it out of the derivative with tm.detach."
    )


def wrong_count(node: Node, given: Any) -> TapeError:
    """The error for a joint rule that did not return one cotangent per operand."""
    kind = type(given).__name__
    return ShapeError(
        f"the {rule_text(node, 'rrule')} must return a tuple of {len(node.parents)} cotangents, one per operand, "
        f"not {f'a {kind} of {len(given)}' if isinstance(given, tuple | list) else kind} ({node.label()})."
    )


def rule_failed(node: Node, kind: str, error: Exception, position: int | None = None) -> NoReturn:
    """Raise what a rule raised, with the op, the rule and the argument: as a TapeError, or as it is if it says enough.

    Errors of ours, and those that mean the machine or were asked for with np.errstate, keep their type.
    """
    where = rule_text(node, kind, position)
    if isinstance(error, EscapedTracerError):
        raise TapeError(
            f"the {where} closes over a traced value ({node.label()}), whose derivative would be lost. Pass it to the "
            "op as an operand."
        ) from error
    if isinstance(error, TapeError | FloatingPointError | MemoryError | RecursionError):
        error.add_note(f"in the {where} ({node.label()})")
        raise error
    raise TapeError(f"the {where} raised {type(error).__name__}: {error} ({node.label()})") from error


def rule_text(node: Node, kind: str, position: int | None = None) -> str:
    """A rule as errors call it: `rrule of mul(a, b) for argument 'a'`."""
    op: Any = node.op
    return f"{kind} of {op.usage()}" + ("" if position is None else f" for {op.argument(position)}")


__all__ = ["View", "reached", "reverse", "unbroadcast"]
