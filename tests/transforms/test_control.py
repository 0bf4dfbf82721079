"""checkpoint, scan, cond, while_loop, fori_loop and eval_shape, under every transform."""

import gc
import tracemalloc

import numpy as np
import pytest

import tapem as tm

from .judges import close, complex_jacobian, difference_hessian

X = np.array([0.3, -0.8, 1.1])
V = np.array([1.0, -2.0, 0.5])
W = np.array([[0.2, 0.5, -1.0], [0.7, -0.4, 0.1], [0.3, 0.3, -0.6]])
BATCH = np.stack([X, V, X * V, X + V])


def everything(f, plain, x=X, batch=BATCH):
    """Compare a function (3,) -> () with its analytic NumPy form, under all transforms."""
    gradient = complex_jacobian(plain, x)
    hessian = difference_hessian(plain, x)
    gradients = np.stack([complex_jacobian(plain, row) for row in batch])
    hessians = np.stack([difference_hessian(plain, row) for row in batch])
    close(f(x), plain(x))
    close(tm.grad(f)(x), gradient)
    close(tm.jvp(f, (x,), (V,))[1], gradient @ V)
    close(tm.linearize(f, x)[1](V), gradient @ V)
    close(tm.jacfwd(f)(x), gradient)
    close(tm.jacrev(f)(x), gradient)
    close(tm.hessian(f)(x), hessian, 1e-6, 1e-7)
    close(tm.hvp(f, (x,), (V,)), hessian @ V, 1e-6, 1e-7)
    close(tm.grad(lambda x: tm.jvp(f, (x,), (V,))[1])(x), hessian @ V, 1e-6, 1e-7)
    close(tm.grad(lambda x: np.sum(tm.grad(f)(x) * V))(x), hessian @ V, 1e-6, 1e-7)
    close(tm.vmap(f)(batch), [plain(row) for row in batch])
    close(tm.vmap(tm.grad(f))(batch), gradients)
    close(tm.grad(lambda b: np.sum(tm.vmap(f)(b)))(batch), gradients)
    close(tm.jvp(tm.vmap(f), (batch,), (batch,))[1], np.sum(gradients * batch, axis=1))
    close(tm.vmap(lambda x: tm.hvp(f, (x,), (V,)))(batch), hessians @ V, 1e-6, 1e-7)
    close(tm.vmap(tm.hessian(f))(batch), hessians, 1e-6, 1e-7)
    close(tm.vmap(tm.vmap(f))(batch.reshape(2, 2, 3)), np.reshape([plain(row) for row in batch], (2, 2)))


# -- checkpoint -----------------------------------------------------------------------------------------------------


def test_checkpoint_under_every_transform():
    block = lambda x: np.tanh(W @ x) * np.sum(x)  # noqa: E731
    plain = lambda x: np.sum(np.sin(block(block(x))))  # noqa: E731
    everything(lambda x: np.sum(np.sin(tm.checkpoint(block)(tm.checkpoint(block)(x)))), plain)
    everything(tm.checkpoint(plain), plain)
    everything(tm.checkpoint(lambda x: np.sum(np.sin(tm.checkpoint(block)(block(x))))), plain)


def test_checkpoint_of_a_function_that_closes_over_tracers():
    def f(x):
        scale = np.sum(x**2)
        return np.sum(tm.checkpoint(lambda z: np.sin(z * scale) * x[0])(x))

    everything(f, lambda x: np.sum(np.sin(x * np.sum(x**2)) * x[0]))


def test_checkpoint_of_trees_options_and_what_is_no_tensor():
    @tm.checkpoint
    def f(tree, times, *, scale, mode):
        y = tree["x"]
        for _ in range(times):
            y = np.sin(y) if mode == "sin" else y
        return {"y": y * scale, "n": 3, "none": None}

    assert f.__name__ == "f"
    found = tm.grad(lambda x, s: np.sum(f({"x": x}, 2, scale=s, mode="sin")["y"]), argnums=(0, 1))(X, 2.0)
    close(found, (2 * np.cos(np.sin(X)) * np.cos(X), np.sum(np.sin(np.sin(X)))))
    close(f({"x": X}, 2, scale=2.0, mode="sin")["y"], 2 * np.sin(np.sin(X)))
    rows = np.array([0, 2])
    close(tm.grad(lambda x: np.sum(tm.checkpoint(lambda x, i: x[i] * np.arange(3.0)[i])(x, rows)))(X), [0.0, 0.0, 2.0])


def test_checkpoint_recomputes_and_runs_no_more_than_that():
    runs = []

    def f(x):
        runs.append(1)
        return np.sin(x)

    tm.grad(lambda x: np.sum(tm.checkpoint(f)(x)))(X)
    assert len(runs) == 1  # the recomputation replays what was recorded
    assert isinstance(tm.checkpoint(f)(X), np.ndarray)


def peak(work):
    """The most memory that Python and NumPy held at once."""
    work()
    gc.collect()
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_checkpoint_frees_memory():
    x = np.linspace(-1, 1, 20_000)
    block = lambda x: np.tanh(np.sin(x) * 1.5)  # noqa: E731

    def chain(runs, blocks):
        def run(x):
            for _ in range(blocks):
                x = block(x)
            return x

        def total(x):
            for _ in range(runs):
                x = tm.checkpoint(run)(x)
            return np.sum(x)

        return total

    def plain(x):
        for _ in range(64):
            x = block(x)
        return np.sum(x)

    close(tm.grad(chain(8, 8))(x), tm.grad(plain)(x), 1e-12)
    whole, root = peak(lambda: tm.grad(plain)(x)), peak(lambda: tm.grad(chain(8, 8))(x))
    assert whole > 3 * 64 * x.nbytes * 0.9  # three values a block
    assert root < whole / 4
    twice = peak(lambda: tm.grad(chain(8, 16))(x))
    assert twice < 2.2 * root  # 128 blocks in runs of 16


# -- scan -----------------------------------------------------------------------------------------------------------


def test_scan_under_every_transform():
    def f(x):
        carry, ys = tm.scan(lambda c, e: (np.tanh(W @ c + e), np.sum(c) * e), x * 0.5, x)
        return np.sum(carry * ys)

    def plain(x):
        carry, ys = x * 0.5, []
        for e in x:
            ys.append(np.sum(carry) * e)
            carry = np.tanh(W @ carry + e)
        return np.sum(carry * np.stack(ys))

    everything(f, plain)


def test_scan_of_trees():
    def body(carry, item):
        total = carry["total"] + item["a"] * item["b"][0]
        return {"total": total, "count": carry["count"] + 1}, (total, {"a": item["a"]})

    xs = {"a": X, "b": (V,)}
    carry, (totals, rest) = tm.scan(body, {"total": 0.0, "count": 0}, xs)
    close(carry["total"], X @ V)
    assert carry["count"] == 3
    close(totals, np.cumsum(X * V))
    close(rest["a"], X)
    found = tm.grad(lambda xs: np.sum(tm.scan(body, {"total": 0.0, "count": 0}, xs)[1][0]))(xs)
    close(found["a"], V * [3, 2, 1])
    close(found["b"][0], X * [3, 2, 1])


def test_scan_without_xs_without_ys_and_without_steps():
    carry, ys = tm.scan(lambda c, _: (c * 2, c), 1.0, None, length=4)
    close((carry, ys), (16.0, [1.0, 2.0, 4.0, 8.0]))
    assert tm.grad(lambda x: tm.scan(lambda c, _: (c * x, None), 1.0, length=3)[0])(2.0) == 12.0
    carry, ys = tm.scan(lambda c, x: (c + x, None), 0.0, X)
    close(carry, np.sum(X))
    assert ys is None
    carry, (a, b) = tm.scan(lambda c, x: (c, (x[0], x * 2)), 5.0, np.zeros((0, 3)))
    assert carry == 5.0 and a.shape == (0,) and b.shape == (0, 3)
    close(tm.scan(lambda c, x: (c, x), 0.0, BATCH, length=4)[1], BATCH)


def test_scan_refuses_what_does_not_fit():
    with pytest.raises(tm.ShapeError, match=r"agree in length.*\(3,\), \(4, 3\)"):
        tm.scan(lambda c, x: (c, c), 0.0, (X, BATCH))
    with pytest.raises(tm.ShapeError, match="length=5"):
        tm.scan(lambda c, x: (c, c), 0.0, X, length=5)
    with pytest.raises(tm.ShapeError, match="length=None"):
        tm.scan(lambda c, x: (c, c), 0.0)
    with pytest.raises(tm.ShapeError, match="agree in length"):
        tm.scan(lambda c, x: (c, c), 0.0, 3.0)
    with pytest.raises(tm.TreeError, match="scan: the carry"):
        tm.scan(lambda c, x: ((c, c), c), 0.0, X)


def recurrence(steps):
    """Value and gradient of a small recurrence; how many nodes it records, and its peak memory."""
    xs = np.sin(np.arange(steps))[:, None] * np.ones(3)

    def f(w):
        carry, ys = tm.scan(lambda c, x: (np.tanh(w @ c + x), np.sum(c)), np.zeros(3), xs)
        return np.sum(ys) / steps + np.sum(carry)

    return f


def test_ten_thousand_steps():
    f = recurrence(10_000)
    value, gradient = tm.value_and_grad(f)(W)
    close(value, f(W))
    direction = np.outer(V, X)
    eps = 1e-6
    close(np.sum(gradient * direction), (f(W + eps * direction) - f(W - eps * direction)) / (2 * eps), 1e-6)
    close(tm.jvp(f, (W,), (direction,))[1], np.sum(gradient * direction), 1e-9)


def test_scan_is_linear_in_nodes_and_memory():
    nodes, bytes_ = {}, {}
    for steps in (1_000, 4_000):
        w, tape = tm.Tape().leaf(W)
        _, tape = tm.lift(recurrence(steps))(w).run(tape)
        nodes[steps] = len(tape)
        bytes_[steps] = peak(lambda steps=steps: tm.grad(recurrence(steps))(W))
    assert nodes[4_000] < 4.05 * nodes[1_000]
    assert nodes[1_000] < 8 * 1_000
    assert bytes_[4_000] < 5 * bytes_[1_000]


# -- cond, while_loop, fori_loop ------------------------------------------------------------------------------------


def test_cond_under_every_transform():
    f = lambda x: tm.cond(np.sum(x) > 0, lambda x: np.sum(x**3), lambda x: np.sum(np.cos(x)) * x[0], x)  # noqa: E731
    plain = lambda x: np.sum(x**3) if np.sum(x).real > 0 else np.sum(np.cos(x)) * x[0]  # noqa: E731
    everything(f, plain)
    everything(f, plain, x=-X)


def test_cond_takes_one_branch_where_the_predicate_is_known():
    def never(x):
        raise AssertionError("the wrong branch ran")

    assert tm.cond(True, np.sin, never, 0.0) == 0.0
    assert tm.grad(lambda x: tm.cond(x > 0, lambda x: x**2, never, x))(3.0) == 6.0
    close(tm.vmap(lambda x, p: tm.cond(p, np.sin, never, x), in_axes=(0, None))(X, True), np.sin(X))


def test_cond_of_trees_closures_and_no_operands():
    def f(x):
        out = tm.cond(x[0] > 0, lambda: {"a": x * 2, "b": 1.0}, lambda: {"a": -x, "b": np.sum(x)})
        return np.sum(out["a"]) * out["b"]

    plain = lambda x: np.sum(x * 2) if x[0].real > 0 else np.sum(-x) * np.sum(x)  # noqa: E731
    everything(f, plain)


def test_cond_refuses():
    with pytest.raises(tm.ShapeError, match=r"scalar predicate.*\(3,\).*np.where"):
        tm.cond(X > 0, np.sin, np.cos, X)
    with pytest.raises(tm.TreeError, match="branches"):
        tm.vmap(lambda x: tm.cond(x > 0, lambda x: (x, x), lambda x: x, x))(X)


def test_while_loop_under_every_transform():
    """How often the loop runs depends on the example."""

    def f(x):
        state = tm.while_loop(
            lambda s: np.sum(s["x"] ** 2) < 20.0, lambda s: {"x": s["x"] * 1.7 + x, "n": s["n"] + 1}, {"x": x, "n": 0}
        )
        return np.sum(np.sin(state["x"]))

    def plain(x):
        z = x
        while np.sum(z.real**2) < 20.0:
            z = z * 1.7 + x
        return np.sum(np.sin(z))

    everything(f, plain)


def test_while_loop_counts_per_example():
    count = lambda x: tm.while_loop(lambda s: s[1] < 10.0, lambda s: (s[0] + 1, s[1] * 2), (0, x))[0]  # noqa: E731
    found = tm.vmap(count)(np.array([1.0, 3.0, 11.0]))
    assert found.tolist() == [4, 2, 0] and found.dtype.kind == "i"
    close(
        tm.vmap(lambda limit: tm.while_loop(lambda s: s < limit, lambda s: s * 2, 1.0))(np.array([3.0, 1.0, 9.0])),
        [4.0, 1.0, 16.0],
    )


def test_while_loop_refuses_what_changes():
    grow = lambda x: tm.while_loop(lambda s: np.sum(s) < 3, lambda s: np.stack([s, s]), x)  # noqa: E731
    with pytest.raises(tm.ShapeError, match=r"while_loop: the body must keep shapes"):
        tm.vmap(grow)(X)
    with pytest.raises(tm.TreeError, match="while_loop"):
        tm.while_loop(lambda s: True, lambda s: (s, s), 1.0)
    with pytest.raises(tm.TreeError, match="while_loop"):
        tm.vmap(lambda x: tm.while_loop(lambda s: s < 3, lambda s: (s, s), x))(X)


def test_fori_loop_under_every_transform():
    def plain(x):
        for i in range(1, 4):
            x = np.sin(x) * i + x[0]
        return np.sum(x)

    everything(lambda x: np.sum(tm.fori_loop(1, 4, lambda i, s: np.sin(s) * i + s[0], x)), plain)
    assert tm.fori_loop(3, 3, lambda i, s: s * 0, 5.0) == 5.0
    assert tm.fori_loop(4, 1, lambda i, s: s * 0, 5.0) == 5.0


def test_fori_loop_with_mapped_bounds():
    power = lambda x, n: tm.fori_loop(0, n, lambda i, s: s * x, 1.0)  # noqa: E731
    x, n = np.array([2.0, 3.0, 0.5]), np.array([3, 1, 0])
    close(tm.vmap(power)(x, n), x**n)
    close(tm.vmap(tm.grad(power))(x, n), n * x ** (n - 1.0))
    close(tm.grad(lambda x: np.sum(tm.vmap(power)(x, n)))(x), n * x ** (n - 1.0))


# -- eval_shape -----------------------------------------------------------------------------------------------------


def test_eval_shape_computes_nothing():
    def f(x, w=None):
        return {"y": np.einsum("ij,kj->ik", x, x), "n": np.sum(x > 0), "s": np.sum(x).astype(np.float32)}

    found = tm.eval_shape(f, tm.ShapeDtype((1000, 100_000), np.dtype(np.float64)))
    assert found["y"] == tm.ShapeDtype((1000, 1000), np.dtype(np.float64))
    assert found["n"].shape == () and found["n"].dtype.kind == "i"
    assert found["s"].dtype == np.float32
    assert tm.eval_shape(tm.grad(lambda x: np.sum(x**2)), X) == tm.ShapeDtype((3,), np.dtype(float))
    assert tm.eval_shape(tm.jacfwd(lambda x: np.outer(x, x)), X).shape == (3, 3, 3)
    assert tm.eval_shape(tm.vmap(np.sum), BATCH).shape == (4,)
    assert tm.eval_shape(lambda x: (3.0, None), X)[0].shape == ()
    with pytest.raises(tm.ShapeError):
        tm.eval_shape(np.matmul, np.ones((2, 3)), np.ones((2, 3)))
    with pytest.raises(tm.ConcretizationError, match="where"):
        tm.eval_shape(lambda x: x if x > 0 else -x, 1.0)


# What a transform inside of a converted closure is given may be a tracer of the levels below, which the function
# closes over: its derivative reaches further out.
INSIDE = {
    "grad": (lambda x: tm.grad(lambda u: np.sum(u**3))(x), lambda x: 3 * x**2),
    "grad of two": (
        lambda x: sum(tm.grad(lambda u, v: np.sum(u**2 * v), (0, 1))(x, 2 * x)),
        lambda x: 2 * x * 2 * x + x**2,
    ),
    "vjp": (lambda x: tm.vjp(lambda u: u**3, x)[1](x)[0], lambda x: 3 * x**3),
    "jvp": (lambda x: tm.jvp(np.sin, (x,), (x,))[1], lambda x: np.cos(x) * x),
    "linearize": (lambda x: tm.linearize(np.sin, x)[1](x), lambda x: np.cos(x) * x),
    "jacrev": (lambda x: tm.jacrev(lambda u: u**3)(x) @ x, lambda x: 3 * x**3),
    "vmap": (lambda x: tm.vmap(lambda u: u**3)(x), lambda x: x**3),
    "checkpoint": (lambda x: tm.checkpoint(lambda u: u**3)(x), lambda x: x**3),
    "scan": (lambda x: tm.scan(lambda c, u: (c, u**3), 0.0, x)[1], lambda x: x**3),
    "custom_jvp": (
        lambda x: tm.custom_jvp(lambda u: u**3, lambda xs, ts: (xs[0] ** 3, 3 * xs[0] ** 2 * ts[0]))(x),
        lambda x: x**3,
    ),
    "custom_vjp": (lambda x: tm.custom_vjp(lambda u: (u**3, u), lambda u, g: (3 * u**2 * g,))(x), lambda x: x**3),
}
CAPTURING = {
    "checkpoint": lambda inner: lambda x: tm.checkpoint(lambda z: z * inner(x))(x),
    "checkpoint of a number": lambda inner: lambda x: tm.checkpoint(lambda z: z * inner(x))(1.0) * x,
    "while_loop": lambda inner: lambda x: tm.while_loop(
        lambda s: s[0] < 1, lambda s: (s[0] + 1, s[1] * inner(x)), (0, x)
    )[1],
    "scan": lambda inner: lambda x: tm.scan(lambda c, _: (c * inner(x), None), x, length=1)[0],
    "cond": lambda inner: lambda x: tm.cond(np.sum(x) > -9, lambda z: z * inner(x), lambda z: z, x),
}  # fmt: skip


@pytest.mark.parametrize("inside", INSIDE)
@pytest.mark.parametrize("op", CAPTURING)
def test_transforms_of_outer_values_inside_of_converted_closures(op, inside):
    inner, plain = INSIDE[inside]
    f = CAPTURING[op](inner)

    def outer(x):
        return x * plain(x)

    close(f(X), outer(X))
    close(tm.jacrev(f)(X), complex_jacobian(outer, X))
    close(tm.vmap(f)(BATCH), outer(BATCH))
    close(tm.vmap(tm.vmap(f))(np.stack([BATCH, BATCH])), np.stack([outer(BATCH)] * 2))
    everything(lambda x: np.sum(f(x)), lambda x: np.sum(outer(x)))


# Integers among the results are constants of every derivative, as those of argmax and argsort are.
COUNTED = {
    "checkpoint": lambda x: tm.checkpoint(lambda z: (z * 2, np.argmax(z) + 2))(x),
    "custom_vjp": lambda x: tm.custom_vjp(lambda z: ((z * 2, np.argmax(z) + 2), None), lambda _, g: (g[0] * 2,))(x),
    "while_loop": lambda x: tm.while_loop(lambda s: s[1] < 4, lambda s: (s[0] * np.sqrt(2.0), s[1] + 1), (x, 2)),
    "fori_loop": lambda x: tm.fori_loop(0, 2, lambda i, s: (s[0] * np.sqrt(2.0), s[1] + 1), (x, 2)),
    "mapped while_loop": lambda x: tm.vmap(
        lambda x: tm.while_loop(lambda s: s[1] < 4, lambda s: (s[0] * np.sqrt(2.0), s[1] + 1), (x, 2))
    )(x),
}


@pytest.mark.parametrize("name", COUNTED)
def test_integers_among_the_results_are_constants(name):
    counted = COUNTED[name]
    _, count = counted(X)

    def f(x):
        y, n = counted(x)
        return np.sum(y * n * x)

    gradient, product = 4 * count * X, 4 * count * V
    close(tm.grad(f)(X), gradient)
    close(tm.jvp(f, (X,), (V,))[1], gradient @ V)
    close(tm.jacrev(f)(X), gradient)
    close(tm.hvp(f, (X,), (V,)), product)
    close(tm.grad(lambda x: tm.grad(f)(x) @ V)(X), product)
    # y is left out: what remains is of integers and of x
    close(tm.grad(lambda x: np.sum(counted(x)[1] * x))(X), count * np.ones(3))
    batch = np.stack([X, X * 1.5])
    close(tm.vmap(tm.grad(f))(batch), 4 * count * batch)


def test_integers_of_a_checkpoint_are_indices():
    close(tm.grad(lambda x: X[tm.checkpoint(np.argsort)(x)] @ x)(X), np.sort(X))
