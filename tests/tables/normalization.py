"""Rows of the normalizations."""

from __future__ import annotations

from typing import Any

import numpy as np

import layers
from tests.tables import Row


def _values(*shape: int, seed: int = 0) -> Any:
    return np.random.default_rng([seed, *shape]).normal(size=shape)


def _standard(x: Any, axes: Any, eps: float) -> Any:
    if x.size == 0:
        return x
    return (x - x.mean(axis=axes, keepdims=True)) / np.sqrt(x.var(axis=axes, keepdims=True) + eps)


# One axis -------------------------------------------------------------------------------------------------------------


def _layer_norm_reference(x: Any, gamma: Any, beta: Any, eps: float) -> Any:
    return _standard(x, -1, eps) * gamma + beta


def _rms_norm_reference(x: Any, gamma: Any, eps: float) -> Any:
    return x / np.sqrt(np.mean(x**2, axis=-1, keepdims=True) + eps) * gamma if x.size else x


def _layer_norm(x: Any, eps: float = 1e-6, note: str = "") -> Row:
    operands = (x, _values(x.shape[-1], seed=1), _values(x.shape[-1], seed=2))
    return Row(layers.layer_norm, operands, {"eps": eps}, reference=_layer_norm_reference, note=note)


def _rms_norm(x: Any, eps: float = 1e-6, note: str = "") -> Row:
    return Row(
        layers.rms_norm, (x, _values(x.shape[-1], seed=1)), {"eps": eps}, reference=_rms_norm_reference, note=note
    )


# Channels -------------------------------------------------------------------------------------------------------------


def _along(parameter: Any, x: Any, axis: int) -> Any:
    return np.reshape(parameter, [-1 if i == axis else 1 for i in range(x.ndim)])


def _axis(x: Any, spatial_axes: int | None) -> int:
    return 1 if spatial_axes is None else x.ndim - 1 - spatial_axes


def _group_norm_reference(
    x: Any, gamma: Any, beta: Any, eps: float, spatial_axes: int | None, num_groups: int | None = None
) -> Any:
    """One group of channels of one example at a time; without `num_groups` every channel is a group."""
    axis = _axis(x, spatial_axes)
    channels = x.shape[axis]
    size = channels // num_groups if num_groups else 1
    y = np.empty_like(x)
    for example in np.ndindex(x.shape[:axis]):
        for first in range(0, channels, size):
            group = x[example][first : first + size]
            y[example][first : first + size] = _standard(group, tuple(range(group.ndim)), eps)
    return y * _along(gamma, x, axis) + _along(beta, x, axis)


def _batch_norm_reference(x: Any, gamma: Any, beta: Any, eps: float, spatial_axes: int | None) -> Any:
    axis = _axis(x, spatial_axes)
    axes = tuple(i for i in range(x.ndim) if i != axis)
    return _standard(x, axes, eps) * _along(gamma, x, axis) + _along(beta, x, axis)


def _training_reference(x: Any, gamma: Any, beta: Any, eps: float, spatial_axes: int | None) -> Any:
    axes = tuple(i for i in range(x.ndim) if i != _axis(x, spatial_axes))
    y = _batch_norm_reference(x, gamma, beta, eps, spatial_axes)
    return (y, x.mean(axis=axes), x.var(axis=axes)) if x.size else (y, np.zeros_like(gamma), np.zeros_like(gamma))


def _inference_reference(
    x: Any, gamma: Any, beta: Any, mean: Any, var: Any, eps: float, spatial_axes: int | None
) -> Any:
    gamma, beta, mean, var = (_along(one, x, _axis(x, spatial_axes)) for one in (gamma, beta, mean, var))
    return (x - mean) / np.sqrt(var + eps) * gamma + beta


_REFERENCES: dict[Any, Any] = {
    layers.group_norm: _group_norm_reference,
    layers.instance_norm: _group_norm_reference,
    layers.batch_norm: _batch_norm_reference,
    layers.batch_norm_training: _training_reference,
    layers.batch_norm_inference: _inference_reference,
}


def _by_channel(op: Any, *shape: int, spatial_axes: int | None = None, note: str = "", **static: Any) -> Row:
    x = _values(*shape)
    channels = shape[_axis(x, spatial_axes)]
    operands = [x, _values(channels, seed=1), _values(channels, seed=2)]
    if op is layers.batch_norm_inference:
        operands += [_values(channels, seed=3), 0.5 + _values(channels, seed=4) ** 2]
    static = {"eps": 0.01, "spatial_axes": spatial_axes, **static}
    return Row(op, tuple(operands), static, reference=_REFERENCES[op], note=note)


_EQUAL = np.array([[2.0, 2.0, 2.0], [0.0, 1.0, 2.0]])

ROWS: list[Row] = [
    _layer_norm(_values(3, 4)),
    _layer_norm(_values(4), eps=0.1, note="a single example"),
    _layer_norm(_values(2, 1, 3), note="two batch axes"),
    _layer_norm(_values(0, 3), note="an empty batch"),
    _layer_norm(_values(3, 1), note="rows of one element"),
    _layer_norm(_EQUAL, eps=0.01, note="a row of equal elements"),
    _layer_norm(_values(2, 3) + 100, note="far from 0"),
    _rms_norm(_values(3, 4)),
    _rms_norm(_values(2, 1, 3), eps=0.1, note="two batch axes"),
    _rms_norm(_values(4), note="a single example"),
    _rms_norm(_values(0, 3), note="an empty batch"),
    _rms_norm(np.array([[0.0, 0.0], [1.0, 2.0]]), eps=0.01, note="a row of zeros"),
    _by_channel(layers.group_norm, 2, 4, 3, num_groups=2),
    _by_channel(layers.group_norm, 2, 4, num_groups=2, note="one position"),
    _by_channel(layers.group_norm, 3, 2, 2, num_groups=3, spatial_axes=2, note="a single example, a group per channel"),
    _by_channel(layers.group_norm, 2, 2, 2, 3, num_groups=1, spatial_axes=1, note="two batch axes, one group"),
    _by_channel(layers.group_norm, 0, 2, 3, num_groups=2, note="an empty batch"),
    _by_channel(layers.instance_norm, 2, 2, 3),
    _by_channel(layers.instance_norm, 2, 3, note="one position"),
    _by_channel(layers.instance_norm, 2, 2, 3, spatial_axes=2, note="a single example"),
    _by_channel(layers.instance_norm, 2, 0, 3, note="no channels"),
    *(
        row
        for op in (layers.batch_norm, layers.batch_norm_training, layers.batch_norm_inference)
        for row in (
            _by_channel(op, 4, 2),
            _by_channel(op, 3, 2, 1, 2, note="two spatial axes"),
            _by_channel(op, 2, 2, 3, spatial_axes=0, note="two batch axes"),
            _by_channel(op, 2, 3, spatial_axes=1, note="a single example"),
            _by_channel(op, 0, 2, 3, note="an empty batch"),
            _by_channel(op, 1, 2, note="one value per channel"),
        )
    ),
]
