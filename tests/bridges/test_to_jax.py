"""to_jax: a tapem function in JAX, with tapem's derivatives inside it and around it."""

from __future__ import annotations

import ast
import re
from typing import Any

import jax
import numpy as np
import pytest

import tapem as tm
from tests.bridges.rows import REFUSED, check_rows, rows_of_ops
from tests.docs.test_kinks import FUNCTIONS, ROWS

X = np.array([0.3, -1.2, 0.0])


pytestmark = pytest.mark.usefixtures("wide")


def mixed(x: Any) -> Any:
    return np.sum(np.sin(x) * tm.relu(x) + np.abs(x) ** 3)


def test_derivatives_inside_and_around() -> None:
    expected = tm.grad(mixed)(X)
    np.testing.assert_allclose(jax.jit(tm.to_jax(tm.grad(mixed)))(X), expected, rtol=1e-14)
    np.testing.assert_allclose(jax.jit(jax.grad(tm.to_jax(mixed)))(X), expected, rtol=1e-14)
    np.testing.assert_allclose(jax.hessian(tm.to_jax(mixed))(X), tm.hessian(mixed)(X), rtol=1e-14)
    batch = np.stack([X, 2 * X])
    found = jax.jit(jax.vmap(jax.grad(tm.to_jax(mixed))))(batch)
    np.testing.assert_allclose(found, tm.vmap(tm.grad(mixed))(batch), rtol=1e-14)


@pytest.mark.parametrize(("name", "points", "derivative"), [row for row in ROWS if row[0] not in ("max-pool over 3",)])
def test_the_table_of_kinks_holds_around(name: str, points: str, derivative: str) -> None:
    expected = eval(derivative, {"nan": np.nan, "inf": np.inf})
    for point in points.split(" or "):
        x = np.array(ast.literal_eval(point), float)
        np.testing.assert_array_equal(jax.grad(tm.to_jax(FUNCTIONS[name]))(x), expected)


def test_control_flow() -> None:
    def power(x: Any) -> Any:
        return tm.scan(lambda c, row: (c * row + row, c), 1.0, x)[0]

    def grown(x: Any) -> Any:
        return tm.while_loop(lambda s: s < 100.0, lambda s: s * s + 1.0, x)

    def chosen(x: Any) -> Any:
        return tm.cond(x > 1, lambda x: x * x, lambda x: 3 * x, x)

    np.testing.assert_allclose(jax.jit(jax.grad(tm.to_jax(power)))(X), tm.grad(power)(X), rtol=1e-14)
    np.testing.assert_allclose(jax.jit(tm.to_jax(tm.grad(power)))(X), tm.grad(power)(X), rtol=1e-14)
    assert jax.jit(tm.to_jax(grown))(2.0) == grown(2.0)
    assert jax.jvp(tm.to_jax(grown), (2.0,), (1.0,))[1] == tm.jvp(grown, (2.0,), (1.0,))[1]
    for x in (2.0, 0.5):
        assert jax.jit(jax.grad(tm.to_jax(chosen)))(x) == jax.jit(tm.to_jax(tm.grad(chosen)))(x) == tm.grad(chosen)(x)
    xs = np.array([2.0, 0.5])
    np.testing.assert_array_equal(jax.jit(tm.to_jax(tm.vmap(grown)))(xs), tm.vmap(grown)(xs))
    np.testing.assert_array_equal(jax.jit(tm.to_jax(tm.vmap(chosen)))(xs), tm.vmap(chosen)(xs))
    assert "scan" in str(jax.make_jaxpr(tm.to_jax(power))(X)) and "while" in str(jax.make_jaxpr(tm.to_jax(grown))(2.0))
    with pytest.raises(tm.NoRuleError, match="while_loop"):
        jax.make_jaxpr(tm.to_jax(tm.grad(grown)))(2.0)


def test_own_rules() -> None:
    @tm.custom_vjp
    def clipped(x: Any) -> Any:
        return x * 1.0

    clipped.defvjp(lambda x: (x * 1.0, ()), lambda _, g: (np.clip(g, -1.0, 1.0),))

    @tm.custom_jvp
    def bent(x: Any) -> Any:
        return x * x

    bent.defjvp(lambda xs, ts: (xs[0] * xs[0], 7.0 * ts[0]))
    assert jax.jit(jax.grad(tm.to_jax(lambda x: 5 * clipped(x))))(3.0) == 1.0
    assert jax.jit(tm.to_jax(tm.grad(lambda x: 5 * clipped(x))))(3.0) == 1.0
    assert jax.jit(jax.grad(tm.to_jax(bent)))(3.0) == 7.0
    assert jax.jvp(tm.to_jax(bent), (3.0,), (2.0,)) == (9.0, 14.0)


def test_constants_of_derivatives() -> None:
    def cut(x: Any) -> Any:
        with tm.no_grad():
            y = x * x
        return y * x

    assert jax.grad(tm.to_jax(lambda x: tm.detach(x) * x))(3.0) == 3.0
    assert jax.grad(tm.to_jax(cut))(3.0) == 9.0


def test_checkpoint_is_that_of_jax() -> None:
    f = tm.to_jax(lambda x: np.sum(tm.checkpoint(lambda x: np.sin(x) ** 2)(x)))
    np.testing.assert_allclose(jax.grad(f)(X), np.sin(2 * X), atol=1e-15)
    assert re.search("checkpoint|remat", str(jax.make_jaxpr(f)(X)))


@tm.primitive(rrule=(lambda g, y, x: g * 3.0,), frule=(lambda t, y, x: t * 3.0,))
def tripled(x):
    return np.asarray(x) * 3.0


def test_an_op_without_a_form() -> None:
    with pytest.raises(tm.NoRuleError, match=r"tripled has no form in JAX.*callback=True"):
        tm.to_jax(tripled)(X)
    f = tm.to_jax(lambda x: np.sum(tripled(x) ** 2), callback=True)
    np.testing.assert_allclose(jax.jit(jax.grad(f))(X), 18 * X, rtol=1e-14)
    with pytest.raises(tm.NoRuleError, match="uniform has no form in JAX"):
        tm.to_jax(lambda key: tm.random.uniform(key, (3,)))(tm.random.key(0))
    drawn = tm.to_jax(lambda key: tm.random.uniform(key, (3,)), callback=True)(tm.random.key(0))
    np.testing.assert_array_equal(drawn, tm.random.uniform(tm.random.key(0), (3,)))


def test_64_bits_are_not_silently_32(narrow: None) -> None:
    assert jax.jit(tm.to_jax(tm.grad(mixed)))(X.astype(np.float32)).dtype == np.float32
    assert jax.grad(tm.to_jax(np.sin))(0.0) == 1.0
    with pytest.raises(tm.DTypeError, match=r"float64.*jax_enable_x64"):
        tm.to_jax(lambda x: x * np.ones(3))(X.astype(np.float32))
    with pytest.raises(tm.DTypeError, match=r"int64 holds numbers beyond int32.*jax_enable_x64"):
        tm.to_jax(lambda x: x + 1)(np.array([2**40]))


def test_trees_and_what_is_no_array() -> None:
    def f(tree: Any, mode: str) -> Any:
        return {"y": tree["a"] * tree["b"] if mode == "product" else tree["a"]}

    assert tm.to_jax(f)({"a": 2.0, "b": 3.0}, "product")["y"] == 6.0


SOME = ["add", "matmul", "getitem", "max", "softmax", "norm", "linear", "cross_entropy", "layer_norm", "power"]


@pytest.mark.parametrize("name", SOME)
def test_rows_of_some_ops(name: str) -> None:
    """The first rows of some ops, as one program."""
    check_rows(name, most=3)


@pytest.mark.slow
@pytest.mark.parametrize("name", rows_of_ops())
def test_rows_of_every_op(name: str) -> None:
    """Every row of an op, as one program; or the op is one that is known to have no form, and is refused by name."""
    check_rows(name)


def test_the_list_names_ops() -> None:
    assert set(rows_of_ops()) >= REFUSED
