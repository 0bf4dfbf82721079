"""The array API's `fft`: NumPy's functions, which have rules for traced values, and constant frequencies."""

from typing import Any

import numpy as np
from numpy.fft import (
    fft,
    fftn,
    fftshift,
    hfft,
    ifft,
    ifftn,
    ifftshift,
    ihfft,
    irfft,
    irfftn,
    rfft,
    rfftn,
)


def fftfreq(n: int, /, *, d: float = 1.0, dtype: Any = None, device: Any = None) -> Any:
    """The frequencies of `fft` for n samples at a distance of d.

    >>> fftfreq(4)
    array([ 0.  ,  0.25, -0.5 , -0.25])
    """
    return np.asarray(np.fft.fftfreq(n, d), dtype, device=device)


def rfftfreq(n: int, /, *, d: float = 1.0, dtype: Any = None, device: Any = None) -> Any:
    """The frequencies of `rfft` for n samples at a distance of d.

    >>> rfftfreq(4, dtype=np.float32)
    array([0.  , 0.25, 0.5 ], dtype=float32)
    """
    return np.asarray(np.fft.rfftfreq(n, d), dtype, device=device)


__all__ = [
    "fft", "fftfreq", "fftn", "fftshift", "hfft", "ifft", "ifftn", "ifftshift", "ihfft", "irfft", "irfftn", "rfft",
    "rfftfreq", "rfftn",
]  # fmt: skip
