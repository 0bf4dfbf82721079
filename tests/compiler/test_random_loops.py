"""Random programs of loops and branches, nested up to three deep: compiled as in eager mode, derivatives too.

A program is data: a list of statements, each of which adds vectors to those that there are.
"""

import numpy as np
import pytest

import tapem as tm

ROWS = np.array([[0.4, -0.7, 1.0], [1.1, 0.3, -0.5], [-0.9, 0.8, 0.2]])
X = np.array([0.3, -0.8, 1.1])
V = np.array([1.0, -2.0, 0.5])

OPS = {
    "mul": lambda a, b: a * b,
    "sin": lambda a, b: np.sin(a) + b,
    "dot": lambda a, b: a * np.sum(b),
    "product": lambda a, b: ROWS @ a - b,
    "where": lambda a, b: np.where(a > b, a, b * 0.5),
    "slice": lambda a, b: np.concatenate([a[1:], b[:1]]),
    "exp": lambda a, b: np.exp(-(a**2)) * b,
    "detached": lambda a, b: a * tm.detach(b),
}


def draw(rng, depth, count):
    """Statements for a list of `count` vectors."""
    statements = []
    for _ in range(rng.integers(1, 4)):
        kinds = ["op", "op", "scan", "fori", "while", "until", "cond", "gradient"] if depth else ["op"]
        kind = str(rng.choice(kinds))
        if kind == "op":
            statements.append((kind, str(rng.choice([*OPS])), *map(int, rng.integers(0, count, 2))))
            count += 1
            continue
        states, steps = int(rng.integers(1, 3)), int(rng.integers(0, 5))
        inner = count + states + 1
        bodies = [draw(rng, depth - 1, inner) for _ in range(1 + (kind == "cond"))]
        statements.append((kind, bodies, states, steps, *map(int, rng.integers(0, count, 2))))
        count += states + (kind == "scan")
    return statements


def run(statements, values):
    """The vectors after the statements."""
    values = [*values]
    for kind, *rest in statements:
        if kind == "op":
            name, i, j = rest
            values.append(np.tanh(OPS[name](values[i], values[j])))
            continue
        bodies, states, steps, i, j = rest
        start = tuple((values * 2)[-states:])
        outside = tuple(values)

        def step(state, x, body=bodies[0], outside=outside, states=states):
            return tuple(np.tanh(v) for v in run(body, [*outside, *state, x])[-states:])

        if kind == "scan":
            xs = np.stack([values[i], values[j] * 0.5, ROWS[0], values[i] + 1.0])[:steps]
            last, ys = tm.scan(lambda c, x, f=step: ((d := f(c, x)), d[0] * x), start, xs)
            values += [*last, np.sum(ys, axis=0)]
        elif kind == "fori":
            rows = np.stack([values[i], values[j]])
            values += tm.fori_loop(0, steps, lambda n, c, f=step, rows=rows: f(c, rows[n % 2] + 0.1 * n), start)
        elif kind == "while":
            last = tm.while_loop(
                lambda s, steps=steps: s[0] < steps, lambda s, f=step, v=values[i]: (s[0] + 1, f(s[1], v)), (0, start)
            )
            values += last[1]
        elif kind == "until":
            last = tm.while_loop(
                lambda s: (np.sum(s[1][0] ** 2) > 0.05) & (s[0] < 6),
                lambda s, f=step, v=values[i]: (s[0] + 1, tuple(0.5 * c for c in f(s[1], v))),
                (0, start),
            )
            values += last[1]
        elif kind == "cond":
            other = lambda c, x, f=step, body=bodies[1]: f(c, x, body)  # noqa: E731
            values += tm.cond(values[i][0] > values[j][1], step, other, start, values[j])
        else:
            values += tm.grad(lambda c, f=step, v=values[i]: sum(np.sum(d) for d in f(c, v)))(start)
    return values


def loss(statements):
    return lambda x: sum(np.sum(v) for v in run(statements, [x, x * 0.5 + 0.1])[-2:])


@pytest.mark.parametrize("seed", range(40))
def test_random_loops(seed):
    f = loss(draw(np.random.default_rng(seed), 1 + seed % 3, 2))
    for g in (tm.value_and_grad(f), lambda x: tm.hvp(f, (x,), (V,))) if seed % 2 else (tm.value_and_grad(f),):
        run = tm.compile(g, engine="numpy", fast=bool(seed % 4))
        for x in (X, X * -0.6):
            for found, wanted in zip(tm.tree_leaves(run(x)), tm.tree_leaves(g(x)), strict=True):
                np.testing.assert_allclose(found, wanted, 1e-8, 1e-10)


def test_the_sample_has_every_kind_in_it():
    found = set()

    def look(statements):
        for kind, *rest in statements:
            found.add(kind if kind != "op" else rest[0])
            if kind != "op":
                for body in rest[0]:
                    look(body)

    for seed in range(40):
        look(draw(np.random.default_rng(seed), 1 + seed % 3, 2))
    assert found == {*OPS, "scan", "fori", "while", "until", "cond", "gradient"}
