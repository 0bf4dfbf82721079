"""The axis of the channels of a value, and how vmap adds another axis.

Channels come before the spatial axes: (*batch, channels, *spatial). Shapes alone do not show where the batch axes end,
so `spatial_axes` says how many axes follow the channels; without it there is one batch axis, as in PyTorch, and the
channels are axis 1.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from layers.ops.arguments import is_integer
from tapem import ArgumentError, ShapeError

WHERE = "`spatial_axes` says how many axes follow the channels: 2 for images (*batch, channels, height, width)"


def check_spatial_axes(op: str, spatial_axes: Any) -> None:
    """Raise ArgumentError unless `spatial_axes` is None or a number of axes."""
    if spatial_axes is not None and not (is_integer(spatial_axes) and spatial_axes >= 0):
        raise ArgumentError(
            f"{op}: spatial_axes is {spatial_axes!r}, but must be None or an integer of at least 0; {WHERE}."
        )


def channel_axis(op: str, x: Any, spatial_axes: int | None) -> int:
    """The axis of the channels. Raises ShapeError if there is none."""
    check_spatial_axes(op, spatial_axes)
    axis = 1 if spatial_axes is None else x.ndim - 1 - spatial_axes
    if not 0 <= axis < x.ndim:
        needs = "(batch, channels, ...)" if spatial_axes is None else f"(*batch, channels{', size' * spatial_axes})"
        raise ShapeError(
            f"{op}: x has shape {x.shape}, but with spatial_axes={spatial_axes} it must be {needs}; {WHERE}."
        )
    return axis


def by_channel(op: str, x: Any, spatial_axes: int | None, **parameters: Any) -> Any:
    """The values as (examples, channels), or (examples, channels, positions) if channels have several positions.

    Raises ShapeError unless every parameter has one number per channel.
    """
    axis = channel_axis(op, x, spatial_axes)
    channels = x.shape[axis]
    for name, parameter in parameters.items():
        if parameter.shape != (channels,):
            raise ShapeError(
                f"{op}: {name} has shape {parameter.shape}, but x of shape {x.shape} has {channels} channels, on axis "
                f"{axis}, and each needs one number. If that is not the axis of the channels: {WHERE}."
            )
    examples, positions = math.prod(x.shape[:axis]), math.prod(x.shape[axis + 1 :])
    return np.reshape(x, (examples, channels) if positions == 1 else (examples, channels, positions))


def batch_of_examples(op: Any, size: int, inputs: Sequence[Any], mapped: Sequence[bool], static: Any) -> Any:
    """The batch rule of ops that treat each example separately: the mapped axis is another batch axis.

    If parameters are mapped, the values are normalized together, but scaled and shifted separately.
    """
    x, *parameters = inputs
    rank = x.ndim - mapped[0]
    if "spatial_axes" in static and static["spatial_axes"] is None:
        static = {**static, "spatial_axes": rank - 2}
    if not any(mapped[1:]):
        return op(x, *parameters, **static)
    neutral = (np.ones, np.zeros)
    channels = parameters[0].shape[-1]
    apart: list[Any] = []
    axis = rank - 1 - static.get("spatial_axes", 0)
    for parameter, is_mapped in zip(parameters, mapped[1:], strict=True):
        shape = (1,) * axis + (channels,) + (1,) * (rank - axis - 1)
        apart.append(np.reshape(parameter, (size, *shape) if is_mapped else shape))
    y = op(x, *(make(channels, p.dtype) for make, p in zip(neutral, parameters, strict=False)), **static) * apart[0]
    return y + apart[1] if len(apart) > 1 else y


def batch_of_batches(op: Any, size: int, inputs: Sequence[Any], mapped: Sequence[bool], static: Any) -> Any:
    """The batch rule of ops that treat each channel separately: the mapped axis makes more channels."""
    x, *parameters = inputs
    rank = x.ndim - mapped[0]
    spatial_axes = static["spatial_axes"]
    axis = 1 if spatial_axes is None else rank - 1 - spatial_axes
    channels = parameters[0].shape[-1]
    x = np.moveaxis(x, 0, axis) if mapped[0] else np.broadcast_to(np.expand_dims(x, axis), _inserted(x, axis, size))
    shape = x.shape
    merged = np.reshape(x, (*shape[:axis], size * channels, *shape[axis + 2 :]))
    longer = [np.reshape(np.broadcast_to(parameter, (size, channels)), (size * channels,)) for parameter in parameters]
    result = op(merged, *longer, **static)
    if type(result) is not tuple and not isinstance(result, Sequence):
        return np.moveaxis(np.reshape(result, shape), axis, 0)
    y, *statistics = result
    return (np.moveaxis(np.reshape(y, shape), axis, 0), *(np.reshape(s, (size, channels)) for s in statistics))


def _inserted(x: Any, axis: int, size: int) -> tuple[int, ...]:
    return (*x.shape[:axis], size, *x.shape[axis:])


__all__ = ["WHERE", "batch_of_batches", "batch_of_examples", "by_channel", "channel_axis", "check_spatial_axes"]
