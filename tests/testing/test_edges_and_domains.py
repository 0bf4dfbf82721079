"""Inputs that matter: shaped draws edges of every kind, and arrays in the domain that a function has."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, find, given, settings
from hypothesis.errors import NoSuchExample
from jaxtyping import Bool, Complex, Float, Inexact, Int, Num

import tapem as tm
from tapem.testing import check_op, shaped
from tapem.testing.domains import DOMAINS
from tapem.testing.edges import EDGES, LAYOUTS
from tapem.testing.replay import exact_text
from tapem.types.signature import Signature

T = np.ndarray
quick = settings(max_examples=60, database=None, deadline=None, suppress_health_check=list(HealthCheck))


def matrix(x: Float[T, "n m"], y: Float[T, "n m"]) -> Float[T, "n m"]:
    return x + y


def square(x: Inexact[T, "*b n n"]) -> Inexact[T, "*b n n"]:
    return x


def vector(x: Float[T, "*b n"]) -> Float[T, "*b n"]:
    return x


def numbers(x: Num[T, "n"], mask: Bool[T, "n"], labels: Int[T, "n"]) -> None: ...


def found(function: Any, wanted: Any, **options: Any) -> Any:
    return find(
        shaped(function, **options),
        wanted,
        settings=settings(max_examples=4000, database=None, phases=[Phase.generate]),
    )


# What each edge looks like, wherever it came from.
SIGHTS: dict[str, Any] = {
    "ties": lambda x: x.size > 3 and len(np.unique(x)) < x.size and not np.any(x == 0),
    "zeros": lambda x: np.any((x == 0) & np.signbit(x)) and np.any((x == 0) & ~np.signbit(x)),
    "subnormal": lambda x: np.any((x != 0) & (np.abs(x) < np.finfo(x.dtype).tiny)),
    "tiny": lambda x: np.any((np.abs(x) >= np.finfo(x.dtype).tiny) & (np.abs(x) < 1e3 * np.finfo(x.dtype).tiny)),
    "large": lambda x: np.any(np.abs(x) > np.finfo(x.dtype).max / 1e3),
    "fortran": lambda x: x.flags.f_contiguous and not x.flags.c_contiguous,
    "strides": lambda x: x.size > 1 and any(stride < 0 for stride in x.strides),
    "read-only": lambda x: not x.flags.writeable,
    "non-native": lambda x: not x.dtype.isnative,
    "empty": lambda x: x.size == 0,
}


@pytest.mark.parametrize("edge", EDGES)
def test_every_edge_is_drawn(edge: str) -> None:
    """In one argument, beside ordinary numbers in the other; and not where others are asked for."""
    found(matrix, lambda a: SIGHTS[edge](a[0]), edges=True)
    found(matrix, lambda a: SIGHTS[edge](a[0]), edges=[edge])
    if edge not in ("ties", "zeros", "subnormal", "tiny"):  # Hypothesis likes those by itself
        with pytest.raises(NoSuchExample):
            find(shaped(matrix, edges=False), lambda a: SIGHTS[edge](a[0]), settings=settings(max_examples=100))


def test_every_edge_has_a_sight() -> None:
    assert SIGHTS.keys() == set(EDGES)


def test_ties_across_arguments() -> None:
    found(matrix, lambda a: a[0].size > 3 and np.any((a[0] == a[1]) & (a[0] > 1)), edges=["ties"])


@pytest.mark.parametrize("function", [matrix, square, vector, numbers], ids=lambda f: f.__name__)
def test_edges_satisfy_the_annotations(function: Any) -> None:
    signature = Signature.of(function)

    @quick
    @given(shaped(function, edges=[edge for edge in EDGES if edge != "non-native"]))
    def check(arguments: tuple[Any, ...]) -> None:
        assert all(isinstance(x, np.ndarray) for x in arguments)
        signature.verify(arguments)

    check()


def test_integers_are_drawn_where_they_are_allowed() -> None:
    for kind in "ifc":
        assert found(numbers, lambda a, kind=kind: a[0].dtype.kind == kind)[0].size
    with pytest.raises(NoSuchExample):
        find(shaped(matrix), lambda a: a[0].dtype.kind != "f", settings=settings(max_examples=200, database=None))


def test_by_default_nothing_overflows() -> None:
    @quick
    @given(shaped(matrix))
    def check(arguments: tuple[Any, ...]) -> None:
        for x in arguments:
            assert x.size and x.dtype.isnative and np.all(np.abs(x) <= 5)

    check()


def test_what_edges_shrink_to() -> None:
    """No layout stays where it does not matter."""
    edges = [edge for edge in EDGES if edge != "empty"]
    x, _ = find(shaped(matrix, edges=edges), lambda a: True, settings=settings(database=None))
    assert x.shape == (1, 1) and x.flags.writeable and x == 0


# Domains -------------------------------------------------------------------------------------------------------------


def of_probabilities(x: Any) -> bool:
    return bool(np.all(x > 0) and np.allclose(x.sum(-1), 1, rtol=1e-5))


def orthonormal(x: Any) -> bool:
    wide = np.swapaxes(x, -1, -2) if x.shape[-1] > x.shape[-2] else x
    return np.allclose(np.conj(np.swapaxes(wide, -1, -2)) @ wide, np.eye(wide.shape[-1]), atol=1e-5)


# NumPy says whether an array is in a domain.
JUDGES: dict[str, Any] = {
    "positive": lambda x: np.all(x > 0),
    "unit interval": lambda x: np.all((x > 0) & (x < 1)),
    "invertible": lambda x: np.all(np.linalg.cond(x) < 100),
    "positive definite": lambda x: np.all(np.linalg.eigvalsh(x) > 0.1) and np.all(x == np.conj(np.swapaxes(x, -1, -2))),
    "orthogonal": orthonormal,
    "probabilities": of_probabilities,
    "sorted": lambda x: np.all(np.diff(x, axis=-1) >= 0),
    "away from kinks": lambda x: np.unique(x.real).size == x.size and np.all(np.abs(x.real - np.round(x.real)) > 0.01),
}


@pytest.mark.parametrize("domain", DOMAINS)
def test_every_domain_is_kept(domain: str) -> None:
    kinds: set[str] = set()

    @settings(quick, max_examples=100)
    @given(shaped(square, domain=domain, max_side=3, max_axes=1))
    def check(arguments: tuple[Any, ...]) -> None:
        [x] = arguments
        kinds.add(x.dtype.name)
        Signature.of(square).verify(arguments)
        assert JUDGES[domain](x), x

    check()
    assert JUDGES.keys() == DOMAINS.keys()
    real = domain in ("positive", "unit interval", "probabilities", "sorted")
    assert kinds == {"float64", "float32"} | (set() if real else {"complex128", "complex64"})


def test_invertible_matrices_have_determinants_of_both_signs() -> None:
    for sign in (-1, 1):
        found(square, lambda a, sign=sign: a[0].ndim == 2 and np.linalg.det(a[0]).real * sign > 0, domain="invertible")


def test_wide_and_tall_matrices_are_orthogonal() -> None:
    for wanted in (lambda x: x.shape[0] > x.shape[1] > 1, lambda x: x.shape[1] > x.shape[0] > 1):
        (x, y) = found(matrix, lambda a, wanted=wanted: wanted(a[0]), domain={"x": "orthogonal"})
        assert orthonormal(x) and not orthonormal(y)


def test_domains_of_some_parameters_and_of_users() -> None:
    @quick
    @given(shaped(numbers, domain={"labels": "positive", "x": lambda x: x * 0 + 7}))
    def check(arguments: tuple[Any, ...]) -> None:
        x, _, labels = arguments
        assert np.all(x == 7) and np.all(labels >= 1)

    check()


@pytest.mark.parametrize(
    ("function", "options", "said"),
    [
        (matrix, {"domain": "postive"}, "the domain 'postive' must be a function of an array, or positive, unit int"),
        (matrix, {"domain": {"z": "positive"}}, "domain has 'z', but the tensors of this function are x, y"),
        (matrix, {"domain": "invertible"}, "the domain 'invertible' needs square matrices in its last two axes, as in"),
        (vector, {"domain": "orthogonal"}, "the domain 'orthogonal' needs more axes, but x was drawn in the shape"),
        (numbers, {"domain": {"mask": "positive"}}, "no bool is in the domain 'positive'; mask must be of floats"),
        (numbers, {"domain": {"labels": "invertible"}}, "the domain 'invertible' needs square matrices"),
        (matrix, {"edges": ["larg"]}, "edges=['larg'] must be True, False, or a list of ties, zeros, subnormal"),
        (matrix, {"edges": -1}, "edges=-1 must be True, False, or a list of"),
        (matrix, {"edges": "large"}, "edges='large' must be True, False, or a list of"),
    ],
)
def test_bad_input(function: Any, options: dict[str, Any], said: str) -> None:
    with pytest.raises(tm.TapeError) as caught:
        found(function, lambda a: a[0].shape == (2, 3), **options)
    assert said in str(caught.value)


def test_a_complex_array_has_no_order() -> None:
    def of_complex(z: Complex[T, "n"]) -> None: ...

    with pytest.raises(tm.TapeError, match="the domain 'sorted' holds no complex numbers, but z was drawn as complex"):
        found(of_complex, lambda a: True, domain="sorted")


# check_op ------------------------------------------------------------------------------------------------------------


def log_det(x: Float[T, "n n"]) -> Float[T, ""]:
    return np.log(np.linalg.det(x))


def test_check_op_draws_in_a_domain() -> None:
    check_op(log_det, domain="positive definite", max_examples=15, seed=0)
    check_op(tm.log, domain="positive", max_examples=15, seed=0)
    check_op(tm.arcsin, domain="unit interval", max_examples=15, seed=0, dtypes=[np.float64])


def test_a_domain_that_the_function_leaves() -> None:
    with pytest.raises(tm.TapeError) as caught:
        check_op(log_det, domain="invertible", max_examples=60, seed=0)
    text = str(caught.value)
    assert text.startswith(
        "check_op: log_det leaves its domain 'invertible': its value is not finite at x = np.array([["
    )
    assert "Give a domain, elements or a prepare in which it is." in text


def test_a_function_that_takes_nothing_that_is_drawn() -> None:
    def never(x: Float[T, "n"]) -> Float[T, "n"]:
        return x * np.nan

    with pytest.raises(tm.TapeError) as caught:
        check_op(never, max_examples=10, seed=0)
    assert str(caught.value).startswith(
        "check_op: never refused nearly all that was drawn, or its value was not finite"
    )
    assert "Say what it takes: domain='positive'" in str(caught.value)


@pytest.mark.parametrize("layout", [name for name in LAYOUTS if name != "non-native"])
def test_texts_of_arrays_keep_the_layout(layout: str) -> None:
    x = LAYOUTS[layout](np.arange(6.0).reshape(2, 3))
    again = eval(exact_text(x), {"np": np})
    np.testing.assert_array_equal(again, x)
    assert again.strides == x.strides


# Annotations that cannot be drawn ------------------------------------------------------------------------------------


def negative(x: Float[T, "n-9"]) -> None: ...
def half(x: Float[T, "n n/2"]) -> None: ...
def counted(x: Float[T, "n {count}*n"], count: int) -> Any: ...
def by_keyword(*, x: Float[T, "n"]) -> None: ...
def of_a_class(x: Float[T, "n"], y: type) -> Any: ...


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: found(negative, lambda a: True), "shaped: the axis 'n-9' has no size for axes of 1 to 4; choose them"),
        (
            lambda: found(counted, lambda a: True),
            "shaped: the axis '{count}*n' names the argument 'count', which has no",
        ),
        (
            lambda: shaped(by_keyword),
            "shaped: by_keyword takes its tensor 'x' by keyword only, but tensors are drawn by",
        ),
        (
            lambda: check_op(of_a_class),
            "check_op: of_a_class needs y, which cannot be drawn; give what it is, as in check",
        ),
        (lambda: check_op(counted), "check_op: counted needs count, which cannot be drawn; give what it is"),
    ],
)
def test_what_cannot_be_drawn_is_said(call: Any, said: str) -> None:
    with pytest.raises(tm.TapeError) as caught:
        call()
    assert str(caught.value).startswith(said)


def test_sizes_are_whole_and_not_negative() -> None:
    assert found(half, lambda a: a[0].shape[0] > 1)[0].shape[0] % 2 == 0
    assert found(negative, lambda a: True, max_side=12)[0].shape[0] <= 3
    assert found(counted, lambda a: True, static={"count": 3})[0].size
