"""Strategies for trees of arrays, and for small networks with their parameters and inputs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import numpy as np

from tapem.core import ShapeDtype, tree_flatten, tree_unflatten
from tapem.errors import ArgumentError
from tapem.ops import gelu, matmul, mean, relu, sigmoid, silu, sin, softplus, sqrt, square, tanh
from tapem.testing.domains import Domain, known_domain
from tapem.testing.edges import known_edges
from tapem.testing.seeded import hypothesis_modules
from tapem.testing.strategies import Content, filled

if TYPE_CHECKING:
    from hypothesis.strategies import DrawFn, SearchStrategy

ACTIVATIONS: Mapping[str, Callable[[Any], Any]] = {
    "tanh": tanh, "softplus": softplus, "sigmoid": sigmoid, "gelu": gelu, "silu": silu, "sin": sin, "relu": relu,
}  # fmt: skip
SMOOTH = tuple(name for name in ACTIVATIONS if name != "relu")
KINDS = ("dense", "residual", "norm", "gate")


class Pair(NamedTuple):
    """Two trees, as a NamedTuple holds them."""

    first: Any
    second: Any


@dataclass(frozen=True)
class Link:
    """A tree and what follows it, as a dataclass holds them."""

    value: Any
    rest: Any


def trees(leaves: Any = None, *, max_leaves: int = 5, edges: bool | Sequence[str] | None = None) -> SearchStrategy[Any]:
    """Make a strategy that draws trees of arrays: dicts, lists, tuples, NamedTuples and dataclasses within each other.

    `leaves` is the strategy for the leaves, by default float64 arrays of up to two axes, with `edges` as `shaped` draws
    them; `max_leaves` says how many there may be.

    Raises MissingExtraError without Hypothesis.

    >>> import tapem as tm
    >>> from hypothesis import given, settings
    >>> @settings(max_examples=10, database=None)
    ... @given(trees())
    ... def test(tree):
    ...     assert all(leaf.dtype == np.float64 for leaf in tm.tree_leaves(tree))
    >>> test()
    """
    _, st = hypothesis_modules()
    content = Content(None, None, known_edges(edges))

    def leaf(draw: DrawFn) -> Any:
        shape = tuple(draw(st.lists(st.integers(1, 3), max_size=2)))
        return filled(draw, "leaf", shape, np.dtype(np.float64), {}, content)

    def several(inner: SearchStrategy[Any]) -> SearchStrategy[Any]:
        return st.one_of(
            st.dictionaries(st.sampled_from(["a", "b", "w"]), inner, min_size=1, max_size=3),
            st.lists(inner, min_size=1, max_size=3),
            st.tuples(inner),
            st.tuples(inner, inner),
            st.builds(Pair, inner, inner),
            st.builds(Link, inner, inner),
        )

    return st.recursive(st.composite(leaf)() if leaves is None else leaves, several, max_leaves=max_leaves)


def arrays_like(
    tree: Any, *, elements: Any = None, domain: Domain = None, edges: bool | Sequence[str] | None = None
) -> SearchStrategy[Any]:
    """Make a strategy that draws trees like this one: each leaf, an array or a ShapeDtype, in its shape and dtype.

    `elements` is a strategy for the numbers; `domain` and `edges` are those of `shaped`, for every leaf.

    Raises MissingExtraError without Hypothesis, DTypeError for a leaf that is not a tensor.

    >>> from hypothesis import find
    >>> tree = find(arrays_like({"w": np.ones((2, 1)), "b": 0.5}), lambda tree: True)
    >>> tree["w"].shape, tree["b"].dtype
    ((2, 1), dtype('float64'))
    """
    _, st = hypothesis_modules()
    known_domain(domain, [])
    leaves, structure = tree_flatten(tree)
    kinds = [ShapeDtype.of(leaf) for leaf in leaves]
    content = Content(elements, domain, known_edges(edges))

    def build(draw: DrawFn) -> Any:
        drawn = [filled(draw, f"leaf {at}", kind.shape, kind.dtype, {}, content) for at, kind in enumerate(kinds)]
        return tree_unflatten(structure, drawn)

    return st.composite(build)()


@dataclass(frozen=True)
class Layer:
    """One layer of a drawn network: its kind, its widths, and its activation, which a norm has no use for."""

    kind: str
    inputs: int
    outputs: int
    activation: str

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The shapes of its parameters."""
        if self.kind == "norm":
            return {"gamma": (self.inputs,), "beta": (self.inputs,)}
        both = {"weight": (self.inputs, self.outputs), "bias": (self.outputs,)}
        return both | ({"gate": (self.inputs, self.outputs)} if self.kind == "gate" else {})

    def __call__(self, params: Mapping[str, Any], x: Any) -> Any:
        """The layer's value; all leading axes are those of a batch."""
        if self.kind == "norm":
            centered = x - cast("Any", mean(x, axis=-1, keepdims=True))
            variance = cast("Any", mean(cast("Any", square(centered)), axis=-1, keepdims=True))
            return centered / cast("Any", sqrt(variance + 0.1)) * params["gamma"] + params["beta"]
        found: Any = ACTIVATIONS[self.activation](cast("Any", matmul(x, params["weight"])) + params["bias"])
        if self.kind == "gate":
            return found * cast("Any", sigmoid(cast("Any", matmul(x, params["gate"]))))
        return x + found if self.kind == "residual" else found

    def __str__(self) -> str:
        return f"norm({self.inputs})" if self.kind == "norm" else (
            f"{self.kind}({self.inputs} -> {self.outputs}, {self.activation})"
        )  # fmt: skip


@dataclass(frozen=True)
class Network:
    """A drawn network: layers, one after the other, called as `network(params, x)` through any door.

    >>> print(Network((Layer("dense", 2, 3, "tanh"), Layer("norm", 3, 3, "tanh"))))
    dense(2 -> 3, tanh) >> norm(3)
    """

    layers: tuple[Layer, ...]

    def __call__(self, params: Sequence[Mapping[str, Any]], x: Any) -> Any:
        """The network's value; all leading axes of x are those of a batch."""
        for layer, own in zip(self.layers, params, strict=True):
            x = layer(own, x)
        return x

    def __str__(self) -> str:
        return " >> ".join(map(str, self.layers))


class DrawnModel(NamedTuple):
    """A network with parameters and an input that fit it.

    >>> DrawnModel._fields
    ('model', 'params', 'x')
    """

    model: Network
    params: list[dict[str, Any]]
    x: Any


def models(
    *,
    activations: Sequence[str] = SMOOTH,
    kinds: Sequence[str] = KINDS,
    max_depth: int = 3,
    max_width: int = 3,
    max_axes: int = 2,
    dtype: Any = np.float64,
) -> SearchStrategy[DrawnModel]:
    """Make a strategy that draws small networks, as `(model, params, x)`; `model(params, x)` has shape (*batch, out).

    Layers are dense, with a residual connection, with a gate, or normalize; `kinds` and `activations` choose among them
    (by default all smooth ones; "relu" too, if it is named). `params` are a list of dicts, `x` has shape (*batch, in)
    with up to `max_axes` axes for the batch; all numbers are in [-2, 2].

    Raises MissingExtraError without Hypothesis, ArgumentError for an activation or a kind that there is not.

    >>> import tapem as tm
    >>> from hypothesis import given, settings
    >>> @settings(max_examples=3, database=None, deadline=None)
    ... @given(models(max_depth=2))
    ... def test(drawn):
    ...     model, params, x = drawn
    ...     tm.testing.check_grads(model, (params, x), order=1)
    >>> test()
    """
    _, st = hypothesis_modules()
    for what, given, known in [("activations", activations, ACTIVATIONS), ("kinds", kinds, KINDS)]:
        if isinstance(given, str) or not given or not set(given) <= set(known):
            raise ArgumentError(f"models: {what}={given!r} must be a list of {', '.join(known)}.")
    ordered = [kind for kind in KINDS if kind in kinds]

    def build(draw: DrawFn) -> DrawnModel:
        width = draw(st.integers(1, max_width))
        shape = (*draw(st.lists(st.integers(1, 3), max_size=max_axes)), width)
        layers: list[Layer] = []
        for _ in range(draw(st.integers(1, max_depth))):
            kind = draw(st.sampled_from(ordered))
            after = draw(st.integers(1, max_width))  # drawn for every kind, so that none is shorter to draw
            after = width if kind in ("residual", "norm") else after
            layers.append(Layer(kind, width, after, draw(st.sampled_from(list(activations)))))
            width = after
        specs = [{name: ShapeDtype(size, np.dtype(dtype)) for name, size in one.shapes.items()} for one in layers]
        numbers = st.floats(-2, 2, width=min(64, 8 * np.dtype(dtype).itemsize))
        params, x = draw(arrays_like((specs, ShapeDtype(shape, np.dtype(dtype))), elements=numbers, edges=False))
        return DrawnModel(Network(tuple(layers)), params, x)

    return st.composite(build)()


__all__ = ["DrawnModel", "Network", "arrays_like", "models", "trees"]
