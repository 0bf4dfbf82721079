"""Python numbers as arguments of compiled functions: weak, never baked in, and differentiated like any other value."""

import numpy as np
import pytest

import tapem as tm


def while_loop(x):
    return tm.while_loop(lambda s: s < 100.0, lambda s: s * x, x)


def scan(x):
    return tm.scan(lambda c, _: (c * x, c), x, None, length=3)[0]


def scan_of_captured(x):
    return tm.scan(lambda c, _: (c * x, c), 1.0, None, length=3)[0]


def fori_loop(x):
    return tm.fori_loop(0, 3, lambda i, c: c * x + i, 1.0)


def cond(x):
    return tm.cond(x > 1, lambda v: v * v, lambda v: -v, x)


def cond_of_captured(x):
    return tm.cond(x > 1, lambda: x * x * x, lambda: -x)


def checkpoint(x):
    return tm.checkpoint(lambda v: np.sin(v) * v * x)(x)


def custom(x):
    square = tm.custom_jvp(lambda v: v * v)
    square.defjvp(lambda primals, tangents: (primals[0] ** 2, 2 * primals[0] * tangents[0]))
    return square(x) * x


def plain(x):
    return np.sin(x) * x**3 + (1 - 0.5**x)


FUNCTIONS = [while_loop, scan, scan_of_captured, fori_loop, cond, cond_of_captured, checkpoint, custom, plain]
DERIVATIVES = {
    "value": lambda f: f,
    "grad": tm.grad,
    "jvp": lambda f: lambda x: tm.jvp(f, (x,), (1.0,))[1],
    "reverse over reverse": lambda f: tm.grad(tm.grad(f)),
    "forward over reverse": lambda f: lambda x: tm.jvp(tm.grad(f), (x,), (1.0,))[1],
}


@pytest.mark.parametrize("number", [3.0, np.float64(3.0), np.array(3.0)], ids=["Python", "NumPy", "array"])
@pytest.mark.parametrize("name", DERIVATIVES)
@pytest.mark.parametrize("f", FUNCTIONS)
def test_derivatives_by_a_number(f, name, number):
    function = DERIVATIVES[name](f)
    np.testing.assert_allclose(tm.compile(function, engine="numpy")(number), function(number), rtol=1e-12)


@pytest.mark.parametrize("number", [2, 0.5, True, 1 + 2j])
def test_a_number_is_as_weak_as_in_numpy(number):
    def mixed(x, n):
        return x * n + (n * n - n), -n, n

    for dtype in (np.float32, np.int8, np.complex64):
        x = np.ones(3, dtype)
        expected = mixed(x, number) if number is not True else (x * True + (True * True - True), -1, True)
        found = tm.compile(lambda x, n: (x * n + (n * n - n), n * -1, n), engine="numpy")(x, number)
        assert found[0].dtype == expected[0].dtype
        np.testing.assert_array_equal(found[0], expected[0])
        assert type(found[2]) is type(number)
        assert found[2] == number
