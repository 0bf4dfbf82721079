"""The table of a model: its layers, the shapes between them, and the number of parameters of each."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import TextIO

import numpy as np

import tapem as tm
from layers.module import Layer, Params, Part, Sequential
from layers.shapes import Pattern, shown


def count_parameters(params: Params) -> int:
    """The number of elements in a tree of parameters.

    >>> count_parameters({"weight": np.ones((2, 3)), "bias": np.ones(2)})
    8
    """
    return sum(np.size(leaf) for leaf in tm.tree_flatten(params)[0])


def summary(model: Layer, input_shape: Pattern, *, file: TextIO | None = None) -> None:
    """Print the table of layers, output shapes and parameter counts to `file`, or to standard output.

    `input_shape` includes the batch axes; None stands for an unknown size. Raises ShapeError if the model does not
    accept it. The parts of a composed layer stand below it, indented; its own row counts only parameters that belong
    to none of the parts.

    >>> from layers import Linear, Relu
    >>> summary(Linear(64, 128) >> Relu() >> Linear(128, 10), (None, 64))
    layer            output shape  parameters
    Linear(64, 128)  (?, 128)           8,320
    Relu()           (?, 128)               0
    Linear(128, 10)  (?, 10)            1,290
    total                               9,610
    """
    model.output_shape(input_shape)
    params = model.init(tm.random.key(0), input_shape)
    lines = [("layer", "output shape", "parameters")]
    lines += [(name, shape, f"{count:,}") for name, shape, count in _rows(Part(model, params, input_shape), 0)]
    lines += [("total", "", f"{count_parameters(params):,}")]
    a, b, c = (max(map(len, column)) for column in zip(*lines, strict=True))
    for name, shape, count in lines:
        print(f"{name:{a}}  {shape:{b}}  {count:>{c}}", file=sys.stdout if file is None else file)


def _rows(part: Part, depth: int) -> Iterator[tuple[str, str, int]]:
    """The row of a layer, and below it the rows of its parts; a Sequential has no row, only those of its parts."""
    layer, params, input_shape = part
    parts = layer.parts(params, input_shape)
    if not isinstance(layer, Sequential):
        own = count_parameters(params) - sum(count_parameters(inner.params) for inner in parts)
        name = type(layer).__name__ if parts else repr(layer)
        yield "  " * depth + name, shown(layer.output_shape(input_shape)), own
        depth += 1
    for inner in parts:
        yield from _rows(inner, depth)


__all__ = ["count_parameters", "summary"]
