"""Fitting: a derivative that a rule returned gets the shape and dtype of the value it belongs to.

Here, and only here, broadcasting is followed and undone: a tangent is broadcast as an elementwise op broadcast its
operand, and a cotangent is summed over what was broadcast.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from tapem.core import Node, ShapeDtype, constant, has_door
from tapem.errors import DTypeError, ShapeError, TapeError
from tapem.sweeps.broadcasting import broadcasts_to, unbroadcast
from tapem.sweeps.rule_errors import rule_failed, rule_text
from tapem.tangents import AbstractZero, One, Thunk, extern, force


def fitted(part: Any, value: Any, node: Node, kind: Literal["rrule", "frule"], position: int | None) -> Any:
    """What a rule returned, with the shape and dtype of `value`, or None for zero.

    A cotangent, of an `rrule`, belongs to the operand at this position. A tangent, of an `frule`, belongs to the value
    of the node; the position is that of the operand whose tangent the rule was given, or None for all of them.

    Raises ShapeError or DTypeError for what does not fit.
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
    if own.dtype.kind != "f" and (backward or expected.dtype.kind == "f"):
        raise misfit("dtype", own.dtype, expected, node, kind, position)
    if backward and expected.dtype.kind != "f":
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
    if own.dtype != expected.dtype and expected.dtype.kind == "f":
        # Another order of bytes is no other type; NumPy keeps it in some functions, and not in others.
        if own.dtype.type is not expected.dtype.type and keeps_dtype(node, expected, backward):
            raise misfit("dtype", own.dtype, expected.dtype, node, kind, position)
        # The op promoted an operand: a cotangent goes back to the dtype that it came from, a tangent goes along.
        part = part.astype(expected.dtype)
    return part


def fit_given(
    part: Any, expected: ShapeDtype, subject: str, owner: str, *, exact: bool = False, promoted: bool = False
) -> Any:
    """A tangent or cotangent that a user or a user's rule gives, as an array or a tracer of the expected dtype.

    An array of another float dtype is refused, unless the value that it belongs to was `promoted`. Numbers, and
    integers unless it must be `exact`, take the expected dtype. Errors call it `subject`, and what it belongs to
    `owner`.

    Raises ShapeError or DTypeError for what does not fit.
    """
    part = extern(part)
    if type(part) in (bool, int, float):
        part = expected.dtype.type(part)
    elif not has_door(part):
        part = np.asarray(constant(part, op=subject, argument="its value"))
    own = ShapeDtype.of(part)
    if own.shape != expected.shape:
        raise ShapeError(f"{subject} has shape {own.shape}, but belongs to {owner} of shape {expected.shape}.")
    if own.dtype.type is expected.dtype.type or expected.dtype.kind != "f":
        return part
    if (exact and own.dtype.kind != "f") or (own.dtype.kind == "f" and (own.shape or exact) and not promoted):
        raise DTypeError(
            f"{subject} has dtype {own.dtype}, but belongs to {owner} of dtype {expected.dtype}; write it as "
            f".astype(np.{expected.dtype})."
        )
    return part.astype(expected.dtype)


def fits(part: Any, value: Any) -> bool:
    """Whether a tangent or cotangent is a float array like the value it belongs to, as nearly all are."""
    try:
        return part.dtype == value.dtype and part.shape == value.shape and value.dtype.kind == "f"
    except AttributeError:
        return False


def computed(part: Any, node: Node, kind: str, position: int | None) -> Any:
    """What a rule returned, with thunks computed; an error in one is told as the rule's."""
    try:
        return force(part)
    except Exception as error:
        rule_failed(node, kind, error, position)


def materialized(part: Any, expected: ShapeDtype, node: Node, kind: str, position: int | None = None) -> Any:
    """What a rule returned, as an array or a tracer, or None for nothing: thunks computed, numbers in their dtype."""
    part = computed(part, node, kind, position)
    if part is None or isinstance(part, AbstractZero) or hasattr(part, "dtype"):
        return None if isinstance(part, AbstractZero) else part
    if type(part) is One or type(part) is float:  # neither has a dtype of its own
        return (expected.dtype if expected.dtype.kind == "f" else np.dtype(float)).type(
            1.0 if type(part) is One else part
        )
    raise DTypeError(
        f"the {rule_text(node, kind, position)} returned {type(part).__name__} where a float array is due "
        f"({expected}, {node.label()})."
    )


def keeps_dtype(node: Node, expected: ShapeDtype, backward: bool) -> bool:
    """Whether the op did not promote what the derivative belongs to, so that a rule must keep its dtype too."""
    if backward:
        output = node.output[0] if type(node.output) is tuple else node.output
        return ShapeDtype.of(output).dtype == expected.dtype
    inputs = [x for x in node.inputs if x is not None and type(x) is not tuple]
    return all(ShapeDtype.of(x).dtype == expected.dtype for x in inputs)


def owner(node: Node, kind: str, position: int | None) -> str:
    """What errors call the value that a derivative belongs to: an operand by name, or the value of the op."""
    op: Any = node.op
    return op.argument(position) if kind == "rrule" else "a value"


def misfit(what: str, own: Any, expected: Any, node: Node, kind: str, position: int | None) -> TapeError:
    """The error for a derivative whose shape or dtype is not that of the value it belongs to."""
    backward = kind == "rrule"
    name = f"the {rule_text(node, kind, None if backward else position)} returned a " + (
        "cotangent" if backward else "tangent"
    )
    belongs = f"of {what} {own} for {owner(node, kind, position)}"
    if what == "shape":
        return ShapeError(f"{name} {belongs} of shape {expected} ({node.label()}).")
    if own.kind == "f":
        advice = "rules keep the dtype of what they are given."
        return DTypeError(f"{name} {belongs} of dtype {expected} ({node.label()}); {advice}")
    if backward:
        advice = "a cotangent is a float array of its operand's dtype."
        return DTypeError(f"{name} {belongs} ({expected}, {node.label()}); {advice}")
    return DTypeError(f"{name} {belongs} of dtype {expected.dtype} ({node.label()}).")


__all__ = ["fit_given", "fitted", "materialized"]
