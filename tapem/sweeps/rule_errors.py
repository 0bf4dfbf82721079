"""Errors of rules: what a sweep says of an op that has no rule, and of a rule that fails."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NoReturn, cast

from tapem.core import Node, Primitive, ShapeDtype
from tapem.errors import EscapedTracerError, NoRuleError, ShapeError, TapeError


def refuse_missing(node: Node, position: int) -> None:
    """An error if an operand that could be perturbed has no rule."""
    if ShapeDtype.of(node.inputs[position]).dtype.kind == "f":
        raise missing_rule(node, "reverse", position)


def call_rule(node: Node, kind: str, rule: Callable[..., Any], arguments: tuple[Any, ...], static: Any) -> Any:
    """Call a rule; whatever it raises is told with the op and the rule in which it arose."""
    try:
        return rule(*arguments, **static)
    except Exception as error:
        rule_failed(node, kind, error)


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
    what = f"a {kind} of {len(cast('Sequence[Any]', given))}" if isinstance(given, tuple | list) else kind
    return ShapeError(
        f"the {rule_text(node, 'rrule')} must return a tuple of {len(node.parents)} cotangents, one per operand, "
        f"not {what} ({node.label()})."
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


__all__ = ["call_rule", "missing_rule", "refuse_missing", "rule_failed", "rule_text", "wrong_count"]
