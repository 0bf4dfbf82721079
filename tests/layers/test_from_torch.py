"""Parameters from torch: names and layouts of its modules, the numbers that come out, and tensors that do not fit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy

import layers
import tapem as tm
from layers import (
    BatchNorm,
    Conv1d,
    Conv2d,
    Conv3d,
    ConvTranspose2d,
    Dropout,
    Embedding,
    Flatten,
    GroupNorm,
    InstanceNorm,
    LayerNorm,
    Linear,
    Lstm,
    MultiHeadAttention,
    Relu,
    Residual,
    RMSNorm,
    Sequential,
    from_torch,
)

RANDOM = np.random.default_rng(0)


def draw(*shape: int) -> Any:
    return RANDOM.normal(size=shape).astype(np.float32)


def attend(x: Any, tensors: dict[str, Any], heads: int, prefix: str = "") -> Any:
    """Torch's multi-head self-attention of one sequence, head by head and position by position."""
    tensors = {name.removeprefix(prefix): tensor.astype(np.float64) for name, tensor in tensors.items()}
    n, dim = x.shape
    projected = x @ tensors["in_proj_weight"].T + tensors.get("in_proj_bias", 0.0)
    q, k, v = projected[:, :dim], projected[:, dim : 2 * dim], projected[:, 2 * dim :]
    mixed = np.zeros((n, dim))
    for h in range(heads):
        part = slice(h * dim // heads, (h + 1) * dim // heads)
        for i in range(n):
            weights = np.exp(k[:, part] @ q[i, part] / np.sqrt(dim // heads))
            mixed[i, part] = weights / weights.sum() @ v[:, part]
    return mixed @ tensors["out_proj.weight"].T + tensors.get("out_proj.bias", 0.0)


# Without torch: tensors as its modules name them ----------------------------------------------------------------------


def test_linear_and_embedding() -> None:
    tensors = {"weight": draw(3, 2), "bias": draw(3)}
    params = from_torch(Linear(2, 3), tensors)
    x = draw(5, 2)
    np.testing.assert_allclose(Linear(2, 3).apply(params, x), x @ tensors["weight"].T + tensors["bias"], rtol=1e-5)
    table = {"weight": draw(7, 3)}
    ids = np.array([6, 0, 6])
    np.testing.assert_array_equal(Embedding(7, 3).apply(from_torch(Embedding(7, 3), table), ids), table["weight"][ids])


def test_convolution() -> None:
    layer = Conv2d(4, 6, (3, 2), stride=2, groups=2)
    tensors, x = {"weight": draw(6, 2, 3, 2), "bias": draw(6)}, draw(4, 5, 6)
    expected = np.zeros((6, 2, 3))
    for o, i, j in np.ndindex(expected.shape):
        window = x[2 * (o // 3) : 2 * (o // 3) + 2, 2 * i : 2 * i + 3, 2 * j : 2 * j + 2]
        expected[o, i, j] = np.sum(window * tensors["weight"][o]) + tensors["bias"][o]
    np.testing.assert_allclose(layer.apply(from_torch(layer, tensors), x), expected, rtol=1e-4, atol=1e-5)
    bare = Conv2d(4, 6, (3, 2), groups=2, bias=False)
    assert set(from_torch(bare, {"weight": tensors["weight"]})) == {"weight"}


@pytest.mark.parametrize("bias", [False, True])
def test_attention(bias: bool) -> None:
    layer = MultiHeadAttention(6, 2, bias=bias)
    tensors = {"a.in_proj_weight": draw(18, 6), "a.out_proj.weight": draw(6, 6)}
    if bias:
        tensors |= {"a.in_proj_bias": draw(18), "a.out_proj.bias": draw(6)}
    x = draw(5, 6)
    y = layer.apply(from_torch(layer, tensors, "a"), x)
    np.testing.assert_allclose(y, attend(x, tensors, 2, "a."), rtol=1e-4, atol=1e-5)


def test_batch_norm_brings_its_statistics() -> None:
    model = Sequential(Linear(2, 3), Sequential(BatchNorm(3), Relu()))
    tensors = {
        "0.weight": draw(3, 2), "0.bias": draw(3), "1.0.weight": draw(3), "1.0.bias": draw(3),
        "1.0.running_mean": draw(3), "1.0.running_var": np.square(draw(3)), "1.0.num_batches_tracked": np.array(7),
    }  # fmt: skip
    params, state = from_torch(model, tensors)
    assert tm.tree_flatten(params)[1] == tm.tree_flatten(model.init(tm.random.key(0)))[1]
    np.testing.assert_array_equal(state[1][0]["mean"], tensors["1.0.running_mean"])
    np.testing.assert_array_equal(state[1][0]["var"], tensors["1.0.running_var"])
    np.testing.assert_array_equal(params[1][0]["gamma"], tensors["1.0.weight"])
    y, after = model.apply(params, draw(4, 2), state=state)
    assert y.shape == (4, 3) and tm.tree_flatten(after)[1] == tm.tree_flatten(model.init_state())[1]


def test_prefixes_and_dtypes() -> None:
    tensors = {"net.0.weight": draw(2, 2), "net.0.bias": draw(2), "network.weight": draw(1), "other": draw(1)}
    for prefix, dtype in (("net", np.float64), ("net.", np.float32)):
        params = from_torch(Sequential(Linear(2, 2, dtype=dtype)), tensors, prefix)
        assert params[0]["weight"].dtype == dtype
        np.testing.assert_array_equal(params[0]["weight"], tensors["net.0.weight"])
    params[0]["weight"][...] = 0.0  # a copy
    assert tensors["net.0.weight"].any()
    half = {"weight": draw(2, 2).astype(np.float16), "bias": draw(2).astype(np.float16)}
    assert from_torch(Linear(2, 2), half)["weight"].dtype == np.float32


def test_everything_that_does_not_fit_is_listed(tmp_path: Path) -> None:
    path = tmp_path / "state_dict.safetensors"
    tensors = {"0.weight": draw(2, 3), "2.weight": np.ones(2, int), "3.bias": draw(1)}
    safetensors.numpy.save_file(tensors, path, metadata={"format": "pt"})
    with pytest.raises(tm.TreeError) as error:
        from_torch(Linear(3, 4) >> Relu() >> LayerNorm(4), tm.load(path))
    assert str(error.value) == (
        "from_torch: the tensors are not those of Sequential(Linear(3, 4), Relu(), LayerNorm(4))\n"
        "  0.weight: is f32[2,3], but must be f32[4,3]\n"
        "  missing: 0.bias f32[4]\n"
        "  2.weight: is i64[2], but must be f32[4]\n"
        "  missing: 2.bias f32[4]\n"
        "  unexpected: 3.bias f32[1]"
    )


def test_what_is_no_layer_and_no_dict_of_tensors() -> None:
    with pytest.raises(tm.ArgumentError, match=r"layer is <class 'layers.dense.Linear'>, but must be a layer, such as"):
        layers.from_torch(Linear, {})  # pyright: ignore[reportArgumentType]
    with pytest.raises(tm.ArgumentError, match=r"tensors is a list, but must be a dict, as tm.load gives it"):
        layers.from_torch(Linear(2, 3), [np.ones((3, 2))])  # pyright: ignore[reportArgumentType]


def test_layers_that_torch_has_otherwise() -> None:
    with pytest.raises(
        tm.ArgumentError, match=r"what Lstm\(2, 3\) is in torch is not known here. Build its parameters"
    ):
        from_torch(Lstm(2, 3), {})
    assert from_torch(Relu() >> Flatten() >> Dropout(0.5), {}) == ((), (), ())


# With torch -----------------------------------------------------------------------------------------------------------


def pairs(nn: Any) -> dict[str, tuple[Any, Any, Any]]:
    """A layer, its counterpart in torch, and an input."""
    ours = Sequential(
        Conv2d(3, 8, 3, padding=1), BatchNorm(8, eps=1e-5), Relu(), Conv2d(8, 4, 3, stride=2), Relu(), Flatten(),
        Linear(36, 5),
    )  # fmt: skip
    theirs = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 4, 3, stride=2), nn.ReLU(),
        nn.Flatten(), nn.Linear(36, 5),
    )  # fmt: skip
    return {
        "linear": (Linear(7, 3), nn.Linear(7, 3), draw(5, 7)),
        "conv1d": (Conv1d(4, 6, 3, dilation=2), nn.Conv1d(4, 6, 3, dilation=2), draw(2, 4, 9)),
        "conv2d": (
            Conv2d(4, 6, 3, stride=2, padding=1, groups=2), nn.Conv2d(4, 6, 3, 2, 1, groups=2), draw(2, 4, 9, 8)
        ),
        "conv2d without bias": (Conv2d(3, 6, 5, bias=False), nn.Conv2d(3, 6, 5, bias=False), draw(2, 3, 9, 8)),
        "conv3d": (Conv3d(2, 3, 2), nn.Conv3d(2, 3, 2), draw(2, 2, 3, 4, 5)),
        "conv_transpose2d": (
            ConvTranspose2d(4, 6, 3, stride=2, padding=1, groups=2), nn.ConvTranspose2d(4, 6, 3, 2, 1, groups=2),
            draw(2, 4, 5, 6),
        ),
        "layer_norm": (LayerNorm(6, eps=1e-5), nn.LayerNorm(6), draw(2, 5, 6)),
        "rms_norm": (RMSNorm(6, eps=1e-5), nn.RMSNorm(6, eps=1e-5), draw(2, 5, 6)),
        "group_norm": (GroupNorm(2, 6, eps=1e-5), nn.GroupNorm(2, 6), draw(2, 6, 5)),
        "instance_norm": (InstanceNorm(6, eps=1e-5), nn.InstanceNorm1d(6, affine=True), draw(2, 6, 5)),
        "embedding": (Embedding(9, 4), nn.Embedding(9, 4), np.array([[1, 8, 0], [3, 3, 2]])),
        "attention": (
            MultiHeadAttention(12, 3, bias=True), nn.MultiheadAttention(12, 3, batch_first=True), draw(2, 7, 12)
        ),
        "attention without bias": (
            MultiHeadAttention(12, 4), nn.MultiheadAttention(12, 4, bias=False, batch_first=True), draw(2, 7, 12)
        ),
        "a network": (ours, theirs, draw(2, 3, 8, 8)),
    }  # fmt: skip


NAMES = [
    "linear", "conv1d", "conv2d", "conv2d without bias", "conv3d", "conv_transpose2d", "layer_norm", "rms_norm",
    "group_norm", "instance_norm", "embedding", "attention", "attention without bias", "a network",
]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_outputs_agree_with_torch(name: str, tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    from safetensors.torch import save_file

    torch.manual_seed(0)
    layer, module, x = pairs(torch.nn)[name]
    with torch.no_grad():
        for parameter in module.parameters():  # no zeros and ones, which would hide a mistake
            parameter.copy_(torch.randn(parameter.shape) / 2)
        if name == "a network":
            module(torch.randn(16, 3, 8, 8))
        module.eval()
        given = torch.tensor(x)
        expected = module(given, given, given)[0] if name.startswith("attention") else module(given)
    path = tmp_path / "state_dict.safetensors"
    save_file(module.state_dict(), path)
    found = from_torch(layer, tm.load(path))
    if layer.has_state:
        params, state = found
        y, _ = layer.apply(params, x, state=state)
    else:
        y = layer.apply(found, x)
    assert y.dtype == np.float32
    np.testing.assert_allclose(y, expected.numpy(), rtol=2e-5, atol=2e-5)


def test_residual_has_the_names_of_its_layer() -> None:
    tensors = {"0.weight": draw(2, 2), "0.bias": draw(2)}
    params = from_torch(Residual(Linear(2, 2) >> Relu()), tensors)
    np.testing.assert_array_equal(params[0]["weight"], tensors["0.weight"])
    assert layers.count_parameters(params) == 6
