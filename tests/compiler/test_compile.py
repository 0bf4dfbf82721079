"""compile: a compiled function computes what the function computes, for every kind of argument, and changes nothing."""

import functools
import math
import random
import threading

import numpy as np
import pytest

import layers
import losses
import tapem as tm

F32 = np.float32
KEY = np.random.default_rng(0)
PARAMS = [
    {"w": (KEY.standard_normal((o, i)) * 0.3).astype(F32), "b": KEY.standard_normal(o).astype(F32)}
    for i, o in [(6, 5), (5, 3)]
]
X, LABELS = KEY.standard_normal((7, 6)).astype(F32), KEY.integers(0, 3, 7)


def loss(params, x, labels):
    hidden = tm.relu(layers.linear(params[0]["w"], params[0]["b"], x))
    return losses.cross_entropy(layers.linear(params[1]["w"], params[1]["b"], hidden), labels)


def step(params, x, labels, rate):
    value, gradient = tm.value_and_grad(loss)(params, x, labels)
    return value, tm.tree_map(lambda p, g: p - rate * g, params, gradient)


def compiled(f, **options):
    return tm.compile(f, engine="numpy", **options)


def assert_same(found, expected):
    leaves, structure = tm.tree_flatten(found)
    others, other = tm.tree_flatten(expected)
    assert structure == other
    for a, b in zip(leaves, others, strict=True):
        assert type(a) is type(b)
        assert np.asarray(a).dtype == np.asarray(b).dtype
        np.testing.assert_array_equal(a, b)


def test_a_training_step_is_the_same_bit_for_bit():
    fast = compiled(step, fast=False)
    params = expected = PARAMS
    for _ in range(5):
        value, params = fast(params, X, LABELS, 0.1)
        wanted, expected = step(expected, X, LABELS, 0.1)
        assert_same((value, params), (wanted, expected))


def test_a_fast_training_step_differs_by_rounding_only():
    fast = compiled(step)
    params = expected = PARAMS
    for _ in range(5):
        value, params = fast(params, X, LABELS, 0.1)
        wanted, expected = step(expected, X, LABELS, 0.1)
        for one, other in zip(tm.tree_leaves((value, params)), tm.tree_leaves((wanted, expected)), strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-6, atol=1e-7)


def test_a_number_is_an_operand_and_stays_weak():
    fast = compiled(lambda x, rate: x - rate * (1 - rate**2) * x)
    for rate in (0.1, 0.25, 2.0):
        assert_same(fast(X, rate), X - rate * (1 - rate**2) * X)
    assert fast(X, 0.1).dtype == np.float32
    assert "1 program" in repr(fast)


def test_what_is_kept_for_a_derivative_is_computed_once():
    after = compiled(tm.grad(loss)).tape(PARAMS, X, LABELS).after
    names = [node.op.name for node in after]
    assert names.count("cross_entropy") + names.count("kept") == 1
    assert names.count("dot") == 2 + 2 * 2 + 1  # two products forward, two for each weight and bias, one for the input


def test_inputs_are_not_written_and_results_share_no_memory():
    def several(x, y):
        return x, x.T, x[0], np.reshape(x, -1), y + 0 * y, {"again": x}

    x, y = np.arange(6.0).reshape(2, 3), np.ones(4)
    before = x.copy()
    results = tm.tree_leaves(compiled(several)(x, y))
    for number, result in enumerate(results):
        assert not np.shares_memory(result, x)
        assert not any(np.shares_memory(result, other) for other in results[:number])
        result += 1.0
    np.testing.assert_array_equal(x, before)


def test_closed_over_arrays_are_copied_at_the_first_call():
    table = np.ones(3)
    fast = compiled(lambda x: x * table)
    fast(np.ones(3))
    table[:] = 5.0
    np.testing.assert_array_equal(fast(np.ones(3)), np.ones(3))


def test_reading_a_value_says_what_to_write():
    def branching(x):
        return x if x > 0 else -x

    with pytest.raises(tm.ConcretizationError, match=r"tm\.cond.*static_argnums"):
        compiled(branching)(1.0)

    def looping(x, count):
        for _ in range(count):
            x = np.sin(x)
        return x

    with pytest.raises(tm.ConcretizationError, match="static_argnums"):
        compiled(looping)(X, 3)
    for fast in (compiled(looping, static_argnums=1), compiled(looping, static_argnames="count")):
        assert_same(fast(X, 3), looping(X, 3))
        assert_same(fast(X, count=2), looping(X, 2))
        assert "2 programs" in repr(fast)


def test_a_static_argument_is_a_value_of_its_type():
    fast = compiled(lambda x, n: x * n, static_argnums=1)
    assert_same(fast(X, 1), X * 1)
    assert_same(fast(np.arange(3), 1.0), np.arange(3) * 1.0)
    assert_same(fast(np.arange(3), True), np.arange(3) * True)
    with pytest.raises(tm.ArgumentError, match="hash"):
        fast(X, [1])


def test_compiled_functions_are_functions_of_every_door():
    fast = compiled(lambda x: np.sum(np.sin(x) * x))

    def plain(x):
        return np.sum(np.sin(x) * x)

    x = np.array([0.3, -0.7])
    np.testing.assert_allclose(tm.grad(fast)(x), tm.grad(plain)(x))
    np.testing.assert_allclose(tm.hessian(fast)(x), tm.hessian(plain)(x))
    np.testing.assert_allclose(tm.vmap(fast)(np.stack([x, 2 * x])), [plain(x), plain(2 * x)])
    np.testing.assert_allclose(compiled(lambda x: fast(x) + 1)(x), plain(x) + 1)
    ref, tape = tm.Tape().leaf(x)
    out, tape = fast(ref).run(tape)
    np.testing.assert_allclose(tape.value(out), plain(x))


def test_a_tracer_of_a_transform_around_is_no_constant():
    def outer(w):
        return np.sum(compiled(lambda x: x * w)(np.ones(3)))

    np.testing.assert_array_equal(tm.grad(outer)(np.arange(3.0)), np.ones(3))


def test_errors_name_the_op_that_fails_when_it_runs():
    fast = compiled(lambda x, i: np.take(x, i))
    fast(X, 0)
    with pytest.raises(tm.ArgumentError, match="take"):
        fast(X, 1000)
    with pytest.raises(tm.ArgumentError, match=r"label 9 .* out of range"):
        compiled(loss)(PARAMS, X, LABELS * 0 + 9)


def test_a_function_of_no_module_is_compiled():
    """What `eval` makes in a dictionary of its own has no module."""
    f = eval("lambda x: np.sin(x) * 2", {"np": np})
    assert f.__module__ is None
    assert tm.compile(lambda x: f(x), engine="numpy")(0.5) == tm.compile(f, engine="numpy")(0.5) == np.sin(0.5) * 2


def test_hidden_randomness_is_refused():
    with pytest.raises(tm.ArgumentError, match=r"global random state.*tm\.random"):
        compiled(lambda x: x + np.random.rand())(X)
    with pytest.raises(tm.ArgumentError, match=r"global random state.*tm\.random"):
        compiled(lambda x: x + random.random())(X)


RNG = np.random.default_rng(0)


class Noise:
    def __init__(self, generator):
        self.generator = generator

    def __call__(self, x):
        return x + self.generator.normal()

    def method(self, x):
        return self(x)


def noisy(x):
    return x * RNG.uniform()


@pytest.mark.parametrize("generator", [
    np.random.default_rng(0), np.random.RandomState(0), random.Random(0), np.random.Generator(np.random.MT19937(0))
])  # fmt: skip
def test_a_generator_that_can_be_seen_is_refused(generator):
    draw = generator.random if hasattr(generator, "random") else generator.rand
    functions = [
        lambda x: x + generator.normal() if hasattr(generator, "normal") else x + generator.random(),
        lambda x, g=generator: x + (g.uniform(0, 1)),
        lambda x: tm.grad(lambda x: np.sum(x * generator.uniform(0, 1)))(x),
        lambda x: noisy(x),
        functools.partial(lambda g, x: x + g.uniform(0, 1), generator),
    ]
    if hasattr(generator, "normal"):
        functions += [
            Noise(generator),
            Noise(generator).method,
            functools.partial(lambda noise, x: noise(x), Noise(generator)),
        ]
    for f in functions:
        with pytest.raises(tm.ArgumentError, match=r"random generator.*tm\.random"):
            compiled(f)(X)
    with pytest.raises(tm.ArgumentError, match=r"random generator.*tm\.random"):
        tm.compile(lambda x, g: x + g.uniform(0, 1), static_argnums=1)(X, generator)
    table = np.array([draw() for _ in range(3)])
    drawn_before = compiled(lambda x: x[0, :3] + table + 0 * len([generator]))
    np.testing.assert_array_equal(drawn_before(X), X[0, :3] + table)


@pytest.mark.parametrize(
    "result", ["text", {1, 2}, np.sin, object(), np.array(["a"]), (X, "text")], ids=lambda r: type(r).__name__
)
def test_what_is_no_tree_of_arrays_is_refused(result):
    with pytest.raises(tm.DTypeError, match="tree of arrays"):
        compiled(lambda x: result)(X)


@pytest.mark.parametrize("argument", ["a", object(), np.array([None]), np.array(["a"]), np.array(["2020"], "M8[Y]")])
def test_an_argument_that_is_no_tree_of_arrays_is_refused_by_name(argument):
    with pytest.raises(tm.DTypeError, match=r"<lambda>: rest\.1 is"):
        compiled(lambda x, rest: x)(X, [X, argument])


@pytest.mark.parametrize("given", [{"static_argnums": "x"}, {"static_argnums": 1.0}, {"static_argnames": 1}])
def test_static_arguments_are_named_by_positions_and_names(given):
    (name,) = given
    with pytest.raises(tm.ArgumentError, match=f"compile: {name} takes"):
        tm.compile(lambda x: x, **given)


READINGS = {
    "if": lambda x, n: x if x[0, 0] > 0 else -x,
    "if of a number": lambda x, n: x if n > 0 else -x,
    "float": lambda x, n: float(x[0, 0]),
    "float of a number": lambda x, n: math.sin(n * 0.5),
    "range": lambda x, n: [x for _ in range(n)],
    "index of a list": lambda x, n: [1, 2, 3][n],
    "item": lambda x, n: x[0, 0].item(),
}


@pytest.mark.parametrize("name", READINGS)
def test_reading_a_value_says_what_to_write_instead(name):
    with pytest.raises(tm.ConcretizationError, match=r"(where|cond|take).*static_argnums"):
        compiled(READINGS[name])(X, 1)


def test_a_number_that_decides_a_shape_is_static():
    for shape in (lambda n: n, lambda n: (n, -1)):
        with pytest.raises(tm.TapeError, match="static_argnums"):
            compiled(lambda x, n, shape=shape: np.reshape(x, shape(n)))(X, 2)


def test_threads_share_a_compiled_function():
    fast = compiled(lambda x: np.cumsum(np.sin(x) * x + 1.0))
    inputs = [np.full(1000, float(number)) for number in range(8)]
    expected = [np.cumsum(np.sin(x) * x + 1.0) for x in inputs]
    wrong = []

    def work(number):
        for _ in range(100):
            if not np.array_equal(fast(inputs[number]), expected[number]):
                wrong.append(number)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_shapes_that_change_at_every_call_are_told():
    fast = compiled(lambda x, y: x * 2 + y)
    with pytest.warns(UserWarning, match="compiled 30 times, since x changes"):
        for size in range(1, 31):
            fast(np.ones(size), 1.0)


def test_a_choice_between_equal_constants_stays_a_choice():
    """0.0 equals -0.0; and arrays are not compared as numbers are."""
    x = np.array([-1.0, 1.0])
    choices = [(0.0, -0.0), (np.eye(2), np.eye(2)), (np.zeros(2), -np.zeros(2)), (1, 1.0), (np.nan, np.nan)]
    for a, b in choices:
        found = compiled(lambda x, a=a, b=b: np.where(x > 0, a, b))(x)
        expected = np.where(x > 0, a, b)
        assert_same(found, expected)
        np.testing.assert_array_equal(np.signbit(found), np.signbit(expected))
    assert_same(compiled(lambda x: np.where(x > 0, x, x))(x), x)


def test_calls_that_are_known_find_their_leaves_in_any_order_of_keys():
    fast = tm.compile(lambda tree, x, *, scale=1.0: (tree["a"] - 2 * tree["b"][0], {"z": x * scale}), engine="numpy")
    one, two = np.ones(2), np.full(2, 5.0)
    for _ in range(3):
        for tree in ({"a": one, "b": (two,)}, {"b": (two,), "a": one}, {"a": two, "b": (two,)}, {"a": one, "b": [two]}):
            for options in ({}, {"scale": 3.0}, {"scale": 3}):
                y, rest = fast(tree, one, **options)
                np.testing.assert_array_equal(y, tree["a"] - 2 * tree["b"][0])
                np.testing.assert_array_equal(rest["z"], one * options.get("scale", 1.0))
    assert "6 programs" in repr(fast)
