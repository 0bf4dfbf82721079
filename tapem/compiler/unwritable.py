"""Unwritable: why a value has no source that runs by itself."""

from __future__ import annotations


class Unwritable(Exception):
    """What cannot be written out as source; the message says why. `source` turns it into an error that names the op."""


__all__ = ["Unwritable"]
