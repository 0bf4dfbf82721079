"""Keep freed memory in the process between training steps.

A training step makes arrays and frees them all at its end. glibc's malloc then returns their memory to the system:
arrays above a threshold at once, and the end of its heap when more than twice the threshold is free there. The next
step gets it back page by page, which takes half a millisecond per MB (measured): longer than computing with it. The
threshold starts at 128 KB and rises to the size of any larger array that is freed; see mallopt(3), M_MMAP_THRESHOLD.
"""

from __future__ import annotations

import numpy as np


def keep_freed_memory(size: int = (1 << 25) - (1 << 13)) -> None:
    """Free an array of `size` bytes, so that from now on twice as many free bytes may stay in the process.

    The array is never touched, so this takes microseconds and no memory. A program that frees such arrays anyway is in
    the same state. The default is nearly 32 MB: a size above that, or an allocator other than glibc's, changes nothing.

    >>> keep_freed_memory()
    """
    np.empty(size, np.uint8)


__all__ = ["keep_freed_memory"]
