"""Query the rules of an op, and give rules to an op.

`frule` and `rrule` are queries, as in ChainRulesCore. `defrrule`, `deffrule` and `defbatch` give a rule to an op that
was declared without it, `scalar_rule` makes the rules of both modes from partial derivatives, and `non_differentiable`
says that all derivatives are zero.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar, cast

import numpy as np

from tapem.core import (
    FUNCTIONS,
    GivenRule,
    Primitive,
    ShapeDtype,
    has_door,
    leaves_like,
    tree_flatten,
    tree_unflatten,
    ufunc_handler,
)
from tapem.errors import ArgumentError, TapeError
from tapem.ops import batch_elementwise, declare
from tapem.ops.numpy import IN_PLACE
from tapem.tangents import NO_FIELDS, AbstractZero, DoesNotExist, One, Thunk, Zero, add, extern, multiply
from tapem.transforms.derivatives import jvp, vjp

Op = TypeVar("Op", bound=Primitive)
Pullback = Callable[[Any], tuple[Any, ...]]


def rrule(op: Callable[..., Any], *primals: Any, **static: Any) -> tuple[Any, Pullback] | None:
    """The value of an op and its pullback, or None if it has no reverse-mode rule.

    `op` is an op, or a NumPy function that equals one. `pullback(cotangent)` returns `(NO_FIELDS, x1_bar, ...)`: first
    the cotangent of the op itself, which has no fields, then one per primal, with the primal's shape and dtype;
    DoesNotExist() for integers and bools. The cotangent may be symbolic.

    Source: ChainRulesCore.rrule.

    >>> y, pullback = rrule(np.sin, 0.0)
    >>> float(y), pullback(1.0)
    (0.0, (Zero(), np.float64(1.0)))
    >>> rrule(print, 0.0) is None
    True
    """
    known = with_rule(op, "rrule")
    if known is None:
        return None
    y, pullback = vjp(functools.partial(known, **static), *primals)

    def pull(cotangent: Any) -> tuple[Any, ...]:
        if isinstance(cotangent, AbstractZero):
            return (NO_FIELDS, *(Zero() for _ in primals))
        found = pullback(materialized(cotangent, y))
        return (NO_FIELDS, *(DoesNotExist() if part is None else part for part in found))

    return y, pull


def frule(tangents: Sequence[Any], op: Callable[..., Any], *primals: Any, **static: Any) -> tuple[Any, Any] | None:
    """The value of an op and its derivative along the tangents, or None if it has no forward-mode rule.

    `tangents[0]` belongs to the op itself and is ignored; one per primal follows. If all of them are Zero(), so is the
    result; a primal whose tangent is Zero() is a constant, which needs no rule.

    Raises ArgumentError if there is not one tangent per primal, and one for the op. Source: ChainRulesCore.frule.

    >>> y, dy = frule((NO_FIELDS, 1.0), np.sin, 0.0)
    >>> float(y), float(dy)
    (0.0, 1.0)
    """
    known = with_rule(op, "frule")
    if known is None:
        return None
    given = tuple(tangents)[1:]
    if len(given) != len(primals):
        raise ArgumentError(
            f"frule: {getattr(op, '__name__', op)} was given {len(primals)} primals, so there must be "
            f"{len(primals) + 1} tangents, the first for the op itself, but there are {len(tangents)}."
        )
    moving = [position for position, tangent in enumerate(given) if not isinstance(tangent, AbstractZero)]
    if not moving:
        return known(*primals, **static), Zero()

    def of_moving(*values: Any) -> Any:
        operands = list(primals)
        for position, value in zip(moving, values, strict=True):
            operands[position] = value
        return known(*operands, **static)

    full = tuple(materialized(given[position], primals[position]) for position in moving)
    return jvp(of_moving, tuple(primals[position] for position in moving), full)


def with_rule(op: Callable[..., Any], kind: str) -> Callable[..., Any] | None:
    """The op for an op or a NumPy function, or None if it has no rule of this kind.

    An op that is declared as not differentiable, such as `sign`, has one: its derivative is zero.
    """
    if not isinstance(op, Primitive):
        handler = ufunc_handler(op) if isinstance(op, np.ufunc) else FUNCTIONS.get(op)
        if not isinstance(handler, Primitive):
            return None if op in IN_PLACE else handler
        op = handler
    return op if getattr(op, kind) is not None or not op.differentiable else None


def materialized(tangent: Any, primal: Any) -> Any:
    """Convert a tangent or cotangent, which may be symbolic or a thunk, to arrays like the primal."""
    leaves, structure = tree_flatten(primal)
    if isinstance(tangent, AbstractZero | One):
        fill = np.ones if type(tangent) is One else np.zeros
        return tree_unflatten(structure, [fill(kind.shape, kind.dtype) for kind in map(ShapeDtype.of, leaves)])
    parts = leaves_like(structure, extern(tangent), "a tangent and its primal")
    return tree_unflatten(structure, [extern(part) for part in parts])


def defrrule(op: Op, *rules: GivenRule | None, joint: GivenRule | None = None) -> Op:
    """Give an op its reverse-mode rule, and return the op.

    Either one function `(cotangent, value, *operands, **static) -> cotangent of that operand` per operand, None for
    operands that cannot be perturbed; or a `joint` function that returns all of them as a tuple, in which `Zero()` and
    None mean no cotangent and `Thunk(f)` is computed only if it is needed.

    Raises ArgumentError for a wrong number of rules.

    >>> from tapem import grad, primitive
    >>> @primitive
    ... def double(x: np.ndarray) -> np.ndarray:
    ...     return 2 * x
    >>> op = defrrule(double, lambda g, y, x: 2 * g)
    >>> float(grad(double)(1.0))
    2.0
    """
    op.rrule, op.differentiable = checked_rules(op, "defrrule", rules, joint), True
    return op


def deffrule(op: Op, *rules: GivenRule | None, joint: GivenRule | None = None) -> Op:
    """Give an op its forward-mode rule, and return the op.

    Either one function `(tangent, value, *operands, **static) -> tangent of the value` per operand, whose results are
    summed; or a `joint` function of all the tangents, `(tangents, value, *operands, **static)`, in which missing ones
    are `Zero()`.

    Raises ArgumentError for a wrong number of rules.

    >>> from tapem import jvp, primitive
    >>> @primitive
    ... def double(x: np.ndarray) -> np.ndarray:
    ...     return 2 * x
    >>> op = deffrule(double, lambda t, y, x: 2 * t)
    >>> float(jvp(double, (1.0,), (3.0,))[1])
    6.0
    """
    op.frule, op.differentiable = checked_rules(op, "deffrule", rules, joint), True
    return op


def checked_rules(op: Primitive, caller: str, rules: tuple[GivenRule | None, ...], joint: GivenRule | None) -> Any:
    """The rules in the form in which an op keeps them."""
    if not isinstance(op, Primitive):
        raise ArgumentError(f"{caller}: {op!r} is not an op; declare it with @tm.primitive first.")
    if joint is not None:
        if rules:
            raise ArgumentError(f"{caller}: give {op.name} either one rule per operand or a joint one, not both.")
        return joint
    if op.variadic or len(rules) != op.arity:
        count = "any number of" if op.variadic else str(op.arity)
        raise ArgumentError(
            f"{caller}: {op.usage()} has {count} operands, but {len(rules)} rules were given; "
            "give one per operand (None for what cannot be perturbed), or joint=..."
        )
    return rules


def defbatch(op: Op, rule: GivenRule) -> Op:
    """Give an op its batching rule, and return the op.

    `rule(op, size, inputs, mapped, static)` computes all `size` examples at once; the inputs that are `mapped` have
    their batch axis first, as the result must. Without a rule, `vmap` applies the op to one example after the other.

    >>> from tapem import primitive, vmap
    >>> @primitive
    ... def total(x: np.ndarray) -> np.ndarray:
    ...     return np.add.reduce(x)
    >>> op = defbatch(total, lambda op, size, inputs, mapped, static: np.add.reduce(inputs[0], axis=1))
    >>> vmap(total)(np.ones((3, 2)))
    array([2., 2., 2.])
    """
    op.batch = rule
    return op


def non_differentiable(op: Callable[..., Any]) -> Any:
    """Declare that an op has no derivative in any operand, so that what comes out is constant; return the op.

    Both modes then need no rule, as for `tm.sign`. A plain function becomes an op, which is not looked into. Also as a
    decorator. Where a derivative exists but is not written, return `not_implemented` from the rule instead.

    Raises TapeError for a function that closes over a traced value. Source: ChainRulesCore.@non_differentiable.

    >>> from tapem import grad
    >>> @non_differentiable
    ... def bucket(x):
    ...     return np.floor(10 * x)
    >>> float(grad(lambda x: x * bucket(x))(0.25)), float(grad(bucket)(0.25))
    (2.0, 0.0)
    """
    known: Any = op if isinstance(op, Primitive) else declare(closed(op, "non_differentiable"))
    known.rrule = known.frule = None
    known.differentiable = False
    return known


def scalar_rule(op: Callable[..., Any], *partials: Any, setup: GivenRule | None = None) -> Any:
    """Give an elementwise op the rules of both modes, made from its partial derivatives; return the op.

    `partials` has one entry per operand: a function `(value, *operands, **static)`, a number, `One()` or `Zero()`. An
    op with several results takes one tuple of such entries per result. With `setup`, what
    `setup(value, *operands, **static)` returns is computed once and passed to every function as its first argument. A
    plain function becomes an op.

    Raises ArgumentError for a wrong number of partial derivatives. Source: ChainRulesCore.@scalar_rule.

    >>> from tapem import grad, jvp
    >>> cube = scalar_rule(lambda x: x**3, lambda y, x: 3 * x**2)
    >>> float(grad(cube)(2.0)), float(jvp(cube, (2.0,), (1.0,))[1])
    (12.0, 12.0)
    """
    known: Any = op if isinstance(op, Primitive) else declare(closed(op), elementwise=True)
    several = any(isinstance(entry, tuple) for entry in partials)
    rows: Any = partials if several else (partials,)
    for row in rows:
        if not isinstance(row, tuple) or len(cast("tuple[Any, ...]", row)) != known.arity:
            count = len(cast("tuple[Any, ...]", row)) if isinstance(row, tuple) else "a value that is not a tuple"
            raise ArgumentError(
                f"scalar_rule: {known.usage()} needs {known.arity} partial derivatives per result, not {count}."
            )
    if known.residuals or known.variadic:
        raise ArgumentError(
            f"scalar_rule: {known.usage()} {'keeps residuals' if known.residuals else 'has any number of operands'}; "
            "give it rules with tm.defrrule and tm.deffrule."
        )

    def prepared(y: Any, operands: tuple[Any, ...], static: Mapping[str, Any]) -> tuple[Any, ...]:
        results = len(cast("tuple[Any, ...]", y)) if isinstance(y, tuple) else 1
        if results != len(rows):
            raise ArgumentError(
                f"scalar_rule: {known.usage()} has {results} result{'s' * (results != 1)}, but partial derivatives "
                f"of {len(rows)}; give one tuple of them per result."
            )
        return () if setup is None else (setup(y, *operands, **static),)

    def column(position: int, arguments: tuple[Any, ...], static: Mapping[str, Any]) -> list[Any]:
        """The partial derivatives of all results in one operand."""
        entries = [row[position] for row in rows]
        return [entry(*arguments, **static) if callable(entry) else entry for entry in entries]

    def rrule(g: Any, y: Any, *operands: Any, **static: Any) -> tuple[Any, ...]:
        arguments = (*prepared(y, operands, static), y, *operands)
        cotangents = cast("tuple[Any, ...]", g) if isinstance(g, tuple) else (g,)

        def one(position: int) -> Any:
            return functools.reduce(add, map(multiply, cotangents, column(position, arguments, static)))

        return tuple(Thunk(functools.partial(one, position)) for position in range(len(operands)))

    def frule(tangents: Sequence[Any], y: Any, *operands: Any, **static: Any) -> Any:
        arguments = (*prepared(y, operands, static), y, *operands)
        results: list[Any] = [Zero()] * len(rows)
        for position, tangent in enumerate(tangents):
            if type(tangent) is not Zero:
                parts = [multiply(tangent, part) for part in column(position, arguments, static)]
                results = list(map(add, results, parts))
        return tuple(results) if isinstance(y, tuple) else results[0]

    for rule in (rrule, frule):
        vars(rule)["partials"] = partials  # for the table of rules
    known.rrule, known.frule = rrule, frule
    known.elementwise = known.differentiable = True
    known.batch = known.batch or batch_elementwise
    return known


def closed(f: Callable[..., Any], caller: str = "scalar_rule") -> Callable[..., Any]:
    """The function; TapeError if it closes over a traced value, of which its derivatives know nothing."""
    if isinstance(f, np.ufunc):
        return f

    @functools.wraps(f)
    def call(*operands: Any, **static: Any) -> Any:
        y: Any = f(*operands, **static)
        parts: tuple[Any, ...] = cast("Any", y) if isinstance(y, tuple) else (y,)
        if any(map(has_door, parts)) and not any(map(has_door, operands)):
            name = getattr(f, "__name__", repr(f))
            raise TapeError(
                f"{caller}: {name} closes over a traced value, which its derivatives do not know of. Pass it as an "
                "operand."
            )
        return cast("Any", y)

    return call


__all__ = ["defbatch", "deffrule", "defrrule", "frule", "non_differentiable", "rrule", "scalar_rule"]
