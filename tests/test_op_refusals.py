"""Bad input to ops, through every door: one error of ours that names the op, the argument and the numbers."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tapem as tm

X = np.arange(6.0).reshape(2, 3)
INDEFINITE = np.array([[1.0, 2.0], [2.0, 1.0]])


def first(result: Any) -> Any:
    """The first result of an op with several."""
    return result[0] if isinstance(result, list | tuple) else result


def by_grad(f: Callable[[Any], Any], x: Any) -> Any:
    return tm.grad(lambda z: tm.sum(first(f(z))))(x)


def by_vmap(f: Callable[[Any], Any], x: Any) -> Any:
    return tm.vmap(f)(np.stack([x, x]))


def by_step(f: Callable[[Any], Any], x: Any) -> Any:
    ref, tape = tm.Tape().leaf(x, name="x")
    return f(ref).run(tape)


def by_array(f: Callable[[Any], Any], x: Any) -> Any:
    return f(x)


DOORS = [by_array, by_grad, by_vmap, by_step]

CASES: list[tuple[str, Any, Callable[[Any], Any], type[Exception], str]] = [
    ("round", X, lambda z: tm.round(z, decimals=1.5), tm.DTypeError, "decimals=1.5"),
    ("concat", X, lambda z: tm.concat([z, "a"]), tm.DTypeError, "concat(xs): argument 'xs[1]' is 'a'"),
    ("concat shapes", X, lambda z: tm.concat([z, np.ones((2, 2))]), tm.ShapeError, "'xs[1]': f64[2,2]"),
    ("stack shapes", X, lambda z: tm.stack([np.ones(2), z]), tm.ShapeError, "'xs[0]': f64[2]"),
    ("einsum", X, lambda z: tm.einsum("ij,jk", z, None), tm.DTypeError, "argument 'operands[1]' is None"),
    ("einsum sizes", X, lambda z: tm.einsum("ij,jk", z, np.ones((2, 2))), tm.ShapeError, "'j' is 2 in operands[1]"),
]


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize(("x", "call", "kind", "text"), [pytest.param(*rest, id=name) for name, *rest in CASES])
def test_bad_input(door: Any, x: Any, call: Any, kind: type[Exception], text: str) -> None:
    with pytest.raises(kind, match=re.escape(text)) as caught:
        door(call, x)
    assert isinstance(caught.value, tm.TapeError)
