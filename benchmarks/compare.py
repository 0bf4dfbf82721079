"""One row of the ratio table: measure every library's processes in turn, round after round."""

import math
import statistics
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field

from .libraries import BY_NAME, installed
from .processes import Worker, WorkerError
from .workload import Workload

REFERENCE = "numpy"


@dataclass(frozen=True)
class Effort:
    """How long to measure: ``starts`` new processes of each library, with ``rounds`` measurements each."""

    starts: int
    rounds: int
    seconds: float


@dataclass
class Row:
    """The results of one workload.

    ``reference_ns`` holds hand-written NumPy's medians, ``ratios`` every other library's ratios, one per round;
    ``problems`` says in a word or two why a library has none, and ``messages`` has the details.
    """

    workload: Workload
    reference_ns: list[float] = field(default_factory=list[float])
    ratios: dict[str, list[float]] = field(default_factory=dict[str, list[float]])
    problems: dict[str, str] = field(default_factory=dict[str, str])
    messages: list[str] = field(default_factory=list[str])

    def ratio(self, library: str) -> float:
        """The median over the rounds."""
        return statistics.median(self.ratios[library])


def compare(
    workload: Workload, libraries: Sequence[str], effort: Effort, core: int | None, say: Callable[[str], None]
) -> Row:
    """Measure a workload; NumPy by hand is always among the libraries, wanted or not."""
    row = Row(workload)
    wanted = [REFERENCE, *(name for name in libraries if name in workload.libraries and name != REFERENCE)]
    for name in wanted:
        if not installed(BY_NAME[name].module):
            row.problems[name] = "not installed"
    for start in range(effort.starts):
        with ExitStack() as stack:
            workers: dict[str, Worker] = {}
            for name in wanted:
                if name not in row.problems:
                    say(f"{workload.name}: start {start + 1} of {effort.starts}, checking {name}")
                    worker = stack.enter_context(Worker(["compare", workload.name, name], core))
                    try:
                        worker.receive()
                        workers[name] = worker
                    except WorkerError as error:
                        _give_up(row, name, error)
            for turn in range(effort.rounds):
                say(f"{workload.name}: start {start + 1} of {effort.starts}, round {turn + 1} of {effort.rounds}")
                try:
                    _one_round(row, workers, effort.seconds, turn)
                except WorkerError as error:
                    # Without the unit there are no ratios of the others either.
                    _give_up(row, REFERENCE, error)
                    return row
    return row


def _one_round(row: Row, workers: dict[str, Worker], seconds: float, turn: int) -> None:
    """Measure every library once, and hand-written NumPy before and after each of them.

    A busy neighbor can halve the speed of a core from one second to the next, so a ratio is relative to the
    measurements of the reference just before and just after. The order rotates by one each turn, so that a library does
    not always follow the same other one.
    """
    if REFERENCE not in workers:
        return
    others = [name for name in workers if name != REFERENCE]
    before = workers[REFERENCE].measure(seconds)
    row.reference_ns.append(before)
    for place in range(len(others)):
        name = others[(place + turn) % len(others)]
        try:
            median = workers[name].measure(seconds)
        except WorkerError as error:
            _give_up(row, name, error)
            del workers[name]
            continue
        after = workers[REFERENCE].measure(seconds)
        row.reference_ns.append(after)
        row.ratios.setdefault(name, []).append(median / math.sqrt(before * after))
        before = after


def _give_up(row: Row, name: str, error: WorkerError) -> None:
    row.problems[name] = "wrong result" if error.status == "wrong" else "failed"
    row.ratios.pop(name, None)
    row.messages.append(f"{row.workload.name}, {name}: {error}")
