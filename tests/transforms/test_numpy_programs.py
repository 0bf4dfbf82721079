"""Plain NumPy functions, differentiated as they are; and what cannot be, which is an error that says what to write."""

import math

import numpy as np
import pytest

import tapem as tm

from .judges import close, complex_jacobian, difference_jacobian, loop

rng = np.random.default_rng(1)
X = np.array([0.3, -0.8, 1.1, 0.6])
M = rng.normal(size=(4, 4))
W = rng.normal(size=(4, 3))
B = rng.normal(size=3)
MASK = np.array([True, False, True, True])


def by_iteration(x):
    total = 0.0
    for element in x:
        total = total + element**2
    return total


def by_length(x):
    return sum(x[i] * (i + 1) for i in range(len(x)))


def by_unpacking(x):
    a, b, *rest = x
    return a * b + rest[0] / rest[1]


def by_branches(x):
    y = x * 2 if np.sum(x).real > 0 else x * 3
    return np.sum(y**2) if y[0].real < 5 and not y[1].real > 0 else np.sum(y)


def by_recursion(x):
    return x[0] if len(x) == 1 else x[0] * np.sin(by_recursion(x[1:]))


def by_augmented_assignment(x):
    y = x * 1.0
    y += x * 2
    y *= y
    y -= 1.0
    y /= 2 + x**2
    y **= 2
    return np.sum(y)


def by_newton(x):
    y = np.ones(4)
    for _ in range(8):
        y = y - (y**3 - np.exp(x)) / (3 * y**2)
    return np.sum(y)


def by_lists(x):
    rows = [np.sin(x) * k for k in range(3)]
    return np.sum(np.stack(rows) @ np.concatenate([x[2:], x[:2]]))


def by_softmax(x):
    z = np.exp(x - np.max(x.real))
    return -np.log((z / np.sum(z))[1])


# All of these are analytic, so a complex step through the very same function is the judge.
PROGRAMS = {
    "sin": lambda x: np.sum(np.sin(x)),
    "sum over an axis": lambda x: np.prod(np.sum(np.outer(x, x**2), axis=1)),
    "sum kept": lambda x: np.sum(np.outer(x, x) / np.sum(np.exp(np.outer(x, x)), axis=0, keepdims=True)),
    "mean and var": lambda x: np.mean(x**3) + np.sum((x - np.mean(x)) ** 2) / len(x),
    "where": lambda x: np.sum(np.where(x.real > 0, x**2, -x)),
    "where with a constant mask": lambda x: np.sum(np.where(MASK, x**2, 0.0)),
    "solve": lambda x: np.sum(np.linalg.solve(M + np.diag(x), x) ** 2),
    "inv": lambda x: np.sum(np.linalg.inv(M + np.diag(x)) ** 2),
    "det": lambda x: np.linalg.det(M + np.diag(x)),
    "einsum": lambda x: np.einsum("i,ij,j->", x, M, x),
    "einsum batch": lambda x: np.sum(np.einsum("ij,kj->ik", np.outer(x, x), M) ** 2),
    "concatenate": lambda x: np.sum(np.concatenate([x, x[:2] ** 2, X]) ** 2),
    "stack": lambda x: np.sum(np.stack([x, x**2], axis=1) @ np.array([1.0, 2.0])),
    "vstack hstack": lambda x: np.sum(np.vstack([x, x**2]) ** 2) + np.sum(np.hstack([x, x]) ** 3),
    "dense layer": lambda x: np.sum(np.tanh(x @ W + B) ** 2),
    "constants on the left": lambda x: np.sum(W.T @ x + B) + np.sum(2.0 - x) + np.sum(1 / (3 + x)) + np.sum(2.0**x),
    "matrix product operators": lambda x: (x @ M @ x) * (M @ x)[0],
    "boolean mask": lambda x: np.sum(x[x.real > 0] ** 2),
    "constant mask": lambda x: np.sum(x[MASK] ** 2),
    "slices": lambda x: np.sum(x[1:] * x[:-1]) + x[-1] * x[0] + np.sum(x[::-2]),
    "fancy index": lambda x: np.sum(x[[0, 0, 2]] ** 2),
    "matrix index": lambda x: np.outer(x, x)[1, 2] + np.sum(np.outer(x, x)[:, None, 0]) + np.outer(x, x)[..., -1][0],
    "reshape and T": lambda x: np.sum(x.reshape(2, 2).T @ x.reshape((2, -1))),
    "methods": lambda x: x.sum() * x.mean() + (x * x).reshape(2, 2).sum(axis=0).prod() + x.dot(x) + x.ravel()[0],
    "cumsum": lambda x: np.sum(np.cumsum(x) ** 2) + np.sum(np.cumprod(np.cos(x))),
    "diff": lambda x: np.sum(np.diff(x) ** 2),
    "trace and diag": lambda x: np.trace(np.outer(x, x)) + np.sum(np.diag(np.outer(x, x**2))),
    "tensordot and dot": lambda x: np.tensordot(M, np.outer(x, x), 2) + np.dot(x, x) + np.vdot(x.real * 0 + 1, x),
    "polynomial": lambda x: np.sum(3 * x**3 - x**2 / 2 + x - 7) + np.sum(x**-2) + np.sum((x + 2) ** 0.5),
    "transcendental": lambda x: np.sum(np.exp(x) * np.log(3 + x) + np.tanh(x) / np.sqrt(2 + x) + np.arctan(x)),
    "iteration": by_iteration,
    "len": by_length,
    "unpacking": by_unpacking,
    "branches": by_branches,
    "recursion": by_recursion,
    "augmented assignment": by_augmented_assignment,
    "newton": by_newton,
    "lists of arrays": by_lists,
    "softmax": by_softmax,
    "zip and enumerate": lambda x: sum(i * a * b for i, (a, b) in enumerate(zip(x, x[::-1], strict=True))),
    "python sum": lambda x: sum(x) * sum([x[0], x[1]]),
    "unary operators": lambda x: np.sum(-x + +(x**2)),
    "ufunc reductions": lambda x: np.add.reduce(x**2) + np.multiply.reduce(x),
    "roll and flip": lambda x: np.sum(np.roll(x, 1) * np.flip(x)),
    "tile and repeat": lambda x: np.sum(np.tile(x, 2) * np.repeat(x, 2)),
    "broadcast_to": lambda x: np.sum(np.broadcast_to(x, (3, 4)) ** 2),
    "pad": lambda x: np.sum(np.pad(x, (1, 2)) ** 2),
    "split": lambda x: np.sum(np.split(x, 2)[1] ** 2),
    "swapaxes": lambda x: np.sum(np.swapaxes(np.outer(x, x**2), 0, 1)[0] ** 2),
    "squeeze": lambda x: np.sum(np.squeeze(np.expand_dims(x, (0, 2))) ** 2),
    "norm": lambda x: np.sum(x * x) ** 0.5,
    "zeros_like": lambda x: np.sum((x + np.zeros_like(X)) ** 2 * np.ones_like(X)),
    "copy": lambda x: np.sum(x.copy() * np.copy(x)),
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_numpy_program_is_differentiated_as_it_is(name):
    f = PROGRAMS[name]
    gradient = complex_jacobian(f, X)
    close(tm.grad(f)(X), gradient, 1e-9, 1e-10)
    close(tm.jvp(f, (X,), (M[0],))[1], gradient @ M[0], 1e-9, 1e-10)
    close(tm.value_and_grad(f)(X)[0], f(X), 1e-12, 1e-12)
    close(tm.hessian(f)(X), difference_jacobian(lambda x: complex_jacobian(f, x), X), 1e-5, 1e-6)


@pytest.mark.parametrize("name", [name for name in PROGRAMS if name not in {"boolean mask", "branches"}])
def test_a_numpy_program_is_batched_as_it_is(name):
    f = PROGRAMS[name]
    batch = np.stack([X, X[::-1], X * 0.5 + 0.1])
    close(tm.vmap(f)(batch), loop(f, batch), 1e-10, 1e-10)
    close(tm.vmap(tm.grad(f))(batch), loop(lambda x: complex_jacobian(f, x), batch), 1e-8, 1e-9)


# Not analytic: differences are the judge.
PIECEWISE = {
    "abs": lambda x: np.sum(np.abs(x) * x) + abs(x[0]),
    "max and min": lambda x: np.max(x) ** 2 * np.min(x) + x.max() - x.min(axis=0),
    "builtin max": lambda x: max(x[0], x[1]) * min(x) + sorted(x)[1],
    "maximum": lambda x: np.sum(np.maximum(x, 0.0) ** 2 + np.minimum(x, x[::-1])),
    "clip": lambda x: np.sum(np.clip(x, -0.5, 0.7) ** 2) + x.clip(0, 1).sum(),
    "norm": lambda x: np.linalg.norm(x) + np.linalg.norm(np.outer(x, x + 1)),
    "std and var": lambda x: np.std(x) + np.var(x, ddof=1),
    "sort": lambda x: np.sum(np.sort(x) * np.arange(4.0)) + np.sum(x[np.argsort(x)] ** 2),
    "argmax": lambda x: x[np.argmax(x)] ** 2 + x[x.argmin()],
    "sign and floor": lambda x: np.sum(np.sign(x) * x + np.floor(x) * x),
    "while": lambda x: _halved(np.sum(x**2) * 10),
    "any and all": lambda x: np.sum(x**2) if np.any(x > 1) and not np.all(x > 0) else np.sum(x),
    "in and ==": lambda x: x[0] ** 2 if 0.25 not in x and (x == x).all() else x[1],
    "isnan": lambda x: np.sum(np.where(np.isnan(x), 0.0, x) ** 2) * np.isfinite(x).all(),
    "svd": lambda x: np.sum(np.linalg.svd(np.outer(x, x) + M, compute_uv=False)[:2]),
    "eigh": lambda x: np.linalg.eigh(np.outer(x, x) + M + M.T)[0][-1],
    "cholesky": lambda x: np.sum(np.linalg.cholesky(np.outer(x, x) + np.eye(4)) ** 3),
    "median by sort": lambda x: np.sort(x)[1:3].mean(),
    "mod": lambda x: np.sum(x % 0.5 * x),
    "hypot and arctan2": lambda x: np.sum(np.hypot(x, 2.0) * np.arctan2(x, 0.7)),
    "select": lambda x: np.sum(np.select([x > 0.5, x > 0], [x**2, x**3], 2 * x)),
}


def _halved(value):
    while value > 1:
        value = value / 2
    return value


@pytest.mark.parametrize("name", PIECEWISE)
def test_a_piecewise_numpy_program(name):
    f = PIECEWISE[name]
    gradient = difference_jacobian(f, X, 1e-6)
    close(tm.grad(f)(X), gradient, 1e-6, 1e-7)
    close(tm.jvp(f, (X,), (M[0],))[1], gradient @ M[0], 1e-6, 1e-7)


def test_shape_attributes_are_plain_numbers():
    def f(x):
        assert (x.shape, x.ndim, x.size, x.dtype, len(x)) == ((4, 4), 2, 16, np.float64, 4)
        assert (np.shape(x), np.ndim(x), np.size(x), x.nbytes) == ((4, 4), 2, 16, 128)
        assert type(x.shape[0]) is int
        return np.sum(x) / x.size * np.zeros(x.shape)[0, 0]

    close(tm.grad(f)(M), np.zeros((4, 4)))


def test_comparisons_are_plain_where_values_are_known():
    seen = []

    def f(x):
        seen.extend([x > 0, x[0] == 0.3, np.argmax(x), np.isnan(x), x.shape == (4,)])
        return np.sum(x)

    tm.grad(f)(X)
    assert seen[0].tolist() == (X > 0).tolist() and bool(seen[1]) and int(seen[2]) == 2 and seen[4] is True


def test_ndarray_on_the_left_of_every_operator():
    a = np.array([2.0, 3.0, 4.0, 5.0])
    for f in (
        lambda x: a + x, lambda x: a - x, lambda x: a * x, lambda x: a / (x + 3), lambda x: a ** x, lambda x: a @ x,
        lambda x: np.float64(2) * x, lambda x: np.float32(2) * x, lambda x: np.int64(2) + x, lambda x: a[0] - x,
    ):  # fmt: skip
        close(tm.grad(lambda x, f=f: np.sum(f(x)))(X), complex_jacobian(lambda x, f=f: np.sum(f(x)), X))
    for compare in (lambda x: a > x, lambda x: a == x, lambda x: a <= x, lambda x: a != x):
        close(tm.grad(lambda x, c=compare: np.sum(x[c(x)]) + np.sum(x))(X), 1.0 + compare(X))


def test_printing_and_formatting_lose_nothing():
    def f(x):
        assert f"{x[0]:.2f}" == "0.30" and "f64[4]" in repr(x) and str(x)
        return np.sum(x**2)

    close(tm.grad(f)(X), 2 * X)
    with pytest.raises(ValueError, match="could not convert"):  # a repr is no number
        tm.grad(lambda x: float(f"{x[0]}"))(X)


# -- what cannot be intercepted -------------------------------------------------------------------------------------


def assign(x):
    x[0] = 1.0
    return np.sum(x)


def assign_into_array(x):
    y = np.zeros(4)
    y[:] = x
    return np.sum(y)


def assign_element(x):
    y = np.zeros(4)
    y[0] = x[0]
    return np.sum(y)


def add_into_array(x):
    y = np.zeros(4)
    y += x
    return np.sum(y)


REFUSED = {
    "np.array": (
        lambda x: np.sum(np.array([x[0], x[1]])),
        tm.ConcretizationError,
        r"wrote np.array.* write np.stack\(\[",
    ),
    "np.array 0d": (lambda x: np.sum(np.array(x[0])), tm.ConcretizationError, "np.stack"),
    "np.asarray": (lambda x: np.sum(np.asarray(x)), tm.ConcretizationError, "np.stack"),
    "objects": (lambda x: np.sum(np.array([x[0], x[1]], dtype=object)), tm.ConcretizationError, "np.stack"),
    "list in NumPy": (lambda x: np.sum([x[0], x[1]]), tm.ConcretizationError, "np.stack"),
    "float": (lambda x: float(x[0]), tm.ConcretizationError, r"float.*lose its gradient.*float\(tm.detach\(x\)\)"),
    "int": (lambda x: int(x[0]) * x[1], tm.ConcretizationError, r"int.*lose.*int\(tm.detach\(x\)\)"),
    "complex": (lambda x: complex(x[0]), tm.ConcretizationError, "lose its gradient"),
    "math": (lambda x: math.sin(x[0]), tm.ConcretizationError, r"np.sin, not math.sin"),
    "item": (lambda x: x[0].item(), tm.ConcretizationError, "lose its gradient"),
    "tolist": (lambda x: x.tolist()[0], tm.ConcretizationError, "lose its gradient"),
    "range": (lambda x: x[0] * len(range(x[0])), tm.ConcretizationError, "lose its gradient"),
    "list index": (lambda x: [x[0], x[1]][x[1]], tm.ConcretizationError, "lose its gradient"),
    "np.float64": (lambda x: np.float64(x[0]), tm.ConcretizationError, "lose its gradient"),
    "np.full": (lambda x: np.sum(np.full(3, x[0])), tm.ConcretizationError, "lose its gradient"),
    "np.arange": (lambda x: np.sum(np.arange(x[2])), tm.ConcretizationError, "lose its gradient"),
    "assignment": (assign, tm.MutationError, r"x\[0\] = .*scatter_set.*np.where.*np.concatenate"),
    "assignment to a slice of an array": (assign_into_array, tm.ConcretizationError, "lose its gradient"),
    "+= into an array": (add_into_array, tm.MutationError, r"Write y = y \+ x instead of y \+= x"),
    "out=": (lambda x: np.sin(x, out=np.zeros(4)), tm.MutationError, "out="),
    "out= of a function": (lambda x: np.sum(x, out=np.zeros(())), tm.MutationError, r"np.sum.*out="),
    "fill": (lambda x: x.fill(0.0), tm.MutationError, "np.full_like"),
    "sort in place": (lambda x: x.sort(), tm.MutationError, r"np.sort\(x\)"),
    "np.add.at": (lambda x: np.add.at(x, [0], 1.0), tm.MutationError, "scatter_add"),
    "np.copyto": (lambda x: np.copyto(np.zeros(4), x), tm.MutationError, "np.where"),
    "np.put": (lambda x: np.put(x, 0, 1.0), tm.MutationError, "scatter_set"),
    "np.fill_diagonal": (lambda x: np.fill_diagonal(np.outer(x, x), 0), tm.MutationError, "np.where"),
    "np.real_if_close": (lambda x: np.sum(np.real_if_close(x)), tm.NoRuleError, r"if_close has no.*lose the gradient"),
    "np.vectorize": (lambda x: np.sum(np.vectorize(lambda a: a * a)(x)), tm.ConcretizationError, "lose its gradient"),
    "np.frompyfunc": (lambda x: np.sum(np.frompyfunc(lambda a: a, 1, 1)(x)), tm.NoRuleError, "no rule"),
    "np.save": (lambda x: np.save("never", x), tm.NoRuleError, r"np\.save has no rule"),
    "view": (lambda x: x.view(np.float64), AttributeError, r"'view'.*x\.reshape"),
    "pickle": (lambda x: __import__("pickle").dumps(x), tm.ConcretizationError, "cannot be pickled"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_would_lose_a_gradient_is_an_error(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    f, error, message = REFUSED[name]
    for transform in (tm.grad, tm.jacfwd, lambda f: tm.grad(lambda x: np.sum(tm.vmap(f)(x * np.ones((2, 4)))))):
        with pytest.raises(error) as raised:
            transform(f)(X)
    with pytest.raises(error, match=message):
        tm.grad(f)(X)
    assert isinstance(raised.value, tm.TapeError) or error is AttributeError
    assert not list(tmp_path.iterdir())


def test_assigning_a_tracer_to_an_element_of_an_array():
    """NumPy wraps what the tracer says in an error of its own, whose cause names the remedy."""
    with pytest.raises(ValueError, match="setting an array element") as raised:
        tm.grad(assign_element)(X)
    assert isinstance(raised.value.__cause__, tm.ConcretizationError)
    assert "lose its gradient" in str(raised.value.__cause__)


def test_numpy_functions_on_detached_values_are_free():
    def f(x):
        plain = tm.detach(x)
        assert type(plain) is np.ndarray
        scale = float(plain[0]) * np.abs(np.fft.fft(plain)).max() + math.sin(plain[0])
        plain[0] = 5.0  # a copy: nothing that is differentiated sees this
        return np.sum(x) * scale

    close(tm.grad(f)(X), np.full(4, X[0] * np.abs(np.fft.fft(X)).max() + np.sin(X[0])))


def test_numpy_on_plain_arrays_inside_a_transform_is_numpy():
    def f(x):
        table = np.zeros(4)
        table[1] = 2.0
        assert type(np.fft.fft(table)) is np.ndarray
        return np.sum(x * table)

    close(tm.grad(f)(X), [0.0, 2.0, 0.0, 0.0])


def test_nothing_loses_a_gradient_silently():
    """Whatever NumPy function is called on a tracer, it gives the right derivative or an error."""
    skipped = {"save", "savez", "savez_compressed", "savetxt", "copyto", "info", "show_config", "test", "printoptions"}
    checked = refused = 0
    x = np.array([0.3, 0.8, 0.55, 0.15])
    for name in sorted(set(dir(np)) - skipped):
        function = getattr(np, name)
        if not callable(function) or isinstance(function, type) or name.startswith("_"):
            continue
        try:
            with np.errstate(all="ignore"):
                plain = np.asarray(function(x))
        except Exception:
            continue
        if plain.dtype.kind != "f":
            continue

        def total(z, function=function):
            return np.sum(function(z))

        with np.errstate(all="ignore"):
            try:
                found = tm.grad(total)(x)
            except (tm.TapeError, TypeError, AttributeError):
                refused += 1
                continue
            expected = difference_jacobian(total, x, 1e-6)
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5, err_msg=f"np.{name}")
        checked += 1
    assert checked > 80, (checked, refused)
