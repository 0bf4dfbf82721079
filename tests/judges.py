"""What every row of a table is held against: NumPy's values, central differences, a loop over the batch, dtypes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import tapem as tm
from tests.tables import Row

STEP = 1e-6


def derivative(f: Callable[..., Any], inputs: list[Any], directions: list[Any], step: float = STEP) -> Any:
    """The derivative of f at the inputs along the directions, by central differences."""
    ahead = f(*[x + step * d for x, d in zip(inputs, directions, strict=True)])
    behind = f(*[x - step * d for x, d in zip(inputs, directions, strict=True)])
    return (np.asarray(ahead) - np.asarray(behind)) / (2 * step)


def close(actual: Any, expected: Any, tolerance: float = 1e-6) -> None:
    """Equal shapes, and values within the tolerance of the largest."""
    assert np.shape(actual) == np.shape(expected)
    scale = max(1.0, float(np.max(np.abs(expected), initial=0.0)))
    np.testing.assert_allclose(actual, expected, rtol=0, atol=tolerance * scale)


def judge(row: Row) -> None:
    """Run every check that the row allows."""
    op, static = row.op, dict(row.static)
    operands = list(row.operands)
    floats = [i for i, x in enumerate(operands) if np.asarray(x).dtype.kind == "f"]
    random = np.random.default_rng(0)
    value = op(*operands, **static)
    if row.reference is not None:
        close(value, row.reference(*operands, **static), 1e-12)

    def call(*some: Any) -> Any:
        full = list(operands)
        for position, x in zip(floats, some, strict=True):
            full[position] = x
        return op(*full, **static)

    inputs = [np.asarray(operands[i]) for i in floats]
    directions = [random.normal(size=np.shape(x)) for x in inputs]
    weights = random.normal(size=np.shape(value))

    # Reverse mode on the pure tape, one operand at a time, and forward mode.
    tape, refs = tm.Tape(), []
    for x in operands:
        ref, tape = tape.leaf(x)
        refs.append(ref)
    out, tape = tape.record(op, *refs, **static)
    swept = tape.backward(out, weights)
    gradients = {position: swept[refs[position]] for position in floats}
    for position, x, direction in zip(floats, inputs, directions, strict=True):
        alone = [d if i == position else np.zeros_like(d) for i, d in zip(floats, directions, strict=True)]
        expected = derivative(call, inputs, alone)
        found = gradients[position]
        assert found.shape == x.shape and found.dtype == x.dtype
        close(np.sum(found * direction), np.sum(weights * expected))
        pushed = tm.jvp(call, tuple(inputs), tuple(alone))
        close(pushed[0], value)
        close(pushed[1], expected)

    # Second order: the derivative of the gradient, reverse over reverse and forward over reverse.
    if row.order > 1:

        def gradient(*some: Any) -> Any:
            return tm.grad(lambda *xs: np.sum(call(*xs) * weights), argnums=tuple(range(len(floats))))(*some)

        def directed(*some: Any) -> Any:
            return sum((np.sum(g * d) for g, d in zip(gradient(*some), directions, strict=True)), 0.0)

        at = [derivative(lambda *xs, k=k: gradient(*xs)[k], inputs, directions) for k in range(len(floats))]
        second = tm.grad(directed, argnums=tuple(range(len(floats))))(*inputs)
        forward = tm.jvp(gradient, tuple(inputs), tuple(directions))[1]
        for expected, by_reverse, by_forward in zip(at, second, forward, strict=True):
            close(by_forward, expected, 1e-5)
            close(by_reverse, expected, 1e-5)

    # The batch rule against a loop, with every operand mapped, and each alone.
    moved = [np.stack([x, x[..., ::-1] if np.ndim(x) else x + 0]) for x in map(np.asarray, operands)]
    for mapped in [set(range(len(operands))), *({i} for i in range(len(operands)))]:
        axes = tuple(0 if i in mapped else None for i in range(len(operands)))
        given = [moved[i] if i in mapped else operands[i] for i in range(len(operands))]
        batched = tm.vmap(lambda *xs: op(*xs, **static), in_axes=axes)(*given)
        loop = [
            op(*[moved[i][k] if i in mapped else operands[i] for i in range(len(operands))], **static) for k in (0, 1)
        ]
        close(batched, np.stack(loop), 1e-12)
        per_example = tm.vmap(
            tm.grad(lambda *xs: np.sum(op(*xs, **static) * weights), argnums=floats[0]), in_axes=axes
        )(*given)
        for k in (0, 1):
            one = [moved[i][k] if i in mapped else operands[i] for i in range(len(operands))]
            close(
                per_example[k], tm.grad(lambda *xs: np.sum(op(*xs, **static) * weights), argnums=floats[0])(*one), 1e-12
            )

    # float32 and float16 stay what they are, in the value and in every cotangent.
    for dtype, tolerance in ((np.float32, 1e-5), (np.float16, 2e-2)):
        small = [np.asarray(x).astype(dtype) if i in floats else x for i, x in enumerate(operands)]
        tape, refs = tm.Tape(), []
        for x in small:
            ref, tape = tape.leaf(x)
            refs.append(ref)
        if np.max(np.abs(np.asarray(operands[0])), initial=0) > 100:
            continue
        out, tape = tape.record(op, *refs, **static)
        assert tape.value(out).dtype == dtype
        close(tape.value(out).astype(float), value, tolerance)
        found = tape.backward(out, weights.astype(dtype))
        for position in floats:
            assert found[refs[position]].dtype == dtype
            close(found[refs[position]].astype(float), gradients[position], 2 * tolerance)
