"""ChainRules' later ideas: `project_to`, `non_differentiable`, `not_implemented`."""

import copy
import operator
import pickle
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest

import tapem as tm
from tapem.tangents import NotImplementedTangent, accumulate, conj
from tapem.tangents.algebra import divide

from .operands import A, Affine, C, D, I, N, Operand, Point, T, Z

Number = tm.Num[tm.Tensor, "..."]

# not_implemented ------------------------------------------------------------------------------------------------------

USES: dict[str, Callable[[Operand], object]] = {
    "negative": operator.neg,
    "matmul": lambda n: np.eye(2) @ n,
    "ufunc": np.exp,
    "sum": np.sum,
    "transpose": np.transpose,
    "where": lambda n: np.where(True, n, 1.0),
    "stack": lambda n: np.stack([n, A]),
    "concatenate": lambda n: np.concatenate([A, n]),
    "split": lambda n: np.split(n, 2),
    "dot": lambda n: np.dot(n, A),
    "beside a thunk": lambda n: np.dot(n, T),
    "einsum": lambda n: np.einsum("i,i", n, A),
    "quotient": lambda n: n / 2,
    "divisor": lambda n: 1.0 / n,
    "divisor of a zero": lambda n: divide(Z, n),
    "index": lambda n: n[0],
    "parts": list,
    "number": float,
    "truth": bool,
    "array": np.asarray,
    "value": tm.extern,
    "value in a Composite": lambda n: tm.extern(tm.Composite(tuple, 1.0, n)),
    "Composite times a number": lambda n: tm.Composite(tuple, 1.0, n) * 2.0,
    "in a thunk": lambda n: tm.thunk(n) * 2.0,
}


@pytest.mark.parametrize("use", USES)
def test_every_use_of_what_is_not_implemented_tells_the_reason(use: str) -> None:
    with pytest.raises(tm.NoRuleError, match="not implemented: nobody wrote it"):
        USES[use](N)


def test_an_attribute_of_it_is_missing_and_says_why() -> None:
    assert not hasattr(N, "dtype")
    with pytest.raises(AttributeError, match="nobody wrote it"):
        _ = N.T


def test_an_array_that_it_is_added_to_is_not_changed() -> None:
    total = A.copy()
    with pytest.raises(tm.NoRuleError, match="nobody wrote it"):
        total += N
    assert total.tolist() == A.tolist()
    assert accumulate(total, N) is N and accumulate(N, total) is N


def test_zeros_and_one_are_no_uses() -> None:
    assert N * Z is Z and np.dot(Z, N) is Z and D * N is D and I * N is N and conj(N) is N
    assert (tm.Composite(tuple, N) + tm.Composite(tuple, 1.0))[0] is N
    assert (tm.Composite(tuple, N) * Z) is Z and (C + N) is N and (N == N) and N != tm.not_implemented("another")


def test_it_travels() -> None:
    assert repr(N) == "not_implemented('nobody wrote it')" and hash(N) == hash(N)
    for other in (copy.copy(N), *(pickle.loads(pickle.dumps(N, protocol)) for protocol in range(6))):
        assert type(other) is NotImplementedTangent and other.reason == N.reason


def half_known(joint: bool, thunk: bool = False) -> Any:
    """An op of two operands with a rule for the first."""
    missing: Any = tm.thunk(N) if thunk else N
    each = (lambda g, y, a, b: g * b, lambda g, y, a, b: missing)

    def jointly(g: Any, y: Any, a: Any, b: Any) -> Any:
        return g * b, missing

    def forward(t: Any, y: Any, a: Any, b: Any) -> Any:
        return t[0] * b + t[1] * missing

    @tm.primitive(rrule=jointly if joint else each, frule=forward if joint else each, name="half_known")
    def op(a: Number, b: Number) -> Number:
        return a * b

    return op


@pytest.mark.parametrize("thunk", [False, True])
@pytest.mark.parametrize("joint", [False, True])
def test_a_rule_is_complete_for_the_other_operand_and_loud_for_this_one(joint: bool, thunk: bool) -> None:
    op = half_known(joint, thunk)
    assert float(tm.grad(op)(3.0, 2.0)) == 2.0
    assert float(tm.jvp(lambda a: op(a, 2.0), (3.0,), (1.0,))[1]) == 2.0
    found = tm.frule((tm.NO_FIELDS, 1.0, tm.Zero()), op, 3.0, 2.0)
    assert found is not None and found[1] == 2.0
    for derivative in (
        lambda: tm.grad(op, argnums=1)(3.0, 2.0),
        lambda: tm.grad(op, argnums=(0, 1))(3.0, 2.0),
        lambda: tm.jvp(lambda b: op(3.0, b), (2.0,), (1.0,)),
        lambda: tm.jvp(op, (3.0, 2.0), (1.0, 1.0)),
        lambda: tm.hessian(lambda b: op(3.0, b))(2.0),
        lambda: tm.vmap(tm.grad(op, argnums=1))(np.ones(2), np.ones(2)),
    ):
        with pytest.raises(tm.NoRuleError, match="not implemented: nobody wrote it"):
            derivative()


def test_the_error_names_op_and_argument() -> None:
    with pytest.raises(tm.NoRuleError) as caught:
        tm.grad(half_known(False), argnums=1)(3.0, 2.0)
    assert "the rrule of half_known(a, b) for argument 'b' is not implemented: nobody wrote it" in str(caught.value)


def test_a_custom_rule_may_return_it() -> None:
    f = tm.custom_vjp(lambda a, b: (a * b, (a, b)), lambda kept, g: (g * kept[1], tm.not_implemented("no b yet")))
    with pytest.raises(tm.NoRuleError, match="no b yet"):
        tm.grad(f, argnums=1)(3.0, 2.0)


# non_differentiable ---------------------------------------------------------------------------------------------------


def test_a_function_without_derivatives_is_constant_in_both_modes() -> None:
    @tm.non_differentiable
    def bucket(x: Number) -> Number:
        return np.floor(10 * x)

    assert float(bucket(0.25)) == 2.0
    x = np.array([0.25, 0.5])
    assert tm.grad(lambda x: tm.sum(x * bucket(x)))(x).tolist() == [2.0, 5.0]
    assert tm.jvp(bucket, (x,), (np.ones(2),))[1].tolist() == [0.0, 0.0]
    assert tm.jvp(tm.grad(lambda x: tm.sum(x**2 * bucket(x))), (x,), (np.ones(2),))[1].tolist() == [4.0, 10.0]
    tm.testing.check_rule(bucket, x)


def test_an_op_without_rules_becomes_constant() -> None:
    @tm.primitive
    def last(x: Number) -> Number:
        return x[-1] * 1.0

    with pytest.raises(tm.NoRuleError):
        tm.grad(last)(np.ones(2))
    assert tm.non_differentiable(last) is last
    assert tm.grad(last)(np.ones(2)).tolist() == [0.0, 0.0]


def test_it_does_not_hide_a_traced_value_that_is_closed_over() -> None:
    def f(x: Any) -> Any:
        return tm.non_differentiable(lambda y: y * x)(2.0)

    with pytest.raises(tm.TapeError, match="non_differentiable: <lambda> closes over a traced value"):
        tm.grad(f)(3.0)


# project_to -----------------------------------------------------------------------------------------------------------


class Pair(NamedTuple):
    """A tree."""

    w: Any
    n: Any


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "complex64", "complex128"])
@pytest.mark.parametrize("given", ["int64", "bool", "float16", "float64", "complex64", "complex128"])
@pytest.mark.parametrize("shape", [(), (3,), (2, 0), (2, 3)])
def test_dtype_and_reality(dtype: str, given: str, shape: tuple[int, ...]) -> None:
    dx = (np.full(shape, 2) + (1j if given[0] == "c" else 0)).astype(given)
    found = tm.project_to(np.ones(shape, dtype))(dx)
    assert found.dtype == dtype and found.shape == shape
    real = 1.0 if given == "bool" else 2.0
    assert np.all(found == real + (1j if dtype[0] == given[0] == "c" else 0))


@pytest.mark.parametrize(
    ("shape", "given"), [((), (1,)), ((), (1, 1)), ((3,), (3, 1)), ((3, 1), (3,)), ((2, 1, 3), (2, 3)), ((0,), (1, 0))]
)
def test_axes_of_size_one(shape: tuple[int, ...], given: tuple[int, ...]) -> None:
    dx = np.arange(np.prod(given, dtype=int), dtype=float).reshape(given)
    found = tm.project_to(np.ones(shape))(dx)
    assert found.shape == shape and found.ravel().tolist() == dx.ravel().tolist()


@pytest.mark.parametrize(("shape", "given"), [((3,), (2, 3)), ((2, 3), (3, 2)), ((3,), ()), ((1,), (2,))])
def test_another_shape_is_refused(shape: tuple[int, ...], given: tuple[int, ...]) -> None:
    with pytest.raises(tm.ShapeError, match="sum the derivative over the axes"):
        tm.project_to(np.ones(shape))(np.ones(given))


def test_symbols_and_thunks() -> None:
    project = tm.project_to(np.ones((2, 1), np.float32))
    assert project(Z) is Z and project(D) is D and project(N) is N
    one = project(I)
    assert one.dtype == np.float32 and one.shape == (2, 1) and np.all(one == 1)
    calls: list[int] = []

    def compute() -> Any:
        calls.append(1)
        return A

    later = project(tm.Thunk(compute))
    assert not calls and later().dtype == np.float32 and later().shape == (2, 1) and len(calls) == 2
    for integer in (3, True, np.arange(2), np.ones(2, bool)):
        assert tm.project_to(integer)(1.0) is D and tm.project_to(integer)(Z) is Z


def test_structures() -> None:
    x = {"a": (1.0, np.ones(2, np.float32)), "b": Pair(np.ones((1, 2)), 3)}
    found = tm.project_to(x)({"a": (1 + 1j, A), "b": Pair(A, 1.0)})
    assert type(found["b"]) is Pair and found["b"].n is D and found["b"].w.shape == (1, 2)
    assert found["a"][0] == 1.0 and found["a"][1].dtype == np.float32
    with pytest.raises(tm.TreeError, match="project_to: the structures differ"):
        tm.project_to(x)({"a": 1.0, "b": 2.0})


def test_composites() -> None:
    project = tm.project_to(Point(np.ones(2, np.float32), 3))
    found = project(tm.Composite(Point, x=A))
    assert found.__primal_type__ is Point and found.x.dtype == np.float32 and found.y is Z
    assert project(tm.Composite(Point, x=Z, y=1.0)) == tm.Composite(Point, x=Z, y=D)
    nested = tm.project_to({"p": (1.0, 2)})(tm.Composite(dict, p=tm.Composite(tuple, 1 + 1j, 1.0)))
    assert nested == tm.Composite(dict, p=tm.Composite(tuple, 1.0, D))
    assert tm.project_to(Affine(1.0, np.float32(0)))(tm.Composite(Affine, bias=2.0)).bias.dtype == np.float32
    for x, c in (((1.0, 2.0), C), ([1.0], tm.Composite(list, 2.0))):
        assert tm.project_to(x)(c) == c
    for wrong in ((1.0, 2.0, 3.0), [1.0, 2.0], {"a": 1.0}):
        with pytest.raises(tm.TreeError):
            tm.project_to(wrong)(C if type(wrong) is not tuple else tm.Composite(tuple, *range(4)))
    with pytest.raises(tm.TreeError, match="has no 'z'"):
        tm.project_to({"a": 1.0})(tm.Composite(dict, z=1.0))


def test_a_rule_that_ends_with_it_is_right_in_every_dtype() -> None:
    """A rule in double precision, on purpose: the projection gives every operand its dtype back, also when traced."""

    def rule(g: Any, y: Any, x: Any) -> Any:
        return tm.project_to(x)(np.float64(3.0) * g * x * x)

    @tm.primitive(rrule=(rule,), frule=(lambda t, y, x: 3.0 * t * x * x,))
    def cube(x: Number) -> Number:
        return x * x * x

    tm.testing.check_rule(cube, np.array([0.5, 2.0]))
    assert tm.grad(lambda x: tm.sum(cube(x)))(np.ones(2, np.float32)).dtype == np.float32
