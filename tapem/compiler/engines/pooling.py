"""Native max-pools of relu: where the windows lie side by side, one loop computes values and winners.

The loops run over the axes in the order in which they lie in memory, which is known when they run.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any, NamedTuple, cast

import numpy as np

from tapem.compiler.native import back_text, pool_text
from tapem.compiler.passes import pulled_through_relu
from tapem.compiler.rewriting import Rewriter, Value, rewritten
from tapem.core import Node, ShapeDtype, Static, pick
from tapem.ops import primitive, relu
from tapem.transforms import Program


class Pool(NamedTuple):
    """A pool with `taps` for each axis of its operand, and what makes a native function of a text."""

    taps: tuple[int, ...]
    compiled: Callable[[str], Callable[..., Any]]

    def kinds(self, x: ShapeDtype) -> tuple[ShapeDtype, ShapeDtype]:
        """Shapes and dtypes of values and winners."""
        shape = tuple(size // taps for size, taps in zip(x.shape, self.taps, strict=True))
        return ShapeDtype(shape, x.dtype), ShapeDtype(shape, np.dtype(f"i{x.dtype.itemsize}"))

    def values(self, x: Any) -> tuple[Any, Any]:
        """The pool of relu, and the winners."""
        order = self.order(x)
        turned = np.ascontiguousarray(x.transpose(order))
        taps = tuple(self.taps[axis] for axis in order)
        sizes = tuple(size // own for size, own in zip(turned.shape, taps, strict=True))
        y, winners = self.compiled(known_text(pool_text, sizes, taps, x.dtype.name))(turned)
        back = inverse(order)
        return y.transpose(back), winners.transpose(back)

    def back(self, g: Any, winners: Any) -> Any:
        """The cotangent of x."""
        order = self.order(winners)
        turned = np.ascontiguousarray(winners.transpose(order))
        taps = tuple(self.taps[axis] for axis in order)
        text = known_text(back_text, turned.shape, taps, g.dtype.name)
        return self.compiled(text)(np.ascontiguousarray(g.transpose(order)), turned).transpose(inverse(order))

    def order(self, x: Any) -> tuple[int, ...]:
        """The axes as they lie in memory; those of the windows must stay in order, for the first of equals wins."""
        order = tuple(sorted(range(x.ndim), key=lambda axis: -x.strides[axis]))
        spatial = [axis for axis in order if self.taps[axis] > 1]
        return order if spatial == sorted(spatial) else tuple(range(x.ndim))


known_text = functools.lru_cache(maxsize=256)(lambda write, sizes, taps, dtype: write(sizes, taps, dtype))  # pyright: ignore


def inverse(order: tuple[int, ...]) -> tuple[int, ...]:
    """The order of axes that undoes another."""
    return tuple(sorted(range(len(order)), key=order.__getitem__))


@cast("Any", primitive(differentiable=False, abstract=lambda x, *, what: what.kinds(ShapeDtype.of(x))))
def pool_of_relu(x, *, what: Any) -> Any:  # pyright: ignore  # of floats of any shape
    """The max-pool of relu(x), and for each window the tap that its cotangent goes to."""
    return what.values(x)


def _kind(g: Any, winners: Any, *, what: Any) -> ShapeDtype:
    kind = ShapeDtype.of(g)
    return ShapeDtype(tuple(n * own for n, own in zip(kind.shape, what.taps, strict=True)), kind.dtype)


@cast("Any", primitive(differentiable=False, abstract=_kind))
def pool_back(g, winners, *, what: Any) -> Any:  # pyright: ignore  # of floats of any shape
    """The cotangent of x in `max_pool(relu(x))`."""
    return what.back(g, winners)


pool_of_relu.checked = pool_back.checked = False


def native_pools(program: Program, compiled: Callable[[str], Callable[..., Any]]) -> Program:
    """Let native functions compute the pools of relu and their cotangents, which the pass `pools` has found."""
    nodes = program.nodes
    chosen: dict[int, tuple[Pool, Node]] = {}
    for node in nodes:
        if node.op is pulled_through_relu and None not in node.parents:
            _, relued, x = cast("tuple[int, int, int]", node.parents)
            pool = nodes[cast("int", nodes[relued].parents[0])] if nodes[relued].op is relu else None
            taps = None if pool is None or pool.parents != (x,) else taps_of(pool, nodes[x])
            if taps is not None:
                chosen[relued] = chosen[node.id] = Pool(taps, compiled), node
    winners: dict[int, Any] = {}

    def replace(rewriter: Rewriter, node: Node) -> Value | None:
        if node.id not in chosen:
            return None
        what, back = chosen[node.id]
        g, _, x = (rewriter.values.get(cast("int", id)) for id in back.parents)
        if node is back:
            return rewriter.apply(pool_back, g, winners[cast("int", back.parents[1])], what=what)
        kinds = what.kinds(cast("ShapeDtype", nodes[cast("int", back.parents[2])].output))
        both = rewriter.put(pool_of_relu, [x], Static(what=what), kinds)
        y, winners[node.id] = (rewriter.put(pick, [both], Static(index=n), kind) for n, kind in enumerate(kinds))
        return y

    return rewritten(program, replace) if chosen else program


def taps_of(pool: Node, x: Node) -> tuple[int, ...] | None:
    """The taps of a pool for each axis of its operand; None unless the windows lie side by side and cover it."""
    size, stride, padding = (pool.static[name] for name in ("kernel_size", "stride", "padding"))
    if x.shape == () or padding not in (0, "valid") or stride not in (None, size) or 0 in pool.shape:
        return None
    number = pool.op.name.removeprefix("max_pool").removesuffix("d")
    axes = int(number) if number else max(len(x.shape) - 2, 1)
    own = tuple(size) if isinstance(size, tuple | list) else (size,) * axes
    taps = (*(1,) * (len(x.shape) - len(own)), *own)
    exact = all(n == many * out for n, many, out in zip(x.shape, taps, pool.shape, strict=True))
    return taps if exact and math.prod(taps) <= _MOST else None


_MOST = 16
"""The number of taps up to which they are written one by one."""


__all__ = ["native_pools"]
