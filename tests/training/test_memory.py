"""Memory is kept from one step to the next."""

from __future__ import annotations

import platform
import subprocess
import sys

PROGRAM = """
import resource
{first}
import numpy as np

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(50):
        step = [np.ones(1 << 16, np.float32) for _ in range(8)]
        del step
    return (resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before) / 50

faults()
print(faults())
"""


def test_a_step_does_not_fetch_its_memory_again() -> None:
    """Eight arrays of 256 KB are 512 pages of 4 KB."""
    if platform.libc_ver()[0] != "glibc":  # others decide for themselves
        return
    program = PROGRAM.format(first="import tapem")
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert float(answer.stdout) < 50
