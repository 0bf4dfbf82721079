"""The cost of a node on tapes of growing length: to build, to sweep, to print and to free.

Every node is a sine of the previous one, of a single float64, so there is hardly any arithmetic. The cost per node must
not grow with the length of the tape, whichever door builds it.
"""

import gc
import math
import statistics
import sys
from collections.abc import Callable
from functools import cache
from time import perf_counter_ns
from typing import Any, NamedTuple

import numpy as np

from ..study import Study, Table
from ..workload import Array

LENGTHS = (1_000, 10_000, 100_000, 1_000_000)
START: Array = np.array(0.5)


class PerNode(NamedTuple):
    """Nanoseconds per node of each phase of one tape's life; printing is measured as a whole."""

    build: float
    sweep: float
    free: float
    print_whole: float


def pure_door(length: int) -> PerNode:
    """Append with ``tape.record``, sweep with ``tape.backward_scalar``, print, and free everything."""
    import tapem as tm

    gc.collect()
    begin = perf_counter_ns()
    start, tape = tm.Tape().leaf(START)
    out = start
    for _ in range(length):
        out, tape = tape.record(tm.sin, out)
    built = perf_counter_ns()
    gradients = tape.backward_scalar(out)
    swept = perf_counter_ns()
    text = repr(tape)
    printed = perf_counter_ns()

    _expect(length, gradients[start])
    if len(tape) != length + 1 or not text:
        raise AssertionError(f"a tape of {len(tape)} nodes where {length + 1} were recorded")
    del gradients
    blocks = sys.getallocatedblocks()
    letting_go = perf_counter_ns()
    del start, out, tape
    freed = perf_counter_ns()
    if sys.getallocatedblocks() > blocks - length:
        # The nodes are in reference cycles: only the collector can free them, so its time counts.
        gc.collect()
        freed = perf_counter_ns()
    return PerNode((built - begin) / length, (swept - built) / length, (freed - letting_go) / length, printed - swept)


def direct_door(length: int) -> float:
    """Nanoseconds per node of ``tm.value_and_grad`` as a whole: it builds, sweeps and frees its tape itself."""
    import tapem as tm

    def chain(x: Array) -> Array:
        for _ in range(length):
            x = tm.sin(x)
        return x

    value_and_grad: Callable[[Any], Any] = tm.value_and_grad(chain)
    gc.collect()
    begin = perf_counter_ns()
    _, gradient = value_and_grad(START)
    end = perf_counter_ns()
    _expect(length, gradient)
    return (end - begin) / length


def _expect(length: int, gradient: Any) -> None:
    due = _product_of_cosines(length)
    if not np.isclose(float(gradient), due, rtol=1e-9, atol=0):
        raise AssertionError(f"after {length} sines the gradient is {float(gradient)}, not {due}")


@cache
def _product_of_cosines(length: int) -> float:
    """The derivative of this many nested sines."""
    x, product = float(START), 1.0
    for _ in range(length):
        product *= math.cos(x)
        x = math.sin(x)
    return product


def measure(quick: bool) -> Table:
    """Medians over tapes of each length, as many as fit into about the time of the longest tape."""
    lengths = LENGTHS[:-1] if quick else LENGTHS
    pure_door(lengths[0])
    direct_door(lengths[0])
    rows: list[list[str]] = []
    totals: list[float] = []
    for length in lengths:
        repeats = max(3, min(30, lengths[-1] // length))
        lives = [pure_door(length) for _ in range(repeats)]
        median = PerNode(*(statistics.median(phase) for phase in zip(*lives, strict=True)))
        direct = statistics.median(direct_door(length) for _ in range(repeats))
        totals.append(median.build + median.sweep + median.free)
        cells = [median.build, median.sweep, median.free, totals[-1], direct]
        rows.append([f"{length:,}", *(f"{cell:.0f}" for cell in cells), f"{median.print_whole / 1000:.0f}"])
    headings = ["nodes", "record", "backward_scalar", "free", "together", "value_and_grad", "repr, whole (us)"]
    alone = statistics.median(_sine_alone(10_000) for _ in range(9))
    notes = (
        f"Nanoseconds per node; np.sin itself takes {alone:.0f} of them. The longest tape costs "
        f"{totals[-1] / totals[0]:.2f} times as much per node as the shortest.",
    )
    return Table(headings, rows, notes)


def _sine_alone(length: int) -> float:
    x: Any = START
    begin = perf_counter_ns()
    for _ in range(length):
        x = np.sin(x)
    return (perf_counter_ns() - begin) / length


STUDY = Study("tape-length", "Cost per node by length of the tape", measure)
