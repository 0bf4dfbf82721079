"""The table of a model: its layers, the shapes between them, and the number of parameters of each."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any, NamedTuple, TextIO, cast

import numpy as np

import tapem as tm
from layers.checking import first_params
from layers.module import Layer, Params, Part, Sequential
from layers.shapes import Pattern, shown
from tapem import TapeError
from tapem.display import Sheet, Table, html_of, rich_of, shows

HEAD = ("layer", "output shape", "parameters")


def count_parameters(params: Params) -> int:
    """The number of elements in a tree of parameters.

    >>> count_parameters({"weight": np.ones((2, 3)), "bias": np.ones(2)})
    8
    """
    return sum(np.size(leaf) for leaf in tm.tree_flatten(params)[0])


def summary(model: Layer, input_shape: Pattern, *, file: TextIO | None = None) -> None:
    """Print the table of layers, output shapes and parameter counts to `file`, or to standard output.

    A notebook shows it as a table.

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
    table = Summary((*_rows(Part(model, params, input_shape), 0), ("total", "", count_parameters(params))))
    if file is None and type(sys.stdout).__module__ == "ipykernel.iostream":  # a notebook's
        from IPython.display import display

        cast(Any, display)(table)
    else:
        print(table, file=sys.stdout if file is None else file)


class Summary(NamedTuple):
    """The table of a model: for each layer its name, its output shape and its number of parameters."""

    rows: tuple[tuple[str, str, int], ...]

    _repr_html_ = html_of
    __rich__ = rich_of

    def __repr__(self) -> str:
        lines = [HEAD, *((name, shape, f"{count:,}") for name, shape, count in self.rows)]
        a, b, c = (max(map(len, column)) for column in zip(*lines, strict=True))
        return "\n".join(f"{name:{a}}  {shape:{b}}  {count:>{c}}" for name, shape, count in lines)


@shows(Summary)
def summary_sheet(table: Summary) -> Sheet:
    """The table as a display."""
    *_, (_, _, total) = table.rows
    return Sheet(f"{total:,} parameters", (Table(HEAD, tuple((n, s, f"{c:,}") for n, s, c in table.rows)),))


@shows(Layer)
def layer_sheet(layer: Layer) -> Sheet:
    """A model as its table, for any input that it takes; where shapes depend on the input, its layers only."""
    title = type(layer).__name__ if isinstance(layer, Sequential) else repr(layer)
    try:
        params = first_params(layer)
        rows = tuple(_rows(Part(layer, params, layer.takes), 0))
    except (TapeError, TypeError, ValueError, AttributeError, LookupError):  # a user's layer, half written
        inside = layer.layers if isinstance(layer, Sequential) else ()
        return Sheet(title, (Table(("layer",), tuple((repr(one),) for one in inside)),) if inside else ())
    sheet = summary_sheet(Summary((*rows, ("total", "", count_parameters(params)))))
    return Sheet(f"{title}: {sheet.title}", sheet.parts)


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
