"""Faults planted in rules for complex numbers: every checker finds a missing conjugate, a sign, a lost part."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import find, given, settings
from jaxtyping import Complex, Float, Inexact, Num

import tapem as tm
from tapem.testing import GradientMismatch, check_gradient, check_grads, check_op, check_rule, finite_diff, shaped
from tapem.testing.domains import separated

T = tm.Tensor
Z = np.array([0.7 + 1.2j, -1.1 + 0.4j, 0.3 - 0.8j])
X = np.array([0.7, -1.1, 0.3])


def op_with(
    function: Callable[..., Any], rrule: Any, frule: Any = None, *, of: Any = Complex, to: Any = Complex
) -> Any:
    """An op of one operand whose rules may be wrong."""

    def compute(z: Any) -> Any:
        return function(z)

    compute.__annotations__ = {"z": of[T, "*shape"], "return": to[T, "*shape"]}
    return tm.primitive(rrule=(rrule,), frule=(frule,))(compute)


def pushed(rule: Callable[..., Any]) -> Callable[..., Any]:
    """A rule of the forward mode of a real value: the real part of the derivative times the tangent."""
    return lambda t, y, z: np.real(rule(t, y, z))


def abs2(z: Any) -> Any:
    return (z * np.conj(z)).real


def cubed(z: Any) -> Any:
    return z**3


RIGHT: dict[str, tuple[Any, Any, Any, Any]] = {
    "abs2": (abs2, lambda g, y, z: 2 * g * np.conj(z), pushed(lambda t, y, z: 2 * t * np.conj(z)), Float),
    "cube": (cubed, lambda g, y, z: 3 * g * z**2, lambda t, y, z: 3 * t * z**2, Complex),
    "conj": (np.conj, lambda g, y, z: np.conj(g), lambda t, y, z: np.conj(t), Complex),
    "imag": (np.imag, lambda g, y, z: -1j * g, lambda t, y, z: np.imag(t), Float),
    "turn": (lambda z: 1j * z, lambda g, y, z: 1j * g, lambda t, y, z: 1j * t, Complex),
}
# Fault: the op, and its wrong rules for both modes.
WRONG: dict[str, tuple[str, Any, Any]] = {
    "no conjugate of a factor": ("abs2", lambda g, y, z: 2 * g * z, pushed(lambda t, y, z: 2 * t * z)),
    "no conjugate of the cotangent": ("conj", lambda g, y, z: g, lambda t, y, z: t),
    "a conjugate too much": ("cube", lambda g, y, z: 3 * g * np.conj(z**2), lambda t, y, z: 3 * t * np.conj(z**2)),
    "a hidden conjugation, as in torch": ("turn", lambda g, y, z: -1j * g, lambda t, y, z: -1j * t),
    "the other sign of the imaginary part": ("imag", lambda g, y, z: 1j * g, lambda t, y, z: -np.imag(t)),
    "a lost imaginary part": ("cube", lambda g, y, z: (3 * g * z**2).real + 0j, lambda t, y, z: 3 * t.real * z**2),
    "a lost part of the factor": ("cube", lambda g, y, z: 3 * g * (z**2).real, lambda t, y, z: 3 * t * (z**2).real),
    "parts exchanged": ("turn", lambda g, y, z: g, lambda t, y, z: t),
}  # fmt: skip


def right(name: str) -> Any:
    function, rrule, frule, to = RIGHT[name]
    return op_with(function, rrule, frule, to=to)


def real_function(op: Any) -> Callable[[Any], Any]:
    """A real function whose gradient shows the op's derivative in every direction."""
    return lambda z: np.sum((op(z) * np.array([1 + 0.3j, -0.4 + 1j, 0.6 - 0.2j])).real)


@pytest.mark.parametrize("name", RIGHT)
def test_right_rules_pass(name: str) -> None:
    op = right(name)
    check_rule(op, Z)
    check_grads(op, (Z,), order=2)
    check_op(op, max_examples=5, seed=0)
    assert check_gradient(real_function(op), Z)
    np.testing.assert_allclose(finite_diff(real_function(op), Z), tm.grad(real_function(op))(Z), atol=1e-6)


@pytest.mark.parametrize("fault", WRONG)
@pytest.mark.parametrize("mode", ["rev", "fwd"])
def test_wrong_rules_are_found(fault: str, mode: str) -> None:
    name, rrule, frule = WRONG[fault]
    function, right_rrule, right_frule, to = RIGHT[name]
    op = op_with(function, *((rrule, right_frule) if mode == "rev" else (right_rrule, frule)), to=to)
    for check in (
        lambda: check_rule(op, Z),
        lambda: check_grads(op, (Z,), order=1, modes=(mode,)),
        lambda: check_op(op, max_examples=5, seed=0),
        lambda: check_op(op, max_examples=5, seed=0, order=1, batch=False),
    ):
        with pytest.raises(GradientMismatch) as error:
            check()
        assert any(f.argument and f.argument.startswith(("z.", "z[")) for f in error.value.findings), error.value
    if mode == "rev":
        result = check_gradient(real_function(op), Z)
        assert not result and result.num_failed
        off = np.abs(finite_diff(real_function(op), Z) - tm.grad(real_function(op))(Z))
        assert off.max() > 0.1


@pytest.mark.parametrize("fault", WRONG)
def test_wrong_custom_rules_are_found(fault: str) -> None:
    name, rrule, frule = WRONG[fault]
    function, right_rrule, right_frule, _ = RIGHT[name]

    def by_vjp(rule: Any) -> Any:
        f = tm.custom_vjp(function)
        f.defvjp(lambda z: (function(z), z), lambda z, g: (rule(g, function(z), z),))
        return f

    def by_jvp(rule: Any) -> Any:
        f = tm.custom_jvp(function)
        f.defjvp(lambda primals, tangents: (function(*primals), rule(tangents[0], function(*primals), *primals)))
        return f

    for right_one, wrong in ((by_vjp(right_rrule), by_vjp(rrule)), (by_jvp(right_frule), by_jvp(frule))):
        check_grads(right_one, (Z,), order=2)
        assert check_gradient(real_function(right_one), Z)
        with pytest.raises(GradientMismatch):
            check_grads(wrong, (Z,), order=1)
        for method in ("central", "forward", "extrapolated"):
            assert not check_gradient(real_function(wrong), Z, method=method)


def test_a_rule_that_is_right_on_the_real_line_only() -> None:
    """abs2 without a conjugate is right for every real z: only complex points tell."""
    _, rrule, frule = WRONG["no conjugate of a factor"]
    op = op_with(abs2, rrule, frule, of=Inexact, to=Float)
    check_rule(op, X)
    with pytest.raises(GradientMismatch):
        check_rule(op, Z)
    with pytest.raises(GradientMismatch) as error:
        check_op(op, max_examples=20, seed=0)  # draws complex numbers, since the annotation allows them
    assert "z.imag" in str(error.value) or "z.real" in str(error.value)
    check_op(op, max_examples=20, seed=0, dtypes=[np.float64])
    wide = op_with(lambda z: np.real(z * np.conj(z)), rrule, frule, of=Num, to=Num)
    with pytest.raises(GradientMismatch):
        check_op(wide, max_examples=20, seed=0)


def test_the_complex_step_refuses_complex_points_in_words() -> None:
    for check in (
        lambda: finite_diff(lambda z: abs2(z).sum(), Z, method="complex"),
        lambda: check_gradient(lambda z: abs2(z).sum(), Z, method="complex"),
    ):
        with pytest.raises(tm.TapeError, match=r"(?s)steps into the complex plane from a real point.*extrapolated"):
            check()


# What is drawn --------------------------------------------------------------------------------------------------------


def several(a: Complex[T, "n"], b: Inexact[T, "n"], c: Num[T, "n"], d: tm.Num[T, "n"], e: Float[T, "n"]) -> None: ...


def test_complex_numbers_are_drawn_where_the_annotation_names_them() -> None:
    seen: list[set[str]] = [set() for _ in range(5)]

    @settings(max_examples=600, database=None, derandomize=True)
    @given(shaped(several))
    def draw(arguments: tuple[Any, ...]) -> None:
        for names, x in zip(seen, arguments, strict=True):
            names.add(x.dtype.name)
        inexact = [x for x in arguments if x.dtype.kind in "fc"]
        assert len({x.real.dtype for x in inexact}) == 1  # one precision for all
        assert all(np.abs(part).max(initial=0) <= 5 for x in inexact for part in (x.real, x.imag))

    draw()
    both = {"complex64", "complex128"}
    assert seen[0] == both
    assert seen[1] == {"float32", "float64", *both}
    assert seen[2] == seen[3] == {"float32", "float64", "int32", "int64", *both}
    assert seen[4] == {"float32", "float64"}


def test_the_precision_of_complex_numbers_may_be_chosen() -> None:
    single = find(shaped(several, dtypes=[np.float32, np.complex64]), lambda a: True)
    assert [x.dtype.name for x in single] == ["complex64", "float32", "float32", "float32", "float32"]
    wanted = shaped(several, dtypes=[np.float32, np.complex64])
    assert find(wanted, lambda a: a[1].dtype == np.complex64 and np.any(a[1].imag > 1))[1].dtype == np.complex64
    for function in (lambda a, b: None, tm.sin):
        drawn = find(shaped(function, dtypes=[np.complex128]), lambda a: True)
        assert drawn[0].dtype == complex


def test_elements_may_be_complex_strategies() -> None:
    import hypothesis.strategies as st

    z = find(shaped(lambda z: None, dtypes=[complex], elements=st.just(1 - 2j)), lambda a: a[0].size)[0]
    assert (z == 1 - 2j).all()


def is_complex_step(x: Any) -> bool:
    """Whether a checker has moved an element of a real array a little into the complex plane."""
    return x.dtype.kind == "c" and 0 < np.abs(x.imag).max(initial=0) < 1e-15


def test_what_says_nothing_of_its_dtype_stays_real() -> None:
    kinds: set[str] = set()

    def f(a, b):
        drawn = [x for x in (a, b) if isinstance(x, np.ndarray) and not is_complex_step(x)]
        kinds.update(x.dtype.kind for x in drawn)
        return a * b

    check_op(f, max_examples=20, seed=0)
    assert "c" not in kinds
    check_op(f, max_examples=20, seed=0, dtypes=[np.complex128])
    assert "c" in kinds


def test_complex_numbers_avoid_kinks_too() -> None:
    """Both parts are away from integers and from each other, so that no example lies on an axis or a branch cut."""
    for seed in range(200):
        (z,) = separated((np.zeros((2, 3), complex),), seed)
        parts = np.concatenate([z.real.ravel(), z.imag.ravel()])
        assert np.abs(parts - np.round(parts)).min() > 0.02 and len(np.unique(parts)) == 12
        assert z.dtype == complex and np.abs(parts).max() <= 5
    assert separated((np.zeros(2, np.complex64),), 1)[0].dtype == np.complex64
