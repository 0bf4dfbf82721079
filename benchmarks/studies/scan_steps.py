"""The cost of a step of ``tm.scan``, in time and memory, for 100, 1,000 and 10,000 steps.

The work is value and gradient of a small recurrent state; neither cost per step may grow with the number of steps.
"""

import gc
import statistics
import tracemalloc
from time import perf_counter_ns
from typing import Any

import numpy as np

from ..libraries import load
from ..study import Study, Table
from ..workload import Array

STEPS = (100, 1_000, 10_000)


def measure(quick: bool) -> Table:
    """Compare ``h = tanh(weight @ h + x)`` over the steps with the same loop unrolled in Python."""
    tm = load("tapem")

    random = np.random.default_rng(0)
    weight: Array = random.standard_normal((8, 8), dtype=np.float32) * np.float32(0.3)
    start: Array = np.zeros(8, np.float32)

    def cell(weight: Any, h: Any, x: Any) -> Any:
        return tm.tanh(tm.add(tm.matmul(weight, h), x))

    def scanned(weight: Any, xs: Any) -> Any:
        def body(h: Any, x: Any) -> Any:
            following = cell(weight, h, x)
            return following, tm.sum(following)

        _, sums = tm.scan(body, start, xs)
        return tm.sum(sums)

    def unrolled(weight: Any, xs: Any) -> Any:
        h: Any = start
        total: Any = 0.0
        for x in xs:
            h = cell(weight, h, x)
            total = tm.add(total, tm.sum(h))
        return total

    value_and_grad: Any = tm.value_and_grad(scanned)
    by_loop: Any = tm.value_and_grad(unrolled)
    rows: list[list[str]] = []
    for steps in STEPS[:-1] if quick else STEPS:
        xs: Array = random.standard_normal((steps, 8), dtype=np.float32)
        for ours, theirs in zip(value_and_grad(weight, xs), by_loop(weight, xs), strict=True):
            if not np.allclose(ours, theirs, rtol=1e-3, atol=1e-3):
                raise AssertionError("scan and the loop disagree")
        repeats = 1 if quick else max(3, 3_000 // steps)
        by_scan = statistics.median(_nanoseconds(value_and_grad, weight, xs) for _ in range(repeats))
        looped = statistics.median(_nanoseconds(by_loop, weight, xs) for _ in range(repeats))
        memory = _peak_bytes(value_and_grad, weight, xs)
        figures = [f"{by_scan / steps / 1000:.1f}", f"{looped / steps / 1000:.1f}", f"{memory / steps:.0f}"]
        rows.append([f"{steps:,}", *figures])
    return Table(["steps", "tm.scan (us a step)", "Python loop (us a step)", "tm.scan (peak bytes a step)"], rows)


def _nanoseconds(function: Any, *arguments: Array) -> int:
    gc.collect()
    begin = perf_counter_ns()
    function(*arguments)
    return perf_counter_ns() - begin


def _peak_bytes(function: Any, *arguments: Array) -> int:
    gc.collect()
    tracemalloc.start()
    try:
        function(*arguments)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


STUDY = Study("scan-steps", "Cost of a scan per step", measure)
