"""The table that compares libraries at kinks: what it says of tapem is so, in the words of the table."""

import ast
import re

import numpy as np
import pytest

import layers
import tapem as tm
from tests.docs.pages import DOCS

FUNCTIONS = {
    "`abs`": np.abs,
    "`relu`": tm.relu,
    "`leaky_relu`, slope 0.1": lambda x: tm.leaky_relu(x, 0.1),
    "`maximum(x, 1)`": lambda x: np.maximum(x, 1.0),
    "`clip` or `clamp` to [0, 1]": lambda x: np.clip(x, 0.0, 1.0),
    "`max`": np.max,
    "max-pool over 3": lambda x: layers.max_pool1d(x[None], 3)[0, 0],
    "norm": np.linalg.norm,
    "`std`": np.std,
    "`prod`": np.prod,
    "`sinc`": np.sinc,
    "`hypot(x, 0)`": lambda x: np.hypot(x, 0.0),
    "`arctan2(x, -x)`": lambda x: np.arctan2(x, -x),
    "`sqrt`": np.sqrt,
}
TABLE = (
    (DOCS / "kinks.md").read_text(encoding="utf-8").partition("## What other libraries answer")[2].partition("## ")[0]
)
CELLS = [[cell.strip() for cell in line.split("|")[1:-1]] for line in re.findall(r"^\|.*\|$", TABLE, re.MULTILINE)]
ROWS = [cells[:3] for cells in CELLS[2:]]


def test_every_row_is_tried():
    assert [name for name, *_ in ROWS] == list(FUNCTIONS)


@pytest.mark.parametrize(("name", "points", "derivative"), ROWS)
def test_the_column_of_tapem_is_so(name, points, derivative):
    expected = eval(derivative, {"nan": np.nan, "inf": np.inf})
    for point in points.split(" or "):
        x = np.array(ast.literal_eval(point), float)
        np.testing.assert_array_equal(tm.grad(FUNCTIONS[name])(x), expected)
