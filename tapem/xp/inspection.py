"""What the array API standard asks a namespace about itself: its devices, its dtypes and what it can do."""

from __future__ import annotations

from typing import Any

import numpy as np

from tapem.errors import ArgumentError

_KINDS: dict[str, tuple[str, ...]] = {
    "bool": ("bool",),
    "signed integer": ("int8", "int16", "int32", "int64"),
    "unsigned integer": ("uint8", "uint16", "uint32", "uint64"),
    "real floating": ("float32", "float64"),
    "complex floating": ("complex64", "complex128"),
}
_KINDS["integral"] = _KINDS["signed integer"] + _KINDS["unsigned integer"]
_KINDS["numeric"] = _KINDS["integral"] + _KINDS["real floating"] + _KINDS["complex floating"]


class __array_namespace_info__:
    """The answers of `tapem.xp`, which NumPy gives from 2.1 on.

    >>> __array_namespace_info__().dtypes(kind="real floating")
    {'float32': dtype('float32'), 'float64': dtype('float64')}
    """

    def capabilities(self) -> dict[str, bool | int]:
        """What is possible with arrays; `max dimensions` is NumPy's."""
        return {"boolean indexing": True, "data-dependent shapes": True, "max dimensions": 64}

    def default_device(self) -> str:
        """The only device."""
        return "cpu"

    def devices(self) -> list[str]:
        """All devices."""
        return ["cpu"]

    def default_dtypes(self, *, device: str | None = None) -> dict[str, np.dtype[Any]]:
        """The dtype of each kind that arrays have where none is asked for."""
        _check(device)
        return {
            "real floating": np.dtype(np.float64),
            "complex floating": np.dtype(np.complex128),
            "integral": np.dtype(np.intp),
            "indexing": np.dtype(np.intp),
        }

    def dtypes(
        self, *, device: str | None = None, kind: str | tuple[str, ...] | None = None
    ) -> dict[str, np.dtype[Any]]:
        """The dtypes of a kind, such as "real floating", or of several; all that the standard has, without one."""
        _check(device)
        kinds = ("bool", "numeric") if kind is None else (kind,) if isinstance(kind, str) else kind
        for one in kinds:
            if one not in _KINDS:
                raise ArgumentError(f"dtypes: {one!r} is no kind of dtypes. There are {', '.join(map(repr, _KINDS))}.")
        return {name: np.dtype(name) for one in kinds for name in _KINDS[one]}


def _check(device: str | None) -> None:
    if device not in (None, "cpu"):
        raise ArgumentError(f'device={device!r}: tapem computes on the "cpu" only.')


__all__ = ["__array_namespace_info__"]
