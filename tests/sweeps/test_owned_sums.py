"""Sums in place: the reverse sweep adds into an array only if no other code can read it.

A rule may return anything that has the right shape and numbers: its cotangent, a kept value, an array that its closure
holds, or a view of one of these. None of them may change, and the gradient is the one that sums of copies give.
"""

import itertools
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tapem as tm

X = np.array([0.5, -1.0, 2.0])
HELD = np.array([3.0, 5.0, 7.0])
FROZEN = HELD.copy()
FROZEN.flags.writeable = False
CACHE = {"array": HELD.copy()}


def op(name, rule):
    """An op whose cotangent is what `rule(g, y, x)` returns; the forward value is of no account."""
    return tm.primitive(rrule=(rule,), name=name)(lambda x: x + 1.0)


# Each returns something that other code holds, and what that is, computed anew.
RULES = {
    "fresh": lambda g, y, x: g * 2.0,
    "the cotangent": lambda g, y, x: g,
    "a view of the cotangent": lambda g, y, x: g[:],
    "a reversed view": lambda g, y, x: g[::-1],
    "the kept value": lambda g, y, x: y,
    "the input": lambda g, y, x: x,
    "a view of the input": lambda g, y, x: x[::-1],
    "a held array": lambda g, y, x: HELD,
    "a frozen array": lambda g, y, x: FROZEN,
    "a view of a held array": lambda g, y, x: HELD[::-1],
    "a cached array": lambda g, y, x: CACHE["array"],
    "a repeated number": lambda g, y, x: np.broadcast_to(g[0], (3,)),
}
OPS = {name: op("op", rule) for name, rule in RULES.items()}
NAMES = list(RULES)


def by_copies(tape, seeds):
    """The sweep with a new array for every contribution and for every sum."""
    nodes, cotangents = list(tape), {id: value.copy() for id, value in seeds.items()}
    for node in reversed(nodes):
        g = cotangents.get(node.id)
        if g is None:
            continue
        for position, (parent, value) in enumerate(zip(node.parents, node.inputs, strict=True)):
            if parent is None:
                continue
            part = node.op.rrule[position](g.copy(), node.output.copy(), *[np.array(x) for x in node.inputs])
            assert np.shape(part) == np.shape(value)
            cotangents[parent] = cotangents[parent] + part if parent in cotangents else part.copy()
    return cotangents


def check(rows):
    """A tape of ops and sums: row i applies an op to an earlier node, and perhaps adds another earlier node."""
    x, tape = tm.Tape().leaf(X)
    refs = [x]
    for name, source, other in rows:
        y, tape = tape.record(OPS[NAMES[name % len(NAMES)]], refs[source % len(refs)])
        if other is not None:
            y, tape = tape.record(tm.add, y, refs[other % len(refs)])
        refs.append(y)
    outputs, given_ = refs[-3:], [np.array([1.0, 10.0, 100.0]) * (k + 1) for k in range(3)]
    given_ = given_[: len(outputs)]
    before = [(node.output.copy(), [np.array(v) for v in node.inputs]) for node in tape]
    arrays = [HELD.copy(), FROZEN.copy(), CACHE["array"].copy(), *map(np.copy, given_)]
    expected = by_copies(tape, {ref.id: g for ref, g in zip(outputs, given_, strict=True)})
    found = tape.backward(outputs, given_)
    np.testing.assert_array_equal(found[x], expected[x.id])
    for node, (output, inputs) in zip(tape, before, strict=True):
        np.testing.assert_array_equal(node.output, output)
        for value, kept in zip(node.inputs, inputs, strict=True):
            np.testing.assert_array_equal(value, kept)
    for array, kept in zip([HELD, FROZEN, CACHE["array"], *given_], arrays, strict=True):
        np.testing.assert_array_equal(array, kept)

    def f(x):
        values = [x]
        for name, source, other in rows:
            y = OPS[NAMES[name % len(NAMES)]](values[source % len(values)])
            values.append(y if other is None else y + values[other % len(values)])
        return tuple(values[-3:])

    _, pullback = tm.vjp(f, X)
    for _ in range(2):  # the first call must not change what the second one reads
        np.testing.assert_array_equal(pullback(tuple(given_))[0], expected[x.id])
    for array, kept in zip([HELD, FROZEN, CACHE["array"], *given_], arrays, strict=True):
        np.testing.assert_array_equal(array, kept)


@pytest.mark.parametrize(("first", "second"), list(itertools.product(range(len(NAMES)), repeat=2)))
def test_two_contributions_and_a_third(first, second):
    check([(first, 0, None), (second, 0, 1), (0, 0, 2)])


ROWS = st.tuples(st.integers(0, len(NAMES) - 1), st.integers(0, 9), st.none() | st.integers(0, 9))


@settings(deadline=None, max_examples=300, derandomize=True)
@given(st.lists(ROWS, min_size=3, max_size=10))
def test_any_order_of_aliases(rows):
    check(rows)


def test_a_watcher_may_keep_what_it_sees():
    seen = []

    def rule(g, y, x):
        seen.append((g, g.copy()))
        return g * 1.0

    keeper = op("keeper", rule)
    tm.grad(lambda x: np.sum(keeper(x) * x + keeper(x * 2.0) + np.sin(x) * x + keeper(x)))(X)
    for array, then in seen:
        np.testing.assert_array_equal(array, then)


@pytest.mark.parametrize(
    "f",
    [
        lambda x: sum(np.sum(np.sin(x * k)) for k in range(1, 9)),
        lambda x: sum(np.sum(x[k:-9] * x[:1]) for k in range(9)),
        lambda x: np.sum(x * x) + np.sum(x * x),
    ],
    ids=["several uses", "slices", "products with itself"],
)
def test_large_sums_allocate_no_sum(f):
    """Beside the kept values, a sum of many large contributions needs the sum, one contribution and its parts."""
    x = np.ones(200_000)
    kept = sum(node.output.nbytes for node in tape_of(f, x) if node.id)
    gradient = tm.grad(f)
    gradient(x)
    tracemalloc.start()
    gradient(x)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < kept + 5 * x.nbytes


def tape_of(f, x):
    nodes = []

    def seen(x):
        y = f(x)
        nodes.extend(x.recorder.nodes)
        return y

    tm.grad(seen)(x)
    return nodes


EXTREMES = [np.max, np.min, np.nanmax, np.nanmin]
TABLES = {
    "distinct": np.array([[0.5, 2.0, -1.0], [3.0, 0.25, 1.0]]),
    "ties": np.array([[2.0, 2.0, -1.0], [3.0, 0.25, 0.25]]),
    "a tie and a NaN": np.array([[2.0, 2.0, -1.0], [3.0, np.nan, 1.0]]),
    "a row of NaN": np.array([[2.0, 2.0, -1.0], [np.nan] * 3]),
    "an infinity": np.array([[np.inf, 2.0, 0.5], [3.0, 0.25, 1.0]]),
}


@pytest.mark.filterwarnings("ignore:All-NaN")
@pytest.mark.parametrize("extreme", EXTREMES)
@pytest.mark.parametrize("axis", [None, 0, 1, (0, 1)])
@pytest.mark.parametrize("keepdims", [False, True])
@pytest.mark.parametrize("table", TABLES)
def test_extremes_add_themselves_as_they_are_alone(extreme, axis, keepdims, table):
    """The cotangent of an extreme is the same whether it comes first or goes into a sum."""
    x = TABLES[table]

    def alone(x):
        y = extreme(x, axis=axis, keepdims=keepdims)
        return np.sum(y * np.cos(np.arange(y.size)).reshape(y.shape))

    first = tm.grad(alone)(x)
    summed = tm.grad(lambda x: alone(x) + np.sum(x * 4.0))(x)
    np.testing.assert_array_equal(summed, first + 4.0)
    np.testing.assert_array_equal(tm.grad(lambda x: np.sum(x * 4.0) + alone(x))(x), first + 4.0)
