"""Abstract evaluation: the shape and dtype of an op's result, without its value."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tapem.core.node import ShapeDtype, Static
from tapem.core.primitive import Primitive
from tapem.errors import TapeError
from tapem.types import NUMBERS

_MOST_SEEN = 10_000  # results that an op remembers


def abstract_evaluate(op: Primitive, inputs: Sequence[Any], static: Static, operands: Sequence[Any] = ()) -> Any:
    """Shape and dtype of the result of an op, without computing it: a ShapeDtype, or a tuple of them.

    By the op's own rule, if it has one; else its implementation is tried on stand-ins, once for each combination of
    shapes and dtypes. Raises what the op raises for operands that do not fit; errors show the nodes of `operands`.

    >>> from tapem import matmul
    >>> abstract_evaluate(matmul, [np.ones((2, 3)), np.ones((3, 4))], Static()).shape
    (2, 4)
    """
    known = tuple(map(known_of, inputs))
    if op.abstract_rule is not None:
        try:
            result = op.abstract_rule(*inputs, **static)
        except TapeError:
            raise
        except op.refusals as error:
            raise op.refusal(known, static, operands, error) from error
    else:
        seen = op.seen_abstract
        try:
            types = tuple(map(type, (*known, *static.values())))  # 1 == 1.0, but they promote differently
            key: Any = (known, types, tuple(static.items()))
            result = seen.get(key)
        except TypeError:  # a static argument that cannot be hashed
            key, result = None, None
        if result is None:
            result = try_on_stand_ins(op, known, static, operands)
            if key is not None:
                if len(seen) > _MOST_SEEN:
                    seen.clear()
                seen[key] = result
    if op.checked:
        op.check(known, result, static, operands)
    return result


def known_of(value: Any) -> Any:
    """What abstract evaluation may know of an input: shape and dtype, or the Python number itself."""
    return value if type(value) is tuple or value is None or type(value) in NUMBERS else ShapeDtype.of(value)


def try_on_stand_ins(op: Primitive, known: tuple[Any, ...], static: Static, operands: Sequence[Any]) -> Any:
    """Find shape and dtype by running the implementation on arrays of ones that take no memory."""
    if op.elementwise:
        # One element gives the dtype; broadcasting gives the shape.
        ones = tuple(np.ones((), value.dtype) if type(value) is ShapeDtype else value for value in known)
        try:
            shape = np.broadcast_shapes(*(value.shape for value in known if type(value) is ShapeDtype))
            with np.errstate(all="ignore"):
                output = op.implementation(*ones, **static)
        except TapeError:
            raise
        except op.refusals as error:
            raise op.refusal(known, static, operands, error) from error
        if op.residuals:
            output, _ = output
        if type(output) is tuple:
            return tuple(ShapeDtype(shape, np.asarray(part).dtype) for part in output)
        return ShapeDtype(shape, np.asarray(output).dtype)
    stand_ins = tuple(
        np.broadcast_to(np.ones((), value.dtype), value.shape) if type(value) is ShapeDtype else value
        for value in known
    )
    with np.errstate(all="ignore"):
        output, _ = op.evaluate(stand_ins, static, operands)
    return tuple(map(ShapeDtype.of, output)) if type(output) is tuple else ShapeDtype.of(output)


__all__ = ["abstract_evaluate"]
