"""The cost of imports: tapem with its dependencies, compared with NumPy alone, and with its peers if installed.

Each import is measured in a fresh interpreter, whose own start does not count. All modules are byte-compiled first, as
after an installation. The goal is at most four times NumPy.
"""

import os
import statistics
import subprocess
import sys
import tempfile

from ..libraries import installed
from ..study import Study, Table

LIBRARIES = ("numpy", "tapem", "layers", "autograd", "mygrad", "torch", "jax")
PROGRAM = """\
import time
start = time.process_time()
import {module}
print(time.process_time() - start)
"""


def cpu_seconds(module: str, compiled: str) -> float:
    """The CPU time of one import; `compiled` is the folder of the byte code."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    environment["PYTHONPYCACHEPREFIX"] = compiled
    command = [sys.executable, "-c", PROGRAM.format(module=module)]
    return float(subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout)


def measure(quick: bool) -> Table:
    """Medians over rounds that measure every library in turn."""
    libraries = [module for module in LIBRARIES if installed(module)]
    with tempfile.TemporaryDirectory() as compiled:
        for module in libraries:
            cpu_seconds(module, compiled)
        rounds = [[cpu_seconds(module, compiled) for module in libraries] for _ in range(3 if quick else 15)]
    medians = dict(zip(libraries, map(statistics.median, zip(*rounds, strict=True)), strict=True))
    rows = [[module, f"{1000 * time:.0f}", f"{time / medians['numpy']:.1f}"] for module, time in medians.items()]
    return Table(["import", "ms of CPU", "times NumPy"], rows, ("The goal for tapem is at most 4.0 times NumPy.",))


STUDY = Study("import-time", "CPU time of an import, in a fresh interpreter", measure)
