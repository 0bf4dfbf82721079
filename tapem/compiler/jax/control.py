"""Control flow in JAX: loops and conditions are lax's own, a checkpoint is JAX's."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from tapem.compiler.jax.kinds import as_dtype
from tapem.compiler.jax.lazy import jax, jnp, lax
from tapem.core import Node, ShapeDtype
from tapem.errors import NoRuleError
from tapem.transforms import Cond, Program, Scan, While, by_example_function, inlined_function

Run: TypeAlias = Callable[[Program, Sequence[Any]], list[Any]]
"""Replays a program on JAX arrays."""


def replayed_call(run: Run, function: Any, operands: Sequence[Any], node: Node) -> tuple[Any, ...]:
    """The outputs of a program, a loop or a condition that a node calls.

    Raises NoRuleError for the reverse derivative of a while loop inside, whose memory is known only when it runs.
    """
    if not isinstance(function, Program | Scan | While | Cond) or getattr(function, "sizes", ()):
        kinds = [x if isinstance(x, ShapeDtype) else ShapeDtype.of(x) for x in node.inputs]
        function = inlined_function(by_example_function(function), kinds)
        if isinstance(function, Program):
            return tuple(run(function, operands))
    match function:
        case Program():
            return tuple(jax.checkpoint(lambda *xs: tuple(run(function, xs)))(*operands))
        case Scan():
            return replayed_scan(run, function, operands)
        case While(sizes=()) if len(function.body.outputs) == function.count:
            return replayed_while(run, function, operands)
        case Cond(sizes=()):
            return replayed_cond(run, function, operands)
        case _:
            name = getattr(function, "__name__", type(function).__name__)
            raise NoRuleError(
                f"to_jax: {name} has no form in JAX: a while_loop has no derivative in reverse mode there. Use scan or "
                "fori_loop, whose number of steps is known."
            )


def fitted(values: Sequence[Any], kinds: Sequence[Any]) -> tuple[Any, ...]:
    """Values in these shapes and dtypes."""
    return tuple(
        jnp.broadcast_to(as_dtype(x, ShapeDtype.of(kind).dtype), ShapeDtype.of(kind).shape)
        for x, kind in zip(values, kinds, strict=True)
    )


def kinds_of(program: Program, start: int, end: int) -> list[Any]:
    """The kinds of some inputs of a program."""
    return [node.output for node in program.nodes[start:end]]


def replayed_scan(run: Run, scan: Scan, operands: Sequence[Any]) -> tuple[Any, ...]:
    """A scan as lax.scan."""
    end = scan.count + scan.xs
    kinds = kinds_of(scan.body, 0, scan.count)
    captured = operands[end:]

    def step(state: Any, slices: Any) -> Any:
        outputs = run(scan.body, [*state, *slices, *captured])
        return fitted(outputs[: scan.count], kinds), tuple(map(jnp.asarray, outputs[scan.count :]))

    start = fitted(operands[: scan.count], kinds)
    xs = tuple(map(jnp.asarray, operands[scan.count : end]))
    last, rows = lax.scan(step, start, xs, length=scan.length, reverse=scan.reverse)
    return (*last, *rows)


def replayed_while(run: Run, loop: While, operands: Sequence[Any]) -> tuple[Any, ...]:
    """A while loop as lax.while_loop."""
    start, tested, captured = loop.parts(operands)
    kinds = kinds_of(loop.body, 0, loop.count)

    def holds(state: Any) -> Any:
        return jnp.reshape(as_dtype(run(loop.test, [*state, *tested])[0], bool), ())

    def step(state: Any) -> Any:
        return fitted(run(loop.body, [*state, *captured])[: loop.count], kinds)

    return tuple(lax.while_loop(holds, step, fitted(start, kinds)))


def replayed_cond(run: Run, cond: Cond, operands: Sequence[Any]) -> tuple[Any, ...]:
    """A condition as lax.cond."""

    def branch(program: Program) -> Callable[..., Any]:
        return lambda *given: fitted(run(program, cond.of(program, (None, *given))), cond.kinds)

    holds = jnp.reshape(as_dtype(operands[0], bool), ())
    return tuple(lax.cond(holds, branch(cond.yes), branch(cond.no), *operands[1:]))


__all__ = ["replayed_call"]
