"""Functions (3,) -> () that are made of loops and branches, for the tests of loops that stay whole."""

import numpy as np

import losses
import tapem as tm
from layers import rms_norm

X = np.array([0.3, -0.8, 1.1])
V = np.array([1.0, -2.0, 0.5])
W = np.array([[0.2, 0.5, -1.0], [0.7, -0.4, 0.1], [0.3, 0.3, -0.6]])
E = np.array([[0.1, 0.5, -0.3], [1.2, -0.4, 0.2], [0.7, 0.3, -0.9], [-0.2, 0.8, 0.4]])
BATCH = np.stack([X, V, X * V, X + V])


def recurrent(x):
    carry, ys = tm.scan(lambda c, e: (np.tanh(W @ c + e * x), np.sum(c) * e * x), x * 0.5, E)
    return np.sum(carry**2) + np.sum(ys**2)


def trees(x):
    def step(state, row):
        a, b = state["a"], state["b"][0]
        return {"a": a * np.cos(b[0]) + row[0], "b": (b + a * x[0], state["b"][1])}, (a * row[1], None)

    last, (ys, _) = tm.scan(step, {"a": x[0], "b": (x, x[2])}, (x, np.array([3.0, 2.0, 1.0])))
    return np.sum(last["b"][0] * last["b"][1]) + last["a"] * np.sum(ys**2)


def weights_by_index(x):
    weights = np.stack([x, x**2])
    return np.sum(tm.fori_loop(0, 5, lambda i, s: s * weights[i % 2] + i * np.sin(s), x))


def while_with_counter(x):
    return np.sum(tm.while_loop(lambda s: s[0] < 5, lambda s: (s[0] + 1, np.sin(s[1]) * x), (0, x))[1] ** 2)


def linear_while(x):
    return np.sum(tm.while_loop(lambda s: s[0] < 5, lambda s: (s[0] + 1, s[1] * 1.5), (0, x))[1] ** 3)


def while_that_reads_the_state(x):
    last = tm.while_loop(
        lambda s: np.sum(s[0] ** 2) > 0.1, lambda s: (s[0] * 0.8 * np.cos(s[1]), s[1] * x), (x, x * 0.3)
    )
    return np.sum(last[0] * last[1])


def while_that_does_not_run(x):
    return np.sum(tm.while_loop(lambda s: np.sum(s) > 1e6, lambda s: s * x, x) ** 2)


def branches(x):
    return np.sum(tm.cond(x[0] > 0, lambda a: a * a * x, lambda a: np.sin(a) * x[1], x * 3) ** 2)


def branches_of_other_types(x):
    y, n = tm.cond(x[1] > 0, lambda: (x, 1), lambda: (x[0] * x[2], 2.5))
    return np.mean(y) * n * x[0]


def scan_in_scan(x):
    def outer(c, e):
        inner, ys = tm.scan(lambda d, g: (np.sin(d * g) + c, d * x), c * e, E[:2])
        return inner, np.sum(ys)

    carry, ys = tm.scan(outer, x, E)
    return np.sum(np.tanh(carry)) + np.sum(ys)


def all_nested(x):
    def outer(c, e):
        def following(s):
            return s[0] + 1, tm.cond(s[0] > 1, lambda a: np.tanh(a * x), lambda a: np.cos(a) * c, s[1])

        _, w = tm.while_loop(lambda s: s[0] < 3, following, (0, c * e))
        return w, np.sum(w * c)

    carry, ys = tm.scan(outer, x, E)
    return np.sum(carry**2) + np.sum(ys)


def cond_in_while_on_the_state(x):
    def following(s):
        n, y = s
        return n + 1, tm.cond(y[0] > 0.2, lambda: y * 0.5 + x * 0.1, lambda: np.sin(y) + x * x)

    return np.sum(tm.while_loop(lambda s: s[0] < 6, following, (0, x))[1] ** 2)


def while_of_other_lengths_in_scan(x):
    def step(c, e):
        last = tm.while_loop(lambda s: np.sum(s * s) > 0.5, lambda s: s * 0.7 * np.cos(s * x), c + e)
        return last, c * x

    carry, ys = tm.scan(step, x, E)
    return np.sum(carry**2) + np.sum(ys)


def while_in_while(x):
    def following(s):
        n, y = s
        return n + 1, tm.while_loop(lambda z: np.sum(z * z) > 0.5 / n, lambda z: z * 0.7 * np.cos(z * x), y + x)

    return np.sum(tm.while_loop(lambda s: s[0] < 5, following, (1, x))[1] ** 2)


def gradient_in_the_body(x):
    loss = lambda w, e: np.sum(np.tanh(w * e) ** 2)  # noqa: E731
    carry, ys = tm.scan(lambda w, e: (w - 0.1 * tm.grad(loss)(w, e * x), loss(w, x)), x, E)
    return np.sum(carry**2) + np.sum(ys)


def reverse_over_reverse_in_the_body(x):
    inner = lambda w: np.sum(tm.fori_loop(0, 3, lambda i, s: np.sin(s * w), w))  # noqa: E731
    curved = lambda w: np.sum(tm.hvp(inner, (w,), (x,)))  # noqa: E731
    return np.sum(tm.fori_loop(0, 3, lambda i, w: w - 0.1 * curved(w) * x, x))


def state_that_stays(x):
    def following(s):
        n, w, y = s
        return n - 1, w, np.tanh(W @ y) * w

    _, w, y = tm.while_loop(lambda s: s[0] + s[1][2] > 2.0, following, (7, x * 0.5, x))
    (_, v), ys = tm.scan(lambda c, e: ((c[0], c[1] * e * c[0]), c[0]), (w, y), E)
    return np.sum(v * w) + np.sum(ys)


def unused_outputs(x):
    carry, _ = tm.scan(lambda c, e: ((c[0] * e, c[1] + np.exp(c[0])), (np.cos(c[1]), c[0])), (x, x), E)
    return np.sum(carry[0])


def only_ys(x):
    _, ys = tm.scan(lambda c, e: (None, np.sin(e * x)), None, E)
    return np.sum(ys**2)


def without_xs(x):
    carry, ys = tm.scan(lambda c, _: (np.sin(c) * x, np.sum(c)), x, length=6)
    return np.sum(carry) * np.sum(ys)


def without_steps(x):
    carry, ys = tm.scan(lambda c, e: (c * e * x, c), x, np.zeros((0, 3)))
    return np.sum(carry**2) + np.sum(ys)


def integers_and_flags(x):
    def step(state, e):
        count, done, y = state
        y = np.where(done, y, y * e + x)
        return (count + 1, np.sum(y) > 3.0, y), count

    (count, _, y), counts = tm.scan(step, (0, False, x), E)
    return np.sum(y) * count + np.sum(counts)


def checkpointed(x):
    block = tm.checkpoint(lambda c, e: np.tanh(W @ c) * e + x)
    return np.sum(tm.scan(lambda c, e: (block(c, e), None), x, E)[0] ** 2)


def checkpoint_around(x):
    return np.sum(tm.checkpoint(lambda y: tm.scan(lambda c, e: (np.sin(c * e) + x, None), y, E)[0])(x) ** 2)


@tm.custom_vjp
def clipped(x):
    return np.sin(x)


clipped.defvjp(lambda x: (np.sin(x), x), lambda x, g: (g * np.cos(x) * 0.5,))


@tm.custom_jvp
def doubled(x):
    return x * x


doubled.defjvp(lambda primals, tangents: (primals[0] ** 2, 3 * primals[0] * tangents[0]))


def custom_rules(x):
    carry, ys = tm.scan(lambda c, e: (clipped(c * e), doubled(c) * x), x, E)
    return np.sum(carry * x) + np.sum(ys**2)


def residuals(x):
    def step(c, e):
        attended = tm.softmax(np.outer(c, e), axis=1) @ x
        return rms_norm(attended, x) * tm.gelu(c), losses.cross_entropy(np.outer(c, e), np.array([0, 2, 1]))

    carry, ys = tm.scan(step, x, E)
    return np.sum(carry * V) + np.sum(ys)


FUNCTIONS = [
    recurrent, trees, weights_by_index, while_with_counter, linear_while, while_that_reads_the_state,
    while_that_does_not_run, branches, branches_of_other_types, scan_in_scan, all_nested, cond_in_while_on_the_state,
    while_of_other_lengths_in_scan, while_in_while, gradient_in_the_body, reverse_over_reverse_in_the_body,
    state_that_stays, unused_outputs, only_ys, without_xs, without_steps, integers_and_flags, checkpointed,
    checkpoint_around, custom_rules, residuals,
]  # fmt: skip
