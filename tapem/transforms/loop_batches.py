"""Loops and conditions for all examples at once, where all examples take the same way.

What does not depend on the mapped inputs, such as a counter, is computed once for all examples. A loop or condition
whose way depends on them groups the examples instead (`branching`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tapem.core import LEAF, ShapeDtype
from tapem.transforms.closure_conversion import traced
from tapem.transforms.program import Program
from tapem.transforms.vectorize import vmap


def dependent(program: Program, mapped: Sequence[bool]) -> list[bool]:
    """Whether the values of the outputs depend on the mapped inputs; all results of an op do if one operand does."""
    found = {id for id, is_mapped in zip(program.inputs, mapped, strict=True) if is_mapped}
    found.update(node.id for node in program.nodes if node.op is not LEAF and not found.isdisjoint(node.parents))
    return [id in found for id in program.outputs]


def mapped_state(body: Program, count: int, mapped: Sequence[bool]) -> list[bool]:
    """Which inputs of the body of a loop are mapped at any step, its first `count` inputs being the state."""
    flags = [*mapped]
    while True:
        after = [one or other for one, other in zip(flags, dependent(body, flags)[:count], strict=False)]
        if after == flags[:count]:
            return flags
        flags[:count] = after


def batched_program(program: Program, size: int, mapped: Sequence[bool], outputs: Sequence[bool]) -> Program:
    """The program for all examples: mapped inputs, and the outputs that are to be mapped, have the batch axis first."""
    in_axes = tuple(0 if is_mapped else None for is_mapped in mapped)
    out_axes = tuple(0 if is_mapped else None for is_mapped in outputs)
    run = vmap(program, in_axes=in_axes, out_axes=out_axes, axis_size=size)
    kinds = [program.nodes[id].output for id in program.inputs]
    return traced(run, batched_kinds(kinds, size, mapped), f"batched {program.__name__}")


def batched_kinds(kinds: Sequence[ShapeDtype], size: int, mapped: Sequence[bool]) -> list[ShapeDtype]:
    """The kinds of values of which some have a batch axis in front."""
    return [
        ShapeDtype((size, *kind.shape), kind.dtype) if is_mapped else kind
        for kind, is_mapped in zip(kinds, mapped, strict=True)
    ]


def repeated(value: Any, size: int, is_mapped: bool) -> Any:
    """A value with a batch axis in front, if it has none yet."""
    return value if is_mapped else np.broadcast_to(value, (size, *np.shape(value)))


__all__ = ["batched_kinds", "batched_program", "dependent", "mapped_state", "repeated"]
