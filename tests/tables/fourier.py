"""Rows of the Fourier transforms: even and odd lengths, cropped and padded, along several axes, in every norm."""

from __future__ import annotations

from typing import Any

import numpy as np

from tapem.ops import fourier
from tests.tables import Row


def real(*shape: int) -> Any:
    return np.random.default_rng(sum(shape) + len(shape)).normal(size=shape)


def plane(*shape: int) -> Any:
    return real(*shape) + 1j * real(*shape, 1)[..., 0]


ALONG: list[tuple[tuple[int, ...], dict[str, Any], str]] = [
    ((4,), {}, "even"),
    ((5,), {"norm": "ortho"}, "odd"),
    ((4,), {"n": 3, "norm": "backward"}, "cropped, odd"),
    ((5,), {"n": 2, "norm": "forward"}, "cropped, even"),
    ((3,), {"n": 6}, "padded, even"),
    ((2,), {"n": 5, "norm": "forward"}, "padded, odd"),
    ((2, 1), {"n": 1}, "one element"),
    ((0, 3), {}, "no line"),
    ((3, 2), {"axis": 0}, "first axis"),
    ((2, 3, 2), {"n": 4, "axis": -2, "norm": "ortho"}, "inner axis"),
]
OVER_TWO: list[tuple[tuple[int, ...], dict[str, Any], str]] = [
    ((3, 4), {}, "matrix"),
    ((2, 2, 3), {"norm": "ortho"}, "stack"),
    ((3, 4), {"s": (4, 3), "axes": (0, 1), "norm": "forward"}, "padded and cropped"),
    ((2, 3, 2), {"s": (3, 5), "axes": (2, 0), "norm": "backward"}, "other axes, in another order"),
    ((0, 2, 3), {"axes": (-2, -1)}, "no matrix"),
    ((1, 1, 2), {}, "axes of one element"),
]
OVER_SEVERAL = [
    *OVER_TWO,
    ((4,), {}, "line"),
    ((2, 1, 3), {"norm": "forward"}, "all axes"),
    ((2, 3), {"s": (3, -1), "axes": (0, 1)}, "size kept"),
    ((2, 3), {"axes": (0,), "norm": "ortho"}, "one axis"),
    ((3, 2), {"s": (4,), "axes": (-2,)}, "one axis, padded"),
]
KINDS: dict[str, list[tuple[tuple[int, ...], dict[str, Any], str]]] = {"": ALONG, "2": OVER_TWO, "n": OVER_SEVERAL}


def rows(name: str, kind: str, of_complex: bool, of_real: bool) -> list[Row]:
    op, reference = getattr(fourier, f"fft_{name}{kind}"), getattr(np.fft, f"{name}{kind}")
    found: list[Row] = []
    for shape, static, note in KINDS[kind]:
        if of_complex:
            found.append(Row(op, (plane(*shape),), static, reference, f"{note}, complex"))
        if of_real:
            found.append(Row(op, (real(*shape),), static, reference, note))
    integers = np.arange(6).reshape(2, 3)
    return [*found, Row(op, (integers,), {}, reference, "integers"), Row(op, (integers > 2,), {}, reference, "bools")]


SHIFTED: list[tuple[tuple[int, ...], dict[str, Any]]] = [
    ((4,), {}),
    ((5,), {}),
    ((2, 3), {}),
    ((3, 4, 1), {"axes": 0}),
    ((3, 5), {"axes": (-1, 0)}),
    ((0, 3), {"axes": (1,)}),
]

ROWS: list[Row] = [
    *(row for kind in KINDS for name in ("fft", "ifft", "irfft") for row in rows(name, kind, True, True)),
    *(row for kind in KINDS for row in rows("rfft", kind, False, True)),
    *rows("hfft", "", True, True),
    *rows("ihfft", "", False, True),
    *(
        Row(getattr(fourier, f"fft_{name}"), (draw(*shape),), static, getattr(np.fft, name))
        for name in ("fftshift", "ifftshift")
        for draw in (real, plane)
        for shape, static in SHIFTED
    ),
]
