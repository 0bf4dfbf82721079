"""The gradient of a small function through the direct door, compared with the monadic door.

The arrays are tiny, so that mostly the doors are measured. The direct door should cost at most twice the monadic one.
"""

import statistics
from collections.abc import Generator
from typing import Any

import numpy as np

from ..study import Study, Table
from ..timing import median_ns
from ..workload import Array

_random = np.random.default_rng(0)
WEIGHT: Array = _random.standard_normal((4, 3), dtype=np.float32)
BIAS: Array = _random.standard_normal(4, dtype=np.float32)
X: Array = _random.standard_normal(3, dtype=np.float32)


def measure(quick: bool) -> Table:
    """The sum of ``tanh(weight @ x + bias)``, differentiated with respect to all three, in turn through each door."""
    import tapem as tm

    def plain(weight: Array, bias: Array, x: Array) -> Array:
        return tm.sum(tm.tanh(tm.add(tm.matmul(weight, x), bias)))

    @tm.do
    def program(weight: Any, bias: Any, x: Any) -> Generator[Any, Any, Any]:
        product = yield tm.matmul(weight, x)
        shifted = yield tm.add(product, bias)
        bent = yield tm.tanh(shifted)
        return (yield tm.sum(bent))

    direct: Any = tm.grad(plain, argnums=(0, 1, 2))

    def through_direct_door() -> Any:
        return direct(WEIGHT, BIAS, X)

    def through_monadic_door() -> Any:
        weight, tape = tm.Tape().leaf(WEIGHT)
        bias, tape = tape.leaf(BIAS)
        x, tape = tape.leaf(X)
        out, tape = program(weight, bias, x).run(tape)
        gradients = tape.backward_scalar(out)
        return gradients[weight], gradients[bias], gradients[x]

    for ours, theirs in zip(through_direct_door(), through_monadic_door(), strict=True):
        if not np.array_equal(ours, theirs):
            raise AssertionError("the doors disagree")

    seconds, rounds = (0.05, 3) if quick else (0.3, 9)
    directs: list[float] = []
    monadics: list[float] = []
    for _ in range(rounds):
        directs.append(median_ns(through_direct_door, seconds))
        monadics.append(median_ns(through_monadic_door, seconds))
    ratio = statistics.median(d / m for d, m in zip(directs, monadics, strict=True))
    rows = [
        ["monadic: do program, run, backward_scalar", f"{statistics.median(monadics) / 1000:.1f}", "1"],
        ["direct: tm.grad", f"{statistics.median(directs) / 1000:.1f}", f"{ratio:.2f}"],
    ]
    return Table(["gradient of sum(tanh(weight @ x + bias))", "microseconds", "ratio"], rows)


STUDY = Study("doors", "The direct door against the monadic door", measure)
