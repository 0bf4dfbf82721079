"""Taylor slopes: how fast the remainders of order 0, 1 and 2 vanish, for every op, loss, layer and example."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

import layers
import tapem as tm
from layers import Layer
from tapem.core import Primitive
from tapem.core.tree import tree_flatten, tree_map
from tests.layers.test_every_layer import EXAMPLES
from tests.test_table import primitives
from tests.trust.rounding import Function, drawn, rows_of

Case = tuple[str, str, Callable[[Any], Any], Any]
"""What kind of thing it is, its name, the function of a tree, and the tree."""


def doubled(tree: Any, seed: int = 0) -> Any:
    """The floats of a tree in float64, away from zeros that stand in a new bias."""
    rng = np.random.default_rng(seed)

    def wide(x: Any) -> Any:
        x = np.asarray(x)
        return x.astype(np.float64) + 0.1 * rng.uniform(0.5, 1, x.shape) if x.dtype.kind == "f" else x

    return tree_map(wide, tree)


def of_op(f: Function) -> tuple[Callable[[Any], Any], Any]:
    """An op as a function of its real operands, which gives all its inexact results."""

    def of_operands(xs: Any) -> Any:
        given = dict(zip(f.places, xs, strict=True))
        results = f.op(*(given.get(place, operand) for place, operand in enumerate(f.operands)))
        parts = [part for part in tree_flatten(results)[0] if part is not None]
        return [part for part in parts if np.dtype(part.dtype).kind in "fc"]

    return of_operands, [f.operands[place] for place in f.places]


def ops(points: int, seed: int, only: Callable[[Primitive], bool]) -> Iterator[Case]:
    """Every op and loss with a derivative, at points near rows of the table."""
    for op in sorted(primitives(), key=lambda op: op.name):
        rows = list(rows_of(op))
        if not op.differentiable or not rows or not only(op):
            continue
        rng = np.random.default_rng([seed, *op.name.encode()])
        kind = "loss" if op.__module__.startswith("losses") else "op"
        for _ in range(points):
            yield kind, op.name, *of_op(drawn(op, rows, rng))


def of_layers(points: int) -> Iterator[Case]:
    """Every layer, as a function of its parameters and its input."""
    key = tm.random.key(0)
    for layer, shape in EXAMPLES:
        for seed in range(points):
            rng = np.random.default_rng(seed)
            ids = isinstance(layer, layers.Embedding)
            x: Any = rng.integers(0, 4, (3, *shape)) if ids else rng.normal(size=(3, *shape))
            params = doubled(layer.init(key, (3, *shape)), seed)
            tree = params if ids else (params, x)
            yield "layer", repr(layer), of_layer(layer, x, key), tree


def of_layer(layer: Layer, x: Any, key: Any) -> Callable[[Any], Any]:
    """A layer as a function of all that it is differentiated by; normalization in its training form."""
    state = doubled(layer.init_state())
    how: Any = {"state": state, "train": True, "key": key} if tree_flatten(state)[0] else {"key": key}

    def f(tree: Any) -> Any:
        params, given = tree if x.dtype.kind == "f" else (tree, x)
        found = layer.apply(params, given, **how)
        return found[0] if "state" in how else found

    return f


def of_examples() -> Iterator[Case]:
    """The objectives of the programs in examples/, on a few of their data."""
    from examples import char_transformer, check_your_op, digits, digits_cnn, newton

    key = tm.random.key(0)
    images, labels, _, _ = digits.split_data()
    images, labels = images[:4].astype(np.float64), labels[:4]
    yield "example", "digits", lambda p: digits.objective(p, images, labels), doubled(digits.model.init(key, (4, 64)))
    windows = np.arange(2 * 9).reshape(2, 9) % 20 + 40
    params = doubled(char_transformer.model.init(key, (2, 8)))
    yield "example", "char_transformer", lambda p: char_transformer.objective(p, windows), params
    pictures = images.reshape(4, 1, 8, 8)
    model = digits_cnn.model
    of_params = of_layer(model, pictures, key)
    params = doubled(model.init(key, (4, 1, 8, 8)))
    yield "example", "digits_cnn", lambda p: digits_cnn.loss(of_params((p, pictures)), labels), params
    learn, _ = newton.split_data()
    start = {"weights": np.full(learn.x.shape[1], 0.1), "bias": np.array(0.1)}
    yield "example", "newton", lambda p: newton.objective(p, learn), start
    residuals = np.array([0.3, -2.0, 0.7])
    yield "example", "check_your_op", lambda x: check_your_op.huber(x, np.array([1.0, 0.5, 2.0])), residuals
    yield "example", "teach_autodiff", taught(), dict(parameters())


def parameters() -> Any:
    """Those of the network in examples/teach_autodiff.py."""
    from examples import teach_autodiff

    return teach_autodiff.PARAMETERS


def taught() -> Callable[[Any], Any]:
    """Its loss, written with NumPy."""
    from examples import teach_autodiff

    flowers, virginica = teach_autodiff.two_flowers()

    def loss(p: Any) -> Any:
        z = np.tanh(flowers @ p["w1"] + p["b1"]) @ p["w2"] + p["b2"]
        return np.sum(tm.softplus(z) - virginica * z)

    return loss


def measured(case: Case, seed: int) -> dict[str, Any]:
    """The rates of one function; None for an order whose remainder is hidden by rounding."""
    kind, name, f, x = case
    try:
        with np.errstate(all="ignore"):
            found = tm.testing.taylor_test(f, x, seed=seed)
    except (tm.TapeError, ValueError) as error:
        return {"kind": kind, "name": name, "refused": str(error).splitlines()[0][:100]}
    return {"kind": kind, "name": name, "rates": list(found.rates), "passed": found.passed}


def merged(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """One record for each name: the lowest rate of each order, and at how many points a kink is in the way."""
    by_name: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for one in found:
        by_name.setdefault((one["kind"], one["name"]), []).append(one)
    merged: list[dict[str, Any]] = []
    for (kind, name), several in by_name.items():
        tested = [one for one in several if "rates" in one]
        record: dict[str, Any] = {"kind": kind, "name": name, "points": len(tested)}
        if tested:
            smooth = [one for one in tested if one["passed"]] or tested
            rates = [[one["rates"][order] for one in smooth if one["rates"][order] is not None] for order in range(3)]
            record["rates"] = [min(some) if some else None for some in rates]
            record["kinks"] = sum(not one["passed"] for one in tested)
        else:
            record["refused"] = several[0]["refused"]
        merged.append(record)
    return merged


def measure(
    points: int, seed: int, only: Callable[[Primitive], bool] = lambda op: True, whole: bool = True
) -> list[dict[str, Any]]:
    """Every op and loss, and if `whole` every layer and example."""
    found = [measured(case, seed) for case in ops(points, seed, only)]
    if whole:
        for cases in (of_layers(points), of_examples()):
            found += [measured(case, seed) for case in cases]
    return merged(found)
