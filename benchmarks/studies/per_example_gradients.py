"""The gradients of 1,000 examples one by one: ``tm.vmap(tm.grad(loss))`` compared with a loop of ``tm.grad(loss)``.

The model is the MLP of the mlp-step workload. The batched form should be at least 50 times faster.
"""

from time import perf_counter_ns
from typing import Any

import numpy as np

from ..libraries import load
from ..study import Study, Table
from ..timing import median_ns
from ..workload import Array
from ..workloads import mlp_step


def measure(quick: bool) -> Table:
    """Compute every example's gradient of every parameter in both ways; compare the results, then time both."""
    tm, layers, losses = load("tapem"), load("layers"), load("losses")

    count = 100 if quick else 1_000
    random = np.random.default_rng(2)
    images: Array = random.standard_normal((count, mlp_step.WIDTHS[0]), dtype=np.float32)
    labels: Array = random.integers(0, mlp_step.WIDTHS[-1], count)
    parameters: Any = tuple(mlp_step.start())

    def loss(parameters: Any, image: Any, label: Any) -> Any:
        w1, b1, w2, b2, w3, b3 = parameters
        h1 = tm.relu(layers.linear(w1, b1, image))
        h2 = tm.relu(layers.linear(w2, b2, h1))
        return losses.cross_entropy(layers.linear(w3, b3, h2), label)

    gradient: Any = tm.grad(loss)
    gradients: Any = tm.vmap(gradient, in_axes=(None, 0, 0))

    def batched() -> list[Array]:
        return list(gradients(parameters, images, labels))

    def looped() -> list[Array]:
        per_example = [gradient(parameters, image, label) for image, label in zip(images, labels, strict=True)]
        return [np.stack(arrays) for arrays in zip(*per_example, strict=True)]

    for ours, theirs in zip(batched(), looped(), strict=True):
        if not np.allclose(ours, theirs, rtol=1e-4, atol=1e-5):
            raise AssertionError("vmap and the loop disagree")

    batched_ns = median_ns(batched, 0.2 if quick else 2.0)
    begin = perf_counter_ns()
    loops = 1 if quick else 5
    for _ in range(loops):
        looped()
    looped_ns = (perf_counter_ns() - begin) / loops
    rows = [
        ["loop of tm.grad", f"{looped_ns / 1e6:.1f}", "1"],
        ["tm.vmap(tm.grad)", f"{batched_ns / 1e6:.2f}", f"{looped_ns / batched_ns:.0f}"],
    ]
    return Table([f"gradients of {count:,} examples", "milliseconds", "times faster"], rows)


STUDY = Study("per-example-gradients", "Per-example gradients of the MLP 64-128-128-10", measure)
