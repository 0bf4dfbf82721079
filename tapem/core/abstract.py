"""Abstract evaluation: the shape and dtype of an op's result, without its value."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from tapem.core.node import Shape, ShapeDtype, Static, UnknownNumber
from tapem.core.primitive import Primitive
from tapem.core.tree import tree_flatten, tree_unflatten
from tapem.errors import TapeError
from tapem.types import HUGE, NUMBERS, with_lengths

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
        except TapeError as error:
            verdict = op.verdict(known, static, operands, error)
            if verdict is None:
                raise
            raise verdict from error
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
    known = type(value) is tuple or value is None or isinstance(value, ShapeDtype) or type(value) in NUMBERS
    return value if known else ShapeDtype.of(value)


# Python's operators on numbers; NumPy's functions of the same meaning turn two Python numbers into a float64.
_OPERATORS: Mapping[Callable[..., Any], Callable[..., Any]] = {
    np.add: operator.add,
    np.subtract: operator.sub,
    np.multiply: operator.mul,
    np.divide: operator.truediv,
    np.floor_divide: operator.floordiv,
    np.remainder: operator.mod,
    np.power: operator.pow,
    np.negative: operator.neg,
    np.positive: operator.pos,
    np.absolute: operator.abs,
}


def python_operator(op: Primitive, inputs: Sequence[Any]) -> Callable[..., Any] | None:
    """Python's operator for an op on numbers of which one is unknown: their result is a weak number, too."""
    known = {UnknownNumber, *NUMBERS}
    if UnknownNumber not in map(type, inputs) or not known.issuperset(map(type, inputs)):
        return None
    return next((_OPERATORS[function] for function in op.numpy if function in _OPERATORS), None)


def number_of(op: Primitive, inputs: Sequence[Any]) -> UnknownNumber | None:
    """The unknown number that Python's operator returns for an op on numbers; None if there is no such operator.

    >>> from tapem import mul
    >>> str(number_of(mul, [UnknownNumber.like(0.5), 2]))
    'Python float'
    """
    operation = python_operator(op, inputs)
    return None if operation is None else UnknownNumber.like(operation(*map(_stand_in, inputs)))


def _stand_in(value: Any, place: int | None = None) -> Any:
    """Ones that take no memory for a ShapeDtype, the number 1 for an unknown number; another value as it is.

    If a `place` is given, an unknown integer or bool is another one, and of integers each place has its own.
    """
    if type(value) is ShapeDtype:
        return np.broadcast_to(np.ones((), value.dtype), value.shape)
    if type(value) is not UnknownNumber:
        return value
    return value.kind(1) if place is None else value.kind({int: 10_007 + 7_919 * place, bool: 0}.get(value.kind, 1))


def try_on_stand_ins(op: Primitive, known: tuple[Any, ...], static: Static, operands: Sequence[Any]) -> Any:
    """Find shape and dtype by running the implementation on arrays of ones that take no memory."""
    if op.elementwise:
        # One element gives the dtype; broadcasting gives the shape.
        ones = tuple(np.ones((), value.dtype) if type(value) is ShapeDtype else _stand_in(value) for value in known)
        try:
            shape = joint_shape(value.shape for value in known if type(value) is ShapeDtype)
            with np.errstate(all="ignore"):
                output = op.implementation(*ones, **static)
        except TapeError as error:
            verdict = op.verdict(known, static, operands, error)
            if verdict is None:
                raise
            raise verdict from error
        except op.refusals as error:
            raise op.refusal(known, static, operands, error) from error
        if op.residuals:
            output, _ = output
        if type(output) is tuple:
            return tuple(ShapeDtype(shape, np.asarray(part).dtype) for part in output)
        return ShapeDtype(shape, np.asarray(output).dtype)
    with np.errstate(all="ignore"):
        output, _ = op.evaluate([*map(_stand_in, known)], static, operands)
    return tuple(map(ShapeDtype.of, output)) if type(output) is tuple else ShapeDtype.of(output)


def joint_shape(shapes: Iterable[Shape]) -> Shape:
    """The shape to which NumPy broadcasts some shapes, in which -1 is a length that is not known.

    >>> joint_shape([(-1, 1), (1, 3)])
    (-1, 3)
    """
    known = np.broadcast_shapes(*map(with_lengths, shapes))
    return tuple([-1 if length == HUGE else length for length in known])


def abstract_residuals(op: Primitive, inputs: Sequence[Any], static: Static) -> Any:
    """What an op keeps for its derivative, with a ShapeDtype for each array: the implementation is tried on stand-ins.

    Integers are 0 there, which is a label and a position wherever there is one. What is no array, such as a number of
    rows, depends on shapes only; but beside unknown Python numbers, a number that may depend on them is unknown itself.
    """
    known = [*map(known_of, inputs)]
    leaves, structure = tree_flatten(residuals_on(op, [*map(_stand_in, known)], static))
    found: list[Any] = [ShapeDtype.of(leaf) if isinstance(leaf, np.ndarray | np.generic) else leaf for leaf in leaves]
    if any(type(value) is UnknownNumber for value in known) and any(type(leaf) in NUMBERS for leaf in found):
        others = tree_flatten(residuals_on(op, [_stand_in(x, place) for place, x in enumerate(known)], static))[0]
        found = [
            UnknownNumber.like(leaf)
            if type(leaf) in NUMBERS and (isinstance(leaf, float | complex) or leaf != other)
            else leaf
            for leaf, other in zip(found, others, strict=True)
        ]
    return tree_unflatten(structure, found)


def residuals_on(op: Primitive, stand_ins: Sequence[Any], static: Static) -> Any:
    """The residuals of an op for stand-ins."""
    whole = [x * 0 if isinstance(x, np.ndarray) and x.dtype.kind in "iu" else x for x in stand_ins]
    with np.errstate(all="ignore"):
        return op.evaluate(whole, static)[1]


__all__ = ["abstract_evaluate", "abstract_residuals", "number_of", "python_operator"]
