"""Calls of every function of the array API standard on one traced matrix, with the options that the standard has."""

from collections.abc import Callable
from typing import Any

import numpy as np

from tests.xp.standard import SIGNATURES

Call = Callable[[Any, Any], Any]

X = np.array([[0.3, 0.7, 0.45], [0.2, 0.9, 0.6], [0.8, 0.15, 0.55]])
"""What is traced: values at which every elementwise function is smooth."""

# What the functions of integers and bools are given.
_INTEGERS = np.array([[1, 2, 3], [0, 1, 2], [5, 4, 1]])
_BITWISE = [name for name in SIGNATURES if name.startswith("bitwise_")]
_LOGICAL = [name for name in SIGNATURES if name.startswith("logical_")]


def function_of(xp: Any, name: str) -> Callable[..., Any]:
    """The function of a namespace by its name in the standard, such as `linalg.det`."""
    for part in name.split("."):
        xp = getattr(xp, part)
    return xp


def _applied(name: str) -> Call:
    """A call by position alone: with the matrix, or with two that are made from it."""
    operands = len([p for p in SIGNATURES[name].parameters.values() if p.default is p.empty])

    def call(xp: Any, x: Any) -> Any:
        if name in _BITWISE:
            x = xp.astype(x * 10, xp.int64)
        if name in _LOGICAL:
            x = x > 0.5
        if name == "acosh":
            x = x + 1.0
        if name in ("linalg.cholesky", "linalg.eigh", "linalg.eigvalsh"):
            x = x @ x.T + 3 * xp.eye(3)
        second = x.T if name in _BITWISE + _LOGICAL else x * 0.5 + 0.32
        return function_of(xp, name)(*(x, second)[:operands])

    return call


def _spectrum(name: str, x: Any) -> Any:
    """What a transform takes: complex numbers, unless it is for real ones."""
    return x if name in ("rfft", "rfftn", "ihfft") else x + 1j * x.T


def _of_line(name: str) -> list[Call]:
    return [
        lambda xp, x: getattr(xp.fft, name)(_spectrum(name, x)),
        lambda xp, x: getattr(xp.fft, name)(_spectrum(name, x), n=4, axis=0, norm="ortho"),
    ]


def _of_several(name: str) -> list[Call]:
    return [
        lambda xp, x: getattr(xp.fft, name)(_spectrum(name, x)),
        lambda xp, x: getattr(xp.fft, name)(_spectrum(name, x), s=(2, 4), axes=(1, 0), norm="forward"),
    ]


def _shifted(name: str) -> list[Call]:
    return [lambda xp, x: getattr(xp.fft, name)(x), lambda xp, x: getattr(xp.fft, name)(x + 1j * x.T, axes=(1,))]


_BY_HAND: dict[str, list[Call]] = {
    "arange": [lambda xp, x: xp.arange(3) * x, lambda xp, x: xp.arange(1, 7, 2, dtype=xp.float32, device=x.device) * x],
    "argsort": [lambda xp, x: xp.argsort(x, axis=0, descending=True, stable=False)],
    "asarray": [
        lambda xp, x: xp.asarray(x, dtype=xp.float32, device=x.device, copy=True),
        lambda xp, x: xp.asarray([[x[0, 0], 1.0], (x[1, 0] * 2, x[1, 1])]),
        lambda xp, x: xp.asarray([x[0], X[1], [1.0, x[0, 1], 2]]) * xp.asarray([1.0, 2.0, 3.0]),
    ],
    "astype": [lambda xp, x: xp.astype(x, xp.float32, copy=False), lambda xp, x: xp.astype(x, xp.int64, device="cpu")],
    "broadcast_to": [lambda xp, x: xp.broadcast_to(x, (2, 3, 3))],
    "broadcast_arrays": [lambda xp, x: xp.broadcast_arrays(x, x[0], xp.ones((2, 1, 1)))],
    "can_cast": [lambda xp, x: xp.can_cast(x, xp.float64), lambda xp, x: xp.can_cast(x, xp.float32)],
    "clip": [lambda xp, x: xp.clip(x, 0.25, 0.75), lambda xp, x: xp.clip(x, max=x[0])],
    "concat": [lambda xp, x: xp.concat([x, x[:1]], axis=0), lambda xp, x: xp.concat((x, x * 2), axis=None)],
    "cumulative_prod": [lambda xp, x: xp.cumulative_prod(x, axis=1, dtype=xp.float32, include_initial=True)],
    "cumulative_sum": [
        lambda xp, x: xp.cumulative_sum(x, axis=-1, include_initial=True),
        lambda xp, x: xp.cumulative_sum(x[0]),
    ],
    "diff": [lambda xp, x: xp.diff(x, axis=0, n=2), lambda xp, x: xp.diff(x, prepend=x[:, :1], append=x[:, 1:])],
    "empty": [lambda xp, x: xp.empty((2, 0), dtype=xp.float32, device="cpu")],
    "empty_like": [lambda xp, x: xp.empty_like(x[:0], dtype=xp.float32, device="cpu")],
    "expand_dims": [lambda xp, x: xp.expand_dims(x, axis=1)],
    "eye": [lambda xp, x: xp.eye(2, 3, k=1, dtype=xp.float32, device="cpu") @ x],
    "finfo": [lambda xp, x: xp.finfo(x).eps * x, lambda xp, x: xp.finfo(xp.float32).max],
    "flip": [lambda xp, x: xp.flip(x), lambda xp, x: xp.flip(x, axis=(0, 1))],
    "from_dlpack": [lambda xp, x: xp.from_dlpack(X, device="cpu", copy=True) * x],
    "full": [
        lambda xp, x: xp.full((2, 3), 2.0, dtype=xp.float32, device="cpu"),
        lambda xp, x: xp.full(2, x[0, 0]),
        lambda xp, x: xp.full((2, 3), x[0], dtype=xp.float32, device="cpu"),
    ],
    "full_like": [lambda xp, x: xp.full_like(x, 2.0, dtype=xp.float32, device="cpu")],
    "iinfo": [lambda xp, x: xp.iinfo(xp.astype(x, xp.int8)).max, lambda xp, x: xp.iinfo(xp.int16).bits],
    "isdtype": [
        lambda xp, x: xp.isdtype(x.dtype, ("real floating", xp.int8)),
        lambda xp, x: xp.isdtype(x.dtype, "bool"),
    ],
    "linspace": [
        lambda xp, x: xp.linspace(0.0, 1.0, 3, dtype=xp.float32, device="cpu", endpoint=False) * x,
        lambda xp, x: xp.linspace(x[0, 0], x[0, 1], num=4),
    ],
    "meshgrid": [lambda xp, x: xp.meshgrid(x[0], x[1, :2], indexing="ij")],
    "moveaxis": [lambda xp, x: xp.moveaxis(x, 0, 1), lambda xp, x: xp.moveaxis(x, (0, 1), (1, 0))],
    "nonzero": [lambda xp, x: xp.nonzero(x > 0.5)],
    "ones": [lambda xp, x: xp.ones((2, 3), dtype=xp.float32, device="cpu") @ x],
    "ones_like": [lambda xp, x: xp.ones_like(x, dtype=xp.float32, device="cpu")],
    "permute_dims": [lambda xp, x: xp.permute_dims(x, (1, 0))],
    "prod": [lambda xp, x: xp.prod(x, axis=(0, 1)), lambda xp, x: xp.prod(x, dtype=xp.float32, keepdims=True)],
    "repeat": [lambda xp, x: xp.repeat(x, 2), lambda xp, x: xp.repeat(x, xp.asarray([1, 0, 2]), axis=1)],
    "reshape": [lambda xp, x: xp.reshape(x, (-1,)), lambda xp, x: xp.reshape(x, (9, 1), copy=True)],
    "result_type": [lambda xp, x: xp.zeros(2, dtype=xp.result_type(x, xp.float32, 1.0))],
    "roll": [lambda xp, x: xp.roll(x, 1), lambda xp, x: xp.roll(x, (1, 2), axis=(0, 1))],
    "searchsorted": [lambda xp, x: xp.searchsorted(xp.sort(x[0]), x[1], side="right")],
    "sort": [lambda xp, x: xp.sort(x), lambda xp, x: xp.sort(x, axis=0, descending=True, stable=False)],
    "squeeze": [lambda xp, x: xp.squeeze(x[:1], axis=0), lambda xp, x: xp.squeeze(x[:1, :1], (0, 1))],
    "stack": [lambda xp, x: xp.stack([x, x * 2], axis=1)],
    "std": [lambda xp, x: xp.std(x, axis=0), lambda xp, x: xp.std(x, correction=1, keepdims=True)],
    "sum": [lambda xp, x: xp.sum(x, axis=(0, 1), keepdims=True), lambda xp, x: xp.sum(x, dtype=xp.float32)],
    "take": [lambda xp, x: xp.take(x, xp.asarray([2, 0]), axis=1)],
    "take_along_axis": [
        lambda xp, x: xp.take_along_axis(x, xp.argsort(x)),
        lambda xp, x: xp.take_along_axis(x, _INTEGERS % 3, axis=0),
    ],
    "tensordot": [lambda xp, x: xp.tensordot(x, x, axes=1), lambda xp, x: xp.tensordot(x, x, axes=((0,), (1,)))],
    "tile": [lambda xp, x: xp.tile(x, (2, 1))],
    "tril": [lambda xp, x: xp.tril(x, k=-1)],
    "triu": [lambda xp, x: xp.triu(x, k=1)],
    "unstack": [lambda xp, x: xp.unstack(x), lambda xp, x: xp.unstack(x, axis=1)],
    "var": [lambda xp, x: xp.var(x, axis=0), lambda xp, x: xp.var(x, correction=1, keepdims=True)],
    "vecdot": [lambda xp, x: xp.vecdot(x, x.T), lambda xp, x: xp.vecdot(x, x.T, axis=0)],
    "where": [lambda xp, x: xp.where(x > 0.5, x, 0.0)],
    "zeros": [lambda xp, x: xp.zeros((2, 3), dtype=xp.float32, device="cpu") @ x],
    "zeros_like": [lambda xp, x: xp.zeros_like(x, dtype=xp.float32, device="cpu")],
    **{f"fft.{name}": _of_line(name) for name in ("fft", "ifft", "rfft", "irfft", "hfft", "ihfft")},
    **{f"fft.{name}": _of_several(name) for name in ("fftn", "ifftn", "rfftn", "irfftn")},
    **{f"fft.{name}": _shifted(name) for name in ("fftshift", "ifftshift")},
    "fft.fftfreq": [lambda xp, x: xp.fft.fftfreq(3, d=2.0) * x],
    "fft.rfftfreq": [lambda xp, x: xp.fft.rfftfreq(5, d=2.0) * x],
    "linalg.matrix_norm": [
        lambda xp, x: xp.linalg.matrix_norm(x),
        lambda xp, x: xp.linalg.matrix_norm(x, ord="nuc", keepdims=True),
    ],
    "linalg.matrix_power": [lambda xp, x: xp.linalg.matrix_power(x, 3)],
    "linalg.outer": [lambda xp, x: xp.linalg.outer(x[0], x[1])],
    "linalg.qr": [lambda xp, x: xp.linalg.qr(x).R, lambda xp, x: xp.linalg.qr(x, mode="complete").Q],
    "linalg.svd": [lambda xp, x: xp.linalg.svd(x).S, lambda xp, x: xp.linalg.svd(x[:2], full_matrices=False).S],
    "linalg.eigh": [lambda xp, x: xp.linalg.eigh(x @ x.T).eigenvalues],
    "linalg.slogdet": [lambda xp, x: xp.linalg.slogdet(x).logabsdet],
    "linalg.trace": [lambda xp, x: xp.linalg.trace(x, offset=1)],
    "linalg.vector_norm": [
        lambda xp, x: xp.linalg.vector_norm(x),
        lambda xp, x: xp.linalg.vector_norm(x, axis=(0, 1), keepdims=True, ord=1),
    ],
}

CALLS = {name: _BY_HAND.get(name) or [_applied(name)] for name in SIGNATURES}
"""From each function of the standard to calls of it."""
