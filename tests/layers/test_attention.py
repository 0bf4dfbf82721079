"""Attention beyond its rows: extreme scores, rows that attend to nothing, dtypes, doors, and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import layers
import tapem as tm
from layers.ops.attention import attention_weights
from layers.ops.multi_head_attention import merge_heads, split_heads


def values(seed: int, *shape: int, dtype: Any = np.float64) -> Any:
    return np.random.default_rng(seed).normal(size=shape).astype(dtype)


def tensors(*batch: int, n: int = 3, m: int = 4, d: int = 2, dtype: Any = np.float64) -> tuple[Any, Any, Any]:
    return tuple(values(i, *batch, length, d, dtype=dtype) for i, length in enumerate((n, m, m)))


def projections(dim: int = 4, width: int = 4, dtype: Any = np.float64) -> list[Any]:
    return [values(i, *shape, dtype=dtype) for i, shape in enumerate([(dim, width)] * 3 + [(width, dim)])]


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_a_row_with_nothing_to_attend_to_is_zeros_with_zero_gradients(dtype: Any) -> None:
    q, k, v = tensors(2, dtype=dtype)
    mask = np.ones((3, 4), np.bool_)
    mask[1] = False
    with np.errstate(all="raise", under="ignore"):
        y, pullback = tm.vjp(lambda *x: layers.scaled_dot_product_attention(*x, mask), q, k, v)
        only = np.zeros_like(y)
        only[:, 1] = 1
        gradients = pullback(only)
        _, tangent = tm.jvp(lambda *x: layers.scaled_dot_product_attention(*x, mask), (q, k, v), (q, k, v))
    assert not y[:, 1].any() and y[:, 0].all() and y.dtype == tangent.dtype == dtype
    assert not tangent[:, 1].any()
    for gradient, x in zip(gradients, (q, k, v), strict=True):
        assert not gradient.any() and gradient.dtype == x.dtype and gradient.shape == x.shape


@pytest.mark.parametrize("size", [1e4, 1e15])
def test_large_scores(size: float) -> None:
    q, k, v = tensors(1, dtype=np.float32)
    with np.errstate(all="raise", under="ignore"):
        y, pullback = tm.vjp(layers.scaled_dot_product_attention, q * np.float32(size), k * np.float32(size), v)
        gradients = pullback(np.ones_like(y))
    # So large are the differences that every query attends to one key.
    np.testing.assert_array_equal(y, v[0][np.argmax(q @ np.swapaxes(k, -1, -2), axis=-1)])
    assert all(np.isfinite(gradient).all() and gradient.dtype == np.float32 for gradient in gradients)


def test_large_scores_where_the_mask_hides_the_largest() -> None:
    q, k, v = np.full((1, 1, 1), 1e8), np.array([[[1e8], [1.0], [1.0]]]), np.array([[[7.0], [1.0], [3.0]]])
    assert layers.scaled_dot_product_attention(q, k, v, np.array([False, True, True])).item() == 2


def test_the_weights_of_masked_keys_are_exactly_zero() -> None:
    q, k, _ = tensors(2)
    weights = attention_weights(q, k, layers.causal_mask(3, 4))
    np.testing.assert_array_equal(weights[..., ~layers.causal_mask(3, 4)], 0)
    np.testing.assert_allclose(weights.sum(axis=-1), 1)


def test_what_is_hidden_has_no_influence() -> None:
    q, k, v = tensors(1)
    mask = np.array([True, True, False, True])
    other = v.copy()
    other[:, 2] = 1e30
    np.testing.assert_array_equal(
        layers.scaled_dot_product_attention(q, k, v, mask), layers.scaled_dot_product_attention(q, k, other, mask)
    )


def test_the_mask_may_be_mapped_or_a_leaf_of_a_tape() -> None:
    q, k, v = tensors(2)
    masks = np.random.default_rng(0).random((5, 3, 4)) > 0.5
    mapped = tm.vmap(layers.scaled_dot_product_attention, in_axes=(None, None, None, 0))(q, k, v, masks)
    np.testing.assert_allclose(mapped, [layers.scaled_dot_product_attention(q, k, v, mask) for mask in masks])
    tape = tm.Tape()
    refs = []
    for value in (q, k, v, masks[0]):
        ref, tape = tape.leaf(value)
        refs.append(ref)
    y, tape = layers.scaled_dot_product_attention(*refs).run(tape)
    np.testing.assert_array_equal(tape.value(y), layers.scaled_dot_product_attention(q, k, v, masks[0]))
    gradients = tape.backward(y, np.ones(y.shape))
    assert refs[0].id in gradients and refs[3].id not in gradients


def test_per_example_gradients_and_hessians() -> None:
    *weights, x = *projections(), values(9, 3, 2, 4)

    def loss(x: Any, *weights: Any) -> Any:
        y = layers.multi_head_attention(*weights, x, layers.causal_mask(2), num_heads=2)
        return np.sum(y * y)

    arguments = (0, 1, 2, 3, 4)
    each = tm.vmap(tm.grad(loss, argnums=arguments), in_axes=(0, None, None, None, None))(x, *weights)
    for i in range(3):
        for one, other in zip(each, tm.grad(loss, argnums=arguments)(x[i], *weights), strict=True):
            np.testing.assert_allclose(one[i], other, rtol=1e-9, atol=1e-12)
    hessian = tm.hessian(lambda x: loss(x, *weights))(x[0])
    np.testing.assert_allclose(hessian, np.moveaxis(hessian, (0, 1), (2, 3)), rtol=1e-8, atol=1e-9)
    checkpointed = tm.grad(tm.checkpoint(loss))(x[0], *weights)
    np.testing.assert_allclose(checkpointed, tm.grad(loss)(x[0], *weights))


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_multi_head_attention_keeps_the_dtype(dtype: Any) -> None:
    operands = [*projections(dtype=dtype), values(8, 2, 3, 4, dtype=dtype)]
    y, pullback = tm.vjp(lambda *x: layers.multi_head_attention(*x, num_heads=2), *operands)
    assert y.dtype == dtype
    assert [gradient.dtype for gradient in pullback(y)] == [dtype] * 5


def test_splitting_and_merging_heads_are_inverse() -> None:
    x = values(0, 2, 3, 6)
    assert split_heads(x, 2).shape == (2, 2, 3, 3)
    np.testing.assert_array_equal(merge_heads(split_heads(x, 3)), x)
    np.testing.assert_array_equal(split_heads(x, 2)[:, 1], x[..., 3:])


def test_the_future_does_not_reach_the_past() -> None:
    weights, x = projections(), values(4, 5, 4)
    jacobian = tm.jacrev(lambda x: layers.multi_head_attention(*weights, x, layers.causal_mask(5), num_heads=2))(x)
    reached = jacobian.any(axis=(1, 3))
    np.testing.assert_array_equal(reached, np.tri(5, dtype=bool))


@pytest.mark.parametrize(
    ("mask", "error", "text"),
    [
        (np.ones((4, 3), np.bool_), tm.ShapeError, "mask has shape (4, 3), which does not broadcast to (2, 3, 4)"),
        (np.ones((1, 2, 3, 4), np.bool_), tm.ShapeError, "mask has shape (1, 2, 3, 4), which does not broadcast"),
        (np.ones((3, 1)), tm.DTypeError, 'mask: Bool[Tensor, "..."]'),
        (np.ones((3, 1), np.int64), tm.DTypeError, 'mask: Bool[Tensor, "..."]'),
    ],
)
def test_masks_that_are_refused(mask: Any, error: type[Exception], text: str) -> None:
    with pytest.raises(error) as caught:
        layers.scaled_dot_product_attention(*tensors(2), mask)
    assert text in str(caught.value) and "scaled_dot_product_attention(q, k, v, mask)" in str(caught.value)
    with pytest.raises(error):
        layers.multi_head_attention(*projections(), values(0, 3, 4), mask, num_heads=2)


def test_shapes_that_are_refused() -> None:
    q, k, v = tensors(2)
    with pytest.raises(tm.ShapeError, match=r"axis 'm' is 4 in k \(2, 4, 2\) but 3 in v \(2, 3, 2\)"):
        layers.scaled_dot_product_attention(q, k, v[:, :3])
    with pytest.raises(tm.ShapeError, match=r"axis 'd' is 2 in q \(2, 3, 2\) but 1 in k \(2, 4, 1\)"):
        layers.scaled_dot_product_attention(q, k[..., :1], v)
    with pytest.raises(tm.ShapeError, match=r"axis 'heads' is 2 in q .* but 1 in k"):
        layers.scaled_dot_product_attention(q, k[:1], v[:1])
    with pytest.raises(tm.DTypeError, match="q"):
        layers.scaled_dot_product_attention(np.ones((1, 2, 2), np.int64), np.ones((1, 2, 2)), np.ones((1, 2, 2)))
    with pytest.raises(tm.ShapeError, match=r"axis 'dim' is 4 in wq \(4, 4\) but 3 in x \(2, 3\)"):
        layers.multi_head_attention(*projections(), values(0, 2, 3), num_heads=2)
    with pytest.raises(tm.ShapeError, match=r"axis 'inner' is 4 in wq"):
        wq, wk, wv, wo = projections()
        layers.multi_head_attention(wq, wk[:, :2], wv, wo, values(0, 2, 4), num_heads=2)


def test_heads_that_are_refused() -> None:
    with pytest.raises(tm.ArgumentError, match="3 heads do not divide the width 4"):
        layers.multi_head_attention(*projections(), values(0, 2, 4), num_heads=3)
    for wrong in (0, -1, 2.0, True):
        with pytest.raises(tm.ArgumentError, match="num_heads is"):
            layers.multi_head_attention(*projections(), values(0, 2, 4), num_heads=wrong)  # pyright: ignore
    with pytest.raises(tm.ArgumentError, match="n is -1"):
        layers.causal_mask(-1)


def test_as_torch_computes_it() -> None:
    torch = pytest.importorskip("torch")
    q, k, v = tensors(2, 3, n=5, m=4, d=6)
    mask = np.random.default_rng(3).random((2, 1, 5, 4)) > 0.3
    mask[..., 0] = True
    g = values(7, 2, 3, 5, 6)
    y, pullback = tm.vjp(lambda *x: layers.scaled_dot_product_attention(*x, mask), q, k, v)
    theirs = [torch.tensor(x, requires_grad=True) for x in (q, k, v)]
    expected = torch.nn.functional.scaled_dot_product_attention(*theirs, attn_mask=torch.tensor(mask))
    expected.backward(torch.tensor(g))
    np.testing.assert_allclose(y, expected.detach().numpy(), rtol=1e-10)
    for gradient, x in zip(pullback(g), theirs, strict=True):
        np.testing.assert_allclose(gradient, x.grad.numpy(), rtol=1e-9, atol=1e-12)
