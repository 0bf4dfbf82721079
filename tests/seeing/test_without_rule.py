"""docs/reference/without_a_rule.md is what tapem says of the installed NumPy and SciPy, and what it says is so."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tapem as tm
from tapem.core import name_of
from tapem.doors.direct import Tracer
from tapem.seeing import without_a_rule
from tapem.seeing.without_rule import kind_of, spaces

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "without_a_rule.md"
# What older NumPys have and newer ones do not.
GONE = {"in1d", "trapz", "_get_promotion_state", "_set_promotion_state", "_no_nep50_warning"}
HOW = "write it anew: python -m tapem without > docs/reference/without_a_rule.md"
X = np.random.default_rng(0).uniform(0.2, 0.9, (3, 3))


def named(page: str) -> dict[str, set[str]]:
    """The names under each heading of a page."""
    parts = re.split(r"^## (.*)$", page, flags=re.MULTILINE)[1:]
    return {title: set(re.findall(r"`([\w.]+)`", text)) for title, text in zip(parts[::2], parts[1::2], strict=True)}


def test_the_page_is_what_the_code_says() -> None:
    """Of another NumPy or SciPy than the page was made with, it has at least whatever stays without a rule there."""
    page, now = PAGE.read_text(), f"{without_a_rule()}\n"
    if page.splitlines()[2] == now.splitlines()[2]:
        assert page == now, HOW
    for title, names in named(now).items():
        assert names <= named(page)[title] | GONE, HOW


def test_the_command_prints_it() -> None:
    ran = subprocess.run([sys.executable, "-m", "tapem", "without"], capture_output=True, text=True, check=True)
    assert ran.stdout == f"{without_a_rule()}\n"


def test_every_function_of_numpy_has_a_rule_or_is_on_the_page() -> None:
    """A function that a new NumPy brings shows up here."""
    page = named(PAGE.read_text())
    for title, functions in spaces():
        for name, function in functions.items():
            assert kind_of(function) == "rule" or name in page[title] | GONE, f"{title}.{name}: {HOW}"


FUNCTIONS = [
    pytest.param(function, id=name_of(function))
    for title, functions in spaces()
    for function in functions.values()
    if title.startswith("numpy") and kind_of(function) == "constant"
]


@pytest.mark.parametrize("function", FUNCTIONS)
def test_what_is_called_constant_has_no_traced_result(function: Any) -> None:
    arguments: dict[str, Any] = {
        "unpackbits": lambda x: [np.floor(x).astype(np.uint8)], "packbits": lambda x: [x > 0.5],
        "einsum_path": lambda x: ["ij,jk", x, x], "ravel_multi_index": lambda x: [(np.argmax(x, 0), [0, 1, 2]), (3, 3)],
        "unravel_index": lambda x: [np.argmax(x), (3, 3)], "lexsort": lambda x: [(x[0], x[1])],
        "searchsorted": lambda x: [x[0], 0.5], "digitize": lambda x: [x, [0.3, 0.6]], "argpartition": lambda x: [x, 1],
        "can_cast": lambda x: [x.dtype, np.float32],
        **dict.fromkeys(["gcd", "lcm", "left_shift", "right_shift"], lambda x: [np.floor(9 * x).astype(int), 2]),
        **dict.fromkeys(["bitwise_and", "bitwise_or", "bitwise_xor"], lambda x: [x > 0.5, x < 0.7]),
        "invert": lambda x: [x > 0.5], "bitwise_count": lambda x: [np.floor(9 * x).astype(int)],
    }  # fmt: skip

    def f(x: Any) -> Any:
        given = arguments.get(function.__name__, lambda x: [x] if getattr(function, "nin", 1) == 1 else [x, X])(x)
        try:
            found = function(*given)
        except TypeError:
            found = function(*given, X)
        assert not any(isinstance(leaf, Tracer) for leaf in tm.tree_leaves(found))
        return x.sum()

    assert tm.grad(f)(X).tolist() == np.ones((3, 3)).tolist()
