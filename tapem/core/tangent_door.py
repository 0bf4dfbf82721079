"""The door of tangents: an op that gets a symbolic tangent is computed by the tangents' algebra.

The algebra is keyed by NumPy functions, so this works for ops that equal a NumPy function. A rule that runs on tracers
gets the symbolic tangents of constants too, on either side of an operator.
"""

import functools
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import numpy as np

from tapem.core.node import Static
from tapem.core.primitive import Primitive, linear_in_all, register_door
from tapem.tangents import (
    ALGEBRA,
    AbstractZero,
    Composite,
    DoesNotExist,
    InplaceableThunk,
    One,
    Operand,
    Tangent,
    Thunk,
    Zero,
    add,
    force,
    unanswered,
)

# Ops that compute a NumPy function, but take other arguments.
ALIKE: Mapping[str, Callable[..., Any]] = {"einsum": np.einsum, "bmm": np.matmul, "take": np.take, "getitem": np.take}


class TangentDoor:
    """Apply the algebra; the other operands may be arrays or tracers."""

    rank: ClassVar[int] = 3

    @staticmethod
    def apply(op: Primitive, operands: tuple[Operand, ...], static: Static) -> Operand:
        """Apply the op by the algebra. Raises TangentError if the algebra has no meaning for it."""
        meaning = next((ALGEBRA[known] for known in (*op.numpy, ALIKE.get(op.name)) if known in ALGEBRA), None)
        if meaning is not None and any(isinstance(x, AbstractZero) for x in operands):
            return meaning(*operands, **static)
        if op.frule is linear_in_all and all(isinstance(x, AbstractZero) for x in operands):
            return functools.reduce(add, operands)
        values = tuple(map(force, operands))
        if not any(isinstance(x, Tangent) for x in values):
            return op(*values, **static)
        if meaning is not None:
            return meaning(*values, **static)
        raise unanswered(op, operands)


for _type in (Zero, DoesNotExist, One, Thunk, InplaceableThunk, Composite):
    register_door(_type, TangentDoor)
