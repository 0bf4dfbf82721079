"""shaped: consistent arguments from annotations of every kind, which shrink to something small."""

from __future__ import annotations

import functools
import sys
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import HealthCheck, find, given, settings
from jaxtyping import Bool, Complex64, Float, Float16, Float32, Int, Num, Shaped, UInt8

import tapem as tm
from tapem.testing import MissingExtraError, shaped
from tapem.types.signature import Signature

T = np.ndarray
quick = settings(max_examples=60, database=None, deadline=None, suppress_health_check=list(HealthCheck))


def linear(weight: Float[T, "out in"], bias: Float[T, "out"], x: Float[T, "*batch in"]) -> Float[T, "*batch out"]:
    return x @ weight.T + bias


def broadcast(a: Float[T, "*#shape"], b: Float[T, "*#shape"], c: Float[T, "#n m"]) -> None: ...
def fixed(a: Float[T, "3 2"], b: Float[T, ""], c: Float[T, "n 3 n"]) -> None: ...
def symbolic(a: Float[T, "n"], b: Float[T, "2*n"], c: Float[T, "m n"], d: Float[T, "n+m m-1"]) -> None: ...
def anonymous(a: Float[T, "_ n"], b: Float[T, "... n"], c: Float[T, "*_ n"], d: Float[T, "rows=4 n"]) -> None: ...
def dtypes(a: Int[T, "n"], b: Bool[T, "n"], c: Float32[T, "n"], d: UInt8[T, "n"], e: Complex64[T, "n"]) -> None: ...
def open_dtypes(a: Shaped[T, "n"], b: Num[T, "n"], c: Float16[T, "n"]) -> None: ...
def optional(x: Float[T, "n"], mask: Bool[T, "n"] | None = None) -> None: ...
def union(x: Float[T, "n"] | Int[T, "n n"], y: Float[T, "n"]) -> None: ...
def variadic(first: Float[T, "n"], *rest: Float[T, "n m"]) -> None: ...
def heads(w: Float[T, "d"], x: Float[T, "n {count}*d"], count: int = 2) -> None: ...
def plain_arrays(x: T, y: Float[T, "n"]) -> None: ...
def middle(x: Float[T, "a *batch b"], y: Float[T, "*batch"]) -> None: ...


CASES = [
    linear,
    broadcast,
    fixed,
    symbolic,
    anonymous,
    dtypes,
    open_dtypes,
    optional,
    union,
    variadic,
    heads,
    plain_arrays,
    middle,
]


@pytest.mark.parametrize("function", CASES, ids=lambda f: f.__name__)
def test_what_is_drawn_satisfies_the_annotations(function: Any) -> None:
    """jaxtyping itself is the judge, through the signature that ops are checked with."""
    signature = Signature.of(function)

    @quick
    @given(shaped(function))
    def check(arguments: tuple[Any, ...]) -> None:
        assert type(arguments) is tuple
        signature.verify(arguments)

    check()


def test_axes_are_the_same_wherever_they_stand() -> None:
    @quick
    @given(shaped(linear))
    def check(arguments: Any) -> None:
        weight, bias, x = arguments
        assert linear(weight, bias, x).shape == (*x.shape[:-1], len(bias))
        assert len({array.dtype for array in arguments}) == 1

    check()


def drawn(function: Any, wanted: Any, **options: Any) -> Any:
    options = {"max_side": 3, "max_axes": 3, **options}
    return find(shaped(function, **options), wanted, settings=settings(max_examples=1000, database=None))


@pytest.mark.parametrize(
    ("function", "wanted"),
    [
        (linear, lambda a: a[2].ndim == 1),
        (linear, lambda a: a[2].ndim == 4),
        (linear, lambda a: a[0].shape[0] != a[0].shape[1]),
        (linear, lambda a: a[0].dtype == np.float32),
        (broadcast, lambda a: a[0].ndim < a[1].ndim),
        (broadcast, lambda a: a[0].ndim == 2 and a[0].shape != a[1].shape and a[1].size > 1),
        (broadcast, lambda a: a[2].shape == (1, 2)),
        (optional, lambda a: a[1] is None),
        (optional, lambda a: a[1] is not None and a[1].any()),
        (union, lambda a: a[0].ndim == 2),
        (variadic, lambda a: len(a) == 4),
        (open_dtypes, lambda a: a[0].dtype == np.int64),
    ],
)
def test_the_variety_is_there(function: Any, wanted: Any) -> None:
    assert wanted(drawn(function, wanted))


def test_examples_shrink_to_something_small() -> None:
    weight, bias, x = drawn(linear, lambda a: a[2].ndim >= 2 and a[0].shape[1] >= 2)
    assert weight.shape == (1, 2) and bias.shape == (1,) and x.shape == (1, 2)
    assert not weight.any() and not bias.any() and not x.any()
    a, b, c = drawn(broadcast, lambda a: a[0].ndim >= 2)
    assert a.shape == b.shape == (1, 1) and c.shape == (1, 1)
    weight, _, _ = drawn(linear, lambda a: (a[0] > 1).any())
    assert weight.tolist() == [[2.0]] or weight.max() <= 2
    assert weight.dtype == np.float64


def test_sizes_and_axes_are_bounded() -> None:
    @quick
    @given(shaped(linear, min_side=2, max_side=3, max_axes=1))
    def check(arguments: Any) -> None:
        assert {size for array in arguments for size in array.shape} <= {2, 3}
        assert arguments[2].ndim <= 2

    check()
    assert drawn(linear, lambda a: a[0].size == 0, min_side=0)[0].size == 0


def test_elements_and_dtypes_can_be_chosen() -> None:
    def labeled(logits: Float[T, "n classes"], labels: Int[T, "n"]) -> None: ...

    options = {
        "elements": {"logits": st.floats(5, 6), "labels": lambda axes: st.integers(0, axes["classes"] - 1)},
        "dtypes": [np.float64, np.int32],
    }

    @quick
    @given(shaped(labeled, **options))
    def check(arguments: Any) -> None:
        logits, labels = arguments
        assert logits.dtype == np.float64 and labels.dtype == np.int32
        assert ((logits >= 5) & (logits <= 6)).all() and (labels < logits.shape[1]).all()

    check()


def test_ops_and_unannotated_functions() -> None:
    @quick
    @given(shaped(tm.mul), shaped(tm.matmul), shaped(lambda x, y: x + y))
    def check(a: Any, b: Any, c: Any) -> None:
        tm.mul(*a)
        assert len(b) == 2
        np.add(*c)

    check()


def test_a_static_size_can_be_given() -> None:
    @quick
    @given(shaped(heads, static={"count": 3}))
    def check(arguments: Any) -> None:
        assert arguments[1].shape[1] == 3 * len(arguments[0])

    check()


@pytest.mark.parametrize(
    ("function", "options", "message"),
    [
        (lambda: None, {}, "has no parameter annotated as a tensor"),
        (linear, {"min_side": 3, "max_side": 2}, "min_side=3 must be between 0 and max_side=2"),
    ],
)
def test_bad_input(function: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(tm.ArgumentError, match=message):
        shaped(function, **options)


def test_a_parameter_that_stands_in_the_way() -> None:
    def late(axis: int, x: Float[T, "n"]) -> None: ...

    with pytest.raises(tm.ArgumentError, match=r"takes axis: .*int.* before its tensor 'x'; close over it"):
        shaped(late)

    @quick
    @given(shaped(functools.partial(late, 0)))
    def check(arguments: Any) -> None:
        assert len(arguments) == 1

    check()


def test_without_hypothesis_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "hypothesis", None)
    for call in (lambda: shaped(linear), lambda: tm.testing.check_op(tm.sin)):
        with pytest.raises(MissingExtraError, match=r"pip install 'tapem\[test\]'") as caught:
            call()
        assert isinstance(caught.value, ImportError)
