"""The clock: a median of many short samples."""

import gc
import math
import statistics
from collections.abc import Callable
from time import perf_counter_ns

SHORTEST_SAMPLE_NS = 100_000
"""Short steps are repeated within one sample until it lasts this long, so that the clock's own cost is negligible."""

FEWEST_SAMPLES = 3


def warm_up(step: Callable[[], object], seconds: float) -> int:
    """Run a step for a while (at least once); return the nanoseconds of its quickest run."""
    deadline = perf_counter_ns() + int(seconds * 1e9)
    quickest = math.inf
    runs = 0
    while runs < 1 or perf_counter_ns() < deadline:
        begin = perf_counter_ns()
        step()
        quickest = min(quickest, perf_counter_ns() - begin)
        runs += 1
    return int(quickest)


def median_ns(step: Callable[[], object], seconds: float) -> float:
    """The median nanoseconds of one step, sampled for about this many seconds after a short warm-up.

    The garbage collector stays on, as users have it; only the garbage of earlier work is collected beforehand.
    """
    gc.collect()
    quickest = warm_up(step, seconds / 10)
    repeats = max(1, math.ceil(SHORTEST_SAMPLE_NS / max(quickest, 1)))
    samples: list[float] = []
    deadline = perf_counter_ns() + int(seconds * 1e9)
    while len(samples) < FEWEST_SAMPLES or perf_counter_ns() < deadline:
        begin = perf_counter_ns()
        for _ in range(repeats):
            step()
        samples.append((perf_counter_ns() - begin) / repeats)
    return statistics.median(samples)
