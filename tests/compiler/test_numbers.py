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


@tm.custom_vjp
def product(x, y):
    return x * y


product.defvjp(
    lambda x, y: (x * y, {"both": (x, y), "more": (y - x, x / y, 3, x * 2)}),
    lambda kept, g: (g * kept["both"][1] * kept["more"][2], g * (kept["both"][0] + kept["more"][0] * kept["more"][1])),
)


def custom_reverse(x):
    return product(x, x + 1) * product(2, x)


def custom_reverse_in_a_loop(x):
    return tm.fori_loop(0, 3, lambda i, c: product(c, x), x)


def plain(x):
    return np.sin(x) * x**3 + (1 - 0.5**x)


FUNCTIONS = [
    while_loop,
    scan,
    scan_of_captured,
    fori_loop,
    cond,
    cond_of_captured,
    checkpoint,
    custom,
    custom_reverse,
    custom_reverse_in_a_loop,
    plain,
]
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


@pytest.mark.parametrize("numbers", [(2.5, 1.5), (3, 2), (3, 0.5), (2.5, 1)])
def test_numpys_functions_make_numbers_strong(numbers):
    """Python's operators give a Python number, NumPy's functions a NumPy scalar, which beside float32 gives float64."""
    of_one = [np.absolute, np.negative, np.positive, np.square, np.sin, np.sign]
    of_two = [np.add, np.subtract, np.multiply, np.divide, np.power, np.floor_divide, np.remainder, np.maximum]

    def every(x, n, m):
        scaled = [x * f(n) for f in of_one] + [x * f(n, 2) for f in of_two]
        scaled += [x * f(*pair) for f in of_two for pair in ((n, m), (m, n), (np.float32(2), n))]
        return scaled, [x * abs(m), x * (n + m), x * (n * m), x * -m, x + n * 2]

    x = np.ones(2, np.float32)
    found = tm.compile(every, engine="numpy")(x, *numbers)
    for one, other in zip(*map(tm.tree_leaves, (found, every(x, *numbers))), strict=True):
        assert one.dtype == other.dtype
        np.testing.assert_allclose(one, other, rtol=1e-6)


BOUNDED = {
    "add": lambda x, n: x + n,
    "maximum": lambda x, n: np.maximum(x, n),
    "greater": lambda x, n: x > n,
    "equal": lambda x, n: x == n,
    "full_like": lambda x, n: np.full_like(x, n),
    "full_like of a dtype": lambda x, n: np.full_like(x, n, np.int16),
}


@pytest.mark.parametrize("engine", ["numpy", "numba"])
@pytest.mark.parametrize("name", BOUNDED)
def test_an_integer_that_the_dtype_cannot_hold_is_no_other_integer(name, engine):
    f = BOUNDED[name]
    for dtype, number in ((np.uint8, -3), (np.int32, 2**40), (np.int32, 7), (np.uint8, 200)):
        x = np.arange(3, dtype=dtype)
        as_argument = tm.compile(f, engine=engine)
        as_constant = tm.compile(lambda x, number=number: f(x, number), engine=engine)
        try:
            expected = f(x, number)
        except OverflowError:
            with pytest.raises((OverflowError, tm.TapeError), match="out of bounds"):
                as_argument(x, number)
            with pytest.raises((OverflowError, tm.TapeError), match="out of bounds"):
                as_constant(x)
            continue
        for found in (as_argument(x, number), as_constant(x)):
            assert found.dtype == expected.dtype
            np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("numbers", [(3.0, 5.0), (3, 5), (3.0, 5), (2, 3.0)])
def test_a_rule_keeps_numbers_that_are_arguments(numbers):
    """What fwd keeps of a Python number is the number of each call, and stays weak."""

    scaled = tm.custom_vjp(lambda x, y: (x * y, (y * 2, y - 1, x)), lambda kept, g: (g * kept[0] + kept[1], None))

    def both(x, a, b):
        return tm.grad(lambda x: np.sum(scaled(x * a, b)))(x)

    fast = tm.compile(both, engine="numpy")
    for dtype in (np.float32, np.float64):
        x = np.arange(1, 4, dtype=dtype)
        for scale in (1, 2):
            given = [number * scale for number in numbers]
            found, expected = fast(x, *given), both(x, *given)
            assert found.dtype == expected.dtype
            np.testing.assert_allclose(found, expected, rtol=1e-6)
    assert "2 programs" in repr(fast)


WRAPS = {
    "scan": lambda f, x: tm.scan(lambda c, a: (f(c), f(a)), x[0], x),
    "fori_loop": lambda f, x: tm.fori_loop(0, 3, lambda _, c: f(c), x),
    "while_loop": lambda f, x: tm.while_loop(lambda c: np.sum(np.abs(c)) < 100, f, x),
    "cond": lambda f, x: tm.cond(x[0] > 0, f, lambda c: -c, x),
    "checkpoint": lambda f, x: tm.checkpoint(f)(x),
    "vmap": lambda f, x: tm.vmap(f)(x),
    "nested": lambda f, x: tm.fori_loop(0, 2, lambda _, c: tm.cond(c[0] > 0, f, lambda c: c, c), x),
}


@pytest.mark.parametrize("name", WRAPS)
def test_a_number_that_is_differentiated_stays_weak(name):
    """A loop over float32 stays one, also where the derivative by a Python number in it is taken."""

    def f(x, n):
        return WRAPS[name](lambda c: c * n + c, x)

    def derivatives(x, n):
        def loss(x, n):
            y = f(x, n)
            return sum(np.sum(part) for part in tm.tree_leaves(y)), y

        return tm.value_and_grad(loss, argnums=(0, 1), has_aux=True)(x, n), tm.jvp(f, (x, n), (x, 1.0))

    x, fast = np.array([1.5, -0.5, 0.25], np.float32), tm.compile(derivatives, engine="numpy")
    for n in (2.0, 3.0):
        found, expected = tm.tree_leaves(fast(x, n)), tm.tree_leaves(derivatives(x, n))
        for one, other in zip(found, expected, strict=True):
            assert np.asarray(one).dtype == np.asarray(other).dtype
            np.testing.assert_allclose(one, other, rtol=1e-6)


@pytest.mark.parametrize("name", WRAPS)
def test_a_number_may_be_a_tangent_or_a_cotangent(name):
    """In the branches of a derivative it is an array: Python's division by zero and overflow are errors."""

    def f(x, n):
        def g(x):
            return WRAPS[name](lambda c: c * 1.5 + c, x)

        pushed = tm.jvp(g, (x,), (tm.tree_map(lambda a: a * n, np.ones(3)),))[1]
        return pushed, tm.jvp(lambda m: tm.cond(m > 1, lambda: m * m * n, lambda: m), (n,), (n,))[1] * np.float32(2)

    x, fast = np.array([1.5, -0.5, 0.25]), tm.compile(f, engine="numpy")
    for n in (2.0, 0.0, 1e300):
        with np.errstate(all="ignore"):
            found, expected = tm.tree_leaves(fast(x, n)), tm.tree_leaves(f(x, n))
        for one, other in zip(found, expected, strict=True):
            assert np.asarray(one).dtype == np.asarray(other).dtype
            np.testing.assert_allclose(one, other, rtol=1e-6)
