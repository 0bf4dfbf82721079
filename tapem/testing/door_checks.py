"""Check that the three doors of an op and its abstract evaluation agree to the last bit."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, MutableMapping
from typing import Any, cast

import numpy as np

from tapem.core import Primitive, ShapeDtype, abstract_evaluate, tree_flatten, tree_unflatten
from tapem.doors.direct import Tracer
from tapem.doors.monadic import TapeM
from tapem.doors.pure import Tape
from tapem.errors import ConcretizationError
from tapem.testing.findings import Finding, kind_of_difference
from tapem.testing.flattening import as_tuple, computed, first_line, is_array
from tapem.transforms import vjp


def three_doors(
    op: Callable[..., Any], operands: tuple[Any, ...], static: Mapping[str, Any], skipped: MutableMapping[str, str]
) -> Iterator[Finding]:
    """Compare the results for arrays, tracers and Refs; `skipped` notes a function that does not take Refs."""
    value = computed(op(*operands, **static))
    traced = vjp(lambda *given: computed(op(*given, **static)), *operands)[0]
    yield from same("three doors", value, traced, "a tracer, where arrays give the other")
    try:
        pure = through_refs(op, operands, static)
    except Exception as error:  # a plain function that takes no Refs may raise anything
        if isinstance(op, Primitive):
            raise
        skipped["the pure door"] = f"{type(error).__name__}: {first_line(error)}"
    else:
        yield from same("three doors", value, pure, "Refs, where arrays give the other")
    if isinstance(op, Primitive):
        try:
            yield from abstractly(op, operands, static, value)
        except ConcretizationError as error:
            if not any(x is not None and ShapeDtype.of(x).dtype.kind in "iub" for x in operands):
                raise
            skipped["abstract evaluation"] = f"refused: {first_line(error)}"  # the shape depends on a mask


def through_refs(op: Callable[..., Any], operands: tuple[Any, ...], static: Mapping[str, Any]) -> Any:
    """The values of the step that the op builds from Refs."""
    tape = Tape()
    leaves, structure = tree_flatten(operands)
    refs: list[Any] = []
    for leaf in leaves:
        ref, tape = tape.leaf(leaf)
        refs.append(ref)
    step = op(*tree_unflatten(structure, refs), **static)
    if not isinstance(step, TapeM):
        if not refs:
            return step
        raise TypeError(f"given Refs it returned {type(step).__name__}, which is not a step")
    result, tape = cast("TapeM[Any]", step).run(tape)
    outputs, out_structure = tree_flatten(result)
    return tree_unflatten(out_structure, [tape.value(ref) if hasattr(ref, "node") else ref for ref in outputs])


def abstractly(op: Primitive, operands: tuple[Any, ...], static: Mapping[str, Any], value: Any) -> Iterator[Finding]:
    """Compare the shape and dtype that abstract evaluation predicts with those of the value."""
    bound, given = op.bind(operands, static)
    inputs = tuple(op.as_input(position, operand) for position, operand in enumerate(bound))
    predicted = abstract_evaluate(op, [ShapeDtype.of(x) if is_array(x) else x for x in inputs], given)
    for position, (one, other) in enumerate(zip(as_tuple(value), as_tuple(predicted), strict=True)):
        name = f"output[{position}]" if isinstance(value, tuple) else "output"
        right = ShapeDtype.of(one)
        if right.shape != other.shape:
            yield Finding(
                "abstract evaluation", None, (), right.shape, other.shape, f"the shape of {name}", kind="shape"
            )
        if right.dtype != other.dtype:
            yield Finding(
                "abstract evaluation", None, (), right.dtype, other.dtype, f"the dtype of {name}", kind="dtype"
            )


def same(check: str, expected: Any, actual: Any, detail: str) -> Iterator[Finding]:
    """Report where two results differ in structure, shape, dtype or a single bit; in more than rounding, if complex."""
    ones, structure = tree_flatten(expected)
    others, other_structure = tree_flatten(actual)
    if len(ones) != len(others):
        yield Finding(check, None, (), structure, other_structure, detail, kind="shape")
        return
    for position, (one, other) in enumerate(zip(ones, others, strict=True)):
        name = f"output[{position}]" if len(ones) > 1 else "output"
        if isinstance(other, Tracer):
            yield Finding(check, None, (), "a value", repr(other), detail, name)
            continue
        right, found = np.asarray(one), np.asarray(other)
        if right.shape != found.shape or right.dtype != found.dtype:
            kinds = [f"{array.dtype}{list(array.shape)}" for array in (right, found)]
            yield Finding(check, None, (), kinds[0], kinds[1], detail, name, kind_of_difference(right, found))
        elif right.tobytes() != found.tobytes():
            differs = np.atleast_1d((right != found) & ~((right != right) & (found != found)))
            if right.dtype.kind == "c":  # NumPy rounds complex products of scalars and of arrays differently
                with np.errstate(all="ignore"):
                    differs &= ~np.atleast_1d(np.abs(right - found) <= 4 * np.finfo(right.dtype).eps * np.abs(right))
            if differs.any():
                index = tuple(map(int, np.argwhere(differs)[0][: right.ndim]))
                yield Finding(check, None, (), right[index], found[index], f"{detail}; at {list(index)}", name)


__all__ = ["same", "three_doors"]
