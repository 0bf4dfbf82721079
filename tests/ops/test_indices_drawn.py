"""Indices of every kind and mixture, drawn at random, against NumPy: values, both modes, second order, batches."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import tapem as tm


@st.composite
def indexed(draw: Any) -> tuple[tuple[int, ...], tuple[Any, ...]]:
    """A shape, and an index that may or may not fit it."""
    shape = tuple(draw(st.lists(st.sampled_from([3, 4, 1, 0]), max_size=4)))
    parts: list[Any] = []
    axis = 0
    while axis < len(shape) and draw(st.integers(0, 5)):
        size = shape[axis]
        inside = st.integers(-size, size - 1) if size else st.just(0)
        several = st.sampled_from([(3,), (1,), (2, 1), (2, 3)])
        kind = draw(
            st.sampled_from(["array", "slice", "int", "array", "list", "mask", "wide mask", "none", "ellipsis"])
        )
        if kind == "slice":
            ends = st.none() | st.integers(-5, 5)
            parts.append(slice(draw(ends), draw(ends), draw(st.sampled_from([None, 1, 2, -1, -2]))))
        elif kind == "int":
            parts.append(draw(st.sampled_from([int, np.int8, np.array]))(draw(inside)))
        elif kind == "array":
            places = draw(several)
            count = int(np.prod(places))
            parts.append(np.reshape(draw(st.lists(inside, min_size=count, max_size=count)), places))
        elif kind == "list":
            parts.append(draw(st.lists(inside, min_size=3, max_size=3)))
        elif "mask" in kind:
            own = shape[axis : axis + (2 if kind == "wide mask" else 1)]
            mask = np.zeros(int(np.prod(own)), bool)
            mask[:3] = True
            parts.append(np.reshape(draw(st.permutations(mask.tolist())), own).astype(bool))
            axis += len(own) - 1
        elif kind == "ellipsis" and Ellipsis in [part for part in parts if part is Ellipsis]:
            continue
        else:
            parts.append(None if kind == "none" else Ellipsis)
            axis += draw(st.integers(-1, len(shape) - axis - 1)) if kind == "ellipsis" else -1
        axis += 1
    return shape, tuple(parts)


@settings(max_examples=300, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
@given(indexed(), st.integers(0, 2**32 - 1))
def test_any_index(given: tuple[tuple[int, ...], tuple[Any, ...]], seed: int) -> None:
    shape, index = given
    rng = np.random.default_rng(seed)
    x, v = rng.normal(size=(2, *shape))
    try:
        expected = x[index]
    except (IndexError, DeprecationWarning) as refused:  # before 2.3 NumPy only warns where no element is picked
        for attempt in (lambda: tm.getitem(x, index), lambda: tm.vjp(lambda x: x[index], x)):
            with pytest.raises(tm.TapeError if isinstance(refused, IndexError) else DeprecationWarning):
                attempt()
        return
    np.testing.assert_array_equal(tm.getitem(x, index), expected)
    np.testing.assert_array_equal(tm.jvp(lambda x: x[index], (x,), (v,))[1], v[index])

    positions = np.ravel(np.arange(x.size).reshape(shape)[index])
    w = rng.normal(size=expected.shape)

    def put(values: Any) -> Any:
        """Each value added where its element came from."""
        out = np.zeros(x.size)
        np.add.at(out, positions, np.ravel(values))
        return out.reshape(shape)

    def gradient(x: Any) -> Any:
        return tm.grad(lambda x: np.sum(w * np.sin(x[index])))(x)

    np.testing.assert_allclose(gradient(x), put(w * np.cos(expected)), atol=1e-12)
    np.testing.assert_allclose(tm.jvp(gradient, (x,), (v,))[1], put(-w * np.sin(expected)) * v, atol=1e-12)

    batch = np.stack([x, v, x + v])
    for axis in {0, len(shape)}:
        got = tm.vmap(lambda x: x[index], in_axes=axis)(np.moveaxis(batch, 0, axis))
        np.testing.assert_array_equal(got, np.stack([one[index] for one in batch]))
    np.testing.assert_allclose(tm.vmap(gradient)(batch), np.stack([gradient(one) for one in batch]), atol=1e-12)

    arrays = [i for i, part in enumerate(index) if type(part) is np.ndarray and part.ndim and part.dtype != bool]
    if not arrays:
        return
    at = arrays[seed % len(arrays)]
    mapped = np.stack([index[at], np.flip(index[at]), np.roll(index[at], 1)])

    def taken(x: Any, part: Any) -> Any:
        return tm.getitem(x, (*index[:at], part, *index[at + 1 :]))

    for x_axis, xs in ((None, x), (0, batch)):
        got = tm.vmap(taken, in_axes=(x_axis, 0))(xs, mapped)
        loop = [taken(x if x_axis is None else xs[i], part) for i, part in enumerate(mapped)]
        np.testing.assert_array_equal(got, np.stack(loop))
