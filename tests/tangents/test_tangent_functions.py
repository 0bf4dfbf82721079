"""Whatever a rule does with a tangent, it may do with a symbol or a thunk: operators, methods, NumPy's functions.

One table of operations, each linear in its first operand. On a zero symbol an operation gives what it gives on an array
of zeros, or the symbol; on a thunk what it gives on the value; and beside a tracer what it gives beside an array.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tapem as tm
from tapem.doors.direct.tracer import Tracer
from tapem.errors import TangentError
from tapem.tangents import AbstractZero, Composite, DoesNotExist, One, Thunk, Zero, extern, thunk
from tapem.tangents.functions import JOINS, LINEAR_IN, MOVES, PRODUCTS, UNARY
from tapem.tangents.symbols import ALGEBRA, METHODS, PROPERTIES

B = np.array([[1.0, -2.0], [0.5, 3.0]])
VALUE = np.array([[0.3, 0.1], [-0.2, 0.7]])

# In the tangent t and an array b.
Operation = Callable[[Any, Any], Any]

MIXED: dict[str, Operation] = {
    **{name: (lambda t, b, op=op: op(t, b)) for name, op in [("t*b", operator.mul), ("t/b", operator.truediv)]},
    **{name: (lambda t, b, op=op: op(t, b)) for name, op in [("t+b", operator.add), ("t-b", operator.sub)]},
    "b*t": lambda t, b: b * t,
    "b+t": lambda t, b: b + t,
    "b-t": lambda t, b: b - t,
    "t@b": lambda t, b: t @ b,
    "b@t": lambda t, b: b @ t,
    "np.multiply": lambda t, b: np.multiply(b, t),
    "np.divide": lambda t, b: np.divide(t, b),
    "np.subtract": lambda t, b: np.subtract(b, t),
    "np.dot": lambda t, b: np.dot(t, b),
    "np.dot right": lambda t, b: np.dot(b, t),
    "np.inner": lambda t, b: np.inner(b, t),
    "np.outer": lambda t, b: np.outer(t, b),
    "np.vdot": lambda t, b: np.vdot(b, t),
    "np.kron": lambda t, b: np.kron(b, t),
    "np.tensordot": lambda t, b: np.tensordot(b, t, axes=1),
    "np.einsum": lambda t, b: np.einsum("ij,jk->ik", t, b),
    "np.einsum right": lambda t, b: np.einsum("ij,jk", b, t),
    "np.linalg.matmul": lambda t, b: np.linalg.matmul(t, b),
    "np.linalg.multi_dot": lambda t, b: np.linalg.multi_dot([b, t, b]),
    "np.linalg.solve": lambda t, b: np.linalg.solve(b, t),
    "np.where": lambda t, b: np.where(B > 0, t, b),
    "np.where right": lambda t, b: np.where(B > 0, b, t),
    "np.where twice": lambda t, b: np.where(B > 0, t, 2 * t),
    "np.stack": lambda t, b: np.stack([t, b], axis=-1),
    "np.stack right": lambda t, b: np.stack([b, t]),
    "t.dot": lambda t, b: t.dot(b),
    "through several": lambda t, b: (b * (t.T @ b)[0] - t.sum(axis=0) / b[0]).reshape(-1),
}
ALONE: dict[str, Callable[[Any], Any]] = {
    "t/2": lambda t: t / 2,
    "t/np.float32": lambda t: t / np.float64(2),
    "t*2": lambda t: 2 * t * 3,
    "-t": operator.neg,
    "+t": operator.pos,
    "abs": abs,
    "t[0]": lambda t: t[0],
    "t[..., None]": lambda t: t[..., None, :1],
    "t[mask]": lambda t: t[B > 0],
    ".T": lambda t: t.T,
    ".mT": lambda t: t.mT,
    ".real": lambda t: t.real,
    ".imag": lambda t: t.imag,
    ".conj()": lambda t: t.conj(),
    ".conjugate()": lambda t: t.conjugate(),
    ".sum(axis)": lambda t: t.sum(axis=0, keepdims=True),
    ".mean(axis)": lambda t: t.mean(0),
    ".max()": lambda t: t.max(),
    ".reshape(4)": lambda t: t.reshape(4),
    ".reshape(4, 1)": lambda t: t.reshape(4, 1),
    ".transpose(1, 0)": lambda t: t.transpose(1, 0),
    ".ravel()": lambda t: t.ravel(),
    ".flatten()": lambda t: t.flatten(),
    ".astype": lambda t: t.astype(np.float32),
    ".swapaxes": lambda t: t.swapaxes(0, 1),
    ".squeeze": lambda t: t[None].squeeze(0),
    ".take": lambda t: t.take([0], axis=1),
    ".cumsum": lambda t: t.cumsum(axis=0),
    ".trace": lambda t: t.trace(),
    ".diagonal": lambda t: t.diagonal(),
    ".repeat": lambda t: t.repeat(2, axis=0),
    ".copy": lambda t: t.copy(),
    ".round": lambda t: t.round(1),
    "float": lambda t: float(t.sum()),
    "int": lambda t: int(t.sum()),
    "complex": lambda t: complex(t.sum()),
    ".item": lambda t: t.sum().item(),
    "np.real": np.real,
    "np.imag": np.imag,
    "np.conj": np.conj,
    "np.sum": lambda t: np.sum(t, axis=-1),
    "np.sum(a=)": lambda t: np.sum(a=t, axis=0),
    "np.add.reduce": lambda t: np.add.reduce(t, axis=1),
    "np.add.accumulate": np.add.accumulate,
    "np.multiply.outer": lambda t: np.multiply.outer(t, B),
    "np.reshape": lambda t: np.reshape(t, (4,)),
    "np.broadcast_to": lambda t: np.broadcast_to(t, (3, 2, 2)),
    "np.moveaxis": lambda t: np.moveaxis(t, 0, -1),
    "np.take_along_axis": lambda t: np.take_along_axis(t, np.zeros((1, 2), int), 0),
    "np.pad": lambda t: np.pad(t, 1),
    "np.diff": lambda t: np.diff(t, axis=0),
    "np.diff of it twice": lambda t: np.diff(t, axis=0, prepend=t),
    "np.triu": np.triu,
    "np.linalg.norm": np.linalg.norm,
    "np.fft.fft": np.fft.fft,
    "np.interp": lambda t: np.interp([0.5], [0.0, 1.0], t[0]),
    "np.concatenate": lambda t: np.concatenate([t, t]),
    "np.vstack": lambda t: np.vstack([t, t]),
    "np.split": lambda t: np.split(t, 2, axis=1)[1],
    "np.array_split": lambda t: np.array_split(t, [1])[0],
    "np.zeros_like": np.zeros_like,
}
OPERATIONS: dict[str, Operation] = {**MIXED, **{name: (lambda t, b, f=f: f(t)) for name, f in ALONE.items()}}


def plain(x: Any) -> Any:
    """A result as an array, of a symbol or a tracer, too."""
    if isinstance(x, AbstractZero):
        return np.zeros(())
    return tm.detach(x) if isinstance(x, Tracer) else extern(x)


def assert_same(found: Any, expected: Any) -> None:
    """The same value; a symbol of zero is zeros of any shape."""
    found = plain(found)
    np.testing.assert_allclose(np.broadcast_to(found, np.shape(expected)) if np.ndim(found) == 0 else found, expected)


@pytest.mark.parametrize("symbol", [Zero(), DoesNotExist()], ids=repr)
@pytest.mark.parametrize("name", OPERATIONS)
def test_a_zero_is_as_zeros_are(name: str, symbol: Any) -> None:
    if name in ("float", "int", "complex", ".item") and type(symbol) is DoesNotExist:
        with pytest.raises(TangentError, match="has no value"):
            OPERATIONS[name](symbol, B)
        return
    expected = OPERATIONS[name](np.zeros((2, 2)), B)
    found = OPERATIONS[name](symbol, B)
    assert_same(found, expected)
    if isinstance(found, AbstractZero):
        assert found is symbol
        assert not np.any(expected)


@pytest.mark.parametrize("name", OPERATIONS)
def test_a_thunk_is_as_its_value(name: str) -> None:
    expected = OPERATIONS[name](VALUE, B)
    for deferred in (thunk(VALUE), thunk(thunk(VALUE))):
        assert_same(OPERATIONS[name](deferred, B), expected)


# What tapem has no rule for, and a method of an ndarray, which does not look at its argument.
BESIDE_TRACERS = [name for name in MIXED if name not in ("np.linalg.multi_dot", "t.dot")]


@pytest.mark.parametrize("t", [Zero(), DoesNotExist(), thunk(VALUE)], ids=["Zero", "DoesNotExist", "Thunk"])
@pytest.mark.parametrize("name", BESIDE_TRACERS)
def test_beside_a_tracer(name: str, t: Any) -> None:
    expected = OPERATIONS[name](np.zeros((2, 2)) if isinstance(t, AbstractZero) else VALUE, B)
    y, pullback = tm.vjp(lambda b: value_in_a_trace(name, t, b), B)
    assert_same(y, expected)
    if not isinstance(t, AbstractZero):  # what is differentiated on the way is what would be of the value
        same, same_pullback = tm.vjp(lambda b: OPERATIONS[name](VALUE, b), B)
        np.testing.assert_allclose(pullback(np.ones_like(y))[0], same_pullback(np.ones_like(same))[0])


def value_in_a_trace(name: str, t: Any, b: Any) -> Any:
    """The result of an operation beside a tracer; zeros for a symbol, which no function may return."""
    found = OPERATIONS[name](t, b)
    found = found() if isinstance(found, Thunk) else found
    return 0.0 * np.sum(b) if isinstance(found, AbstractZero) else found


MOVING = [".T", ".mT", ".real", ".conj()", ".reshape(4, 1)", ".ravel()", ".transpose(1, 0)", "t[0]", "np.broadcast_to"]


@pytest.mark.parametrize("name", [*MOVING, "np.real", "np.conj", "np.reshape", ".repeat", "np.moveaxis", "np.split"])
def test_one_goes_through_what_moves_elements(name: str) -> None:
    assert OPERATIONS[name](One(), B) is One()


def test_one_is_the_number_1() -> None:
    assert float(One()) == 1.0 and int(One()) == 1 and complex(One()) == 1 and One().item() == 1
    np.testing.assert_array_equal(One() / B, 1 / B)
    assert B / One() is B and Zero() / One() is Zero() and One() / 2.0 == 0.5
    assert (np.float32(2) / One()).dtype == np.float32 and (One() / np.float32(2)).dtype == np.float32
    np.testing.assert_array_equal(np.where(B > 0, One(), B), np.where(B > 0, 1.0, B))
    np.testing.assert_array_equal(np.stack([One(), B]), np.stack([np.ones((2, 2)), B]))


def test_composites_are_divided_and_made_real_field_by_field() -> None:
    c = Composite(tuple, 2.0, Zero(), thunk(4.0))
    assert c / 2 == Composite(tuple, 1.0, Zero(), 2.0) == c / thunk(2.0) == c / np.array(2.0)
    assert np.real(Composite(tuple, 1 + 2j, Zero())) == Composite(tuple, 1.0, Zero())
    assert np.imag(Composite(dict, a=1 + 2j)) == Composite(dict, a=2.0)


def test_nothing_is_computed_for_a_zero() -> None:
    def never() -> Any:
        raise AssertionError("computed")

    deferred = Thunk(never)
    for zero in (Zero(), DoesNotExist()):
        for result in (
            np.dot(zero, deferred),
            np.dot(deferred, zero),
            zero / deferred,
            np.einsum("i,i", deferred, zero),
        ):
            assert result is zero


def test_half_precision_stays() -> None:
    half = B.astype(np.float16)
    for t in (Zero(), thunk(half)):
        for result in (np.where(half > 0, t, half), np.stack([t, half]), half + t, half - t):
            assert result.dtype == np.float16


REFUSED: dict[str, Callable[[Any], Any]] = {
    "np.exp": np.exp,
    "np.cos": np.cos,
    "np.power": lambda t: np.power(t, B),
    "t**2": lambda t: t**2,
    "np.maximum": lambda t: np.maximum(t, B),
    "2/t": lambda t: 2 / t,
    "b/t": lambda t: B / t,
    "t > b": lambda t: t > B,
    "np.shape": np.shape,
    "np.ones_like": np.ones_like,
    "np.linalg.inv": np.linalg.inv,
    "np.linalg.solve": lambda t: np.linalg.solve(t, B),
    "np.concatenate": lambda t: np.concatenate([t, B]),
    "np.take of it": lambda t: np.take(B, t),
    "np.where on it": lambda t: np.where(t, B, B),
    "np.pad with 1": lambda t: np.pad(t, 1, constant_values=1.0),
    "np.sum from 1": lambda t: np.sum(t, initial=1.0),
    "np.diff behind b": lambda t: np.diff(t, prepend=B),
    "np.diff behind it": lambda t: np.diff(B, prepend=t),
    "np.sum into an array": lambda t: np.sum(t, out=np.ones(())),
    "iteration": lambda t: [*t],
    "unpacking": lambda t: operator.itemgetter(0)(list(t)),
    "an array": np.asarray,
}


@pytest.mark.parametrize("symbol", [Zero(), DoesNotExist()], ids=repr)
@pytest.mark.parametrize("name", REFUSED)
def test_what_needs_a_shape_or_is_not_linear_is_refused(name: str, symbol: Any) -> None:
    with pytest.raises(TangentError, match=type(symbol).__name__):
        REFUSED[name](symbol)


@pytest.mark.parametrize("t", [Zero(), DoesNotExist(), One(), thunk(B)], ids=repr)
def test_a_shape_is_not_pretended(t: Any) -> None:
    for name in (
        "shape",
        "dtype",
        "ndim",
        "size",
        "fill",
        "sort",
        "no_such_thing",
        "__len__" if t is not t else "node",
    ):
        assert not hasattr(t, name)


@pytest.mark.parametrize("symbol", [Zero(), One()], ids=repr)
def test_every_function_of_the_table_has_a_meaning(symbol: Any) -> None:
    for function in (*PRODUCTS, *MOVES, *LINEAR_IN, *UNARY, *JOINS):
        assert function in ALGEBRA
    for name, function in METHODS.items():
        assert function in ALGEBRA and hasattr(np.ndarray, name)
    assert PROPERTIES <= METHODS.keys()


@pytest.mark.parametrize(
    "function", [*MOVES, *UNARY, *(f for f, at in LINEAR_IN.items() if at == 0)], ids=lambda f: f.__name__
)
def test_what_the_table_says_is_true_of_zeros(function: Any) -> None:
    extra = {
        **dict.fromkeys(["swapaxes", "moveaxis"], (0, 1)),
        **dict.fromkeys(["reshape", "resize", "broadcast_to"], ((2, 2),)),
        **dict.fromkeys(["tile", "repeat", "pad"], (1,)),
        **dict.fromkeys(["roll", "take", "delete", "rollaxis", "expand_dims"], (1,)),
        "take_along_axis": (np.zeros((2, 2), int), 0),
        "astype": (np.float32,),
    }.get(function.__name__, ())
    if function.__name__ in ("compress", "extract"):
        expected = function([True, False], np.zeros(2))
    else:
        expected = function(np.zeros((1, 2)) if function is np.squeeze else np.zeros((2, 2)), *extra)
    assert not np.any(expected)
    if function.__name__ not in ("compress", "extract"):
        assert function(Zero(), *extra) is Zero()


# A rule, with any of its operands constant ---------------------------------------------------------------------------


@tm.primitive
def ratio(a: np.ndarray, b: np.ndarray, c: np.ndarray) -> np.ndarray:  # type: ignore[type-arg]
    """A function whose rule does much with its tangents."""
    return (a @ b.T) / c[..., None] + np.einsum("ij,kj->ik", a, b)


def joint_rule(tangents: Any, y: Any, a: Any, b: Any, c: Any) -> Any:
    da, db, dc = tangents
    moved = (np.dot(da, b.T) + a @ db.T) / c[..., None]
    divided = (a @ b.T) * (dc / c**2)[..., None]
    return moved - divided + np.einsum("ij,kj->ik", da, b) + np.einsum("ij,kj->ik", a, db)


tm.deffrule(ratio, joint=joint_rule)
POINT = (VALUE, B, np.array([1.5, -2.0]))
ALONG = (B, VALUE, np.array([0.5, 0.25]))


@pytest.mark.parametrize("moving", [(0,), (1,), (2,), (0, 1), (0, 2), (1, 2), (0, 1, 2)], ids=str)
def test_a_joint_rule_with_constant_operands(moving: tuple[int, ...]) -> None:
    def along(*values: Any) -> Any:
        operands = list(POINT)
        for position, value in zip(moving, values, strict=True):
            operands[position] = value
        return ratio(*operands)

    point, direction = tuple(POINT[i] for i in moving), tuple(ALONG[i] for i in moving)

    def moved(h: float) -> Any:
        return along(*(x + h * t for x, t in zip(point, direction, strict=True)))

    _, dy = tm.jvp(along, point, direction)
    np.testing.assert_allclose(dy, (moved(1e-5) - moved(-1e-5)) / 2e-5, rtol=1e-7, atol=1e-8)
    _, second = tm.jvp(lambda *x: tm.jvp(along, x, direction)[1], point, direction)
    np.testing.assert_allclose(second, (moved(1e-4) - 2 * moved(0.0) + moved(-1e-4)) / 1e-8, rtol=1e-5, atol=1e-6)
