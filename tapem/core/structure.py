"""The structural ops, which the engine itself needs: identity, detach, unstack and pick.

They compute nothing. All other ops are declared in `ops`; these are declared here, because sweeps and doors need them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import numpy as np

from tapem.core.names import enter
from tapem.core.node import ShapeDtype
from tapem.core.primitive import GivenRule, Primitive, Rules, linear_in_all
from tapem.types import Num, Signature, Tensor


def structural(
    *,
    rrule: Rules = None,
    frule: Rules = None,
    batch: GivenRule | None = None,
    abstract: GivenRule | None = None,
    elementwise: bool = False,
    numpy: Sequence[Callable[..., Any]] = (),
) -> Callable[[Callable[..., Any]], Primitive]:
    """Declare an op in core, which may not import `ops.declare`, since its types name the doors."""

    def declare(implementation: Callable[..., Any]) -> Primitive:
        op = Primitive(
            implementation,
            Signature.of(implementation),
            rrule=rrule,
            frule=frule,
            batch=batch,
            abstract=abstract,
            elementwise=elementwise,
            differentiable=frule is not None,
            numpy=numpy,
        )
        enter(op)
        return op

    return declare


def _batch_unary(
    op: Primitive, size: int, inputs: Sequence[Any], mapped: Sequence[bool], static: Mapping[str, Any]
) -> Any:
    return op(*inputs)


def _unchanged(g: Any, y: Any, x: Any) -> Any:
    return g


@structural(
    rrule=(_unchanged,),
    frule=(_unchanged,),
    batch=_batch_unary,
    elementwise=True,
    numpy=[np.positive, np.copy],
)
def identity(x: Num[Tensor, "*#shape"]) -> Num[Tensor, "*shape"]:
    """The value itself, as a new node: Num "*shape" -> Num "*shape".

    >>> identity(np.array([1.0, 2.0]))
    array([1., 2.])
    """
    value = cast("Any", x)
    # A Python number stays a Python number, so that it stays weak under promotion.
    return value.copy() if type(value) is np.ndarray else value


@structural(batch=_batch_unary, abstract=lambda x: x if isinstance(x, ShapeDtype) else ShapeDtype.of(x))
def detach(x: Num[Tensor, "..."]) -> Num[Tensor, "..."]:
    """The value itself, as a constant: Num "..." -> Num "...". Its derivative is zero in both modes.

    >>> detach(2.0)
    2.0
    """
    value = cast("Any", x)
    return value.copy() if type(value) is np.ndarray else value  # a tape's own array must not reach the user


@structural(
    rrule=(lambda g, y, x: np.stack(g),),
    frule=linear_in_all,
    batch=lambda op, size, inputs, mapped, static: op(np.moveaxis(inputs[0], 0, 1)),
)
def unstack(x: Num[Tensor, "n *shape"]) -> Any:
    """The slices along the first axis as a tuple, in one node: Num "n *shape" -> (Num "*shape", ...).

    Its cotangent is one stack. Indexing slice by slice would make a zero-padded cotangent of the whole array per slice.
    """
    return tuple(x)


def _batch_pick(
    op: Primitive, size: int, inputs: Sequence[Any], mapped: Sequence[bool], static: Mapping[str, Any]
) -> Any:
    return inputs[0][static["index"]]


@structural(
    frule=(lambda t, y, parts, index: t[index],),
    batch=_batch_pick,
    abstract=lambda parts, index: parts[index],
)
def pick(parts, *, index: int) -> Any:  # pyright: ignore  # the operand is a tuple of tensors, which no annotation says
    """Pick one result of an op with several, such as `qr`; the reverse sweep puts its cotangent in the op's tuple."""
    return parts[index]  # pyright: ignore[reportUnknownVariableType]


# The operand is a tuple, which has no shape and no dtype to check.
pick.checked = False
