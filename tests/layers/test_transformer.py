"""MultiHeadAttention and TransformerBlock: what they compute, through every door, and what is refused."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest

import layers
import tapem as tm
from layers import MultiHeadAttention, TransformerBlock

KEY = tm.random.key(0)


def values(seed: int, *shape: int, dtype: Any = np.float64) -> Any:
    return np.random.default_rng(seed).normal(size=shape).astype(dtype)


def test_attention_without_biases_is_the_op() -> None:
    layer, x = MultiHeadAttention(4, 2, causal=True, dtype=np.float64), values(0, 2, 3, 4)
    params: Any = layer.init(KEY, (2, 3, 4))
    assert {name: weight.shape for name, weight in params.items()} == dict.fromkeys(("wq", "wk", "wv", "wo"), (4, 4))
    weights = [params[name] for name in ("wq", "wk", "wv", "wo")]
    expected = layers.multi_head_attention(*weights, x, layers.causal_mask(3), num_heads=2)
    np.testing.assert_array_equal(layer.apply(params, x), expected)
    assert not np.allclose(MultiHeadAttention(4, 2).apply(params, x), expected)


def test_attention_with_biases_of_zero_is_that_without() -> None:
    x = values(0, 2, 3, 4)
    layer = MultiHeadAttention(4, 2, bias=True, dtype=np.float64)
    params: Any = layer.init(KEY)
    assert sorted(params) == ["bk", "bo", "bq", "bv", "wk", "wo", "wq", "wv"]
    weights = {name: params[name] for name in ("wk", "wo", "wq", "wv")}
    np.testing.assert_allclose(layer.apply(params, x), MultiHeadAttention(4, 2).apply(weights, x), rtol=1e-12)
    drawn = MultiHeadAttention(4, 2, bias=layers.initializers.normal).init(KEY)
    assert all(drawn[name].any() and drawn[name].shape == (4,) for name in ("bq", "bk", "bv", "bo"))


def test_attention_takes_the_parameters_of_torch() -> None:
    torch = pytest.importorskip("torch")
    theirs = torch.nn.MultiheadAttention(6, 3, batch_first=True, dtype=torch.float64)
    torch.nn.init.normal_(theirs.in_proj_bias)
    torch.nn.init.normal_(theirs.out_proj.bias)
    given = {name: value.detach().numpy() for name, value in theirs.state_dict().items()}
    params = {f"w{name}": part.T for name, part in zip("qkv", np.split(given["in_proj_weight"], 3), strict=True)}
    params |= {f"b{name}": part for name, part in zip("qkv", np.split(given["in_proj_bias"], 3), strict=True)}
    params |= {"wo": given["out_proj.weight"].T, "bo": given["out_proj.bias"]}
    x = values(0, 2, 4, 6)
    hidden = torch.tensor(~layers.causal_mask(4))
    for causal, mask in ((False, None), (True, hidden)):
        expected = theirs(*[torch.tensor(x)] * 3, attn_mask=mask, need_weights=False)[0].detach().numpy()
        layer = MultiHeadAttention(6, 3, causal=causal, bias=True)
        np.testing.assert_allclose(layer.apply(params, x), expected, rtol=1e-10, atol=1e-12)


def test_a_block_is_what_its_formula_says() -> None:
    block, x = TransformerBlock(4, 2, 5, causal=True, bias=True, dtype=np.float64), values(0, 2, 3, 4)
    params: Any = block.init(KEY)
    (norm, attention), (other, expand, _, contract) = params
    norm["gamma"], other["beta"] = values(1, 4), values(2, 4)
    h = x + MultiHeadAttention(4, 2, causal=True, bias=True).apply(
        attention, layers.layer_norm(x, norm["gamma"], norm["beta"])
    )
    hidden = layers.linear(expand["weight"], expand["bias"], layers.layer_norm(h, other["gamma"], other["beta"]))
    assert hidden.shape == (2, 3, 5)
    expected = h + layers.linear(contract["weight"], contract["bias"], tm.gelu(hidden))
    np.testing.assert_allclose(block.apply(params, x), expected, rtol=1e-12)


@pytest.mark.parametrize("block", [TransformerBlock(4, 2, 6), TransformerBlock(4, 2, causal=True, bias=True)])
def test_the_gradients_of_a_block(block: TransformerBlock) -> None:
    params: Any = TransformerBlock(4, 2, block.hidden, block.causal, bias=block.bias, dtype=np.float64).init(KEY)
    x, weight = values(0, 2, 3, 4), values(1, 2, 3, 4)
    tm.testing.check_grads(lambda params, x: np.sum(weight * block.apply(params, x)), (params, x), order=1)


def test_a_block_through_every_door() -> None:
    block, x = TransformerBlock(4, 2, dtype=np.float64), values(0, 2, 3, 4)
    params: Any = block.init(KEY)
    expected = tm.grad(lambda x: np.sum(block.apply(params, x) ** 2))(x)
    leaf, tape = tm.Tape().leaf(x)
    out, tape = block.apply(params, leaf).run(tape)
    np.testing.assert_array_equal(tape.value(out), block.apply(params, x))
    np.testing.assert_allclose(tape.backward(out, 2 * tape.value(out))[leaf], expected, rtol=1e-12)
    np.testing.assert_allclose(
        tm.vmap(tm.grad(lambda x: np.sum(block.apply(params, x) ** 2)))(x), expected, rtol=1e-9, atol=1e-12
    )


def test_a_causal_block_does_not_see_the_future() -> None:
    block, x = TransformerBlock(4, 2, causal=True, dtype=np.float64), values(0, 5, 4)
    params = block.init(KEY)
    changed = x.copy()
    changed[3:] += 1
    np.testing.assert_allclose(block.apply(params, changed)[:3], block.apply(params, x)[:3])


def test_dropout_works_in_training_only_and_needs_a_key() -> None:
    block, x = TransformerBlock(4, 2, dropout=0.5), values(0, 2, 3, 4, dtype=np.float32)
    params = block.init(KEY)
    quiet = block.apply(params, x)
    np.testing.assert_array_equal(block.apply(params, x, key=KEY), quiet)
    noisy = block.apply(params, x, key=KEY, train=True)
    np.testing.assert_array_equal(block.apply(params, x, key=KEY, train=True), noisy)
    assert not np.allclose(noisy, quiet) and noisy.dtype == np.float32
    with pytest.raises(tm.ArgumentError, match="needs a key"):
        block.apply(params, x, train=True)
    plain = TransformerBlock(4, 2)
    np.testing.assert_array_equal(plain.apply(plain.init(KEY), x, train=True), plain.apply(plain.init(KEY), x))


def test_blocks_compose_and_are_values() -> None:
    model = TransformerBlock(4, 2, causal=True) >> TransformerBlock(4, 4, 8, dropout=0.1, approximate="tanh")
    assert model.output_shape((None, 7, 4)) == (None, 7, 4)
    assert repr(model) == (
        "Sequential(TransformerBlock(4, 2, causal=True), TransformerBlock(4, 4, 8, dropout=0.1, approximate='tanh'))"
    )
    assert repr(MultiHeadAttention(4, 2, causal=True, bias=True)) == "MultiHeadAttention(4, 2, causal=True, bias=True)"
    assert pickle.loads(pickle.dumps(model)) == model
    assert (
        TransformerBlock(4, 2) == TransformerBlock(4, 2) and len({TransformerBlock(4, 2), TransformerBlock(4, 2)}) == 1
    )
    # Two norms of 8, four projections of 16, and two linear layers of 4 x 16.
    assert layers.count_parameters(TransformerBlock(4, 2).init(KEY)) == 2 * 8 + 4 * 16 + 2 * 64 + 16 + 4
    with pytest.raises(tm.ShapeError, match=r"TransformerBlock\(5, 1\), takes .* gives \(..., \?, 4\)"):
        TransformerBlock(4, 2) >> TransformerBlock(5, 1)
    with pytest.raises(tm.ShapeError, match="it has 1 axes, not 2 or more"):
        TransformerBlock(4, 2).apply(TransformerBlock(4, 2).init(KEY, (4,)), values(0, 4))


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: MultiHeadAttention(0, 1), "MultiHeadAttention: dim is 0, but must be an integer of at least 1"),
        (lambda: MultiHeadAttention(4, 3), "MultiHeadAttention: 3 heads do not divide the width 4"),
        (lambda: MultiHeadAttention(4, 0), "MultiHeadAttention: num_heads is 0, but must be an integer of at least 1"),
        (lambda: TransformerBlock(4, 3), "TransformerBlock: 3 heads do not divide the width 4"),
        (lambda: TransformerBlock(4, 2, 0), "TransformerBlock: hidden is 0, but must be an integer of at least 1"),
        (
            lambda: TransformerBlock(4, 2, dropout=1.0),
            "TransformerBlock: rate is 1.0, but must be at least 0",
        ),
        (lambda: TransformerBlock(4, 2, approximate="fast"), "'fast'"),
    ],
)
def test_what_is_refused(make: Any, text: str) -> None:
    with pytest.raises(tm.ArgumentError) as error:
        make()
    assert text in str(error.value)
