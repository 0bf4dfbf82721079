"""Written programs of loops and conditions whose way differs between the examples of a vmap."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tapem as tm
from tests.compiler.test_source import entry_of

X = np.array([0.3, -1.0, 2.0])


def branch(x: Any) -> Any:
    return tm.cond(x > 0, np.sin, lambda x: x**3, x)


def double(x: Any) -> Any:
    return tm.while_loop(lambda s: s[0] < 5, lambda s: (s[0] * 2 + 3, np.sin(s[1]) * s[0]), (x, x))[1]


FUNCTIONS: dict[str, Callable[[Any], Any]] = {
    "a condition": tm.vmap(branch),
    "a loop": tm.vmap(double),
    "gradients of a loop": tm.vmap(tm.grad(double)),
    "the gradient of loops": tm.grad(lambda v: np.sum(tm.vmap(double)(v))),
    "the gradient of conditions": tm.grad(lambda v: np.sum(tm.vmap(branch)(v) * v)),
    "second derivatives": tm.vmap(tm.hessian(branch)),
    "a Hessian": tm.hessian(lambda v: np.sum(tm.vmap(branch)(v) * v)),
    "tangents": lambda v: tm.jvp(tm.vmap(branch), (v,), (v,)),
    "two batch axes": lambda v: tm.vmap(
        lambda x: tm.vmap(lambda y: tm.cond(x + y > 0, lambda z: z * x, lambda z: np.cos(z), y))(X)
    )(v),
    "a condition in a loop": tm.vmap(
        lambda x: tm.fori_loop(0, 3, lambda i, s: tm.cond(s > 1, np.sin, lambda s: s + x, s), x)
    ),
    "a loop in a scan": tm.vmap(
        lambda x: tm.scan(lambda c, y: (tm.while_loop(lambda s: s < 3, lambda s: s + abs(y) + 1, c), c), x, X)
    ),
    "captured values and numbers": tm.vmap(lambda x: tm.cond(x > 0, lambda: (x, 1), lambda: (X[0], 2))),
    "no example": lambda v: tm.vmap(branch)(v[:0]),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_examples_go_their_ways_one_by_one(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    f = FUNCTIONS[name]
    fast = tm.compile(f, engine="numpy")
    text = fast.source(X)
    assert "for " in text
    found = entry_of(text, monkeypatch)(X)
    for one, other, run in zip(*map(tm.tree_leaves, (found, f(X), fast(X))), strict=True):
        assert one.dtype == run.dtype
        np.testing.assert_allclose(one, other, 1e-13)
