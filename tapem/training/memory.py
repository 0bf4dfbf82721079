"""Memory that every step needs again is kept between steps.

A training step makes arrays and, at its end, frees them all. glibc's malloc then gives their memory back to the system:
arrays above a threshold at once, and the end of its heap when more than twice that much is free there. The next step
fetches it again, page by page, which was seen to take half a millisecond per MB: longer than computing with it. The
threshold is 128 KB at first, and rises to the size of whatever is freed above it; see mallopt(3), M_MMAP_THRESHOLD.
"""

from __future__ import annotations

import numpy as np


def keep_freed_memory(size: int = 1 << 24) -> None:
    """Free an array of that many bytes, so that twice as many free ones may stay in the process from now on.

    The array is never touched, so that it takes microseconds and no memory. A program that frees such arrays anyway is
    in the same state. More than 32 MB, or another allocator than glibc's, and nothing changes.

    >>> keep_freed_memory()
    """
    np.empty(size, np.uint8)


__all__ = ["keep_freed_memory"]
