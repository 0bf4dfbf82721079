"""The peak memory of a gradient through 64 blocks, with and without ``tm.checkpoint``.

Without it every block's intermediate values live until the sweep reaches them. A checkpoint around runs of 8 blocks
keeps the 8 inputs of the runs and, while one run is swept, the values of its 8 blocks: the square root of the chain.
"""

import gc
import tracemalloc
from collections.abc import Callable
from time import perf_counter_ns
from typing import Any

import numpy as np

from ..libraries import load
from ..study import Study, Table
from ..workload import Array

BLOCKS = 64


def measure(quick: bool) -> Table:
    """Trace every allocation of one gradient; the unit is one activation, since that is what a checkpoint saves."""
    tm = load("tapem")

    x: Array = np.linspace(-1, 1, 10_000 if quick else 200_000, dtype=np.float32)

    def block(x: Any) -> Any:
        return tm.tanh(tm.sin(x) * 1.5)

    def chain(blocks_in_a_run: int) -> Callable[[Any], Any]:
        def run(x: Any) -> Any:
            for _ in range(blocks_in_a_run):
                x = block(x)
            return x

        step: Any = tm.checkpoint(run)

        def total(x: Any) -> Any:
            for _ in range(BLOCKS // blocks_in_a_run):
                x = step(x)
            return tm.sum(x)

        return total

    def plain(x: Any) -> Any:
        for _ in range(BLOCKS):
            x = block(x)
        return tm.sum(x)

    programs = {
        "no checkpoint": plain,
        "each block": chain(1),
        "runs of 8 blocks": chain(8),
        "the whole chain": chain(BLOCKS),
    }
    truth: Array | None = None
    rows: list[list[str]] = []
    for name, program in programs.items():
        gradient: Any = tm.grad(program)
        result: Array = gradient(x)
        truth = result if truth is None else truth
        if not np.allclose(result, truth, rtol=1e-5, atol=0):
            raise AssertionError(f"checkpoint ({name}) changes the gradient")
        del result
        begin = perf_counter_ns()
        gradient(x)
        milliseconds = (perf_counter_ns() - begin) / 1e6
        peak = _peak_bytes(lambda gradient=gradient: gradient(x))
        rows.append([name, f"{peak / 1e6:.1f}", f"{peak / x.nbytes:.1f}", f"{milliseconds:.1f}"])
    headings = [f"checkpoint around, of {BLOCKS} blocks", "peak, MB", "peak, activations", "milliseconds"]
    return Table(headings, rows, ("A block is tanh(1.5 sin(x)): three values each.",))


def _peak_bytes(work: Callable[[], object]) -> int:
    gc.collect()
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


STUDY = Study("checkpoint-memory", "Peak memory with tm.checkpoint", measure)
