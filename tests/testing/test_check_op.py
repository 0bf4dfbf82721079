"""check_op: one line finds the bug in a user's op, and shows the smallest example of it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import settings
from hypothesis.database import InMemoryExampleDatabase
from jaxtyping import Float, Float32, Float64, Int
from scipy import special

import tapem as tm
from tapem.testing import GradientMismatch, check_op, rule_report

Rows = Float[tm.Tensor, "*batch n"]


def standardized(rrule: Any) -> Any:
    """An op as a user would write it: rows shifted to mean zero and scaled to length one."""

    def frule(t: Any, y: Any, norm: Any, x: Any) -> Any:
        t = t - np.mean(t, axis=-1, keepdims=True)
        return (t - y * np.sum(y * t, axis=-1, keepdims=True)) / norm

    @tm.primitive(rrule=(rrule,), frule=(frule,), residuals=True)
    def standardize(x: Rows) -> Rows:
        centered = x - np.mean(x, axis=-1, keepdims=True)
        norm = np.sqrt(np.sum(centered**2, axis=-1, keepdims=True) + 1e-3)
        return centered / norm, norm  # type: ignore[return-value]

    return standardize


def right_rule(g: Any, y: Any, norm: Any, x: Any) -> Any:
    g = (g - y * np.sum(y * g, axis=-1, keepdims=True)) / norm
    return g - np.mean(g, axis=-1, keepdims=True)


def test_a_right_op_passes() -> None:
    check_op(standardized(right_rule), max_examples=15, seed=1)


def test_the_mean_over_the_wrong_axis_is_found_and_shrunk() -> None:
    """With one row it is right; with several, the mean is taken over all of them."""

    def wrong_rule(g: Any, y: Any, norm: Any, x: Any) -> Any:
        g = (g - y * np.sum(y * g, axis=-1, keepdims=True)) / norm
        return g - np.mean(g)

    with pytest.raises(GradientMismatch) as caught:
        check_op(standardized(wrong_rule), max_examples=50, seed=1)
    text = str(caught.value)
    assert "standardize(x):" in text and "reverse mode: argument x[" in text
    assert "the smallest example that fails:" in text
    assert "float64[2, 1]" in text or "float64[2, 2]" in text


def test_a_bug_that_needs_two_elements() -> None:
    @tm.primitive(rrule=(lambda g, y, x: g[::-1] * 2 * x,), frule=(lambda t, y, x: 2 * x * t,))
    def my_square(x: Float[tm.Tensor, "n"]) -> Float[tm.Tensor, "n"]:
        return x**2

    with pytest.raises(GradientMismatch, match=r"float64\[2\]"):
        check_op(my_square, seed=0)


def test_a_plain_function_of_ops_and_its_return_annotation() -> None:
    def attention(q: Float[tm.Tensor, "n d"], k: Float[tm.Tensor, "m d"]) -> Float[tm.Tensor, "n m"]:
        return tm.softmax(q @ k.T)

    check_op(attention, max_examples=5, seed=0)

    def wrong(q: Float[tm.Tensor, "n d"], k: Float[tm.Tensor, "m d"]) -> Float[tm.Tensor, "m n"]:
        return q @ k.T

    with pytest.raises(tm.ShapeError, match="the inputs fit: the op or its return annotation is wrong"):
        check_op(wrong, max_examples=50)


def test_elements_statics_and_preparation() -> None:
    def lookup(table: Float[tm.Tensor, "n d"], ids: Int[tm.Tensor, "k"], axis: int) -> Float[tm.Tensor, "..."]:
        return tm.take(table, ids, axis=axis)

    check_op(
        lookup,
        elements={"ids": lambda axes: st.integers(0, min(axes["n"], axes["d"]) - 1), "table": st.floats(-2, 2)},
        axis=st.sampled_from([0, 1]),
        max_examples=10,
    )
    check_op(
        tm.cholesky,
        prepare=lambda a: (a @ np.swapaxes(a, -1, -2) + 2 * np.eye(a.shape[-1]),),
        max_examples=5,
        max_side=2,
    )


@pytest.mark.parametrize("op", [tm.sin, tm.mul, tm.div, tm.square, tm.tanh, tm.sum, tm.log], ids=lambda op: op.name)
def test_ops_of_the_library(op: Any) -> None:
    check_op(op, max_examples=8, seed=0)


def test_the_numbers_avoid_kinks_and_ties() -> None:
    for op in (tm.relu, tm.abs, tm.maximum, tm.max, tm.sort):
        check_op(op, max_examples=10)


def my_square_with(rrule: Any, frule: Any = None, annotation: Any = Float[tm.Tensor, "n"]) -> Any:
    right = lambda t, y, x: 2 * x * t  # noqa: E731

    def my_square(x: Any) -> Any:
        return x**2

    my_square.__annotations__ = {"x": annotation, "return": annotation}
    return tm.primitive(rrule=(rrule,), frule=(frule or right,))(my_square)


def right(g: Any, y: Any, x: Any) -> Any:
    return 2 * x * g


def wrong(g: Any, y: Any, x: Any) -> Any:
    return 3 * x * g


def in_band(g: Any, y: Any, x: Any) -> Any:
    """Wrong by one percent, where 3.0 < x < 3.6."""
    return 2 * x * g * np.where((x > 3.0) & (x < 3.6), 1.01, 1.0).astype(x.dtype)


def message(op: Any, **options: Any) -> str:
    with pytest.raises(GradientMismatch) as caught:
        check_op(op, **options)
    return str(caught.value)


@pytest.fixture
def fresh() -> Iterator[None]:
    """A profile of Hypothesis' that knows nothing of earlier runs; the one before comes back."""
    before = settings.get_current_profile_name()
    settings.register_profile("fresh", database=None, derandomize=False)
    settings.load_profile("fresh")
    yield
    settings.load_profile(before)


def load(**options: Any) -> None:
    settings.register_profile("of a test", **options)
    settings.load_profile("of a test")


@pytest.mark.parametrize("annotation", [Float[tm.Tensor, ""], Float[tm.Tensor, "n"]], ids=["scalar", "vector"])
@pytest.mark.parametrize("mode", ["rev", "fwd"])
def test_a_rule_that_is_wrong_in_a_narrow_band_is_found(annotation: Any, mode: str, fresh: None) -> None:
    op = my_square_with(*((in_band, None) if mode == "rev" else (right, in_band)), annotation)
    found = 0
    for seed in range(6):
        try:
            check_op(op, seed=seed)
        except GradientMismatch as error:
            assert re.search(r"x = .*\b3\.[0-5]", str(error))
            found += 1
    assert found >= 5  # about 99 of 100 runs find it


def test_a_failure_names_the_calls_that_repeat_it(fresh: None) -> None:
    op = my_square_with(wrong)
    text = message(op)
    [run] = re.findall(r"^  the same again: (check_op\(my_square, seed=\d+\))$", text, re.MULTILINE)
    [example] = re.findall(r"^  this example again: (rule_report\(my_square, .*\))$", text, re.MULTILINE)
    scope: dict[str, Any] = {"check_op": check_op, "rule_report": rule_report, "my_square": op, "np": np}
    with pytest.raises(GradientMismatch) as caught:
        eval(run, scope)
    assert str(caught.value) == text
    assert eval(example, scope).findings == caught.value.findings
    assert message(op) != text


def test_the_call_has_all_that_was_asked_for(fresh: None) -> None:
    op = my_square_with(wrong)
    options = {"modes": ("rev",), "order": 1, "batch": False, "dtypes": [np.float32], "max_side": 2, "rtol": 0.01}
    text = message(op, **options, prepare=lambda x: (x,), seed=4)
    call = "modes=('rev',), order=1, batch=False, rtol=0.01"
    assert f"the same again: check_op(my_square, dtypes=[np.float32], {call}, prepare=..., max_side=2, seed=4)" in text
    assert re.search(r"rule_report\(my_square, \[np.array\(\[.*\], dtype=np.float32\)\], dtypes=\[np.float32\], ", text)


def test_other_errors_name_the_call_too() -> None:
    def fails(x: Float[tm.Tensor, "n"]) -> Any:
        raise RuntimeError("no")

    with pytest.raises(RuntimeError) as caught:
        check_op(fails, seed=3, max_examples=2)
    assert "the same again: check_op(fails, max_examples=2, seed=3)" in caught.value.__notes__


def test_the_profile_says_how_many_examples_there_are(fresh: None) -> None:
    calls: list[Any] = []

    def count(x: Float[tm.Tensor, "n"]) -> tuple[Any, ...]:
        calls.append(x)
        return (x,)

    for options, number in (({}, 7), ({"max_examples": 3}, 3)):
        load(max_examples=7, database=None)
        calls.clear()
        check_op(tm.sin, prepare=count, seed=0, order=1, batch=False, **options)
        assert len(calls) == number


def test_the_database_of_the_profile_remembers_what_failed(fresh: None) -> None:
    database = InMemoryExampleDatabase()
    load(database=database)
    op, other = my_square_with(in_band), tm.primitive(name="other")(my_square_with(right).implementation)
    text = message(op, seed=0)
    assert list(database.data)
    for seed in range(3):  # one example only, and it is the one that failed
        assert text.split("  the same")[0] == message(op, seed=seed, max_examples=1).split("  the same")[0]
    known = set(database.data)
    check_op(tm.defrrule(tm.deffrule(other, right), right), max_examples=2, seed=0)
    assert set(database.data) == known
    load(database=None)
    check_op(op, seed=0, max_examples=1)


def test_a_profile_without_chance_repeats_itself(fresh: None) -> None:
    load(derandomize=True, database=None)
    assert message(my_square_with(wrong)) == message(my_square_with(wrong))


def test_the_seed_of_pytest_is_taken(fresh: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hypothesis.core.global_force_seed", 17)
    assert "check_op(my_square, seed=17)" in message(my_square_with(wrong))
    assert "check_op(my_square, seed=3)" in message(my_square_with(wrong), seed=3)


def solve(a: Float[tm.Tensor, "n n"], b: Float[tm.Tensor, "n"]) -> Float[tm.Tensor, "n"]:
    return np.linalg.solve(a + 20 * np.eye(len(a), dtype=a.dtype), b)


def of_doubles(x: Float64[tm.Tensor, "n"]) -> Float64[tm.Tensor, "n"]:
    return np.sin(x)


def of_singles(x: Float32[tm.Tensor, "n"]) -> Float32[tm.Tensor, "n"]:
    return np.sin(x)


def positive(x: Any) -> tuple[Any, ...]:
    return (np.abs(x) + 1,)


def slope_of_struve(x: Any) -> Any:
    # It has no rule, so that it cannot be differentiated again.
    return (2 / np.pi - special.struve(1.0, x)).astype(x.dtype)


@tm.primitive(rrule=(lambda g, y, x: g * slope_of_struve(x),), frule=(lambda t, y, x: t * slope_of_struve(x),))
def struve(x: Float[tm.Tensor, "n"]) -> Float[tm.Tensor, "n"]:
    return special.struve(0.0, x).astype(x.dtype)  # which SciPy computes in float64


@pytest.mark.parametrize("function", [solve, of_doubles, of_singles], ids=lambda f: f.__name__)
def test_dtypes_that_are_refused_or_not_allowed_are_no_finding(function: Any) -> None:
    check_op(function, max_examples=10, seed=0)


def test_a_rule_of_scipys_is_checked_as_far_as_it_goes() -> None:
    check_op(struve, prepare=positive, order=1, batch=False, max_examples=10, seed=0)
    with pytest.raises(GradientMismatch, match="struve has no rule"):
        check_op(struve, prepare=positive, max_examples=2, seed=0)
    off = tm.primitive(rrule=(lambda g, y, x: g * slope_of_struve(x + 1),), name="off")(struve.implementation)
    with pytest.raises(GradientMismatch, match="reverse mode: argument x"):
        check_op(off, prepare=positive, order=1, batch=False, max_examples=2, seed=0)


@pytest.mark.parametrize("dtypes", [[np.float32], ["float64", "float32"], [np.float64, np.float16], None])
def test_the_dtypes_that_are_asked_for_are_tried(dtypes: Any) -> None:
    tried: set[Any] = set()

    def spy(x: Float[tm.Tensor, "n"]) -> Float[tm.Tensor, "n"]:
        tried.add(np.asarray(x).dtype if isinstance(x, np.ndarray) else None)
        return np.sin(x)

    check_op(spy, dtypes=dtypes, max_examples=3, seed=0)
    asked = ["float64", "float32", "float16"] if dtypes is None else dtypes
    assert tried - {None} == set(map(np.dtype, asked))


def wrong_in(dtype: Any) -> Any:
    return my_square_with(lambda g, y, x: 2 * x * g * (3 if x.dtype == dtype else 1))


def test_a_fault_of_one_dtype_is_found_there() -> None:
    for dtype in (np.float32, np.float16):
        check_op(wrong_in(dtype), dtypes=[np.float64], max_examples=3, seed=0)
        for dtypes in (None, [np.float64, dtype]):
            with pytest.raises(GradientMismatch, match=f"{np.dtype(dtype)}: expected"):
                check_op(wrong_in(dtype), dtypes=dtypes, max_examples=5, seed=0)


def wrong_batch(op: Any, size: int, inputs: Any, mapped: Any, static: Any) -> Any:
    return op(inputs[0]) * 1.01


@pytest.mark.parametrize(
    ("op", "leaving_out"),
    [
        (my_square_with(wrong), {"modes": ("fwd",)}),
        (my_square_with(right, lambda t, y, x: 3 * x * t), {"modes": ["rev"]}),
        (my_square_with(lambda g, y, x: 2 * tm.detach(x) * g), {"order": 1}),
        (tm.defbatch(my_square_with(right, annotation=Float[tm.Tensor, "..."]), wrong_batch), {"batch": False}),
    ],
    ids=["modes=fwd", "modes=rev", "order", "batch"],
)
def test_what_is_left_out_is_not_checked_and_all_else_is(op: Any, leaving_out: dict[str, Any]) -> None:
    with pytest.raises(GradientMismatch):
        check_op(op, max_examples=5, seed=0)
    check_op(op, max_examples=5, seed=0, **leaving_out)


def test_a_mode_that_there_is_not() -> None:
    with pytest.raises(tm.ArgumentError, match="check_op: modes='forward' must hold 'fwd' and 'rev'"):
        check_op(tm.sin, modes="forward")


def test_a_function_without_annotations() -> None:
    check_op(lambda x, y: np.sin(x) * y, max_examples=3, seed=0)

    def model(params, x):
        return params["w"] * x

    with pytest.raises(tm.ArgumentError) as caught:
        check_op(model, max_examples=3, seed=0)
    text = str(caught.value)
    assert "model(params, x) has no annotations, so arrays that broadcast together were drawn" in text
    assert "for params of shape (), x of shape () it raised IndexError" in text
    assert "Annotate its parameters, as in params: Float[tm.Tensor, 'n m']" in text


@dataclass
class Params:
    w: Any


@pytest.mark.parametrize(
    "tree", [dict[str, Any], list[Float[tm.Tensor, "n"]], tuple[Any, ...], Mapping[str, Any], Params]
)
@pytest.mark.parametrize("first", [True, False])
def test_a_tree_as_a_parameter(tree: Any, first: bool) -> None:
    def model(p: Any, q: Any) -> Any: ...

    vector = Float[tm.Tensor, "n"]
    model.__annotations__ = {"p": tree, "q": vector} if first else {"p": vector, "q": tree}
    name = "p" if first else "q"
    with pytest.raises(
        tm.ArgumentError, match=rf"model takes {name}: .*, which is a tree; .*check_grads\(model, \({name}, "
    ):
        check_op(model)
