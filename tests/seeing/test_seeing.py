"""debug, debug_mode, explain and the listing of a tape: what they show is what happens."""

import re

import numpy as np
import pytest

import tapem as tm

X = np.array([0.5, -1.0, 2.0])


def example():
    """A tape on which values are shared, broadcast, constant and unreached."""
    x, tape = tm.Tape().leaf(X, name="x")
    w, tape = tape.leaf(2.0, name="w")
    c, tape = tape.leaf(np.ones(3), name="c", requires_grad=False)
    unused, tape = tape.leaf(7.0, name="unused")
    y, tape = tape.record(tm.mul, x, w)
    z, tape = tape.record(tm.mul, y, x)
    shifted, tape = tape.record(tm.add, z, c)
    out, tape = tape.record(tm.sum, shifted)
    return tape, (x, w, c, unused, y, z, shifted, out)


# -- explain --------------------------------------------------------------------------------------------------------


def test_explain_tells_the_sweep_of_a_small_tape_word_for_word():
    x, tape = tm.Tape().leaf(3.0, name="x")
    y, tape = tape.record(tm.mul, x, x)
    z, tape = tape.record(tm.add, y, x)
    assert tm.explain(tape, z) == "\n".join(
        [
            "Reverse sweep from %2, whose cotangent is 1.",
            "%2 = add(%1, %0)   value 12.",
            "    cotangent in: 1.",
            "    to %1 (its a): 1.",
            "        g = 1.",
            "    to %0 (its b): 1.",
            "        g = 1.",
            "%1 = mul(%0, %0)   value 9.",
            "    cotangent in: 1.",
            "    to %0 (its a): 3., running sum 4.",
            "        g * b = 1. * 3.",
            "    to %0 (its b): 3., running sum 7.",
            "        g * a = 1. * 3.",
            "Gradients of the leaves:",
            "    %0 'x': 7.",
        ]
    )


def numbers(text):
    return np.array([float(n) for n in re.findall(r"-?\d+\.?\d*(?:e-?\d+)?", text)])


def test_the_numbers_that_explain_tells_are_the_gradients():
    tape, refs = example()
    text = tm.explain(tape, refs[-1])
    gradients = tape.backward_scalar(refs[-1])
    sums, arrived = {}, {}
    for line in text.splitlines():
        if found := re.match(r"%(\d+) = ", line):
            current = int(found[1])
        elif found := re.match(r"    cotangent in: (.*)", line):
            arrived[current] = numbers(found[1])
        elif found := re.match(r"    to %(\d+) \(its \w+\): (.*?)(?:, running sum (.*))?$", line):
            parent, part = int(found[1]), numbers(found[2])
            sums[parent] = part if parent not in sums else sums[parent] + part
            assert (found[3] is None) == np.array_equal(sums[parent], part) or found[3] is not None
            if found[3]:
                np.testing.assert_allclose(numbers(found[3]), sums[parent], atol=1e-3)
    for node, cotangent in arrived.items():
        np.testing.assert_allclose(cotangent, np.ravel(gradients[node]), atol=1e-3)
    for parent, total in sums.items():
        np.testing.assert_allclose(total, np.ravel(gradients[parent]), atol=1e-3)
    leaves = text.split("Gradients of the leaves:\n")[1].splitlines()
    np.testing.assert_allclose(numbers(leaves[0].split(": ")[1]), 2 * X * 2.0)
    np.testing.assert_allclose(numbers(leaves[1].split(": ")[1]), [np.sum(X**2)])
    assert leaves[2] == "    %2 'c': constant, so it has none"
    assert leaves[3] == "    %3 'unused': not reached, so zero"


def test_explain_goes_from_the_last_node_to_the_first():
    tape, refs = example()
    order = [int(i) for i in re.findall(r"^%(\d+) = ", tm.explain(tape, refs[-1]), re.M)]
    assert order == sorted(order, reverse=True) == [7, 6, 5, 4]


def test_explain_needs_a_scalar_and_leaves_no_watcher_behind():
    tape, refs = example()
    with pytest.raises(tm.NotScalarError, match=r"\(3,\)"):
        tm.explain(tape, refs[4])
    assert tape.backward_scalar(refs[-1])[refs[1]] == np.sum(X**2)


# -- debug ----------------------------------------------------------------------------------------------------------


def test_debug_prints_ops_as_they_happen(capsys):
    result = tm.debug(lambda x, y: np.sum(np.sin(x) * y))(np.zeros(2), np.ones(2))
    assert result == 0.0 and type(result) is not tm.ShapeDtype
    assert capsys.readouterr().out.splitlines() == [
        "%2 f64[2] = sin(%0)",
        "    [0., 0.] -> [0., 0.]",
        "%3 f64[2] = mul(%2, %1)",
        "    [0., 0.], [1., 1.] -> [0., 0.]",
        "%4 f64[] = sum(%3, axis=None, keepdims=False)",
        "    [0., 0.] -> 0.",
    ]


def test_debug_prints_before_an_error(capsys):
    def f(x):
        np.sin(x)
        raise ValueError("after sin")

    with pytest.raises(ValueError, match="after sin"):
        tm.debug(f)(X)
    assert "sin(%0)" in capsys.readouterr().out
    np.sin(X)
    tm.grad(np.sin)(1.0)
    assert capsys.readouterr().out == ""


def test_debug_shows_the_sweeps_of_transforms_inside(capsys):
    gradient = tm.debug(tm.grad(lambda x: np.sum(np.sin(x))))(X)
    np.testing.assert_allclose(gradient, np.cos(X))
    out = capsys.readouterr().out
    assert "sin(" in out and "cos(" in out and "cotangent of %" in out
    tm.debug(lambda x: tm.jvp(np.sin, (x,), (x,))[1])(X)
    assert "tangent of %" in capsys.readouterr().out


def test_debug_inside_transforms(capsys):
    np.testing.assert_allclose(tm.grad(tm.debug(lambda x: np.sum(np.sin(x))))(X), np.cos(X))
    assert "sin(" in capsys.readouterr().out
    np.testing.assert_allclose(tm.vmap(tm.debug(np.sin))(X), np.sin(X))
    assert "f64[] = sin(%0)" in capsys.readouterr().out


def test_debug_keeps_arguments_and_results(capsys):
    def f(tree, n, *, flag):
        assert n == 3 and flag == "on"
        return {"y": tree["x"] * n, "n": n, "flag": flag}

    found = tm.debug(f)({"x": X}, 3, flag="on")
    assert type(found["y"]) is np.ndarray and found["n"] == 3 and found["flag"] == "on"
    np.testing.assert_allclose(found["y"], 3 * X)
    large = tm.debug(lambda x: x * 2)(np.arange(100.0))
    assert large.shape == (100,) and "f64[100] in [0, 198]" in capsys.readouterr().out


# -- debug_mode -----------------------------------------------------------------------------------------------------

ZERO = np.array([0.0, 1.0])
BAD = {
    "a value": (lambda: tm.grad(lambda x: np.sum(np.log(x)))(ZERO), r"log \(node 1\) gave a value.*-inf"),
    "a cotangent": (lambda: tm.grad(lambda x: np.sum(np.sqrt(x)))(ZERO), r"rrule of sqrt \(node 1\).*'x'.*inf, 0.5"),
    "a tangent": (lambda: tm.jvp(np.sqrt, (ZERO,), (np.ones(2),)), r"frule of sqrt \(node 1\).*inf, 0.5"),
    "the first of several": (lambda: tm.grad(lambda x: np.sum(np.exp(1 / x)))(ZERO), r"div \(node 1\) gave a value"),
    "in vmap": (lambda: tm.vmap(np.log)(ZERO), r"log \(node 1\) gave a value.*-inf"),
    "in vmap of grad": (lambda: tm.vmap(tm.grad(np.sqrt))(ZERO), r"gave a value that is not finite: \[inf, 0.5\]"),
    "in grad of vmap": (lambda: tm.grad(lambda x: np.sum(tm.vmap(np.sqrt)(x)))(ZERO), r"rrule of sqrt"),
    "in a Jacobian": (lambda: tm.jacfwd(np.sqrt)(ZERO), "not finite"),
    "in a Hessian": (lambda: tm.hessian(lambda x: np.sum(x**1.5))(ZERO), "not finite"),
    "on a tape": (lambda: tm.leaf(0.0, name="x").bind(tm.log).run(), r"log \(node 1\) gave a value.*-inf"),
    "in a checkpoint": (lambda: tm.grad(lambda x: np.sum(tm.checkpoint(np.sqrt)(x)))(ZERO), "not finite"),
    "in scan": (lambda: tm.grad(lambda x: tm.scan(lambda c, e: (c + np.log(e), c), 0.0, x)[0])(ZERO), r"log \(node"),
}


@pytest.mark.parametrize("name", BAD)
def test_debug_mode_finds_what_is_not_finite(name):
    call, message = BAD[name]
    with np.errstate(all="ignore"):
        with tm.debug_mode(True), pytest.raises(tm.TapeError, match=f"(?s)debug_mode: .*{message}.*inputs: "):
            call()
        call()  # and is silent when off


ROOTS = np.array([4.0, 0.0, 1.0])


def safe(x):
    return np.sum(np.where(x > 0, np.sqrt(np.where(x > 0, x, 1.0)), 0.0))


def on_a_tape():
    x, tape = tm.Tape().leaf(ROOTS)
    root, tape = tape.record(tm.sqrt, x)
    chosen, tape = tape.record(tm.where, ROOTS > 0, root, 0.0)
    out, tape = tape.record(tm.sum, chosen)
    return tape.backward_scalar(out)


DISCARDED = {
    "first branch": lambda: tm.grad(lambda x: np.sum(np.where(x > 0, np.sqrt(x), 0.0)))(ROOTS),
    "second branch": lambda: tm.grad(lambda x: np.sum(np.where(x <= 0, 0.0, np.sqrt(x))))(ROOTS),
    "further on": lambda: tm.grad(lambda x: np.sum(np.where(x > 0, 2 * np.sqrt(x) + 1, x)) ** 2)(ROOTS),
    "in another shape": lambda: tm.grad(lambda x: np.where(False, np.linalg.norm(np.sqrt(x)), np.sum(x)))(ROOTS),
    "forward": lambda: tm.jvp(lambda x: np.where(x > 0, np.sqrt(x), 0.0), (ROOTS,), (ROOTS,)),
    "vjp": lambda: tm.vjp(lambda x: np.where(x > 0, np.sqrt(x), 0.0), ROOTS)[1](ROOTS),
    "on a tape": on_a_tape,
}


@pytest.mark.parametrize("name", DISCARDED)
def test_debug_mode_names_the_where_that_discards_a_value(name):
    with np.errstate(all="ignore"), tm.debug_mode(), pytest.raises(tm.TapeError) as caught:
        DISCARDED[name]()
    message = str(caught.value)
    assert re.search(r"rule of sqrt \(node \d\).*nan", message)
    assert re.search(r"\n  The where \(node [2-5]\) does not choose this branch, but 0 times", message)
    assert "np.where(c, f(np.where(c, x, 1.0)), other)" in message


@pytest.mark.parametrize(
    "f",
    [
        lambda x: np.sum(np.sqrt(x)),
        lambda x: np.sum(np.where(x < 2, np.sqrt(x), 0.0)),  # it is chosen where it is infinite
        lambda x: np.sum(np.where(x > 0, x, 0.0)) + np.sum(np.sqrt(x)),  # and this one is of another branch
    ],
)
def test_debug_mode_blames_no_where_that_is_innocent(f):
    with np.errstate(all="ignore"), tm.debug_mode(), pytest.raises(tm.TapeError) as caught:
        tm.grad(f)(ROOTS)
    assert "The where" not in str(caught.value)


def test_debug_mode_accepts_what_it_advises():
    with tm.debug_mode():
        np.testing.assert_array_equal(tm.grad(safe)(ROOTS), [0.25, 0.0, 0.5])
    with np.errstate(all="ignore"), tm.debug_mode(), pytest.raises(tm.TapeError, match="If a where discards it later"):
        tm.grad(lambda x: np.sum(np.where(x > 0, np.log(x), 0.0)))(ROOTS)


def test_debug_mode_on_and_off():
    with np.errstate(all="ignore"):
        tm.debug_mode(True)
        try:
            with pytest.raises(tm.TapeError, match="debug_mode"):
                tm.grad(np.log)(0.0)
            with tm.debug_mode(False):
                tm.grad(np.log)(0.0)
            with pytest.raises(tm.TapeError, match="debug_mode"):
                tm.grad(np.log)(0.0)
        finally:
            tm.debug_mode(False)
        tm.grad(np.log)(0.0)


def test_debug_mode_accepts_what_is_finite():
    with tm.debug_mode(True):
        np.testing.assert_allclose(tm.grad(lambda x: np.sum(x**2))(X), 2 * X)
        np.testing.assert_allclose(tm.hessian(lambda x: np.sum(x**3))(X), np.diag(6 * X))
        np.testing.assert_allclose(tm.vmap(tm.grad(np.sin))(X), np.cos(X))
        assert tm.grad(lambda x: np.where(x > 0, x, -x))(2.0) == 1.0
        tm.grad(lambda x: np.sum(np.sort(x) * np.argsort(x)))(X)
        tm.vmap(lambda x: (x > 0, np.argmax(x)))(np.stack([X, X]))


# -- the listing ----------------------------------------------------------------------------------------------------


def test_a_tape_prints_as_a_program():
    tape, _ = example()
    lines = str(tape).splitlines()
    assert lines[0] == "Tape of 8 nodes" and len(lines) == 9
    assert re.fullmatch(r"  %0  f64\[3\]  leaf 'x'  requires grad", lines[1])
    assert re.fullmatch(r"  %2  f64\[3\]  leaf 'c'", lines[3])
    assert re.fullmatch(r"  %4  f64\[3\]  mul\(%0, %1\)", lines[5])
    assert re.fullmatch(r"  %7  f64\[\]   sum\(%6, axis=None, keepdims=False\)", lines[8])


def test_constants_and_long_tapes_print_in_few_words():
    x, tape = tm.Tape().leaf(np.ones((2, 3), np.float32), name="x")
    y, tape = tape.record(tm.mul, x, np.ones(3, np.float32))
    y, tape = tape.record(tm.mul, y, 2.0)
    assert "mul(%0, const f32[3])" in str(tape) and "mul(%1, 2.0)" in str(tape)
    for _ in range(1000):
        y, tape = tape.record(tm.sin, y)
    assert len(str(tape).splitlines()) < 60 and "more nodes" in str(tape)


def test_seeing_ops_of_several_results(capsys):
    """Only some of the results of an op have a tangent, or a cotangent."""
    matrix = np.array([[2.0, 0.5], [0.5, 1.0]])
    first = lambda m: np.linalg.eigh(m)[0][0]  # noqa: E731
    expected = tm.grad(first)(matrix)
    np.testing.assert_allclose(tm.debug(tm.grad(first))(matrix), expected)
    tm.debug(lambda m: tm.jvp(first, (m,), (m,)))(matrix)
    assert "eigh" in capsys.readouterr().out
    with tm.debug_mode(True):
        np.testing.assert_allclose(tm.grad(first)(matrix), expected)
        tm.jvp(lambda m: np.linalg.slogdet(m), (matrix,), (matrix,))
        tm.vmap(tm.grad(first))(np.stack([matrix, matrix]))
        tm.grad(lambda x: np.sum(tm.checkpoint(lambda x: (x * 2, x * 3))(x)[0]))(X)
        tm.jvp(lambda x: tm.checkpoint(lambda x: (x * 2, X))(x), (X,), (X,))


def test_show_graph_prints_the_sweep(capsys):
    x, tape = tm.Tape().leaf(np.array([1.0, 2.0]), name="x")
    y, tape = tape.record(tm.square, x)
    gradients = tape.backward(y, np.array([1.0, 10.0]), show_graph=True)
    assert gradients[x].tolist() == [2.0, 40.0]
    assert capsys.readouterr().out == "  cotangent of %0 from square %1: [ 2., 40.]\n"
    program = tm.leaf(np.array([3.0])).bind(tm.square).bind(lambda y: tm.backward(y, np.ones(1), show_graph=True))
    assert program.eval()[0].tolist() == [6.0]
    assert capsys.readouterr().out == "  cotangent of %0 from square %1: [6.]\n"
