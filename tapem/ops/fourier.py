"""Fourier transforms: each is linear, and its transpose is another one, between a crop and its padding with zeros.

A pullback is the transpose without conjugation, and the matrices of fft and ifft are symmetric: each is its own. The
transforms of real values keep the frequencies up to half the length, since those beyond are the conjugates. So in the
transposes the frequencies between 0 and half the length count twice, or are shared by two.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeAlias

import numpy as np

from tapem.core import Primitive, Rule, linear_in_all
from tapem.ops.axes import behind_batch
from tapem.ops.declare import primitive
from tapem.types import Complex, Float, Num, Real, Tensor

T = Num[Tensor, "..."]
RealIn = Real[Tensor, "..."]
FloatOut = Float[Tensor, "..."]
ComplexOut = Complex[Tensor, "..."]
Norm: TypeAlias = Literal["backward", "ortho", "forward"] | None
Sizes: TypeAlias = Sequence[int] | None
Axes: TypeAlias = Sequence[int] | None

_SWAPPED: Mapping[Norm, Norm] = {None: "forward", "backward": "forward", "forward": "backward", "ortho": "ortho"}
"""The norm of a transform whose conjugate is the inverse one, scaled as the norm says."""


def _last(rank: int, s: Sizes) -> range:
    """The axes that sizes belong to if no axes are named: as many of the last, or all without sizes."""
    return range(rank - (rank if s is None else len(s)), rank)


def _axes(x: Any, s: Sizes = None, axes: Axes = None) -> tuple[int, ...]:
    """The axes that are transformed, non-negative and in order; without `axes` the last ones, or all without `s`."""
    rank = np.ndim(x)
    found = np.lib.array_utils.normalize_axis_tuple(_last(rank, s) if axes is None else axes, rank)
    if not found:
        raise ValueError("there is no axis to transform along")
    if s is not None and len(s) != len(found):
        raise ValueError(f"s has {len(s)} sizes, but axes has {len(found)}")
    return found


def _axis(x: Any, axis: int) -> int:
    return np.lib.array_utils.normalize_axis_index(axis, np.ndim(x))


def _static_axes(x: Any, static: Mapping[str, Any]) -> tuple[int, ...]:
    """The axes that the static arguments name, of a transform along one axis or several."""
    return (_axis(x, static["axis"]),) if "axis" in static else _axes(x, static["s"], static["axes"])


def _fitted(found: Any, x: Any, axes: Sequence[int]) -> Any:
    """The transpose of fitting `x` to the sizes of a transform: what was padded is cropped, what was cropped is 0."""
    sizes = [np.shape(x)[i] if i in axes else n for i, n in enumerate(np.shape(found))]
    if any(n < had for n, had in zip(sizes, np.shape(found), strict=True)):
        found = found[tuple(slice(n) for n in sizes)]
    missing = [(0, n - had) for n, had in zip(sizes, np.shape(found), strict=True)]
    return np.pad(found, missing) if any(n for _, n in missing) else found


def _weighted(z: Any, weight: float, size: int, axis: int) -> Any:
    """`z` with a weight on the frequencies of a real line of this size that stand for their conjugates, too."""
    weights = np.full(size // 2 + 1, weight, np.finfo(z.dtype).dtype)
    weights[0] = 1
    if size % 2 == 0:
        weights[-1] = 1
    return z * np.reshape(weights, (-1, *(1,) * (np.ndim(z) - 1 - axis)))


def _pull_complex(transform: Any) -> Rule:
    """The pullback of fft or ifft: itself."""

    def pull(g: Any, y: Any, x: Any, **static: Any) -> Any:
        axes = _static_axes(x, static)
        return _fitted(transform(g, axes=axes, norm=static["norm"]), x, axes)

    return pull


def _pull_from_real(conjugate: bool) -> Rule:
    """The pullback of rfft, or of its `conjugate` ihfft, whose norm is swapped."""

    def pull(g: Any, y: Any, x: Any, **static: Any) -> Any:
        axes = _static_axes(x, static)
        n = static["n"] if "axis" in static else static["s"] and static["s"][-1]
        sizes = [np.shape(g)[i] for i in axes]
        sizes[-1] = np.shape(x)[axes[-1]] if n is None or n == -1 else n
        half = _weighted(g, 0.5, sizes[-1], axes[-1])
        norm = static["norm"]
        if conjugate:
            return _fitted(np.fft.irfftn(half, sizes, axes, norm), x, axes)
        return _fitted(np.fft.irfftn(np.conjugate(half), sizes, axes, _SWAPPED[norm]), x, axes)

    return pull


def _pull_to_real(conjugate: bool) -> Rule:
    """The pullback of irfft, or of hfft, which is irfft of the `conjugate` with the norm swapped."""

    def pull(g: Any, y: Any, x: Any, **static: Any) -> Any:
        axes = _static_axes(x, static)
        norm = static["norm"]
        if conjugate:
            found = np.fft.rfftn(g, axes=axes, norm=norm)
        else:
            found = np.conjugate(np.fft.rfftn(g, axes=axes, norm=_SWAPPED[norm]))
        # NumPy takes real numbers too, and then neither operand nor result is complex: the rule itself projects.
        found = _weighted(found, 2.0, np.shape(g)[axes[-1]], axes[-1])
        return _fitted(found if np.iscomplexobj(x) else np.real(found).astype(x.dtype), x, axes)

    return pull


def _batch(op: Primitive, size: int, inputs: Sequence[Any], mapped: Sequence[bool], static: Mapping[str, Any]) -> Any:
    """The batch rule: every axis is one further back."""
    (x,) = inputs
    rank = np.ndim(x) - 1
    if "axis" in static:
        return op(x, **{**static, "axis": behind_batch(static["axis"], rank)[0]})
    axes = _last(rank, static.get("s")) if static["axes"] is None else static["axes"]
    return op(x, **{**static, "axes": behind_batch(axes, rank)})


# Of complex values --------------------------------------------------------------------------------------------------


@primitive(rrule=(_pull_complex(np.fft.fftn),), frule=linear_in_all, batch=_batch, numpy=[np.fft.fft])
def fft_fft(x: T, n: int | None = None, axis: int = -1, norm: Norm = None) -> ComplexOut:
    """The Fourier transform along an axis, the sums of `x[j] exp(-2 pi i j k / n)`: Num "*a m *b" -> Complex "*a n *b".

    `x` is cropped, or padded with zeros, to `n` elements; without `n` it keeps its m. A `norm` of "backward" (or None)
    divides by nothing, "ortho" by the square root of n, "forward" by n; the inverse transforms divide by the rest.

    float32 and complex64 give complex64. All Fourier transforms raise ArgumentError for an axis that is not there or
    that is named twice, for an axis without elements, and for another norm.

    >>> fft_fft(np.array([1.0, 2.0, 3.0, 4.0]))
    array([10.+0.j, -2.+2.j, -2.+0.j, -2.-2.j])
    """
    return np.fft.fft(x, n, _axis(x, axis), norm)


@primitive(rrule=(_pull_complex(np.fft.ifftn),), frule=linear_in_all, batch=_batch, numpy=[np.fft.ifft])
def fft_ifft(x: T, n: int | None = None, axis: int = -1, norm: Norm = None) -> ComplexOut:
    """The inverse of `fft_fft`, with its arguments: Num "*a m *b" -> Complex "*a n *b".

    >>> fft_ifft(np.array([10, -2 + 2j, -2, -2 - 2j]))
    array([1.+0.j, 2.+0.j, 3.+0.j, 4.+0.j])
    """
    return np.fft.ifft(x, n, _axis(x, axis), norm)


@primitive(rrule=(_pull_complex(np.fft.fftn),), frule=linear_in_all, batch=_batch, numpy=[np.fft.fft2])
def fft_fft2(x: T, s: Sizes = None, axes: Axes = (-2, -1), norm: Norm = None) -> ComplexOut:
    """`fft_fftn` along the last two axes: Num "..." -> Complex "...".

    >>> fft_fft2(np.eye(2))
    array([[2.+0.j, 0.+0.j],
           [0.+0.j, 2.+0.j]])
    """
    _axes(x, s, axes)
    return np.fft.fft2(x, s, axes, norm)


@primitive(rrule=(_pull_complex(np.fft.ifftn),), frule=linear_in_all, batch=_batch, numpy=[np.fft.ifft2])
def fft_ifft2(x: T, s: Sizes = None, axes: Axes = (-2, -1), norm: Norm = None) -> ComplexOut:
    """The inverse of `fft_fft2`: Num "..." -> Complex "...".

    >>> fft_ifft2(2 * np.eye(2))
    array([[1.+0.j, 0.+0.j],
           [0.+0.j, 1.+0.j]])
    """
    _axes(x, s, axes)
    return np.fft.ifft2(x, s, axes, norm)


@primitive(rrule=(_pull_complex(np.fft.fftn),), frule=linear_in_all, batch=_batch, numpy=[np.fft.fftn])
def fft_fftn(x: T, s: Sizes = None, axes: Axes = None, norm: Norm = None) -> ComplexOut:
    """The Fourier transform along several axes, one after the other: Num "..." -> Complex "...".

    `s` has a size for each of the `axes`, to which `x` is cropped or padded with zeros; -1 keeps the size. Without
    `axes` all are transformed.

    >>> fft_fftn(np.ones((2, 2, 2))).real.sum(axis=(0, 1))
    array([8., 0.])
    """
    _axes(x, s, axes)
    return np.fft.fftn(x, s, axes, norm)


@primitive(rrule=(_pull_complex(np.fft.ifftn),), frule=linear_in_all, batch=_batch, numpy=[np.fft.ifftn])
def fft_ifftn(x: T, s: Sizes = None, axes: Axes = None, norm: Norm = None) -> ComplexOut:
    """The inverse of `fft_fftn`: Num "..." -> Complex "...".

    >>> fft_ifftn(np.ones((2, 2))).real
    array([[1., 0.],
           [0., 0.]])
    """
    _axes(x, s, axes)
    return np.fft.ifftn(x, s, axes, norm)


# From real values to half of their frequencies ----------------------------------------------------------------------


@primitive(rrule=(_pull_from_real(False),), frule=linear_in_all, batch=_batch, numpy=[np.fft.rfft])
def fft_rfft(x: RealIn, n: int | None = None, axis: int = -1, norm: Norm = None) -> ComplexOut:
    """The first n // 2 + 1 elements of `fft_fft`, of real values: Real "*a m *b" -> Complex "*a n//2+1 *b".

    The other elements are the conjugates of these, in reverse order. Raises DTypeError for complex `x`.

    >>> fft_rfft(np.array([1.0, 2.0, 3.0, 4.0]))
    array([10.+0.j, -2.+2.j, -2.+0.j])
    """
    return np.fft.rfft(x, n, _axis(x, axis), norm)


@primitive(rrule=(_pull_from_real(False),), frule=linear_in_all, batch=_batch, numpy=[np.fft.rfft2])
def fft_rfft2(x: RealIn, s: Sizes = None, axes: Axes = (-2, -1), norm: Norm = None) -> ComplexOut:
    """`fft_rfftn` along the last two axes: Real "..." -> Complex "...". Raises DTypeError for complex `x`.

    >>> fft_rfft2(np.eye(2)).real
    array([[2., 0.],
           [0., 2.]])
    """
    _axes(x, s, axes)
    return np.fft.rfft2(x, s, axes, norm)


@primitive(rrule=(_pull_from_real(False),), frule=linear_in_all, batch=_batch, numpy=[np.fft.rfftn])
def fft_rfftn(x: RealIn, s: Sizes = None, axes: Axes = None, norm: Norm = None) -> ComplexOut:
    """`fft_rfft` along the last of the axes, then `fft_fftn` along the others: Real "..." -> Complex "...".

    `s` are sizes of `x`, as for `fft_fftn`. Raises DTypeError for complex `x`.

    >>> fft_rfftn(np.ones((2, 3, 4))).shape
    (2, 3, 3)
    """
    _axes(x, s, axes)
    return np.fft.rfftn(x, s, axes, norm)


@primitive(rrule=(_pull_from_real(True),), frule=linear_in_all, batch=_batch, numpy=[np.fft.ihfft])
def fft_ihfft(x: RealIn, n: int | None = None, axis: int = -1, norm: Norm = None) -> ComplexOut:
    """The inverse of `fft_hfft`: Real "*a m *b" -> Complex "*a n//2+1 *b". Raises DTypeError for complex `x`.

    >>> fft_ihfft(np.array([10.0, -2.0, -4.0, -2.0])).real
    array([0.5, 3.5, 2.5])
    """
    return np.fft.ihfft(x, n, _axis(x, axis), norm)


# From half of the frequencies to real values ------------------------------------------------------------------------


@primitive(rrule=(_pull_to_real(False),), frule=linear_in_all, batch=_batch, numpy=[np.fft.irfft])
def fft_irfft(x: T, n: int | None = None, axis: int = -1, norm: Norm = None) -> FloatOut:
    """The inverse of `fft_rfft`, real values from half of their frequencies: Num "*a m *b" -> Float "*a n *b".

    `x` is cropped, or padded with zeros, to n // 2 + 1 elements; without `n` the result has 2 (m - 1). The imaginary
    parts at frequency 0, and at n / 2 if n is even, are taken to be 0: their derivative is zero.

    >>> fft_irfft(np.array([10, -2 + 2j, -2]))
    array([1., 2., 3., 4.])
    """
    return np.fft.irfft(x, n, _axis(x, axis), norm)


@primitive(rrule=(_pull_to_real(False),), frule=linear_in_all, batch=_batch, numpy=[np.fft.irfft2])
def fft_irfft2(x: T, s: Sizes = None, axes: Axes = (-2, -1), norm: Norm = None) -> FloatOut:
    """The inverse of `fft_rfft2`, with the sizes `s` of the result: Num "..." -> Float "...".

    >>> fft_irfft2(2 * np.eye(2))
    array([[1., 0.],
           [0., 1.]])
    """
    _axes(x, s, axes)
    return np.fft.irfft2(x, s, axes, norm)


@primitive(rrule=(_pull_to_real(False),), frule=linear_in_all, batch=_batch, numpy=[np.fft.irfftn])
def fft_irfftn(x: T, s: Sizes = None, axes: Axes = None, norm: Norm = None) -> FloatOut:
    """The inverse of `fft_rfftn`, with the sizes `s` of the result: Num "..." -> Float "...".

    >>> fft_irfftn(np.ones((2, 2, 3))).shape
    (2, 2, 4)
    """
    _axes(x, s, axes)
    return np.fft.irfftn(x, s, axes, norm)


@primitive(rrule=(_pull_to_real(True),), frule=linear_in_all, batch=_batch, numpy=[np.fft.hfft])
def fft_hfft(x: T, n: int | None = None, axis: int = -1, norm: Norm = None) -> FloatOut:
    """The transform of a line whose other half are the conjugates of this one: Num "*a m *b" -> Float "*a n *b".

    It is real. Without `n` it has 2 (m - 1) elements.

    >>> fft_hfft(np.array([1.0, 2.0, 3.0]))
    array([ 8., -2.,  0., -2.])
    """
    return np.fft.hfft(x, n, _axis(x, axis), norm)


# Order --------------------------------------------------------------------------------------------------------------


@primitive(
    rrule=(lambda g, y, x, axes: fft_ifftshift(g, axes),),
    frule=linear_in_all,
    batch=_batch,
    numpy=[np.fft.fftshift],
)
def fft_fftshift(x: T, axes: int | Axes = None) -> T:
    """Move frequency 0 to the middle of one axis, of several, or of all: Num "*shape" -> Num "*shape".

    >>> fft_fftshift(np.fft.fftfreq(4))
    array([-0.5 , -0.25,  0.  ,  0.25])
    """
    return np.fft.fftshift(x, axes)


@primitive(
    rrule=(lambda g, y, x, axes: fft_fftshift(g, axes),),
    frule=linear_in_all,
    batch=_batch,
    numpy=[np.fft.ifftshift],
)
def fft_ifftshift(x: T, axes: int | Axes = None) -> T:
    """The inverse of `fft_fftshift`; it differs for an odd number of elements: Num "*shape" -> Num "*shape".

    >>> fft_ifftshift(np.array([-1.0, 0.0, 1.0]))
    array([ 0.,  1., -1.])
    """
    return np.fft.ifftshift(x, axes)


__all__ = [
    "fft_fft", "fft_fft2", "fft_fftn", "fft_fftshift", "fft_hfft", "fft_ifft", "fft_ifft2", "fft_ifftn",
    "fft_ifftshift", "fft_ihfft", "fft_irfft", "fft_irfft2", "fft_irfftn", "fft_rfft", "fft_rfft2", "fft_rfftn",
]  # fmt: skip
