"""Fitting: give the result of a rule the shape and dtype of the value to which it belongs.

Only this file follows and undoes broadcasting: it broadcasts a tangent as an elementwise op broadcast its operand, and
sums a cotangent over the broadcast axes. Only this file projects a complex derivative of a real value to its real part:
a cotangent where a real operand met a complex one, which is the transpose of the step from real to complex numbers; a
tangent where the value is real although an operand is complex, as that of abs. So rules are written as if all numbers
were complex, and need not know which operand is real.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from tapem.core import Node, ShapeDtype, constant, has_door
from tapem.errors import DTypeError, NoRuleError, ShapeError, TapeError
from tapem.sweeps.broadcasting import broadcasts_to, unbroadcast
from tapem.sweeps.rule_errors import rule_failed, rule_text
from tapem.tangents import AbstractZero, NotImplementedTangent, One, Thunk, extern, force
from tapem.types import is_inexact


def fitted(part: Any, value: Any, node: Node, kind: Literal["rrule", "frule"], position: int | None) -> Any:
    """The result of a rule with the shape and dtype of `value`, or None for zero.

    A cotangent, from an `rrule`, belongs to the operand at this position. A tangent, from an `frule`, belongs to the
    value of the node; the position is that of the operand whose tangent the rule got, or None for a joint rule.

    Raises ShapeError or DTypeError for a result that does not fit.
    """
    if isinstance(part, Thunk):
        part = computed(part, node, kind, position)
    if fits(part, value):
        return part
    expected = ShapeDtype.of(value)
    if not hasattr(part, "dtype"):
        part = materialized(part, expected, node, kind, position)
        if part is None or fits(part, value):
            return part
    own = ShapeDtype.of(part)
    backward = kind == "rrule"
    inexact = is_inexact(expected.dtype)
    if not is_inexact(own.dtype) and (backward or inexact):
        raise misfit("dtype", own.dtype, expected, node, kind, position)
    if backward and not inexact:
        raise DTypeError(
            f"the {rule_text(node, kind)} returned a cotangent for {owner(node, kind, position)}, which has dtype "
            f"{expected.dtype} ({node.label()}) and cannot be perturbed; it should return DoesNotExist()."
        )
    op: Any = node.op
    if own.shape != expected.shape:
        small, large = (expected.shape, own.shape) if backward else (own.shape, expected.shape)
        if not op.elementwise or not broadcasts_to(small, large):
            raise misfit("shape", own.shape, expected.shape, node, kind, position)
        part = unbroadcast(part, large, small) if backward else np.broadcast_to(part, large)
    if own.dtype.kind == "c" and expected.dtype.kind == "f" and some_are_complex(node):
        part = np.real(part)
        own = ShapeDtype.of(part)
    if own.dtype != expected.dtype and inexact:
        # Another byte order is not another type; some NumPy functions keep it, and others do not.
        if own.dtype.type is not expected.dtype.type and keeps_dtype(node, expected, backward):
            raise misfit("dtype", own.dtype, expected.dtype, node, kind, position)
        # The op promoted an operand: a cotangent returns to the operand's dtype, a tangent is promoted too.
        part = part.astype(expected.dtype)
    return part


def fit_given(
    part: Any, expected: ShapeDtype, subject: str, owner: str, *, exact: bool = False, promoted: bool = False
) -> Any:
    """A tangent or cotangent from a user or a user's rule, as an array or a tracer of the expected dtype.

    An array of another float dtype is refused, unless the value that it belongs to was `promoted`. Numbers take the
    expected dtype, and so do integers unless the dtype must be `exact`. `subject` names the derivative in errors, and
    `owner` the value that it belongs to.

    Raises ShapeError or DTypeError for a derivative that does not fit.
    """
    part = extern(part)
    if type(part) in (bool, int, float):
        part = expected.dtype.type(part)
    elif not has_door(part):
        part = np.asarray(constant(part, op=subject, argument="its value"))
    own = ShapeDtype.of(part)
    if own.shape != expected.shape:
        raise ShapeError(f"{subject} has shape {own.shape}, but belongs to {owner} of shape {expected.shape}.")
    if own.dtype.type is expected.dtype.type or not is_inexact(expected.dtype):
        return part
    if own.dtype.kind == "c" and expected.dtype.kind == "f":
        raise DTypeError(
            f"{subject} has dtype {own.dtype}, but belongs to {owner} of dtype {expected.dtype}, which is "
            "real; give its real part, .real."
        )
    inexact = is_inexact(own.dtype)
    if (exact and not inexact) or (inexact and (own.shape or exact) and not promoted):
        raise DTypeError(
            f"{subject} has dtype {own.dtype}, but belongs to {owner} of dtype {expected.dtype}; write it as "
            f".astype(np.{expected.dtype})."
        )
    return part.astype(expected.dtype)


def fits(part: Any, value: Any) -> bool:
    """Whether a tangent or cotangent is an array like the value it belongs to, as nearly all are; not of integers."""
    try:
        return part.dtype == value.dtype and part.shape == value.shape and value.dtype.kind in "fc"
    except AttributeError:
        return False


def computed(part: Any, node: Node, kind: str, position: int | None) -> Any:
    """The result of a rule with its thunks computed; an error in a thunk counts as an error of the rule."""
    try:
        return force(part)
    except Exception as error:
        rule_failed(node, kind, error, position)


def materialized(part: Any, expected: ShapeDtype, node: Node, kind: str, position: int | None = None) -> Any:
    """The result of a rule as an array or a tracer, or None for zero: computes thunks, and gives numbers a dtype."""
    part = computed(part, node, kind, position)
    if part is None or isinstance(part, AbstractZero) or hasattr(part, "dtype"):
        return None if isinstance(part, AbstractZero) else part
    if isinstance(part, NotImplementedTangent):
        raise NoRuleError(f"the {rule_text(node, kind, position)} is not implemented: {part.reason} ({node.label()}).")
    if type(part) is complex:
        return np.result_type(expected.dtype, np.complex64).type(part)
    if type(part) is One or type(part) is float:  # neither has its own dtype
        number: Any = 1.0 if type(part) is One else part
        return (expected.dtype if is_inexact(expected.dtype) else np.dtype(float)).type(number)
    raise DTypeError(
        f"the {rule_text(node, kind, position)} returned {type(part).__name__} instead of a float array "
        f"({expected}, {node.label()})."
    )


def keeps_dtype(node: Node, expected: ShapeDtype, backward: bool) -> bool:
    """Whether the op did not promote the derivative's owner; if so, its rule must keep the dtype too."""
    if backward:
        output = node.output[0] if type(node.output) is tuple else node.output
        return ShapeDtype.of(output).dtype == expected.dtype
    inputs = [x for x in node.inputs if x is not None and type(x) is not tuple]
    return all(ShapeDtype.of(x).dtype == expected.dtype for x in inputs)


def some_are_complex(node: Node) -> bool:
    """Whether an operand or a result of the op is complex, so that a derivative of its real ones may be projected."""
    results = node.output if type(node.output) is tuple else (node.output,)
    values = [x for x in (*node.inputs, *results) if x is not None and type(x) is not tuple]
    return any(ShapeDtype.of(x).dtype.kind == "c" for x in values)


def owner(node: Node, kind: str, position: int | None) -> str:
    """The name in errors of the value that a derivative belongs to: an operand's name, or "a value" for the op's."""
    op: Any = node.op
    return op.argument(position) if kind == "rrule" else "a value"


def misfit(aspect: str, own: Any, expected: Any, node: Node, kind: str, position: int | None) -> TapeError:
    """The error for a derivative whose `aspect`, "shape" or "dtype", does not fit the value that it belongs to."""
    backward = kind == "rrule"
    name = f"the {rule_text(node, kind, None if backward else position)} returned a " + (
        "cotangent" if backward else "tangent"
    )
    belongs = f"of {aspect} {own} for {owner(node, kind, position)}"
    if aspect == "shape":
        return ShapeError(f"{name} {belongs} of shape {expected} ({node.label()}).")
    if is_inexact(own):
        advice = "rules keep the dtype of their arguments."
        return DTypeError(f"{name} {belongs} of dtype {expected} ({node.label()}); {advice}")
    if backward:
        advice = "a cotangent is a float array of its operand's dtype."
        return DTypeError(f"{name} {belongs} ({expected}, {node.label()}); {advice}")
    return DTypeError(f"{name} {belongs} of dtype {expected.dtype} ({node.label()}).")


__all__ = ["fit_given", "fitted", "materialized"]
