"""Estimate how far rounding may move the results of a program, by running it again with small changes.

If terms of order one cancel, as in `1 - tanh(x)**2` far from 0, the result is tiny and its error is not, so the result
alone does not show the error. These estimates do:

- Record the program, and change every value on its tape by a random part of its last digits (stochastic arithmetic, as
  in CESTAC). The results move as far as rounding between the ops can explain. Decisions, such as comparisons and
  indices, do not change.
- Run the program at neighboring points. High differences remove its smooth part; the rest is rounding inside its ops.
  If an op rounds to a plateau, the differences do not show the terms that cancel; their size is estimated from the
  results at other points, and from the recorded program, replayed in a higher precision.

Sources: Vignes, A stochastic arithmetic for reliable scientific computation, 1993; More and Wild, Estimating
computational noise, 2011.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tapem.core import Array, Node, ShapeDtype, tree_map
from tapem.testing.flattening import Flat, as_leaf, magnitude, packed
from tapem.testing.precise_replay import longer, replayed
from tapem.transforms import Trace, trace
from tapem.types import is_inexact

RUNS = 6
SAFETY = 2.0
"""How many times larger the error may be than the largest one in the few runs."""


def rounding_error(flat: Flat, rng: np.random.Generator) -> Array:
    """How far rounding may move each of the real outputs.

    >>> x = np.array([0.5])
    >>> rng = np.random.default_rng(0)
    >>> bool(1e-12 < rounding_error(Flat(lambda x: (x + 1e4) - 1e4, (x,)), rng)[0] < 1e-10)
    True
    >>> bool(rounding_error(Flat(lambda x: x + (1e4 - 1e4), (x,)), rng)[0] < 1e-14)
    True
    """
    digit = float(np.finfo(flat.precision).eps)
    size, values = magnitude(packed(flat.leaves)), magnitude(packed(flat.values))
    with np.errstate(all="ignore"):
        # A function that is not smooth, or is random, moves further than rounding explains.
        inside = np.minimum(
            np.maximum(inside_of_ops(flat, rng), digit * elsewhere(flat)), digit**0.6 * max(1.0, values)
        )
        error = np.maximum(between_ops(flat, rng), inside)
        error = np.maximum(error, beside_longer(flat, rng))
    return np.maximum(SAFETY * np.nan_to_num(error, nan=0.0, posinf=0.0), digit**2 * max(1.0, size))


def between_ops(flat: Flat, rng: np.random.Generator) -> Array:
    """How far the results move if every value on the tape is a little wrong; 0 if the program cannot be recorded.

    They move from the recorded results, not from `flat.values`: a rule may compute arrays alone in another way than
    recorded ones, and if that is wrong, it is no rounding.
    """
    if not flat.traceable:
        return np.zeros(flat.outputs.size)
    try:
        recorded = trace(lambda leaves: flat(*leaves), list(flat.leaves))
        start = packed(replay(recorded, lambda value: value))
        runs = [packed(replay(recorded, functools.partial(shake, rng))) for _ in range(RUNS)]
    except Exception:  # a rule may raise anything; the next check that runs it reports the error
        return np.zeros(flat.outputs.size)
    return np.max(np.abs(np.array(runs) - start), axis=0, initial=0.0)


def beside_longer(flat: Flat, rng: np.random.Generator) -> Array:
    """How far the results are from those of the program replayed in a higher precision, at the point and beside it."""
    exact = longer(flat.precision)
    error = np.zeros(flat.outputs.size)
    if exact is None or not flat.traceable:
        return error
    for spacing in (0.0, 1e-3, 1e-3):
        leaves = [as_leaf(x * (1 + spacing * rng.normal(size=np.shape(x))), x) for x in flat.leaves]
        try:
            recorded = trace(lambda parts: flat(*parts), leaves)
            nodes = recorded.recorder.nodes
            better = replayed(nodes, exact, flat.precision, {})
        except Exception:  # a rule may raise anything; the next check that runs it reports the error
            return error
        found = [recorded.output_node(output) for output in recorded.outputs]
        apart = [np.zeros(np.shape(output)) for output in recorded.outputs]
        for at, node in enumerate(found):
            if node is not None:
                right: Any = better[node.id].output
                apart[at] = np.abs(np.asarray(node.output, np.asarray(right).dtype) - right)
        error = np.maximum(error, np.nan_to_num(packed(apart), nan=0.0, posinf=0.0))
    return error


def inside_of_ops(flat: Flat, rng: np.random.Generator) -> Array:
    """The noise in the results along a short line, from their fourth differences."""
    spacing = float(np.finfo(flat.precision).eps) ** 0.375
    steps = [whole_digits(x, spacing * rng.normal(size=np.shape(x))) for x in flat.leaves]
    points = [near(flat, [x + at * step for x, step in zip(flat.leaves, steps, strict=True)]) for at in range(9)]
    return np.max(np.abs(np.diff(points, n=4, axis=0)), axis=0, initial=0.0) / np.sqrt(70.0)


def whole_digits(x: Any, step: Any) -> Any:
    """Change a step a little so that x plus multiples of it is exact."""
    at = np.asarray(x)
    digit: Array = 2 * np.spacing(np.maximum(np.abs(at), np.abs(step).astype(at.dtype)))
    return np.asarray(digit * np.round(step / digit), at.dtype)


def elsewhere(flat: Flat) -> Array:
    """The size of the results with reversed, negated, halved and small inputs, but at most the size of the inputs."""
    size = magnitude(packed(flat.leaves))
    points = (
        [np.flip(x) for x in flat.leaves],
        [-np.asarray(x) for x in flat.leaves],
        [x / 2 for x in flat.leaves],
        [x / max(1.0, size) for x in flat.leaves],
    )
    largest = np.max(np.nan_to_num(np.abs([near(flat, point) for point in points])), axis=0, initial=0.0)
    return np.minimum(largest, size)


def near(flat: Flat, leaves: Sequence[Any]) -> Array:
    """The results at other leaves, in the kinds of the point's; NaN if the program refuses them."""
    return flat.near([as_leaf(value, leaf) for value, leaf in zip(leaves, flat.leaves, strict=True)])


def replay(recorded: Trace, changed: Callable[[Any], Any]) -> Sequence[Any]:
    """Run a recorded program again with every computed value changed, and return its outputs."""
    values: list[Any] = []
    for node in recorded.recorder.nodes:
        value = evaluated(node, values)
        values.append(tree_map(changed, value) if node.parents else value)
    found = (recorded.output_node(output) for output in recorded.outputs)
    return [output if node is None else values[node.id] for output, node in zip(recorded.outputs, found, strict=True)]


def evaluated(node: Node, values: Sequence[Any]) -> Any:
    """The value of a node for other values of its parents; a leaf or a decision keeps its value."""
    op: Any = node.op
    if not node.parents or not op.differentiable:
        return node.output
    given = zip(node.parents, node.inputs, strict=True)
    inputs = [value if parent is None else values[parent] for parent, value in given]
    return op.evaluate(inputs, node.static)[0]


def shake(rng: np.random.Generator, value: Any) -> Any:
    """Change the last digits of floats and complex numbers; return any other value unchanged."""
    kind = ShapeDtype.of(value)
    if not is_inexact(kind.dtype):
        return value
    # The change is always large enough to change the digits.
    part = rng.uniform(0.5, 1, kind.shape) * rng.choice([-1.0, 1.0], kind.shape)
    return (value * (1.0 + float(np.finfo(kind.dtype).eps) * part)).astype(kind.dtype)


__all__ = ["rounding_error"]
