"""source with ops of users: written out with all that they use, or refused by name."""

from __future__ import annotations

import collections
import dataclasses
import decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from jaxtyping import Float

import layers
import tapem
import tapem as tm
from tests.compiler.test_source import Frozen, assert_equal, entry_of

# -- ops of users ------------------------------------------------------------------------------------------------------

Tensor = Float[tm.Tensor, "*shape"]
_FACTOR = 2.5
_TABLE = {"shift": np.arange(3.0), "kinds": (np.dtype(np.float32), np.float64)}


def doubled(x: Any) -> Any:
    """Twice the values."""
    total: Any = x * 2  # a comment that stays
    return total


def family(power: int, *, shift: float = 1.0) -> Any:
    """An op for each power."""

    @tm.primitive(rrule=(lambda g, y, x: g * power * x ** (power - 1),))
    def own(x: Tensor) -> Tensor:
        """The op."""
        np = doubled(x)  # hides the module  # noqa: F841
        return x**power + shift

    return own


def test_a_users_op_is_written_with_all_that_it_uses(monkeypatch: pytest.MonkeyPatch) -> None:
    @tm.primitive(rrule=(lambda g, y, x: g * _FACTOR,))
    def affine(x: Tensor) -> Tensor:
        values: Any = doubled(x) * (_FACTOR / 2)
        return values.astype(_TABLE["kinds"][1]) + _TABLE["shift"]

    cubed = family(3)
    compiled = tm.compile(tm.value_and_grad(lambda x: np.sum(affine(x) * cubed(x))), engine="numpy", fast=False)
    x = np.array([1.0, -2.0, 0.5])
    text = compiled.source(x)
    assert "_FACTOR = 2.5" in text and "# a comment that stays" in text and "x**3 + 1.0" in text
    assert '"""' not in text and ": Any" not in text and "->" not in text
    assert_equal(entry_of(text, monkeypatch)(x), compiled(x))


def test_names_that_stand_for_two_things_are_kept_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    def helper(x: Any) -> Any:
        return x + 1

    first, other = helper, decimal.Decimal

    @tm.primitive(rrule=(lambda g, y, x: g,))
    def shifted(x: Tensor) -> Tensor:
        softmax = first(x)  # a local variable with the name of an op
        return softmax + tm.softmax(x) * 0

    del other

    def helper(x: Any) -> Any:
        return x * 3

    @tm.primitive(rrule=(lambda g, y, x: g,))
    def tripled(x: Tensor) -> Tensor:
        return helper(x)

    compiled = tm.compile(lambda x: tripled(shifted(x)), engine="numpy", fast=False)
    x = np.array([1.0, 2.0])
    assert_equal(entry_of(compiled.source(x), monkeypatch)(x), compiled(x))


def test_names_of_modules_locals_and_comments(monkeypatch: pytest.MonkeyPatch) -> None:
    @tm.primitive(rrule=(lambda g, y, x: g,))
    def several(x: Tensor) -> Tensor:
        # tapem is told about in comments
        doubled = x.sum() * 0  # a local name that is also global, and the attribute of an array
        key = np.array([1, 2], np.uint64)
        noise = tapem.random.uniform(key, (2,)) + tapem.softmax(x) + tm.exp(x).sum()
        return noise + np.linalg.norm(x) + doubled

    compiled = tm.compile(lambda x: several(x), engine="numpy", fast=False)
    x = np.array([0.5, 1.5])
    text = compiled.source(x)
    assert "tapem" not in text
    assert_equal(entry_of(text, monkeypatch)(x), compiled(x))


def annotated(function: Any) -> Any:
    """A lambda with the types of an op."""
    function.__annotations__ = {"x": Tensor, "return": Tensor}
    return function


def test_names_in_formatted_strings(monkeypatch: pytest.MonkeyPatch) -> None:
    first = doubled

    @tm.primitive(rrule=(lambda g, y, x: g,))
    def told(x: Tensor) -> Tensor:
        text = f"{first(x)} and {tm.exp(x)!r:>40}{np.shape(first(x))[0]:03d}"
        return x + len(text)

    @tm.primitive(rrule=(lambda g, y, x: g,))
    def told_at_length(x: Tensor) -> Tensor:
        text = f"""
            {first(x)} and {tm.exp(x)!r:>40}
        {np.shape(first(x))[0]:03d}"""
        return x + len(text)

    x = np.array([0.5, 1.5])
    told_by_lambda = tm.primitive(rrule=(lambda g, y, x: g,), name="told")(
        annotated(
            lambda x: (
                x + 1
                + len(f"{first(x)}")
            )
        )
    )  # fmt: skip

    for op in (told, told_at_length, told_by_lambda):
        compiled = tm.compile(lambda x, op=op: op(x), engine="numpy")
        try:
            text = compiled.source(x)
        except tm.ArgumentError as error:  # before Python 3.12 the places in such strings are not known
            assert op is told_at_length and "formatted string" in str(error)
        else:
            assert_equal(entry_of(text, monkeypatch)(x), compiled(x))


def test_operands_of_several_dtypes(monkeypatch: pytest.MonkeyPatch) -> None:
    """The cotangent that a called rule returns is cast to the dtype of its operand."""
    draw = np.random.default_rng(0).standard_normal

    def f(kernel: Any, x: Any) -> Any:
        return tm.sum(layers.conv2d(kernel, None, x) ** 2)

    for first, second in ((np.float32, np.float64), (np.float64, np.float32), (np.float16, np.float32)):
        operands = draw((2, 1, 3, 3)).astype(first), draw((1, 5, 5)).astype(second)
        compiled = tm.compile(tm.grad(f, argnums=(0, 1)), engine="numpy", fast=False)
        assert_equal(entry_of(compiled.source(*operands), monkeypatch)(*operands), compiled(*operands))


def refused_ops() -> list[Any]:
    """Ops that cannot be written out, and what the error says of each."""
    names: dict[str, Any] = {}
    exec("def typed(x):\n    return x * 2", names)
    machine = object()
    import sklearn

    def uses_an_object(x: Tensor) -> Tensor:
        return x * 2 if machine is not None else x

    def uses_a_package(x: Tensor) -> Tensor:
        return x * 2 if sklearn else x

    return [
        pytest.param(names["typed"], "source is not available", id="without source"),
        pytest.param(uses_an_object, "machine, a value of type object that no expression makes", id="an object"),
        pytest.param(uses_a_package, "the module sklearn", id="another package"),
    ]


@pytest.mark.parametrize(("function", "why"), refused_ops())
def test_what_cannot_be_written_out_is_refused_by_name(function: Any, why: str, tmp_path: Path) -> None:
    op = tm.primitive(rrule=(lambda g, y, x: g * 2,), name="twice")(function)
    compiled = tm.compile(tm.grad(lambda x: np.sum(op(x) ** 2)), engine="numpy")
    x = np.array([1.0, 2.0])
    np.testing.assert_array_equal(compiled(x), 8 * x)
    with pytest.raises(tm.ArgumentError, match=f"the op twice cannot be written out: .*{why}"):
        compiled.source(x)
    with pytest.raises(tm.ArgumentError, match="twice"):
        compiled.save(tmp_path / "program.py", x)
    assert not (tmp_path / "program.py").exists()


def test_trees_that_python_has_no_expression_for_are_refused() -> None:
    with pytest.raises(tm.ArgumentError, match="deque"):
        tm.compile(lambda x: collections.deque([x, x]), engine="numpy").source(1.0)
    with pytest.raises(tm.ArgumentError, match="deque"):
        tm.compile(lambda xs: xs[0], engine="numpy").source(collections.deque([1.0]))
    key = decimal.Decimal(1)
    with pytest.raises(tm.ArgumentError, match="key"):
        tm.compile(lambda x: {key: x}, engine="numpy").source(1.0)


def test_a_program_hides_nothing_that_it_uses(monkeypatch: pytest.MonkeyPatch) -> None:
    def f(np: Any, abs: Any, sin: Any, f: Any) -> Any:
        return np + abs + sin + f

    text = tm.compile(f, engine="numpy").source(1.0, 2.0, 3.0, 4.0)
    assert entry_of(text, monkeypatch)(1.0, 2.0, 3.0, 4.0) == 10
    with pytest.raises(tm.ArgumentError, match="'np' hides"):
        tm.compile(lambda np: tm.sin(np), engine="numpy").source(1.0)
    with pytest.raises(tm.ArgumentError, match="'abs' hides"):
        tm.compile(lambda abs: -tm.abs(abs), engine="numpy").source(1.0)


def test_a_check_of_values_in_a_users_op_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    def require_positive(x: Any) -> None:
        if np.any(x <= 0):
            raise tm.ArgumentError("not positive")

    @tm.primitive(rrule=(lambda g, y, x: g / x,))
    def logarithm(x: Tensor) -> Tensor:
        require_positive(x)
        return np.log(x)

    text = tm.compile(lambda x: logarithm(x), engine="numpy").source(np.ones(2))
    entry = entry_of(text, monkeypatch)
    np.testing.assert_array_equal(entry(np.ones(2)), np.zeros(2))
    with pytest.raises(ValueError, match="not positive"):
        entry(np.zeros(2))


def test_a_users_class_is_written_with_its_decorator(monkeypatch: pytest.MonkeyPatch) -> None:
    compiled = tm.compile(lambda x: Frozen(again=x, rest=-x), engine="numpy")
    made = entry_of(compiled.source(1.0), monkeypatch)(1.0)
    assert (made.again, made.rest) == (1.0, -1.0)
    with pytest.raises(dataclasses.FrozenInstanceError):
        made.rest = 1
