"""The engine and the tangents: nothing is computed, materialized, shared or changed that need not be."""

from __future__ import annotations

import tracemalloc
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from jaxtyping import Float

import tapem as tm

Vector = Float[tm.Tensor, "n"]
X = np.array([0.5, -1.5, 2.0])


class Product:
    """The op a * b * c with a joint rule of thunks, which counts how often each of them is forced."""

    def __init__(self, wrap: Callable[[Callable[[], Any]], Any] = tm.Thunk) -> None:
        self.forced: Counter[str] = Counter()
        self.calls = 0

        def counted(name: str, f: Callable[[], Any]) -> Any:
            def value() -> Any:
                self.forced[name] += 1
                return f()

            return wrap(value)

        def rrule(g: Any, y: Any, a: Any, b: Any, c: Any) -> Any:
            self.calls += 1
            return (
                counted("a", lambda: g * b * c),
                counted("b", lambda: g * a * c),
                counted("c", lambda: g * a * b),
            )

        def frule(t: Any, y: Any, a: Any, b: Any, c: Any) -> Any:
            parts = [(t[0], lambda: t[0] * b * c), (t[1], lambda: t[1] * a * c), (t[2], lambda: t[2] * a * b)]
            return wrap(lambda: sum(f() for tangent, f in parts if type(tangent) is not tm.Zero))

        @tm.primitive(rrule=rrule, frule=frule)
        def product(a: Vector, b: Vector, c: Vector) -> Vector:
            return a * b * c

        self.op: Any = product


# What nobody needs is not computed.


@pytest.mark.parametrize("needed", [(0,), (1,), (0, 2), (0, 1, 2)])
def test_cotangents_that_nobody_needs_are_never_computed(needed: tuple[int, ...]) -> None:
    product = Product()
    names = {"abc"[i] for i in needed}
    gradients = tm.grad(lambda *xs: np.sum(product.op(*xs)), needed)(X, X, X)
    np.testing.assert_array_equal(gradients, [X * X] * len(needed))
    assert product.forced == dict.fromkeys(names, 1)

    product.forced.clear()  # constants and integers among the operands, on a tape
    tape, operands = tm.Tape(), []
    for position in range(3):
        ref, tape = tape.leaf(X, requires_grad=position in needed)
        operands.append(ref)
    y, tape = tape.record(product.op, *operands)
    tape.backward(y, np.ones(3))
    assert product.forced == dict.fromkeys(names, 1)

    product.forced.clear()
    _, pullback = tm.vjp(lambda *xs: product.op(*(xs[i] if i in needed else X for i in range(3))), X, X, X)
    assert not product.forced
    pullback(np.ones(3))
    assert product.forced == dict.fromkeys(names, 1)


def test_a_detached_operand_needs_none() -> None:
    product = Product()
    tm.grad(lambda x: np.sum(product.op(x, tm.detach(x), np.sign(x))))(X)
    assert product.forced == {"a": 1}
    product.forced.clear()
    with tm.no_grad():
        y = product.op(X, X, X)
    np.testing.assert_array_equal(y, X**3)
    assert not product.forced and product.calls == 1


def test_the_query_forces_all_that_it_returns_and_only_when_asked() -> None:
    product = Product()
    _, pullback = tm.rrule(product.op, X, X, X)
    assert product.calls == 0
    op_bar, *bars = pullback(np.ones(3))
    assert op_bar is tm.NO_FIELDS and [type(bar) for bar in bars] == [np.ndarray] * 3
    assert product.forced == {"a": 1, "b": 1, "c": 1}
    assert pullback(tm.Zero())[1:] == (tm.Zero(),) * 3 and product.calls == 1


def test_thunks_at_second_order() -> None:
    product = Product()
    hessian = tm.hessian(lambda a: np.sum(product.op(a, a, X)))(X)
    np.testing.assert_allclose(hessian, np.diag(2 * X))
    assert set(product.forced) == {"a", "b"}


# Zeros are never materialized.


def test_rules_of_branches_that_nothing_reaches_are_not_called() -> None:
    calls: Counter[str] = Counter()

    def watched(name: str) -> Any:
        def rule(g: Any, y: Any, x: Any) -> Any:
            calls[name] += 1
            return g

        return tm.primitive(rrule=(rule,), frule=(rule,), name=name)(lambda x: x * 1)

    used, unused, behind = watched("used"), watched("unused"), watched("behind")
    cut = tm.primitive(rrule=(lambda g, y, x: tm.Zero(),), frule=(lambda t, y, x: tm.Zero(),), name="cut")(
        lambda x: x * 1
    )

    def f(x: Any) -> Any:
        unused(unused(x))
        return np.sum(used(x) + cut(behind(x)))

    np.testing.assert_array_equal(tm.grad(f)(X), np.ones(3))
    assert calls == {"used": 1}
    calls.clear()
    x, tape = tm.Tape().leaf(X)
    side, tape = tape.record(unused, x)
    y, tape = tape.record(used, x)
    gradients = tape.backward(y, np.ones(3))
    assert calls == {"used": 1} and side not in gradients and len(gradients) == 2
    calls.clear()
    ahead = tm.jvp(lambda x: used(x) + behind(cut(x)) + unused(X), (X,), (np.ones(3),))[1]
    np.testing.assert_array_equal(ahead, np.ones(3))
    assert calls == {"used": 1}
    calls.clear()
    assert tm.frule((tm.NO_FIELDS, tm.Zero()), used, X)[1] is tm.Zero() and not calls


def test_an_frule_is_not_asked_for_operands_without_a_tangent() -> None:
    calls: list[str] = []
    op = tm.primitive(
        frule=(lambda t, y, a, b: calls.append("a") or t * b, lambda t, y, a, b: calls.append("b") or a * t),
        name="times",
    )(lambda a, b: a * b)
    np.testing.assert_array_equal(tm.frule((tm.NO_FIELDS, X, tm.Zero()), op, X, X)[1], X * X)
    np.testing.assert_array_equal(tm.jvp(lambda a: op(a, X), (X,), (X,))[1], X * X)
    assert calls == ["a", "a"]


def test_results_that_nobody_used() -> None:
    """A rule receives zeros for them that take no memory; a tangent that is Zero stays so."""
    seen: list[Any] = []
    behind: list[Any] = []

    def pull(g: Any, y: Any, x: Any) -> Any:
        seen.extend(g)
        return g[0] + 2 * g[1]

    split = tm.primitive(rrule=(pull,), frule=(lambda t, y, x: (t, tm.Zero()),), name="split_up")(lambda x: (x, 2 * x))
    after = tm.primitive(frule=(lambda t, y, x: behind.append(t) or t,), name="after")(lambda x: x * 1)
    large = np.ones(1_000_000)
    tracemalloc.start()
    gradient = tm.grad(lambda x: np.sum(split(x)[0]))(large)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    np.testing.assert_array_equal(gradient, large)
    assert seen[1].shape == large.shape and seen[1].strides == (0,) and not seen[1].any()
    assert peak < 6 * large.nbytes
    dy = tm.jvp(lambda x: (split(x)[0], after(split(x)[1])), (X,), (X,))[1]
    np.testing.assert_array_equal(dy, [X, np.zeros(3)])
    assert not behind


# Thunks never reach users.


def leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, tuple | list):
        for part in value:
            yield from leaves(part)
    else:
        yield value


WRAPS: dict[str, Callable[[Callable[[], Any]], Any]] = {
    "thunk": tm.Thunk,
    "nested": lambda f: tm.Thunk(lambda: tm.Thunk(f)),
    "inplaceable": lambda f: tm.InplaceableThunk(tm.Thunk(f), lambda total: np.add(total, f(), out=total)),
}


@pytest.mark.parametrize("wrap", WRAPS.values(), ids=WRAPS)
def test_thunks_never_reach_users(wrap: Any) -> None:
    op = Product(wrap).op

    def f(a: Any) -> Any:
        return np.sum(op(a, a, a))

    x, tape = tm.Tape().leaf(X)
    y, tape = tape.record(op, x, x, x)
    ones = np.ones(3)
    results = [
        tm.grad(f)(X),
        tm.vjp(op, X, X, X)[1](ones),
        tm.jvp(op, (X, X, X), (ones, ones, ones))[1],
        tm.linearize(op, X, X, X)[1](ones, ones, ones),
        tm.rrule(op, X, X, X)[1](ones)[1:],
        tm.frule((tm.NO_FIELDS, ones, ones, tm.Zero()), op, X, X, X),
        list(tape.backward(y, ones).values()),
        tape.backward_dense(y, ones),
        tm.jacrev(lambda a: op(a, a, a))(X),
        tm.jacfwd(lambda a: op(a, a, a))(X),
        tm.hessian(f)(X),
        tm.vmap(tm.grad(f))(np.stack([X, X])),
    ]
    for result in leaves(results):
        assert type(result) is np.ndarray and result.dtype == np.float64
    np.testing.assert_allclose(results[0], 3 * X**2)
    np.testing.assert_allclose(results[10], np.diag(6 * X))


def test_thunks_in_the_tangents_of_several_results() -> None:
    op = tm.primitive(frule=(lambda t, y, x: (tm.Thunk(lambda: tm.Thunk(lambda: t)), tm.Thunk(tm.Zero)),), name="both")(
        lambda x: (x * 1, x * 2)
    )
    dy = tm.jvp(op, (X,), (X,))[1]
    assert [type(part) for part in dy] == [np.ndarray, np.ndarray]
    np.testing.assert_array_equal(dy, [X, np.zeros(3)])


def test_tangents_of_several_results_add_up() -> None:
    op = tm.primitive(frule=(lambda t, y, a, b: (t, tm.Zero()), lambda t, y, a, b: (t * 10, t)), name="two")(
        lambda a, b: (a + 10 * b, b * 1)
    )
    np.testing.assert_array_equal(tm.jvp(op, (X, X), (X, X))[1], [11 * X, X])


@pytest.mark.parametrize("kind", [float, np.float64, np.float32, np.array])
def test_a_python_number_becomes_what_its_operand_is(kind: Any) -> None:
    op = tm.primitive(rrule=(lambda g, y, x: 2.0,), frule=(lambda t, y, x: 2.0,), name="double")(lambda x: 2 * x)
    x = kind(3.0)
    gradient = tm.grad(op)(x)
    assert gradient == 2.0 and gradient.dtype == np.asarray(x).dtype and type(gradient) is not float
    tangent = tm.jvp(op, (x,), (x,))[1]
    assert tangent == 2.0 and tangent.dtype == np.asarray(x).dtype and type(tangent) is not float


# Accumulation reuses memory where that is safe.


class Adders:
    """The identity, whose cotangent knows how to add itself into an array; it counts how it was used."""

    def __init__(self, add_into: Callable[[Any, Any], Any] = lambda total, g: np.add(total, g, out=total)) -> None:
        self.forced = 0
        self.totals: list[int] = []  # the ids: who keeps an array also keeps it from being written to

        def rrule(g: Any, y: Any, x: Any) -> Any:
            def value() -> Any:
                self.forced += 1
                return g

            def into(total: Any) -> Any:
                self.totals.append(id(total))
                return add_into(total, g)

            return tm.InplaceableThunk(tm.Thunk(value), into)

        self.op: Any = tm.primitive(rrule=(rrule,), frule=(lambda t, y, x: t,), name="same")(lambda x: x * 1)


@pytest.mark.parametrize(("uses", "forced", "in_place"), [(1, 1, 0), (2, 1, 1), (3, 1, 2), (6, 1, 5)])
def test_add_into_is_used_from_the_second_contribution_on(uses: int, forced: int, in_place: int) -> None:
    """The first is an array that nobody else holds any more, and the others go into that."""
    adders = Adders()

    def f(x: Any) -> Any:
        return sum((k + 1) * np.sum(adders.op(x)) for k in range(uses))

    np.testing.assert_array_equal(tm.grad(f)(X), np.full(3, uses * (uses + 1) / 2))
    assert (adders.forced, len(adders.totals)) == (forced, in_place)
    assert len(set(adders.totals)) == bool(in_place)  # one array


def test_add_into_on_a_tape() -> None:
    """The first contribution is the caller's array, so the second makes a new sum."""
    adders = Adders()
    x, tape = tm.Tape().leaf(X)
    outputs = []
    for _ in range(4):
        y, tape = tape.record(adders.op, x)
        outputs.append(y)
    given = [np.full(3, 10.0**k) for k in range(4)]
    gradients = tape.backward(outputs, given)
    np.testing.assert_array_equal(gradients[x], np.full(3, 1111.0))
    assert (adders.forced, len(adders.totals)) == (2, 2)
    assert [array[0] for array in given] == [1.0, 10.0, 100.0, 1000.0]
    for k, y in enumerate(outputs):
        np.testing.assert_array_equal(given[k], np.full(3, 10.0**k))
        np.testing.assert_array_equal(gradients[y], given[k])


def test_add_into_is_for_arrays_only() -> None:
    """In a sweep that is recorded itself, cotangents are tracers, which cannot be changed."""
    adders = Adders()

    def f(x: Any) -> Any:
        return sum(np.sum(adders.op(x) ** 2) for _ in range(4))

    np.testing.assert_array_equal(tm.hessian(f)(X), 8 * np.eye(3))
    with tm.debug_mode():  # somebody looks at each contribution, so each is computed
        np.testing.assert_array_equal(tm.grad(f)(X), 8 * X)


def test_a_wrong_add_into_is_told() -> None:
    for add_into, message in (
        (lambda total, g: total + g, "the array it was given"),
        (lambda total, g: 1 / 0, r"the rrule of same\(x\) for argument 'x' raised ZeroDivisionError"),
    ):
        adders = Adders(add_into)
        with pytest.raises(tm.TapeError, match=message) as caught:
            tm.grad(lambda x, op=adders.op: sum(np.sum(op(x)) for _ in range(3)))(X)
        notes = getattr(caught.value, "__notes__", [str(caught.value)])
        assert "the rrule of same(x) for argument 'x'" in notes[0]


def test_many_contributions_take_the_memory_of_two() -> None:
    large = np.ones(500_000)

    def f(x: Any) -> Any:
        return sum(np.sum(x * k) for k in range(1, 13))

    _, pullback = tm.vjp(f, large)
    tracemalloc.start()
    (gradient,) = pullback(1.0)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert gradient[0] == 78
    assert peak < 4.5 * large.nbytes  # the sum, a contribution, the result's copy; not twelve sums


# Nothing is changed, nothing is shared.

KEPT = np.array([1.0, 2.0, 3.0])


def handing_on(what: str) -> Any:
    """A linear op whose rule hands on the cotangent that it was given, or views of it."""

    def rrule(g: Any, y: Any, a: Any, b: Any) -> Any:
        return (g, g) if what == "the cotangent" else (g[::-1], g[::-1])

    @tm.primitive(rrule=rrule)
    def handed(a: Vector, b: Vector) -> Vector:
        return a + b if what == "the cotangent" else (a + b)[::-1]

    return handed


@pytest.mark.parametrize("what", ["the cotangent", "views"])
@pytest.mark.parametrize("uses", [1, 2, 3])
def test_cotangents_that_rules_hand_on_are_neither_changed_nor_shared(what: str, uses: int) -> None:
    op = handing_on(what)
    a, b, ct = X.copy(), 2 * X, np.array([1.0, 10.0, 100.0])
    expected = uses * (ct[::-1] if what == "views" else ct)

    def f(a: Any, b: Any) -> Any:
        return sum(op(a, b) for _ in range(uses))

    _, pullback = tm.vjp(f, a, b)
    first, second = pullback(ct), pullback(ct)
    arrays = [a, b, ct, *first, *second]
    assert not any(np.shares_memory(p, q) for i, p in enumerate(arrays) for q in arrays[:i])
    for gradient in (*first, *second):
        np.testing.assert_array_equal(gradient, expected)
        assert gradient.flags.writeable
        gradient[:] = -1
    np.testing.assert_array_equal(pullback(ct), [expected, expected])
    np.testing.assert_array_equal((a, b, ct), (X, 2 * X, [1.0, 10.0, 100.0]))

    gradients = tm.grad(lambda a, b: np.sum(f(a, b) * ct), (0, 1))(a, b)
    np.testing.assert_array_equal(gradients, [expected, expected])
    assert not np.shares_memory(*gradients)


@pytest.mark.parametrize("f", [
    lambda x, c: np.sum(x * c),  # the cotangent of x is made from c
    lambda x, c: x @ c,
    lambda x, c: np.sum(x + x + x) + np.sum(x.reshape(3) * c),
    lambda x, c: np.sum(np.stack([x, x, x]) * c),
    lambda x, c: np.sum(np.concatenate([x, x])[1:] * np.concatenate([c, c])[1:]),
    lambda x, c: np.sum(np.broadcast_to(x, (4, 3)) * c) + np.sum(x[::-1] * c),
], ids=range(6))  # fmt: skip
def test_gradients_share_memory_with_nothing(f: Any) -> None:
    x, c = X.copy(), KEPT.copy()
    gradients = [
        *tm.grad(f, (0, 1))(x, c),
        *tm.vjp(f, x, c)[1](1.0),
        *tm.grad(lambda x, y: f(x, c) + f(y, c), (0, 1))(x, x),
    ]
    arrays = [x, c, *gradients]
    assert not any(np.shares_memory(p, q) for i, p in enumerate(arrays) for q in arrays[:i])
    for gradient in gradients:
        gradient += 1  # belongs to whoever asked for it
    np.testing.assert_array_equal(x, X)
    np.testing.assert_array_equal(c, KEPT)


def test_the_gradients_of_a_tape_cannot_be_changed_and_do_not_change() -> None:
    ct = np.array([1.0, 10.0, 100.0])
    x, tape = tm.Tape().leaf(X)
    y, tape = tape.record(tm.add, x, 1.0)
    z, tape = tape.record(tm.add, x, y)
    gradients = tape.backward(z, ct)
    ct[:] = -1
    np.testing.assert_array_equal(gradients[x], [2.0, 20.0, 200.0])
    for ref in (y, z):  # the sum for x was not made in the cotangent that add handed on
        np.testing.assert_array_equal(gradients[ref], [1.0, 10.0, 100.0])
    for ref in (x, y, z):
        with pytest.raises(ValueError, match="read-only"):
            gradients[ref][0] = 0
    again = gradients + gradients
    np.testing.assert_array_equal(again[x], 2 * gradients[x])
    np.testing.assert_array_equal(gradients[x], [2.0, 20.0, 200.0])


def test_an_owned_sum_that_was_handed_on_is_not_added_to_again() -> None:
    """`h` receives three contributions, and hands its sum on to x as it is; x receives others after that."""
    op = tm.primitive(rrule=(lambda g, y, x: g,), name="same")(lambda x: x * 1)
    x, tape = tm.Tape().leaf(X)
    early = []
    for _ in range(3):
        y, tape = tape.record(op, x)
        early.append(y)
    h, tape = tape.record(op, x)
    late = []
    for _ in range(3):
        y, tape = tape.record(op, h)
        late.append(y)
    gradients = tape.backward([*early, *late], [np.ones(3)] * 6)
    np.testing.assert_array_equal(gradients[h], np.full(3, 3.0))
    np.testing.assert_array_equal(gradients[x], np.full(3, 6.0))
    for ref in (*early, *late):
        np.testing.assert_array_equal(gradients[ref], np.ones(3))


def test_what_a_thunk_lacks_is_told_without_printing_its_arrays():
    """Rules and sweeps ask thunks for a dtype; to print the arrays in its closure takes longer than to compute it."""

    class Loud:
        def __repr__(self):
            raise AssertionError("printed")

        def __call__(self):
            return np.ones(2)

    for lazy in (tm.Thunk(Loud()), tm.InplaceableThunk(tm.Thunk(Loud()), lambda array: array)):
        assert not hasattr(lazy, "dtype")
        with pytest.raises(AttributeError, match="has no shape before it is computed"):
            _ = lazy.shape
