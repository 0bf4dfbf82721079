"""sin and cos of numbers of any size: C's, which do not vectorize.

Where a loop meets an argument above the limit of `functions`, the native function runs again with these.
"""

from __future__ import annotations

import math

sin32 = sin64 = math.sin
cos32 = cos64 = math.cos


__all__ = ["cos32", "cos64", "sin32", "sin64"]
