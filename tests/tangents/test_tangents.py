"""The tangent algebra, table by table, against values that are stated here."""

import copy
import operator
import pickle
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapem.errors import NoRuleError
from tapem.tangents import (
    NO_FIELDS,
    AbstractZero,
    Composite,
    DoesNotExist,
    InplaceableThunk,
    NoTangent,
    NotImplementedTangent,
    One,
    Tangent,
    TangentError,
    Thunk,
    Zero,
    ZeroTangent,
    accumulate,
    add,
    conj,
    extern,
    multiply,
    thunk,
    unthunk,
    zero,
)

from .operands import (
    NAMES,
    OPERANDS,
    A,
    Binary,
    C,
    Counting,
    D,
    I,
    N,
    Operand,
    T,
    Z,
    c,
    pair,
    v,
)

# Rows and columns in the order of OPERANDS; None where the operation has no meaning, LOUD where it is not implemented.
LOUD = NoRuleError
SUM: tuple[tuple[Operand, ...], ...] = (
    (Z, D, I, T, C, 2.0, A, N),
    (D, D, I, T, C, 2.0, A, N),
    (I, I, 2, 4.0, None, 3.0, v(2, 3), N),
    (T, T, 4.0, 6.0, None, 5.0, v(4, 5), N),
    (C, C, None, None, c(2, 4), None, None, N),
    (2.0, 2.0, 3.0, 5.0, None, 4.0, v(3, 4), N),
    (A, A, v(2, 3), v(4, 5), None, v(3, 4), v(2, 4), N),
    (N, N, N, N, N, N, N, N),
)
DIFFERENCE: tuple[tuple[Operand, ...], ...] = (
    (Z, D, -1, -3.0, c(-1, -2), -2.0, v(-1, -2), LOUD),
    (D, D, -1, -3.0, c(-1, -2), -2.0, v(-1, -2), LOUD),
    (I, I, 0, -2.0, None, -1.0, v(0, -1), LOUD),
    (T, T, 2.0, 0.0, None, 1.0, v(2, 1), LOUD),
    (C, C, None, None, c(0, 0), None, None, LOUD),
    (2.0, 2.0, 1.0, -1.0, None, 0.0, v(1, 0), LOUD),
    (A, A, v(0, 1), v(-2, -1), None, v(-1, 0), v(0, 0), LOUD),
    (LOUD, LOUD, LOUD, LOUD, LOUD, LOUD, LOUD, LOUD),
)
PRODUCT: tuple[tuple[Operand, ...], ...] = (
    (Z, Z, Z, Z, Z, Z, Z, Z),
    (Z, D, D, D, D, D, D, D),
    (Z, D, I, T, C, 2.0, A, N),
    (Z, D, T, 9.0, c(3, 6), 6.0, v(3, 6), LOUD),
    (Z, D, C, c(3, 6), None, c(2, 4), None, LOUD),
    (Z, D, 2.0, 6.0, c(2, 4), 4.0, v(2, 4), LOUD),
    (Z, D, A, v(3, 6), None, v(2, 4), v(1, 4), LOUD),
    (Z, D, N, LOUD, LOUD, LOUD, LOUD, LOUD),
)
DOORS: dict[str, tuple[tuple[Binary, ...], tuple[tuple[Operand, ...], ...]]] = {
    "+": ((operator.add, np.add, add), SUM),
    "-": ((operator.sub, np.subtract), DIFFERENCE),
    "*": ((operator.mul, np.multiply, multiply), PRODUCT),
}
CASES = [
    pytest.param(door, a, b, expected, id=f"{NAMES[i]}{symbol}{NAMES[j]}-{getattr(door, '__name__', symbol)}")
    for symbol, (doors, table) in DOORS.items()
    for i, a in enumerate(OPERANDS)
    for j, b in enumerate(OPERANDS)
    for door in doors
    for expected in [table[i][j]]
    if isinstance(a, Tangent) or isinstance(b, Tangent)
]


def assert_is(actual: Operand, expected: Operand) -> None:
    """Assert that the two are the same thing, not only equal: a symbol stays one, an array is no object array."""
    if isinstance(expected, (AbstractZero, One, Thunk, NotImplementedTangent)):
        assert actual is expected
    elif type(expected) is np.ndarray:
        assert type(actual) is np.ndarray and actual.dtype == A.dtype
        np.testing.assert_array_equal(actual, expected)
    else:
        assert not isinstance(actual, np.ndarray)
        assert isinstance(actual, Tangent) == isinstance(expected, Tangent)
        assert actual == expected


@pytest.mark.parametrize(("door", "a", "b", "expected"), CASES)
def test_table(door: Binary, a: Operand, b: Operand, expected: Operand) -> None:
    if expected is None:
        with pytest.raises(TangentError, match="has no meaning"):
            door(a, b)
    elif expected is LOUD:
        with pytest.raises(NoRuleError, match="not implemented: nobody wrote it"):
            door(a, b)
    else:
        assert_is(door(a, b), expected)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "complex64", "complex128"])
@pytest.mark.parametrize("shape", [(), (3,), (2, 3)])
def test_dtype_and_type_of_numpy_operands_are_kept(dtype: str, shape: tuple[int, ...]) -> None:
    array = np.full(shape, 2, dtype)
    for x in (array, array.dtype.type(2)):
        for result, value in [
            (x + Z, 2), (Z + x, 2), (x - Z, 2), (Z - x, -2), (x + D, 2), (D + x, 2), (x + I, 3), (I + x, 3),
            (x - I, 1), (I - x, -1), (x * I, 2), (I * x, 2), (x + thunk(x), 4), (thunk(x) + x, 4), (thunk(x) * x, 4),
            (x * thunk(x), 4), (x - thunk(x), 0), (-thunk(x), -2), (x / thunk(x), 1), (thunk(x) / x, 1),
        ]:  # fmt: skip
            assert result.dtype == np.dtype(dtype) and result.shape == x.shape
            assert np.all(result == value)
        for annihilated in (x * Z, Z * x, np.multiply(x, Z), np.multiply(Z, x)):
            assert annihilated is Z


def test_a_zero_adds_no_copy() -> None:
    assert (A + Z) is A and (D + A) is A and (A - Z) is A


def test_augmented_assignment_keeps_the_array_and_its_holders() -> None:
    total = held = np.ones(2, "f4")
    total += Z
    total += I
    total += thunk(np.ones(2))
    total *= I
    assert total is held and total.dtype == "f4" and total.tolist() == [3.0, 3.0]
    total *= Z
    assert total is held and held.tolist() == [0.0, 0.0]
    whole = np.ones(2, int)
    with pytest.raises(TypeError, match="Cannot cast"):
        whole += thunk(0.5)


def test_augmented_assignment_to_a_tangent_rebinds_it() -> None:
    total: Operand = Zero()
    total += A
    assert total is A
    total = Composite(tuple, 1.0)
    total += total
    assert total == Composite(tuple, 2.0)


def test_matmul() -> None:
    eye = np.eye(2)
    assert (eye @ Z) is Z and (Z @ eye) is Z and (eye @ D) is D and (D @ eye) is D
    assert_is(eye @ I, eye)
    assert_is(I @ eye, eye)
    assert_is(thunk(eye) @ A, A)
    assert_is(A @ thunk(eye), A)
    with pytest.raises(TangentError, match=r"ndarray of shape \(2, 2\) @ Composite\(tuple\) of 2 has no meaning"):
        _ = eye @ C


def test_other_ufuncs_see_the_value_of_a_thunk_and_reject_the_rest() -> None:
    assert_is(np.exp(thunk(np.zeros(2))), v(1, 1))
    assert np.add.reduce(thunk(A)) == 3.0
    assert thunk(3) > 2 and abs(thunk(-3)) == 3 and thunk(3) ** 2 == 9
    assert_is(np.add(thunk(A), 1, where=np.array([True, True]), out=np.zeros(2)), v(2, 3))
    out: Operand = Z
    rejected: list[Callable[[], object]] = [
        lambda: np.exp(Z),
        lambda: np.sum(I),
        lambda: Z > 1,
        lambda: 1 / Z,
        lambda: np.add(Z, A, dtype="f4"),
        lambda: np.exp(A, out=out),
    ]
    for bad in rejected:
        with pytest.raises(TypeError, match=r"Zero|One"):
            bad()


@pytest.mark.parametrize("x", [Z, D, I, C], ids=repr)
def test_no_object_arrays(x: Operand) -> None:
    makers: list[Callable[[], object]] = [
        lambda: np.asarray(x),
        lambda: np.array([x, 1.0]),
        lambda: np.full(3, x),
    ]
    for make in makers:
        with pytest.raises(TangentError, match="cannot become an array"):
            make()


def test_a_thunk_becomes_the_array_of_its_value() -> None:
    assert_is(np.asarray(thunk(thunk(A))), A)
    assert np.asarray(thunk(1), dtype="f4").dtype == "f4"


# Symbols --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [Zero, DoesNotExist, One])
def test_symbols_are_singletons_however_they_travel(kind: type[Zero | DoesNotExist | One]) -> None:
    only = kind()
    assert kind() is only
    assert copy.copy(only) is only and copy.deepcopy([only])[0] is only
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        assert pickle.loads(pickle.dumps({"a": only}, protocol))["a"] is only
    assert len({only, kind()}) == 1 and repr(only) == f"{kind.__name__}()"
    assert not hasattr(only, "__dict__")


def test_names_of_later_releases() -> None:
    assert ZeroTangent is Zero and NoTangent is DoesNotExist and NO_FIELDS is Zero()


def test_truth_of_symbols() -> None:
    assert not Z and not D and I


def test_symbols_equal_themselves_only() -> None:
    values: tuple[Operand, ...] = (Z, D, I, 0, 1, None, "", C)
    for i, a in enumerate(values):
        for j, b in enumerate(values):
            assert (a == b) is (i == j) and (a != b) is (i != j)
    for x in (A, np.array(0.0), np.float64(0), np.bool_(False)):
        assert (x == Z) is False and (Z == x) is False and (x != Z) is True


def test_zeros_are_told_from_other_tangents() -> None:
    assert isinstance(Z, AbstractZero) and isinstance(D, AbstractZero)
    assert not any(isinstance(x, AbstractZero) for x in (I, T, C))


def test_negative_conj_and_zero() -> None:
    assert_is(-Z, Z)
    assert_is(-D, D)
    assert_is(-I, -1)
    assert_is(-T, -3.0)
    assert_is(-C, c(-1, -2))
    assert -Composite(tuple, Z, D, thunk(1), Composite(list, I)) == Composite(tuple, Z, D, -1, Composite(list, -1))
    for symbol in (Z, D, I):
        assert conj(symbol) is symbol and np.conj(symbol) is symbol
    assert conj(1 + 2j) == 1 - 2j and type(conj(2.0)) is float and type(conj(2)) is int
    assert conj(np.array([1j], "c8")).tolist() == [-1j] and conj(np.array([1j], "c8")).dtype == "c8"
    assert conj(A) is A and np.conj(thunk(1j)) == -1j and conj(np.complex64(1j)).dtype == "c8"
    assert conj(Composite(tuple, 1j, Z)) == Composite(tuple, -1j, Z)
    assert all(zero(x) is Z for x in (*OPERANDS, 1j, "anything"))


# Thunks ---------------------------------------------------------------------------------------------------------------


def test_the_documents_own_examples() -> None:
    t = thunk(thunk(3))
    assert extern(t) == 3 and isinstance(t(), Thunk) and t()() == 3


def test_thunk_as_a_decorator() -> None:
    @thunk
    def x_bar() -> float:
        return 2.0

    assert type(x_bar) is Thunk and x_bar() == 2.0 and repr(x_bar) == "Thunk(x_bar)"


@pytest.mark.parametrize("x", [Z, D, I])
def test_products_with_symbols_leave_a_thunk_alone(x: Operand) -> None:
    work = Counting(A)
    t: Operand
    for t in (Thunk(work), InplaceableThunk(work, lambda array: array)):
        expected = t if x is I else x
        for product in (x * t, t * x, x @ t, t @ x, np.multiply(x, t), np.multiply(t, x)):
            assert product is expected
    assert work.calls == 0


def test_sums_with_zeros_leave_a_thunk_alone() -> None:
    work = Counting(A)
    t = Thunk(work)
    for x in (Z, D):
        assert (x + t) is t and (t + x) is t and (t - x) is t
    t += Z
    _ = repr(t), conj(t), thunk(t), zero(t), Composite(tuple, t) + Composite(tuple, Z), Composite(tuple, t) * Z
    assert work.calls == 0


def test_arithmetic_evaluates_each_thunk_once_per_use() -> None:
    work = Counting(A)
    t = Thunk(work)
    for calls, use in enumerate([lambda: t + 1, lambda: 1 - t, lambda: A * t, lambda: -t, lambda: A @ t, t], 1):
        use()
        assert work.calls == calls


def test_a_factor_that_turns_out_zero_spares_the_other() -> None:
    work = Counting(A)
    assert (thunk(Z) * Thunk(work)) is Z and work.calls == 0


def test_nested_thunks() -> None:
    t = thunk(thunk(thunk(2.0)))
    assert t + 1 == 3.0 and 1 + t == 3.0 and t * t == 4.0 and t == 2.0
    assert (thunk(Z) + A) is A and (thunk(thunk(I)) * A) is A
    assert thunk(C) + pair == (2.0, 4.0)
    deep: Operand = 1.0
    for _ in range(20_000):
        deep = thunk(deep)
    assert extern(deep) == 1.0 and deep + 1 == 2.0 and -deep == -1.0 and Z * deep is Z


def test_unthunk_removes_one_layer_and_extern_all() -> None:
    inner = thunk(A)
    assert unthunk(thunk(inner)) is inner and unthunk(inner) is A and unthunk(A) is A and unthunk(Z) is Z
    assert extern(thunk(inner)) is A and extern(A) is A and extern("x") == "x"
    assert_is(extern(Z), 0)
    assert_is(extern(I), 1)
    assert (np.float32(2) + extern(I)).dtype == "f4"


def test_a_thunk_stands_for_its_value_in_comparisons() -> None:
    assert thunk(3) == 3 and thunk(3) == thunk(thunk(3)) and thunk(3) != 4
    assert (thunk(A) == A) is True and (A == thunk(A)) is True and (A + 1 == thunk(A)) is False
    assert thunk(1) and not thunk(0) and not thunk(Z)
    with pytest.raises(TypeError, match="unhashable"):
        hash(thunk(3))


def test_conj_of_a_thunk_stays_deferred() -> None:
    work = Counting(1j)
    t = conj(Thunk(work))
    assert type(t) is Thunk and work.calls == 0 and extern(t) == -1j


def test_an_error_in_a_thunk_is_the_callers() -> None:
    def fail() -> float:
        raise KeyError("gone")

    with pytest.raises(KeyError, match="gone"):
        _ = Thunk(fail) + 1
    with pytest.raises(KeyError, match="gone"):
        _ = Composite(dict, w=Thunk(fail))["w"]


# Accumulation ---------------------------------------------------------------------------------------------------------


def scatter(calls: list[str]) -> InplaceableThunk:
    def value() -> Operand:
        calls.append("value")
        return v(1, 0, 0)

    def add_into(array: Operand) -> Operand:
        calls.append("in place")
        array[0] += 1
        return array

    return InplaceableThunk(Thunk(value), add_into)


def test_inplaceable_thunk_adds_in_place_only_when_accumulated() -> None:
    calls: list[str] = []
    t, total = scatter(calls), np.ones(3)
    assert accumulate(total, t) is total and total.tolist() == [2, 1, 1] and calls == ["in place"]
    calls.clear()
    array = np.ones(3)
    assert_is(array + t, v(2, 1, 1))
    assert_is(add(t, array), v(2, 1, 1))
    assert_is(t * 2, v(2, 0, 0))
    assert array.tolist() == [1, 1, 1] and calls == ["value"] * 3
    assert repr(t) == "InplaceableThunk(Thunk(value))"


def test_accumulate_writes_only_where_the_sum_fits() -> None:
    total = np.ones(2, "f4")
    assert accumulate(total, np.ones(2, "f4")) is total and total.tolist() == [2, 2]
    for x in (np.ones(2), thunk(np.ones(2)), I):
        result = accumulate(total, x)
        assert result is not total and total.tolist() == [2, 2] and np.all(result == 3)
    assert accumulate(total, Z) is total and accumulate(Z, total) is total
    frozen = np.broadcast_to(np.float32(1), (2,))
    assert accumulate(frozen, total).tolist() == [3, 3] and frozen.tolist() == [1, 1]
    scalar = np.ones(())
    assert accumulate(scalar, np.ones(())) is scalar and scalar == 2


@pytest.mark.parametrize("wrap", [lambda x: x, thunk, lambda x: thunk(thunk(x))], ids=["plain", "thunk", "two layers"])
@pytest.mark.parametrize("x", [np.ones((1, 2)), np.ones(1), np.ones(()), np.float64(1), 1.0, np.ones((3, 2))], ids=str)
def test_accumulate_does_not_broadcast(x: Operand, wrap: Callable[[Operand], Operand]) -> None:
    total = np.ones(2)
    for one, other in ((total, x), (x, total)):
        with pytest.raises(TangentError, match=r"cannot be added into .*: the shapes differ"):
            accumulate(one, wrap(other))
    assert total.tolist() == [1, 1]


def test_accumulate_adds_thunks_in_place() -> None:
    total = np.ones(2)
    for deferred in (thunk(np.ones(2)), thunk(thunk(np.ones(2)))):
        assert accumulate(total, deferred) is total
    assert total.tolist() == [3, 3]
    calls = Counting(np.ones(2))
    assert accumulate(Z, deferred := Thunk(calls)) is deferred and calls.calls == 0


def test_add_changes_neither_operand() -> None:
    a, b = np.ones(2), np.ones(2)
    assert add(a, b).tolist() == [2, 2] and a.tolist() == b.tolist() == [1, 1]


# Laws -----------------------------------------------------------------------------------------------------------------

numbers = st.integers(-5, 5).map(float)
leaves = st.one_of(st.sampled_from([Z, I]), numbers, st.lists(numbers, min_size=2, max_size=2).map(np.array))
tangents = st.recursive(leaves, lambda inner: inner.map(thunk), max_leaves=3)


@given(tangents, tangents, tangents)
def test_the_algebra_is_that_of_the_values(a: Operand, b: Operand, d: Operand) -> None:
    x, y, z = extern(a), extern(b), extern(d)
    for left, right in [
        (add(a, b), x + y),
        (add(b, a), x + y),
        (multiply(a, b), x * y),
        (multiply(b, a), x * y),
        (add(add(a, b), d), x + y + z),
        (add(a, add(b, d)), x + y + z),
        (multiply(d, add(a, b)), z * (x + y)),
        (add(multiply(d, a), multiply(d, b)), z * (x + y)),
        (add(a, -b), x - y),
        (extern(conj(a)), x),
    ]:
        # Zero times an array is Zero, which has no shape: it equals zeros wherever it is added.
        np.testing.assert_array_equal(np.broadcast_to(extern(left), np.shape(right)), right)
