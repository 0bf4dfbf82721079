"""``python -m benchmarks``: measure, and print the tables in Markdown."""

import argparse
import sys
from collections.abc import Sequence

from . import report
from .compare import Effort, compare
from .libraries import LIBRARIES, installed
from .processes import Worker, WorkerError, last_core
from .studies import BY_DEFAULT, STUDIES
from .study import Table
from .workloads import WORKLOADS

FULL = Effort(starts=3, rounds=5, seconds=0.15)
QUICK = Effort(starts=1, rounds=2, seconds=0.05)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what the arguments name; return 1 if a library failed or gave a wrong result, else 0."""
    options = _parser().parse_args(arguments)
    if options.list:
        _print_names()
        return 0
    effort: Effort = QUICK if options.quick else FULL
    effort = Effort(
        starts=options.starts or effort.starts,
        rounds=options.rounds or effort.rounds,
        seconds=options.seconds or effort.seconds,
    )
    core: int | None = options.core if options.core is not None else last_core()
    chosen: list[str] = options.workloads or [w.name for w in WORKLOADS] + [s.name for s in BY_DEFAULT]

    say = _whisper if sys.stderr.isatty() else _silence
    rows = [compare(w, options.libraries, effort, core, say) for w in WORKLOADS if w.name in chosen]
    say("")
    print(report.header(core))
    if rows:
        print("\n" + report.ratio_table(rows, spread=options.spread))
        print("\n" + report.legend(rows))
    problems = report.messages(rows)
    if problems:
        print("\nNot measured:\n\n" + problems)
    complete = not problems
    for study in STUDIES:
        if study.name in chosen:
            complete = _run_study(study.name, study.title, options.quick, core) and complete
    return 0 if complete else 1


def _run_study(name: str, title: str, quick: bool, core: int | None) -> bool:
    """Measure tapem alone in its own process, and print the table."""
    if not installed("tapem"):
        print(f"\n**{title}**\n\ntapem is not installed.")
        return True
    try:
        with Worker(["study", name, *(["--quick"] if quick else [])], core) as worker:
            table = Table(**worker.receive()["table"])
    except WorkerError as error:
        print(f"\n**{title}**\n\nNot measured: {error}")
        return False
    print("\n" + report.study_table(title, table))
    return True


def _parser() -> argparse.ArgumentParser:
    names = [workload.name for workload in WORKLOADS] + [study.name for study in STUDIES]
    libraries = [library.name for library in LIBRARIES]
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="tapem and its peers, side by side.")
    parser.add_argument("--workloads", nargs="+", choices=names, metavar="NAME", help="which to run (see --list)")
    parser.add_argument("--libraries", nargs="+", choices=libraries, default=libraries, metavar="NAME", help="of whom")
    parser.add_argument("--starts", type=int, help="how often the processes are started afresh")
    parser.add_argument("--rounds", type=int, help="how often each process is measured per start")
    parser.add_argument("--seconds", type=float, help="how long each measurement lasts")
    parser.add_argument("--core", type=int, help="the core to pin to (the highest one by default)")
    parser.add_argument("--quick", action="store_true", help="a glance: one start, two short rounds, short studies")
    parser.add_argument("--spread", action="store_true", help="show the lowest and highest ratio of the rounds as well")
    parser.add_argument("--list", action="store_true", help="print the names of workloads and libraries, and stop")
    return parser


def _print_names() -> None:
    print("workloads:")
    for workload in WORKLOADS:
        print(f"  {workload.name:24}{workload.title}")
    for study in STUDIES:
        print(f"  {study.name:24}{study.title}{'' if study in BY_DEFAULT else ' (only when named)'}")
    print("libraries:")
    for library in LIBRARIES:
        print(f"  {library.name:24}{library.note}{'' if installed(library.module) else ' (not installed)'}")


def _whisper(text: str) -> None:
    """Show progress on one line of the terminal, apart from the report."""
    print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)


def _silence(text: str) -> None:
    del text


if __name__ == "__main__":
    sys.exit(main())
