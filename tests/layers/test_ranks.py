"""Ops and layers of one, two and three spatial axes, made from one definition each: what each says of itself."""

import inspect
import pickle

import numpy as np
import pytest

import layers
import tapem as tm

OPS = ("conv", "conv_transpose", "max_pool", "avg_pool", "smooth_max_pool")
LAYERS = ("Conv", "ConvTranspose", "MaxPool", "AvgPool", "SmoothMaxPool")
AXES = {1: ("w",), 2: ("h", "w"), 3: ("d", "h", "w")}
NOUNS = {1: "signals", 2: "images", 3: "volumes"}


@pytest.mark.parametrize("axes", AXES)
@pytest.mark.parametrize("family", OPS)
def test_an_op_speaks_of_its_own_axes(family: str, axes: int) -> None:
    op = getattr(layers, f"{family}{axes}d")
    signature, help_text = repr(op.signature), op.__doc__
    spatial = " ".join(AXES[axes])
    assert signature.startswith(f"{family}{axes}d(") and f' {spatial}"]' in signature
    assert " ".join(f"{axis}_out" for axis in AXES[axes]) + '"]' in signature
    assert f'{spatial}" -> ' in help_text.replace("\n    ", " ") and f">>> {family}{axes}d(" in help_text
    for other in AXES.keys() - {axes}:
        assert f"{other}d" not in signature + help_text
        assert NOUNS[other] not in help_text
    assert NOUNS[axes] in help_text
    assert pickle.loads(pickle.dumps(op)) is op


@pytest.mark.parametrize("axes", AXES)
@pytest.mark.parametrize("family", OPS)
def test_an_op_refuses_too_few_axes_by_its_own_name(family: str, axes: int) -> None:
    op, x = getattr(layers, f"{family}{axes}d"), np.ones((2,) * axes)
    operands = (np.ones((1, 1) + (1,) * axes), None, x) if "conv" in family else (x, 1)
    with pytest.raises(tm.ShapeError, match=rf"^{family}{axes}d\("):
        op(*operands)


@pytest.mark.parametrize("axes", AXES)
@pytest.mark.parametrize("family", LAYERS)
def test_a_layer_speaks_of_its_own_axes(family: str, axes: int) -> None:
    layer = getattr(layers, f"{family}{axes}d")
    assert layer.axes == axes and layer.op is getattr(layers, layer.op.__name__) and layer.op.__name__[-2] == str(axes)
    assert f"channels, {', '.join(AXES[axes])})" in layer.__doc__
    assert all(
        f"{family}{other}d" not in layer.__doc__ and NOUNS[other] not in layer.__doc__ for other in {*AXES} - {axes}
    )
    assert list(inspect.signature(layer).parameters) == list(
        inspect.signature(getattr(layers, f"{family}2d")).parameters
    )
