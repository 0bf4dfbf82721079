"""The child process: it pins itself to one core, checks one library's version of a workload, and times it on request.

Run as ``python -m benchmarks.worker compare WORKLOAD LIBRARY [--core N]`` it answers each line on its standard input
(a number of seconds) with one line of JSON; as ``... gradbench MODULE EVAL SIZE MODE PART`` it does the same for a case
of GradBench; as ``... study NAME [--core N] [--quick]`` it answers once.
``processes.py`` is the other side.
"""

import argparse
import json
import os
import sys
from collections.abc import Callable
from dataclasses import asdict
from typing import Any, TextIO


def main() -> None:
    """Run what the command line names; a failure becomes an answer, not a traceback."""
    parser = argparse.ArgumentParser()
    parser.add_argument("kind", choices=("compare", "gradbench", "study"))
    parser.add_argument("names", nargs="+")
    parser.add_argument("--core", type=int)
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()

    # Before NumPy is imported: it and other libraries count the available cores when they are loaded.
    if options.core is not None and sys.platform == "linux":
        os.sched_setaffinity(0, {options.core})

    answers = _private_output()
    try:
        if options.kind == "compare":
            _compare(answers, *options.names)
        elif options.kind == "gradbench":
            _gradbench(answers, *options.names)
        else:
            _study(answers, options.names[0], options.quick)
    except Exception as error:
        status = "wrong" if type(error).__name__ == "WrongResultError" else "failed"
        _answer(answers, status=status, message=f"{type(error).__name__}: {error}")


def _private_output() -> TextIO:
    """Keep the pipe to the parent for answers only: the output of libraries goes to standard error instead."""
    pipe = os.fdopen(os.dup(sys.stdout.fileno()), "w", buffering=1)
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    return pipe


def _answer(answers: TextIO, **content: Any) -> None:
    answers.write(json.dumps(content) + "\n")
    answers.flush()


def _compare(answers: TextIO, workload_name: str, library: str) -> None:
    from .checking import check
    from .workloads import WORKLOADS

    workload = next(workload for workload in WORKLOADS if workload.name == workload_name)
    candidate = workload.libraries[library]()
    check(workload, candidate)
    _measure_on_request(answers, candidate.step)


def _gradbench(answers: TextIO, module_name: str, name: str, size: str, mode: str, part: str) -> None:
    import importlib

    from .gradbench.check import result_of
    from .gradbench.judge import cases, error_of

    module = importlib.import_module(module_name)
    case = next(case for case in cases(name, size) if (case.part, case.mode or "-") == (part, mode))
    error_of(case, result_of(module, case))
    prepared = getattr(module, f"{name}_prepare")(case.inputs)
    function = getattr(module, case.function)
    _measure_on_request(answers, lambda: function(prepared))


def _measure_on_request(answers: TextIO, step: Callable[[], object]) -> None:
    from .timing import median_ns, warm_up

    warm_up(step, seconds=0.3)
    _answer(answers, status="ready")
    for line in sys.stdin:
        _answer(answers, status="measured", nanoseconds=median_ns(step, float(line)))


def _study(answers: TextIO, name: str, quick: bool) -> None:
    from .studies import STUDIES

    study = next(study for study in STUDIES if study.name == name)
    _answer(answers, status="measured", table=asdict(study.measure(quick)))


if __name__ == "__main__":
    main()
