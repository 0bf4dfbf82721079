"""The table of a model: its layers, the shapes between them, and how many parameters each has."""

from __future__ import annotations

import sys
from typing import TextIO

import numpy as np

import tapem as tm
from layers.module import Layer, Params, Sequential
from layers.shapes import Pattern, shown
from tapem.tree import flatten


def count_parameters(params: Params) -> int:
    """The number of elements in a tree of parameters.

    >>> count_parameters({"weight": np.ones((2, 3)), "bias": np.ones(2)})
    8
    """
    return sum(np.size(leaf) for leaf in flatten(params)[0])


def summary(model: Layer, input_shape: Pattern, *, file: TextIO | None = None) -> None:
    """Print the table of layers, output shapes and parameter counts; to `file`, or to standard output.

    `input_shape` includes the batch axes; a size that is not known may be None. Raises ShapeError if the model does not
    take it.

    >>> from layers import Linear, Relu
    >>> summary(Linear(64, 128) >> Relu() >> Linear(128, 10), (None, 64))
    layer            output shape  parameters
    Linear(64, 128)  (?, 128)           8,320
    Relu()           (?, 128)               0
    Linear(128, 10)  (?, 10)            1,290
    total                               9,610
    """
    rows: list[tuple[str, str, int]] = []
    model.output_shape(input_shape)
    params = model.init(tm.random.key(0))
    _describe(model, params, input_shape, 0, rows)
    lines = [("layer", "output shape", "parameters")]
    lines += [(name, shape, f"{count:,}") for name, shape, count in rows]
    lines += [("total", "", f"{count_parameters(params):,}")]
    a, b, c = (max(map(len, column)) for column in zip(*lines, strict=True))
    for name, shape, count in lines:
        print(f"{name:{a}}  {shape:{b}}  {count:>{c}}", file=sys.stdout if file is None else file)


def _describe(layer: Layer, params: Params, input_shape: Pattern, depth: int, rows: list[tuple[str, str, int]]) -> None:
    """Add the rows of a layer; those of a Sequential within are indented."""
    if not isinstance(layer, Sequential):
        shape = shown(layer.output_shape(input_shape))
        rows.append(("  " * depth + repr(layer), shape, count_parameters(params)))
        return
    for part, own in zip(layer.layers, params, strict=True):
        _describe(part, own, input_shape, depth + isinstance(part, Sequential), rows)  # pyright: ignore
        input_shape = part.output_shape(input_shape)


__all__ = ["count_parameters", "summary"]
