"""Check the rules of an op directly, without the engine, which corrects or hides some mistakes."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from tapem.core import Primitive, ShapeDtype, linear_in_all, tree_flatten, tree_map
from tapem.tangents import AbstractZero, DoesNotExist, InplaceableThunk, NotImplementedTangent, Zero, force
from tapem.testing.dtypes import only_discrete
from tapem.testing.findings import Finding
from tapem.testing.flattening import as_tuple, is_array, is_inexact_value
from tapem.types import is_inexact


def raw_rules(
    op: Primitive,
    operands: tuple[Any, ...],
    static: Mapping[str, Any],
    modes: Sequence[str],
    rng: np.random.Generator,
) -> Iterator[Finding]:
    """Check the contract of a rule, which is more than its numbers.

    Operands that cannot be perturbed get no cotangent; every other derivative has the shape of its operand and the
    precision of what the rule was given. What a rule was given does not change, the same call gives the same, and what
    adds in place adds to whatever is there. (A result may share memory with the cotangent or be a view: the sweep sees
    to it that nobody writes there; `purity` checks that no result of a derivative does.)
    """
    bound, given = op.bind(operands, static)
    inputs = tuple(np.array(x) if is_array(x) else x for x in map(op.as_input, range(len(bound)), bound))
    value, residuals = op.evaluate(inputs, given)
    if not op.differentiable or not all(map(is_inexact_value, tree_flatten(value)[0])):
        return
    value = tree_map(np.array, value)
    rest = (value, residuals, *inputs) if op.residuals else (value, *inputs)
    cotangent = tree_map(functools.partial(random_like, rng=rng), value)
    if op.rrule is not None and "rev" in modes:
        yield from discrete_operands(op, cotangent, rest, inputs, given)
        for position, rule in numbered(op.rrule):
            if position is not None and not is_inexact_value(inputs[position]):
                continue
            yield from unchanged(op, "rrule", position, rule, (cotangent, *rest), given)
            parts: Any = rule(cotangent, *rest, **given)
            pairs = zip(range(len(inputs)), parts, strict=False) if position is None else [(position, parts)]
            for at, part in pairs:
                if is_inexact_value(inputs[at]):
                    yield from kind_of_cotangent(op, at, part, inputs[at], value)
    if op.frule is not None and op.frule is not linear_in_all and "fwd" in modes:
        tangents = [random_like(x, rng) if is_inexact_value(x) else Zero() for x in inputs]
        for position, rule in numbered(op.frule):
            if position is not None and not is_inexact_value(inputs[position]):
                continue
            first = tangents if position is None else tangents[position]
            yield from unchanged(op, "frule", position, rule, (first, *rest), given)
            yield from precision_of_tangent(op, position, rule(first, *rest, **given), inputs, value)


def random_like(value: Any, rng: np.random.Generator) -> Any:
    """Draw random numbers with the shape and dtype of a value."""
    kind = ShapeDtype.of(value)
    drawn = rng.normal(size=kind.shape)
    if kind.dtype.kind == "c":
        drawn = drawn + 1j * rng.normal(size=kind.shape)
    return np.asarray(drawn).astype(kind.dtype)[() if kind.shape == () else ...]


def numbered(rules: Any) -> list[tuple[int | None, Callable[..., Any]]]:
    """The rules of an op with the positions of their operands; None for a joint rule."""
    if type(rules) is not tuple:
        return [(None, rules)]
    return [(position, rule) for position, rule in enumerate(as_tuple(rules)) if rule is not None]


def discrete_operands(
    op: Primitive, cotangent: Any, rest: tuple[Any, ...], inputs: tuple[Any, ...], static: Mapping[str, Any]
) -> Iterator[Finding]:
    """Check that the cotangent of every operand that is an index, a mask or a shape is DoesNotExist, or has no rule."""
    operands = op.signature.operands
    last = len(operands) - 1
    positions = [i for i, x in enumerate(inputs) if x is not None and only_discrete(operands[min(i, last)])]
    if not positions:
        return
    found: dict[int, Any] = {}
    for position, rule in numbered(op.rrule):
        result = rule(cotangent, *rest, **static)
        found |= dict(enumerate(as_tuple(result))) if position is None else {position: result}
    for position in positions:
        part = force(found.get(position))
        if part is None or type(part) is DoesNotExist:
            continue
        zero = isinstance(part, AbstractZero)
        array = np.asarray(0.0 if zero else part)
        index = tuple(map(int, np.unravel_index(0, array.shape))) if array.size and array.ndim else ()
        yield Finding(
            "rules",
            op.operand_name(position),
            index,
            "DoesNotExist()",
            part if zero or not array.size else array[index],
            f"the rrule gives {'a zero' if zero else 'a gradient'} to an operand of dtype "
            f"{ShapeDtype.of(inputs[position]).dtype}, which cannot be perturbed",
        )


def value_of(part: Any) -> Any:
    """The result of a rule with thunks evaluated; None for Zero, DoesNotExist and what is not implemented."""
    part = force(part)
    return None if isinstance(part, AbstractZero | NotImplementedTangent) else part


def kind_of_cotangent(op: Primitive, position: int, part: Any, operand: Any, value: Any) -> Iterator[Finding]:
    """Check shape and dtype of one cotangent, before the engine undoes broadcasting and promotion."""
    part = value_of(part)
    if part is None:
        return
    own, expected, name = ShapeDtype.of(part), ShapeDtype.of(operand), op.operand_name(position)
    if own.shape != expected.shape and not op.elementwise:
        yield Finding("rules", name, (), expected.shape, own.shape, "the shape of its cotangent", kind="shape")
    results = [ShapeDtype.of(y).dtype for y in tree_flatten(value)[0]]
    if own.dtype != expected.dtype and all(dtype == expected.dtype for dtype in results):
        yield Finding("rules", name, (), expected.dtype, own.dtype, "the dtype of its cotangent", kind="dtype")
    elif any_precision([own.dtype]) > any_precision([expected.dtype, *results]):
        detail = "the dtype of its cotangent, which is more precise than what it was made from"
        yield Finding("rules", name, (), expected.dtype, own.dtype, detail, kind="dtype")


def any_precision(dtypes: Sequence[np.dtype[Any]]) -> int:
    """The most bits that a real number has in these dtypes; 0 where there are only integers."""
    return max((np.finfo(dtype).bits for dtype in dtypes if is_inexact(dtype)), default=0)


def precision_of_tangent(
    op: Primitive, position: int | None, tangent: Any, inputs: tuple[Any, ...], value: Any
) -> Iterator[Finding]:
    """Check that a tangent is no more precise than what it was made from: the sweep would round it, and hide this."""
    parts = as_tuple(tangent)
    for part, result in zip(map(value_of, parts), as_tuple(value), strict=False):
        if part is None or not hasattr(part, "dtype"):
            continue
        known = [ShapeDtype.of(x).dtype for x in (*inputs, result) if is_inexact_value(x)]
        if any_precision([ShapeDtype.of(part).dtype]) > any_precision(known):
            whose = op.operand_name(position or 0)
            detail = "the dtype of the tangent, which is more precise than what it was made from"
            yield Finding("rules", whose, (), ShapeDtype.of(result).dtype, part.dtype, detail, kind="dtype")


def identical(one: Any, other: Any) -> bool:
    """Whether two results have the same bits."""
    return np.array_equal(one, other, equal_nan=True) if is_inexact_value(one) else bool(np.array_equal(one, other))


def added(op: Primitive, position: int | None, parts: tuple[Any, ...]) -> Iterator[Finding]:
    """Check that what adds its value in place adds it to whatever is there, and returns the array that it was given."""
    for at, part in enumerate(parts):
        if not isinstance(part, InplaceableThunk):
            continue
        name, alone = op.operand_name(at if position is None else position), np.asarray(force(part))
        before = np.linspace(1, 2, alone.size).reshape(alone.shape).astype(alone.dtype)
        total = before.copy()
        if part.add_into(total) is not total:
            yield Finding("rules", name, detail="add_into does not return the array that it was given", kind="memory")
            continue
        expected = before + alone
        loose = 8 * float(np.finfo(alone.dtype).eps) * (np.abs(before) + np.abs(alone))
        wrong = ~((np.abs(total - expected) <= loose) | (total == expected)) & np.isfinite(expected)
        if wrong.any():
            index = tuple(map(int, np.argwhere(np.atleast_1d(wrong))[0][: wrong.ndim]))
            detail = "add_into gives something else than adding the value to what is there"
            yield Finding("rules", name, index, expected[index], total[index], detail, kind="memory")


def unchanged(
    op: Primitive,
    kind: str,
    position: int | None,
    rule: Callable[..., Any],
    arguments: tuple[Any, ...],
    static: Mapping[str, Any],
) -> Iterator[Finding]:
    """Check that a rule and its thunks change no array that the rule gets, and that the same call gives the same."""
    arrays = [leaf for leaf in tree_flatten(list(arguments))[0] if is_array(leaf)]
    locks = [array.flags.writeable for array in arrays]
    before = [array.copy() for array in arrays]
    roles = role_names(op, kind, arguments)
    once = [value_of(part) for part in as_tuple(rule(*arguments, **static))]
    changed = False
    for array, copy, lock, role in zip(arrays, before, locks, roles, strict=True):
        if lock and not np.array_equal(array, copy, equal_nan=is_inexact(array.dtype)):
            index = tuple(map(int, np.argwhere(np.atleast_1d(array != copy))[0][: array.ndim]))
            whose = role if position is None else op.operand_name(position)
            detail = f"the {kind} changed it in place, though others hold it"
            output = None if whose == role else role
            yield Finding("rules", whose, index, copy[index], array[index], detail, output, kind="memory")
            array[...] = copy
            changed = True
    if changed:  # then a second call differs for this reason, which has been told
        return
    again = [value_of(part) for part in as_tuple(rule(*arguments, **static))]
    for at, (one, other) in enumerate(zip(once, again, strict=True)):
        if not all(map(identical, tree_flatten(one)[0], tree_flatten(other)[0])):
            whose = op.operand_name(at if position is None and kind == "rrule" else position or 0)
            yield Finding("rules", whose, detail=f"the {kind}, called twice, does not give the same", kind="memory")
    if kind == "rrule":
        yield from added(op, position, as_tuple(rule(*arguments, **static)))


def role_names(op: Primitive, kind: str, arguments: tuple[Any, ...]) -> list[str]:
    """The role of each argument of a rule, such as "the cotangent", for findings."""
    roles = ["the cotangent" if kind == "rrule" else "the tangent", "the value"]
    roles += ["the residuals"] * op.residuals
    while len(roles) < len(arguments):
        position = len(roles) - 2 - op.residuals
        roles.append(op.operand_name(position))
    names: list[str] = []
    for role, argument in zip(roles, arguments, strict=True):
        names += [role for leaf in tree_flatten([argument])[0] if is_array(leaf)]
    return names


__all__ = ["raw_rules"]
