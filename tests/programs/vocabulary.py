"""What a statement of a random program may be: Python text with holes, by family.

`PLAIN` says how a judge computes the same where NumPy's own form takes no complex numbers, is no NumPy, or is what is
being judged: derivatives inside of programs. Its text may ask the `judge` (see `judging.Plain`).
"""

from __future__ import annotations

from collections.abc import Iterable

PLAIN: dict[str, str] = {}


def family(texts: Iterable[str | tuple[str, str]]) -> tuple[str, ...]:
    """The texts of a family; those that come with the judge's form are entered into `PLAIN`."""
    pairs = [(entry, entry) if isinstance(entry, str) else entry for entry in texts]
    PLAIN.update((text, plain) for text, plain in pairs if text != plain)
    return tuple(text for text, _ in pairs)


LITERALS = (
    "2", "-1", "3", "0.5", "True", "np.float64(1.3)", "np.int64(2)", "np.float32(0.5)", "np.array(3)", "np.array(0.7)",
    "np.array(True)", "np.array([2, -1, 3, 1])", "np.array([True, False, True, True])", "np.array([1, 2])",
    "np.array([[1, -2], [0, 3]])", "np.array([[0.3, -0.8], [1.1, 0.2]])", "np.array([0.4, -0.9, 1.3, 0.6])",
    "np.array([0.5, -1.5, 0.25, 1.0], np.float32)", "np.array([[0.7], [-0.4]])", "np.arange(4.0)[::-1]",
    "np.arange(8.0).reshape(2, 4)[:, ::2]", "np.array([[1, 2, 3, 4]], np.int8).T",
)  # fmt: skip

ELEMENTWISE = family([
    "np.sin({0})", "np.cos({0})", "np.tanh({0})", "np.arctan({0})", "np.exp(0.4 * np.sin({0}))", "np.expm1({0} * 0.3)",
    "np.log(2.0 + np.sin({0}))", "np.log1p(np.exp({0}))", "np.sqrt(2.0 + np.cos({0}))", "0.3 * {0} ** 2", "{0} ** 3",
    "(1.5 + np.cos({0})) ** 1.5", "2.0 ** (0.3 * {0})", "1.0 / (2.0 + np.sin({0}))", "np.square({0})", "np.sinh({0})",
    "0.7 * {0} - 0.2", "-{0}", "+{0}", "{0} * 2", "3 - {0}", "{0} / 4", "np.reciprocal(2.0 + np.cos({0}))",
    ("{0}.astype(float)", "{0}.astype(np.result_type({0}, float))"),
    ("{0}.astype(np.float64)", "{0}.astype(np.result_type({0}, float))"), ("np.positive({0})", "{0} * 1"),
    ("np.abs({0})", "np.where(np.real({0}) > 0, {0}, -{0})"),
    ("tm.relu({0})", "np.where(np.real({0}) > 0, {0}, 0.0)"),
    ("tm.sigmoid({0})", "1 / (1 + np.exp(-{0}))"),
    ("tm.softplus({0})", "np.log(1 + np.exp({0}))"),
    ("tm.silu({0})", "{0} / (1 + np.exp(-{0}))"),
    ("np.clip({0}, -0.8, 0.9)", "np.where(np.real({0}) > 0.9, 0.9, np.where(np.real({0}) < -0.8, -0.8, {0}))"),
    ("np.where({0} > 0.2, {0}, np.sin({0}))", "np.where(np.real({0}) > 0.2, {0}, np.sin({0}))"),
])  # fmt: skip

CONSTANT = family([
    ("tm.detach({0})", "judge.frozen({0})"),
    ("np.sign({0}) * 0.5", "np.sign(judge.decided({0}, 0.0)) * 0.5"),
    ("np.floor({0})", "np.floor(judge.decided({0}, np.round(np.real({0}))))"),
    ("({0} > 0.1) * 0.7", "(judge.decided({0}, 0.1) > 0.1) * 0.7"),
    ("np.argmax({0})", "judge.greatest({0})"),
    ("np.ones_like({0})", "np.ones(np.shape({0}))"),
    ("np.shape({0})[0] * 0.5", "np.shape({0})[0] * 0.5"),
    ("np.zeros_like({0}) + {0}", "{0} * 1"),
    ("np.take({0}, np.argmax({0}, axis=-1), axis=-1)", "np.take({0}, judge.greatest({0}, -1), axis=-1)"),
])  # fmt: skip

SHAPING = family([
    "{0}.T", "np.ravel({0})", "np.reshape({0}, (2, -1))", "np.reshape({0}, (-1, 2))", "{0}.reshape(-1)",
    "{0}[..., None]", "np.expand_dims({0}, 0)", "np.squeeze({0})", "np.tile({0}, 2)", "np.repeat({0}, 2)",
    "np.roll({0}, 1)", "np.flip({0})", "np.pad({0}, 1)", "np.broadcast_to({0}, (2, *np.shape({0})))",
    "np.swapaxes({0}, 0, -1)", "np.moveaxis({0}, 0, -1)", "np.diag({0})", "np.triu({0} + np.zeros((2, 1)))",
    "np.atleast_2d({0})", "np.diff({0})", "np.trace({0})", "np.split({0}, 2)[1]",
])  # fmt: skip

INDEXING = family([
    "{0}[0]", "{0}[-1]", "{0}[1]", "{0}[..., 0]", "{0}[..., -1]", "{0}[1:]", "{0}[:2]", "{0}[::-1]", "{0}[..., ::-2]",
    "{0}[..., [0, -1, 0]]", "{0}[[0, 0]]", "{0}[np.array([1, 0])]", "{0}[:, 0]", "{0}[[0, 1], [1, 0]]",
    "{0}[np.array([True, False, True, True])]", "np.take({0}, [0, 0, 1], axis=-1)", "{0}[()]", "{0}[-1, ..., 0]",
    (
        "tm.scatter_add({0}, np.array([0, 1, 0]), 2.0, axis=0)",
        "np.einsum('i->i', {0}) + np.array([4.0, 2.0, 0.0, 0.0])[:len({0})] + 0 * {0}[1]",
    ),
])  # fmt: skip

REDUCTIONS = family([
    "np.sum({0})", "np.sum({0}, axis=-1)", "{0}.sum(axis=0, keepdims=True)", "np.mean({0})", "{0}.mean(axis=0)",
    "np.prod(np.cos({0}), axis=-1)", "np.max({0})", "np.min({0}, axis=-1)", "sum({0})", "np.add.reduce({0})",
    ("np.var({0})", "np.mean(({0} - np.mean({0})) ** 2)"),
    ("np.std({0}, axis=-1)", "np.sqrt(np.mean(({0} - np.mean({0}, axis=-1, keepdims=True)) ** 2, axis=-1))"),
    ("np.linalg.norm({0})", "np.sqrt(np.sum({0} ** 2))"),
    ("tm.logsumexp({0})", "np.log(np.sum(np.exp({0})))"),
    ("tm.softmax({0})", "np.exp({0}) / np.sum(np.exp({0}), axis=-1, keepdims=True)"),
    ("tm.log_softmax({0})", "{0} - np.log(np.sum(np.exp({0}), axis=-1, keepdims=True))"),
    "np.cumsum({0}, axis=0)", "np.cumsum({0})", "np.cumprod(np.cos({0}), axis=-1)", "np.sort({0}, axis=-1)",
])  # fmt: skip

POWER = "{0} ** {1}"
BINARY = family([
    "{0} + {1}", "{0} - {1}", "{0} * {1}", "np.add({0}, {1})", "np.multiply({0}, {1})", "{0} / (2.0 + np.cos({1}))",
    "(1.2 + np.sin({0})) ** {1}", POWER, "{0} * np.sum({1})", "{0} + np.mean({1})", "sum([{0}, {1}, {0}])",
    "np.where(np.array([True, False]), {0}, {1})", "np.arctan({0} / (2.0 + np.sin({1})))",
    ("np.maximum({0}, {1})", "np.where(np.real({0}) > np.real({1}), {0}, {1})"),
    ("np.minimum({0}, {1})", "np.where(np.real({0}) < np.real({1}), {0}, {1})"),
    ("np.arctan2({0}, 2.0 + np.cos({1}))", "np.arctan({0} / (2.0 + np.cos({1})))"),
    ("np.hypot({0}, {1})", "np.sqrt({0} * {0} + {1} * {1} + 0.0)"),
    (
        "np.logaddexp({0} * np.float64(1), {1})",
        "np.log(np.exp({0} * np.float64(1)) + np.exp({1} * np.float64(1)))",
    ),
    ("np.where({0} > {1}, {0}, {1} * 0.5)", "np.where(np.real({0}) > np.real({1}), {0}, {1} * 0.5)"),
])  # fmt: skip

JOINING = family([
    "np.concatenate([np.ravel({0}), np.ravel({1})])", "np.stack([{0}, {1}])", "np.stack([{0}, {1}, {0}], axis=-1)",
    "np.vstack([{0}, {1}])", "np.hstack([{0}, {1}])", "np.concatenate([{0}, {1}], axis=0)", "np.append({0}, {1})",
])  # fmt: skip

PRODUCTS = family([
    "{0} @ {1}", "np.dot({0}, {1})", "np.outer({0}, {1})", "np.einsum('i,j->ij', {0}, {1})", "np.kron({0}, {1})",
    "np.einsum('...i,...i->...', {0}, {1})", "np.tensordot({0}, {1}, 1)", "np.inner({0}, {1})", "np.matmul({0}.T, {1})",
    "np.linalg.solve(3.0 * np.eye(2) + 0.3 * np.outer({0}, np.cos({0})), {1})",
    "np.linalg.inv(3.0 * np.eye(2) + 0.5 * np.sin({0}))", "np.linalg.det(2.0 * np.eye(2) + {0})",
])  # fmt: skip

CUSTOM = family([
    ("tm.custom_jvp(np.sin, lambda xs, ts: (np.sin(xs[0]), np.cos(xs[0]) * ts[0]))({0})", "np.sin({0})"),
    ("tm.custom_vjp(lambda x: (np.tanh(x), np.tanh(x)), lambda y, g: (g * (1 - y**2),))({0})", "np.tanh({0})"),
    (
        "tm.custom_vjp(lambda a, b: (a * b, (a, b)), lambda r, g: (g * r[1], g * r[0]))({0}, {0} * 0.5)",
        "{0} * {0} * 0.5",
    ),
    ("tm.no_grad(lambda: np.sin({0}))", "judge.frozen(np.sin({0}))"),
    ("tm.grad(lambda z: np.sum(np.sin(z) * np.sum({1})))({0})", "np.cos({0}) * np.sum({1})"),
    ("tm.grad(lambda z: np.sum(z * {0}) * np.sum({1}))({0})", "{0} * np.sum({1})"),
    ("tm.jvp(lambda z: np.sin(z) * np.sum({1}), ({0},), ({0} * {0},))[1]", "np.cos({0}) * np.sum({1}) * {0} * {0}"),
    (
        "tm.cond(np.sum({0}) > 0.1, lambda a, b: np.sin(a), lambda a, b: a * np.sum(b), {0}, {1})",
        "np.sin({0}) if np.real(np.sum({0})) > 0.1 else {0} * np.sum({1})",
    ),
])  # fmt: skip

THREAD = "in_thread({f}, {0})"
SILENT = "silently({f}, {0})"
SILENT_THUNK = "tm.no_grad(lambda: {f}({0}))"

GRADIENT = "tm.grad(lambda z: np.sum({f}(z)))({0})"
PULLED = "pulled({f}, {0})"
PUSHED = "tm.jvp({f}, ({0},), (np.cos({0}),))[1]"
EACH_GRADIENT = "tm.vmap(tm.grad(lambda z: np.sum({f}(z))))({0})"
LINEAR = "tm.linearize({f}, {0})[1]({0} * 0.5)"

EACH = "tm.vmap({f})({0})"
EACH_LAST = "tm.vmap({f}, in_axes=-1, out_axes=-1)({0})"
WHILE = (
    "tm.while_loop(lambda s: (s[0] < 3) & (np.sum(s[1]) > -0.5), "
    "lambda s: (s[0] + 1, np.sin(s[1]) + 0.1 * np.sum({f}(s[1]))), (0, {0}))[1]"
)
SCAN = "tm.scan(lambda c, row: (np.sin(c) + 0.1 * np.sum({f}(row)), c * {f}(row)), 0.3, {0})[1]"

WITH_FUNCTION = family([
    (THREAD, "{f}({0})"),
    ("in_thread_of_context({f}, {0})", "{f}({0})"),
    (SILENT, "judge.silent({f}, {0})"),
    (SILENT_THUNK, "judge.silent({f}, {0})"),
    ("tm.checkpoint({f})({0})", "{f}({0})"),
    ("tm.checkpoint(lambda z: {f}(z) * 2.0)({0})", "{f}({0}) * 2.0"),
    (GRADIENT, "judge.gradient({f}, {0})"),
    (PULLED, "judge.pulled({f}, {0})"),
    (PUSHED, "judge.derivative({f}, {0}, np.cos({0}))"),
    (LINEAR, "judge.derivative({f}, {0}, {0} * 0.5)"),
    (EACH, "judge.loop({f}, {0})"),
    (EACH_LAST, "np.moveaxis(judge.loop({f}, np.moveaxis({0}, -1, 0)), 0, -1)"),
    (EACH_GRADIENT, "judge.loop(lambda z: judge.gradient({f}, z), {0})"),
    (
        "tm.cond(np.sum({0}) > 0.1, {f}, lambda z: np.cos({f}(np.sin(z))), {0})",
        "{f}({0}) if np.real(np.sum({0})) > 0.1 else np.cos({f}(np.sin({0})))",
    ),
    (
        "tm.fori_loop(0, 2, lambda i, s: np.sin(s) + 0.1 * i * np.sum({f}(s)), {0})",
        "judge.fori(lambda i, s: np.sin(s) + 0.1 * i * np.sum({f}(s)), {0})",
    ),
    (SCAN, "judge.scan(lambda c, row: (np.sin(c) + 0.1 * np.sum({f}(row)), c * {f}(row)), 0.3, {0})"),
    (
        WHILE,
        "judge.repeat(lambda s: np.real(np.sum(s)) > -0.5, lambda s: np.sin(s) + 0.1 * np.sum({f}(s)), {0})",
    ),
])  # fmt: skip

ROWS = frozenset({EACH, EACH_GRADIENT, SCAN})
"""Their functions are given one row after another."""

DIFFERENCED = frozenset({GRADIENT, PULLED, PUSHED, LINEAR, EACH_GRADIENT})
"""The judge takes differences for them, at some loss of accuracy."""

FLOATS = DIFFERENCED | {WHILE} | {text for text in CUSTOM if "tm.cond" not in text}
"""Their first operand is of floats: it is differentiated, or becomes one of floats."""

FAMILIES = {
    "elementwise": ELEMENTWISE, "constant": CONSTANT, "shaping": SHAPING, "indexing": INDEXING,
    "reductions": REDUCTIONS, "binary": BINARY, "joining": JOINING, "products": PRODUCTS, "custom": CUSTOM,
    "with a function": WITH_FUNCTION,
}  # fmt: skip
WEIGHTS = {
    "elementwise": 5, "constant": 1, "shaping": 2, "indexing": 3, "reductions": 2, "binary": 5, "joining": 1,
    "products": 1.5, "custom": 1, "with a function": 4,
}  # fmt: skip

PARTS = family([
    "np.sum({0})", "np.sum({0}) * 0.7", "np.sum(np.sin({0}))", "np.sum({0} * {0}) * 0.3", "np.mean({0})",
    "0.5 * np.sum({0} ** 3)",
])  # fmt: skip

TERMS = family([
    "{0}[0]", "{0}[1]", "{0}[-1]", "{0}[0] ** 2", "np.sin({0}[1])", "np.sum({0})", "0.5 * {0}[1]", "-{0}[0]",
    "{0} @ {0}", "np.sum({0}, axis=0)", "{0}",
])  # fmt: skip


def arity(text: str) -> int:
    """How many operands a text has."""
    return sum(f"{{{position}}}" in text for position in range(3))


def takes_function(text: str) -> bool:
    """Whether a text has a function in it."""
    return "{f}" in text
