"""Convert parameters of torch modules, from a `state_dict`, to the trees of the layers here.

In torch, `safetensors.torch.save_file(module.state_dict(), path)`; here, `from_torch(layer, tm.load(path))`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

import tapem as tm
from layers.convolutional import Convolutional
from layers.dense import Linear
from layers.embedding import Embedding
from layers.module import EMPTY, Array, Layer, Sequential
from layers.norms import BatchNorm, Normalization
from layers.residual import Residual
from layers.transformer import MultiHeadAttention
from tapem import ArgumentError, ShapeDtype, TreeError

# Torch's names for parameters that have other names here; weight and bias have the same names.
NAMES = {"gamma": "weight", "beta": "bias", "table": "weight", "mean": "running_mean", "var": "running_var"}
# Torch's batch norm also keeps the number of batches, which is not used here.
IGNORED = "num_batches_tracked"


def from_torch(layer: Layer, tensors: Mapping[str, Array], prefix: str = "") -> Any:
    """Take the parameters of a layer from the tensors of a torch module; for a layer with state `(params, state)`.

    `tensors` are those of a `state_dict` by their names, as `tm.load` returns them for a safetensors file. Only names
    that begin with `prefix`, a path such as "encoder.0", count, and all of these must be used. The result has the dtype
    of the layer.

    This works for Linear, the convolutions, LayerNorm, RMSNorm, GroupNorm, InstanceNorm, BatchNorm with its running
    statistics, Embedding, MultiHeadAttention, layers without parameters, and Sequential and Residual of these. In a
    Sequential names begin with the position, as in torch, so both must have the same layers in the same places. Give
    options that are not tensors to the layer: torch's norms have `eps=1e-5`, its attention has biases.

    Raises TreeError, which lists every tensor that is missing, unexpected, or of another shape or kind, and
    ArgumentError for layers without a known counterpart in torch.

    >>> tensors = {"0.weight": np.ones((3, 2), np.float32), "0.bias": np.zeros(3, np.float32)}
    >>> from layers import Relu
    >>> model = Linear(2, 3) >> Relu()
    >>> params = from_torch(model, tensors)
    >>> model.apply(params, np.array([1.0, 2.0], np.float32))
    array([3., 3., 3.], dtype=float32)
    >>> from_torch(Linear(2, 4), tensors, "0")
    Traceback (most recent call last):
    tapem.errors.TreeError: from_torch: the tensors are not those of Linear(2, 4)
      0.weight: is f32[3,2], but must be f32[4,2]
      0.bias: is f32[3], but must be f32[4]
    """
    if not isinstance(layer, Layer):
        raise ArgumentError(f"from_torch: layer is {layer!r}, but must be a layer, such as Linear(2, 3).")
    if not isinstance(tensors, Mapping):
        raise ArgumentError(
            f"from_torch: tensors is a {type(tensors).__name__}, but must be a dict, as tm.load gives it."
        )
    start = f"{prefix}." if prefix and not prefix.endswith(".") else prefix
    source = Source(tensors)
    params, state = taken(layer, source, start)
    unused = [
        f"unexpected: {name} {ShapeDtype.of(tensor)}"
        for name, tensor in tensors.items()
        if name.startswith(start) and name not in source.used and name.rpartition(".")[2] != IGNORED
    ]
    if source.problems or unused:
        raise TreeError("\n  ".join([f"from_torch: the tensors are not those of {layer!r}", *source.problems, *unused]))
    return (params, state) if layer.has_state else params


class Source:
    """The tensors, the names of the used ones, and the problems with them."""

    def __init__(self, tensors: Mapping[str, Array]) -> None:
        """Start with no used tensors."""
        self.tensors = tensors
        self.used: set[str] = set()
        self.problems: list[str] = []

    def take(self, name: str, like: Array) -> Array:
        """A tensor of the shape of another array, in its dtype; a problem with it is noted."""
        self.used.add(name)
        if name not in self.tensors:
            self.problems.append(f"missing: {name} {ShapeDtype.of(like)}")
            return like
        tensor = np.asarray(self.tensors[name])
        if tensor.shape != like.shape or tensor.dtype.kind != "f":
            self.problems.append(f"{name}: is {ShapeDtype.of(tensor)}, but must be {ShapeDtype.of(like)}")
            return like
        return tensor.astype(like.dtype)


def taken(layer: Layer, source: Source, start: str) -> tuple[Any, Any]:
    """Take parameters and state of a layer from the tensors whose names begin with `start`."""
    if isinstance(layer, Sequential):
        parts = [taken(part, source, f"{start}{position}.") for position, part in enumerate(layer.layers)]
        return tuple(params for params, _ in parts), tuple(state for _, state in parts) if layer.has_state else EMPTY
    if isinstance(layer, Residual):
        return taken(layer.layer, source, start)
    params: Any = layer.init(tm.random.key(0))
    state: Any = layer.init_state()
    if isinstance(layer, MultiHeadAttention):
        return attention(params, source, start), state
    if isinstance(layer, Linear | Convolutional | Normalization | Embedding):
        return renamed(params, source, start), renamed(state, source, start) if isinstance(layer, BatchNorm) else state
    if tm.tree_flatten((params, state))[0]:
        raise ArgumentError(
            f"from_torch: what {layer!r} is in torch is not known here. Build its parameters from the tensors by hand."
        )
    return params, state


def renamed(tree: dict[str, Array], source: Source, start: str) -> dict[str, Array]:
    """Make a dict like this one from tensors with torch's names."""
    return {name: source.take(start + NAMES.get(name, name), like) for name, like in tree.items()}


def attention(params: dict[str, Array], source: Source, start: str) -> dict[str, Array]:
    """The projections; torch multiplies them from the left, and has those of q, k and v in one tensor."""
    outer = {"w": "out_proj.weight", "b": "out_proj.bias"}
    inner = {"w": "in_proj_weight", "b": "in_proj_bias"}
    found: dict[str, Array] = {}
    for kind in ("w", "b") if "bo" in params else ("w",):
        together = np.concatenate([params[kind + name].T for name in "qkv"])
        for name, part in zip("qkv", np.split(source.take(start + inner[kind], together), 3), strict=True):
            found[kind + name] = np.ascontiguousarray(part.T)
        found[kind + "o"] = np.ascontiguousarray(source.take(start + outer[kind], params[kind + "o"].T).T)
    return {name: found[name] for name in params}


__all__ = ["from_torch"]
