"""Finite differences beside the cotangents of a sweep: the output is computed again with a node's value moved a little.

The difference knows nothing of any rule. Two one-sided ones that disagree are the sign of a kink.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from tapem.core import LEAF, Array, Node, is_several
from tapem.errors import TapeError
from tapem.transforms import Program

MOST = 400
"""The number of nodes up to which a page computes differences for all of them; on a longer tape only for the leaves."""


class Difference(NamedTuple):
    """Along one direction: what the difference says, what the sweep says, whether they agree, and if there is a kink.

    For a single number the direction is 1, for an array it is a fixed random one.
    """

    difference: float
    sweep: float
    agrees: bool
    kink: bool


def differences_of(
    nodes: Sequence[Node], cotangents: Mapping[int, Any], last: int, seed: Any, ids: Sequence[int]
) -> dict[int, Difference]:
    """The differences of the node `last`, weighted by the cotangent `seed`, along the values of some nodes."""
    found: dict[int, Difference] = {}
    leaves = [node.id for node in nodes[: last + 1] if node.op is LEAF and node.requires_grad]
    for id in ids:
        value = nodes[id].output
        cotangent = cotangents.get(id)
        if cotangent is None or is_several(value) or np.asarray(value).dtype.kind != "f":
            continue
        others = [leaf for leaf in leaves if leaf != id]
        program = Program.of(nodes[: last + 1], [id, *others], [last], "tape")
        one = difference_of(program, value, [doubled(nodes[leaf].output) for leaf in others], cotangent, seed)
        if one is not None:
            found[id] = one
    return found


def doubled(value: Any) -> Any:
    """A given value in double precision, so that the difference is not lost in rounding."""
    kind = np.asarray(value).dtype
    return np.asarray(value, np.result_type(kind, float)) if kind.kind in "fc" and kind != np.longdouble else value


def difference_of(program: Program, point: Any, others: Sequence[Any], cotangent: Any, seed: Any) -> Difference | None:
    """The difference along one direction; None where the output beside the point is not known or not finite."""
    value: Array = np.asarray(point, float)
    drawn = np.random.default_rng(0).standard_normal(value.shape)
    direction = drawn if value.ndim else np.ones(())
    size = float(np.max(np.abs(value), initial=0.0, where=np.isfinite(value))) or 1.0
    output = np.asarray(program(value, *others)[0]).dtype
    double = output.itemsize >= (16 if output.kind == "c" else 8)
    unit, eps = (1e-15, 1e-6 * size) if double else (1e-6, 1e-2 * size)

    def at(step: float) -> float:
        moved = value + step * eps * direction
        value_there: Array = np.asarray(program(moved, *others)[0])
        weighed: Array = np.real(value_there * seed)
        return float(weighed.sum(dtype=float))

    with np.errstate(all="ignore"):
        try:
            before, here, after = at(-1.0), at(0.0), at(1.0)
        except (TapeError, ArithmeticError, ValueError):
            return None
        central = (after - before) / (2 * eps)
        left, right = (here - before) / eps, (after - here) / eps
        swept = float(np.sum(np.asarray(cotangent, float) * direction))
        scale = max(abs(central), abs(swept), 1e-12)
        rounding = 10 * unit * abs(here) / eps
        tolerance = (1e-4 if double else 2e-2) * scale + rounding
        kink = double and abs(left - right) > 0.05 * scale + rounding
        between = min(left, right) - tolerance <= swept <= max(left, right) + tolerance
        agrees = abs(central - swept) <= tolerance or (kink and between)
    if not np.isfinite(central) or not np.isfinite(swept):
        return None
    return Difference(central, swept, bool(agrees), bool(kink))


__all__ = ["MOST", "Difference", "differences_of"]
