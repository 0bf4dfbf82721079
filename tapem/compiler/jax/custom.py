"""Functions with a rule of their own in JAX: custom_vjp and custom_jvp are JAX's."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np

from tapem.compiler.jax.kinds import trace
from tapem.compiler.jax.lazy import jax, jnp
from tapem.core import Node, ShapeDtype, tree_unflatten
from tapem.tangents import Zero
from tapem.transforms import Program
from tapem.types import is_inexact

Run: TypeAlias = Callable[[Program, Sequence[Any]], list[Any]]
"""Replays a program on JAX arrays."""


def replayed_custom(run: Run, rule: Any, operands: Sequence[Any], node: Node) -> tuple[Any, ...]:
    """The outputs of a function with its own rule, which JAX's derivatives use."""
    kinds = [ShapeDtype.of(x) for x in node.inputs]
    floats = [place for place, kind in enumerate(kinds) if is_inexact(kind.dtype)]
    value = trace(lambda leaves: rule.function(*leaves), kinds, rule.name)
    function = (jax.custom_vjp if rule.reverse else jax.custom_jvp)(lambda *xs: tuple(run(value.program, xs)))
    if rule.reverse:
        forward = trace(lambda leaves: rule.forward(*leaves), kinds, rule.name)

        def onward(*xs: Any) -> Any:
            outputs, residuals = tree_unflatten(forward.structure, run(forward.program, xs))
            return tuple(outputs), tuple(residuals)

        def back(residuals: Any, cotangents: Any) -> Any:
            given = [ShapeDtype(x.shape, x.dtype) for x in map(jnp.asarray, residuals)]
            moving = [i for i, kind in enumerate(outputs_of(node)) if is_inexact(kind.dtype)]
            present: list[bool] = []

            def pull(leaves: Sequence[Any]) -> Any:
                cts: list[Any] = [np.zeros(kind.shape, kind.dtype) for kind in outputs_of(node)]
                for place, ct in zip(moving, leaves[len(given) :], strict=True):
                    cts[place] = ct
                found = rule.pull(list(leaves[: len(given)]), cts)
                present[:] = [type(part) is not Zero and place in floats for place, part in enumerate(found)]
                return [part for part, some in zip(found, present, strict=True) if some]

            own = [outputs_of(node)[i] for i in moving]
            program = trace(pull, [*given, *own], rule.name).program
            parts = iter(run(program, [*residuals, *(cotangents[i] for i in moving)]))
            return tuple(next(parts) if some else None for some in present)

        function.defvjp(onward, back)
    else:

        def push(xs: Any, tangents: Any) -> Any:
            def along(leaves: Sequence[Any]) -> Any:
                filled: list[Any] = [np.zeros(kind.shape, kind.dtype) for kind in kinds]
                for place, t in zip(floats, leaves[len(kinds) :], strict=True):
                    filled[place] = t
                return rule.push(list(leaves[: len(kinds)]), filled)

            program = trace(along, [*kinds, *(kinds[place] for place in floats)], rule.name).program
            found = run(program, [*xs, *(tangents[place] for place in floats)])
            outputs = function(*xs)
            return outputs, tuple(jnp.asarray(t, y.dtype) for t, y in zip(found, outputs, strict=True))

        function.defjvp(push)
    return tuple(function(*map(jnp.asarray, operands)))


def outputs_of(node: Node) -> Sequence[ShapeDtype]:
    """The kinds of a node's results."""
    return [ShapeDtype.of(part) for part in node.output]


__all__ = ["replayed_custom"]
