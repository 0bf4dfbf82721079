"""Layers and losses take real numbers only: every one refuses complex ones, in words, wherever they can stand."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import layers
import losses
import tapem as tm
from layers import Layer
from tapem.core import Primitive
from tests import tables
from tests.layers.test_every_layer import KEY, batch_for, every_layer, run
from tests.tables import Row


def in_the_plane(x: Any) -> Any:
    """The same numbers, complex."""
    z = np.asarray(x) * (1 + 0.5j)
    return z.astype(np.complex64) if np.asarray(x).dtype == np.float32 else z


def complaint(call: Any) -> str:
    """The first line of the error, which is ours and says what to do; no warning comes before it."""
    with pytest.raises(tm.DTypeError) as error:
        call()
    text = str(error.value)
    assert "complex" in text.splitlines()[0] and ".real" in text, text
    return text.splitlines()[0]


@every_layer
@pytest.mark.parametrize("traced", [False, True])
def test_a_layer_of_complex_input_or_parameters(layer: Layer, shape: tuple[int, ...], traced: bool) -> None:
    params, state, x = layer.init(KEY, (4, *shape)), layer.init_state(), batch_for(layer, shape)

    def apply(params: Any, x: Any) -> Any:
        body = lambda params, x: run(layer, params, x, state, key=KEY, train=True)[0]  # noqa: E731
        return tm.vjp(lambda params: body(params, x), params)[0] if traced else body(params, x)

    if x.dtype.kind == "f":
        assert "is complex64" in complaint(lambda: apply(params, in_the_plane(x)))
    leaves, structure = tm.tree_flatten(params)
    for at in range(len(leaves)):
        changed = [in_the_plane(leaf) if i == at else leaf for i, leaf in enumerate(leaves)]
        complaint(lambda changed=changed: apply(tm.tree_unflatten(structure, changed), x))


def rows() -> Iterator[Row]:
    """The rows of the ops of layers and losses."""
    for module in pkgutil.iter_modules(tables.__path__):
        for row in importlib.import_module(f"tests.tables.{module.name}").ROWS:
            if isinstance(row.op, Primitive) and row.op.__module__.split(".")[0] in ("layers", "losses"):
                yield row


OPS = {row.op.name: row for row in reversed(list(rows()))}


@pytest.mark.parametrize("name", OPS)
def test_an_op_of_layers_or_losses(name: str) -> None:
    row = OPS[name]
    for at, operand in enumerate(row.operands):
        if operand is None or np.asarray(operand).dtype.kind != "f":
            continue
        for given in (in_the_plane(operand), complex(0.5, 0.5)) if np.ndim(operand) == 0 else (in_the_plane(operand),):
            operands = (*row.operands[:at], given, *row.operands[at + 1 :])
            with pytest.raises(tm.DTypeError, match=r"is complex(128)?, where") as error:
                row.op(*operands, **row.static)
            assert row.op.operand_name(at) + " is complex" in str(error.value).splitlines()[0]


LOSSES = (
    "mse mae huber smooth_l1 log_cosh cross_entropy nll bce bce_with_logits hinge kl_divergence poisson_nll".split()
)


@pytest.mark.parametrize("name", [*LOSSES, "cosine_similarity"])
def test_a_loss_of_complex_values(name: str) -> None:
    loss, real = getattr(losses, name), np.array([[0.2, 0.8], [0.6, 0.4]])
    first = "logits" if name == "cross_entropy" else "prediction"
    target = np.array([0, 1]) if name == "nll" else real
    assert f"{first} is complex128" in complaint(lambda: loss(in_the_plane(real), target))
    with pytest.raises(tm.DTypeError, match=f"{first} is complex128"):
        tm.vjp(lambda p: loss(p, target), in_the_plane(real))
    wrong = (
        "has dtype complex128.* so it holds labels, which must be integers" if name == "nll" else "is complex128, wh"
    )
    for call in (lambda: loss(real, in_the_plane(target)), lambda: tm.grad(loss)(real, in_the_plane(target))):
        with pytest.raises(tm.DTypeError, match=f"target {wrong}"):
            call()


def test_detached_losses_and_models_say_so_too() -> None:
    z = np.ones(2, complex)
    with pytest.raises(tm.DTypeError, match="prediction is complex128, where Float is required"):
        losses.detach(losses.mse)(z, z)
    model = layers.Linear(2, 2)
    with pytest.raises(tm.DTypeError, match="x is complex128, where Float is required"):
        tm.model.value_and_grad(model, losses.mse, model.init(KEY), z, np.ones(2))
