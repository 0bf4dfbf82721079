"""What holds for every test: one thread in each process, a cache for the run alone, and no deadlines."""

import atexit
import os
import shutil
import tempfile

import numpy as np
from hypothesis import settings
from threadpoolctl import threadpool_limits

# The tests run in as many processes as there are cores. Threads for matrix products on top of that only wait for each
# other, at many times the cost. The variables are for libraries loaded later, and for other processes.
threadpool_limits(1)
for library in ("OMP", "OPENBLAS", "MKL"):
    os.environ[f"{library}_NUM_THREADS"] = "1"

# Native functions that tests compile stay out of the user's cache. Other processes inherit the variable and share them.
if "TAPEM_CACHE_DIR" not in os.environ:
    os.environ["TAPEM_CACHE_DIR"] = tempfile.mkdtemp(prefix="tapem-tests-")
    atexit.register(shutil.rmtree, os.environ["TAPEM_CACHE_DIR"], ignore_errors=True)

# They ask NumPy for the signatures of its arrays' methods, which it tells from 2.4 on.
collect_ignore = ["ops/test_array_methods.py"] if np.lib.NumpyVersion(np.__version__) < "2.4.0" else []

if os.name != "posix":
    collect_ignore.append("training/test_saving_posix.py")
if np.finfo(np.longdouble).eps >= np.finfo(float).eps:
    collect_ignore.append("testing/test_long_doubles.py")

# How long an example takes says more about what else the machine does than about tapem.
settings.register_profile("tapem", deadline=None)
settings.load_profile("tapem")
