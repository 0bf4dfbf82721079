"""Check the rules of an op directly, without the engine, which corrects or hides some mistakes."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from tapem.core import Primitive, ShapeDtype, linear_in_all, tree_flatten, tree_map
from tapem.tangents import AbstractZero, DoesNotExist, NotImplementedTangent, Zero, force
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
    """Check that operands that cannot be perturbed get no cotangent, and that rules do not change their arguments."""
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
    promoted = any(ShapeDtype.of(y).dtype != expected.dtype for y in tree_flatten(value)[0])
    if own.dtype != expected.dtype and not promoted:
        yield Finding("rules", name, (), expected.dtype, own.dtype, "the dtype of its cotangent", kind="dtype")


def unchanged(
    op: Primitive,
    kind: str,
    position: int | None,
    rule: Callable[..., Any],
    arguments: tuple[Any, ...],
    static: Mapping[str, Any],
) -> Iterator[Finding]:
    """Check that a rule and the thunks that it returns do not change the arrays that the rule gets."""
    arrays = [leaf for leaf in tree_flatten(list(arguments))[0] if is_array(leaf)]
    locks = [array.flags.writeable for array in arrays]
    before = [array.copy() for array in arrays]
    roles = role_names(op, kind, arguments)
    for part in as_tuple(rule(*arguments, **static)):
        value_of(part)
    for array, copy, lock, role in zip(arrays, before, locks, roles, strict=True):
        if lock and not np.array_equal(array, copy, equal_nan=is_inexact(array.dtype)):
            index = tuple(map(int, np.argwhere(np.atleast_1d(array != copy))[0][: array.ndim]))
            whose = role if position is None else op.operand_name(position)
            detail = f"the {kind} changed it in place, though others hold it"
            output = None if whose == role else role
            yield Finding("rules", whose, index, copy[index], array[index], detail, output, kind="memory")
            array[...] = copy


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
