"""The parent's side of the child processes."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

ONE_THREAD = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "VECLIB_MAXIMUM_THREADS": "1",
    "NUMEXPR_NUM_THREADS": "1",
    "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1",
    # An accelerator is not part of the comparison.
    "JAX_PLATFORMS": "cpu",
    "CUDA_VISIBLE_DEVICES": "",
}

ROOT = Path(__file__).resolve().parent.parent


class WorkerError(Exception):
    """A child could not do its work. ``status`` is "wrong" for a wrong result and "failed" for everything else."""

    def __init__(self, status: str, message: str) -> None:
        """Keep the status and the message, which is for the reader of the table."""
        super().__init__(message)
        self.status = status


class Worker:
    """One child process; a context manager that ends it."""

    def __init__(self, arguments: Sequence[str], core: int | None) -> None:
        """Start ``python -m benchmarks.worker`` with the arguments, pinned to the core if that is possible."""
        pinning = [] if core is None else ["--core", str(core)]
        self._complaints = tempfile.TemporaryFile("w+")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.worker", *arguments, *pinning],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._complaints,
            cwd=ROOT,
            env=os.environ | ONE_THREAD,
            text=True,
            bufsize=1,
        )

    def receive(self) -> dict[str, Any]:
        """Wait for the next answer; raise WorkerError if it reports a failure or does not come."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            self._process.wait()
            self._complaints.seek(0)
            last_words = self._complaints.read().strip().splitlines()[-1:]
            raise WorkerError("failed", " ".join([f"ended with code {self._process.returncode}", *last_words]))
        answer = json.loads(line)
        if answer["status"] in ("wrong", "failed"):
            raise WorkerError(answer["status"], answer["message"])
        return answer

    def measure(self, seconds: float) -> float:
        """Time the child's step for about this many seconds; return the median in nanoseconds."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{seconds}\n")
        self._process.stdin.flush()
        return float(self.receive()["nanoseconds"])

    def __enter__(self) -> Self:
        """Return the worker: the child already runs."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the child, whatever it is doing."""
        self._process.kill()
        self._process.communicate()
        self._complaints.close()


def last_core() -> int | None:
    """The highest core that this process may use, which the system uses least; None if cores cannot be chosen."""
    return max(os.sched_getaffinity(0)) if sys.platform == "linux" else None
