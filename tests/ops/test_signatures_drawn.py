"""Every op on shapes that Hypothesis draws from its signature: all that `check_op` checks, on a few examples each.

What an op wants beyond its signature (static arguments, numbers in a range) is said here, once; so is why an op cannot
be drawn. A new op that is neither drawn as it stands nor listed fails. The seed is fixed: a run repeats itself.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import strategies as st

import tapem as tm
from tapem.core.primitive import Primitive
from tapem.ops.index import Index
from tapem.testing.dtypes import operand_allows
from tapem.types import Signature
from tests.tables import complex_numbers, special
from tests.test_table import INDIRECT, primitives

EXAMPLES = 3


def whole(*xs: Any) -> tuple[Any, ...]:
    return tuple(np.asarray(x).astype(np.int64) for x in xs)


def real(*xs: Any) -> tuple[Any, ...]:
    return tuple(np.asarray(x).astype(np.float64) for x in xs)


def lines(*xs: Any) -> tuple[Any, ...]:
    """No scalars: there is an axis to work along."""
    return tuple(np.atleast_1d(x) for x in xs)


def no_zero_last(*xs: Any) -> tuple[Any, ...]:
    """What is divided by is not zero."""
    return (*xs[:-1], np.where(np.equal(xs[-1], 0), 3, xs[-1]))


def places(x: Any, indices: Any, *updates: Any) -> tuple[Any, ...]:
    """Indices in range, one for each element, and as many updates."""
    x = np.atleast_1d(x)
    return x, np.resize(indices, x.shape) % x.shape[-1], *(np.resize(update, x.shape) for update in updates)


def regular(a: Any, *rest: Any) -> tuple[Any, ...]:
    """A matrix that is far from singular."""
    return a + 9 * np.eye(a.shape[-1]), *rest


def positive_definite(a: Any) -> tuple[Any, ...]:
    return (a @ np.swapaxes(a, -1, -2) + np.eye(a.shape[-1]),)


def probabilities(prediction: Any, target: Any) -> tuple[Any, ...]:
    return tm.sigmoid(real(prediction)[0]), target


def positive_target(prediction: Any, target: Any) -> tuple[Any, ...]:
    return prediction, np.exp(real(target)[0])


def labels(prediction: Any, target: Any) -> tuple[Any, ...]:
    return prediction, np.abs(np.resize(target, prediction.shape[:-1])).astype(np.int64) % prediction.shape[-1]


def channels(x: Any, gamma: Any, *rest: Any) -> tuple[Any, ...]:
    """Two examples with the channels of `gamma`, and three places each."""
    return np.resize(np.arange(6.0 * gamma.size) ** 2 + np.sum(x), (2, gamma.size, 3)), gamma, *rest


def channels_and_moments(x: Any, gamma: Any, beta: Any, mean: Any, variance: Any) -> tuple[Any, ...]:
    return *channels(x, gamma, beta, mean), np.exp(variance)


def of_special(name: str) -> Any:
    """Numbers at which a function of SciPy is defined, in the shapes that were drawn."""
    given = special.arguments(name)
    return lambda *xs: tuple(np.resize(x, np.shape(drawn)) for x, drawn in zip(given, xs, strict=True))


def matrices(*xs: Any) -> tuple[Any, ...]:
    return tuple(np.atleast_2d(x) for x in xs)


NORMS = st.sampled_from([None, "backward", "ortho", "forward"])
FOURIER = {"prepare": lines, "n": st.sampled_from([1, 2, 3, 4]), "axis": st.sampled_from([0, -1]), "norm": NORMS}
FOURIER_OF_SEVERAL = {"prepare": lines, "s": st.sampled_from([(1,), (2,), (3,)]), "axes": (-1,), "norm": NORMS}

WANTS: dict[str, dict[str, Any]] = {
    **{name: {"prepare": of_special(name)} for name in special.ARGUMENTS},
    "polygamma": {"prepare": of_special("psi"), "n": st.sampled_from([0, 1, 2])},
    **{name: {"prepare": no_zero_last, "power": st.sampled_from([0.5, 2.0])} for name in ("odd_power", "even_power")},
    "cast": {"dtype": np.dtype(np.float64), "dtypes": [np.float64, np.int64]},  # others narrow with a warning
    "discretize": {"dtype": np.dtype(np.int64), "dtypes": [np.float64, np.int64]},
    **{f"bitwise_{name}": {"prepare": whole} for name in ("and", "or", "xor", "not", "count")},
    **{name: {"prepare": whole} for name in ("gcd", "lcm", "left_shift", "right_shift")},
    "i0_derivative": {"prepare": real, "n": st.sampled_from([0, 1, 2])},
    **{name: {"prepare": no_zero_last} for name in ("reciprocal", "remainder", "fmod", "floor_divide")},
    "shift": {"prepare": lines, "axis": -1, "step": st.sampled_from([1, -1])},
    "recurrence": {"prepare": lines, "axis": -1, "reverse": st.booleans()},
    "argpartition": {"prepare": lines, "kth": 0, "axis": st.sampled_from([None, -1])},
    "permute": {"prepare": lambda x, order: (np.atleast_1d(x), np.argsort(np.atleast_1d(order))), "axis": -1},
    "diag": {"prepare": lines, "k": st.integers(-1, 1)},
    "getitem": {
        "prepare": lambda x, *_: lines(x),
        "at": st.sampled_from([Index((0,)), Index((..., None)), Index((slice(None, None, -1),)), Index((slice(1),))]),
    },
    "take_along_axis": {"prepare": places},
    "scatter_add": {"prepare": places, "axis": -1},
    "added_rows": {"prepare": lambda rows, ids: (rows, np.abs(ids) % 3), "vocabulary": 3},
    "scatter_set": {"prepare": places, "axis": -1},
    "split": {"prepare": lines, "indices_or_sections": st.sampled_from([1, (1,), (0, 2)])},
    "tensordot": {"axes": st.sampled_from([0, 1])},
    "pad": {
        "pad_width": st.sampled_from([1, (0, 2), (1, 0)]),
        "mode": st.sampled_from(["constant", "edge", "reflect", "symmetric", "wrap"]),
    },
    "ties": {"prepare": lambda x, _: (real(x)[0], np.max(real(x)[0], keepdims=True))},
    "differs": {"prepare": real, "dtypes": [np.float64]},
    "reshape": {"shape": st.sampled_from([-1, (1, -1), (-1, 1, 1)])},
    "expand_dims": {"axis": st.sampled_from([0, -1])},
    "swapaxes": {"prepare": lines, "axis1": 0, "axis2": -1},
    "moveaxis": {"prepare": lines, "source": 0, "destination": -1},
    "roll": {"prepare": lines, "shift": st.sampled_from([1, -2]), "axis": st.sampled_from([None, -1])},
    "tile": {"reps": st.sampled_from([2, (2, 1), (1, 2, 1)])},
    "repeat": {"prepare": lines, "repeats": st.sampled_from([0, 2]), "axis": st.sampled_from([None, -1])},
    **{f"fft_{name}": FOURIER for name in ("fft", "ifft", "rfft", "irfft", "hfft", "ihfft")},
    **{f"fft_{name}": FOURIER_OF_SEVERAL for name in ("fftn", "ifftn", "rfftn", "irfftn")},
    **{f"fft_{name}": {"prepare": matrices, "s": (2, 3)} for name in ("fft2", "ifft2", "rfft2", "irfft2")},
    **{
        f"fft_{name}": {"prepare": lines, "axes": st.sampled_from([None, 0, (-1,)])}
        for name in ("fftshift", "ifftshift")
    },
    **{name: {"mode": st.sampled_from(["full", "same", "valid"])} for name in ("convolve", "correlate")},
    "reciprocal_gaps": {"of": "eigh"},
    "known_rank": {"rcond": 1e-15},
    "cholesky": {"prepare": positive_definite},
    "second_cofactors": {"prepare": lambda *xs: regular(*real(*xs)), "dtypes": [np.float64]},
    "svd": {"dtypes": [np.float64, np.float32]},  # LAPACK chooses the phase of complex singular vectors
    **{name: {"prepare": regular} for name in ("linalg_inv", "solve", "slogdet", "cofactors")},
    "solve_triangular": {"prepare": regular, "trans": st.booleans(), "lower": st.booleans()},
    "bce": {"prepare": probabilities},
    "cross_entropy": {"prepare": labels},
    "nll": {"prepare": labels},
    "kl_divergence": {"prepare": positive_target},
    "multi_head_attention": {"num_heads": 2},
    **{name: {"prepare": channels} for name in ("batch_norm", "batch_norm_training", "instance_norm")},
    "batch_norm_inference": {"prepare": channels_and_moments},
    "group_norm": {"prepare": channels, "num_groups": 1},
    "global_avg_pool": {"prepare": lambda x: (np.resize(x, (2, 1, 2)),)},
    "rotary_embedding": {"prepare": lambda x, positions: (np.concatenate([x, x[..., ::-1]], axis=-1), positions)},
    "checked_ids": {"prepare": lambda ids: (np.abs(ids) % 3,), "vocabulary": 3},
}

WINDOWS = "its window must fit the spatial axes, which no annotation says; tests/tables has all of its options"

NOT_DRAWN = {
    "einsum": "its subscripts must fit the ranks: tests/ops/test_linalg.py draws both together",
    "scatter": "its static shape must be that of an array; it is the derivative of getitem, which is drawn",
    "from_diagonal": "its static shape must fit; it is the derivative of diag and diagonal, which are drawn",
    "unpad": "it wants one pair of widths for each axis; it is the derivative of pad, which is drawn",
    "broadcast_to": "its static shape must be one that x broadcasts to, and is in the table",
    "segment_sum": "its lengths must add up to the axis; it is the derivative of repeat, which is drawn",
    **{f"conv{rank}": WINDOWS for rank in ("", "1d", "2d", "3d")},
    **{f"conv_transpose{rank}": WINDOWS for rank in ("", "1d", "2d", "3d")},
    **{f"{kind}_pool{rank}": WINDOWS for kind in ("avg", "max", "smooth_max") for rank in ("", "1d", "2d", "3d")},
    **dict.fromkeys(["conv_kernel_gradient", "pool_winners", "to_winners", "from_winners"], WINDOWS),
    **dict.fromkeys(["share_out", "windows_of", "sum_of_windows"], WINDOWS),
    **dict.fromkeys(["lstm_cell", "gru_cell"], "its gates are a multiple of the hidden units; it is in the table"),
    "dropout": "its key is a pair of words that only tm.random makes; it is in the table",
}

IN_COMPLEX: dict[str, dict[str, Any]] = {}
"""What complex operands want that real ones do not."""


def takes_complex(op: Primitive) -> bool:
    """Whether the annotations of an op say that operands may be complex."""
    return any(operand_allows(operand, np.dtype(complex)) for operand in Signature.of(op).operands if operand.leaves)


DRAWN = [op for op in primitives() if op.name not in NOT_DRAWN and op.name not in INDIRECT]


@pytest.mark.parametrize("op", [pytest.param(op, id=op.name) for op in DRAWN])
def test_drawn_from_its_signature(op: Primitive) -> None:
    tm.testing.check_op(op, **{"max_examples": EXAMPLES, "max_side": 2, "seed": 0, **WANTS.get(op.name, {})})


NOT_IN_THE_PLANE = complex_numbers.REAL | {name for name, wants in WANTS.items() if "dtypes" in wants}
IN_THE_PLANE = [op for op in DRAWN if op.name not in NOT_IN_THE_PLANE]


@pytest.mark.parametrize("op", [pytest.param(op, id=op.name) for op in IN_THE_PLANE if takes_complex(op)])
def test_drawn_in_the_complex_plane(op: Primitive) -> None:
    """Where the signature allows complex numbers, alone and beside real ones."""
    wants = {**WANTS.get(op.name, {}), **IN_COMPLEX.get(op.name, {})}
    dtypes = [np.complex128, np.complex64, np.float64, np.int64]
    for kinds in (dtypes[:2], dtypes):
        tm.testing.check_op(op, **{"max_examples": 2, "max_side": 2, "seed": 0, **wants, "dtypes": kinds})


def test_what_is_listed_exists() -> None:
    assert {*WANTS, *NOT_DRAWN} <= {op.name for op in primitives()}
