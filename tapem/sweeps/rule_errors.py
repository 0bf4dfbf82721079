"""Errors of rules: for an op that has no rule, and for a rule that fails."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NoReturn, cast

from tapem.core import Node, Primitive, ShapeDtype
from tapem.errors import EscapedTracerError, NoRuleError, ShapeError, TapeError
from tapem.types import is_inexact


def refuse_missing(node: Node, position: int) -> None:
    """Raise NoRuleError if an operand of a float or complex dtype has no rule."""
    if is_inexact(ShapeDtype.of(node.inputs[position]).dtype):
        raise missing_rule(node, "reverse", position)


def call_rule(node: Node, kind: str, rule: Callable[..., Any], arguments: tuple[Any, ...], static: Any) -> Any:
    """Call a rule; an error in it names the op and the rule."""
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
    """Raise the error of a rule with the op, the rule and the argument, as a TapeError or with its own type.

    TapeErrors, errors of memory or recursion, and errors that np.errstate asked for keep their type.
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
    """The name of a rule in errors: `rrule of mul(a, b) for argument 'a'`."""
    op: Any = node.op
    return f"{kind} of {op.usage()}" + ("" if position is None else f" for {op.argument(position)}")


__all__ = ["call_rule", "missing_rule", "refuse_missing", "rule_failed", "rule_text", "wrong_count"]
