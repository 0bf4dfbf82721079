"""`python -m tests.programs --count 100000 --seed 0`: run random programs and diamonds, and report what failed.

Each failure is shrunk, and printed as a program that can be run by itself. `--against jax torch numpy numba` compares
the programs with these instead: libraries that are installed, or engines of `tm.compile`; `all` stands for all of them.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections import Counter
from collections.abc import Iterator
from random import Random

from .checks import CHECKS, failures, some_of
from .diamonds import diamond, pairs
from .differential import others, run
from .doors import DOORS
from .generate import program
from .language import Program
from .running import source
from .shrink import shrunk


def drawn(kind: str, seed: int, count: int) -> Iterator[Program]:
    """The programs of these seeds; diamonds go through the pairs of families in turn."""
    families = pairs() if kind == "diamonds" else []
    for each in range(seed, seed + count):
        if kind == "programs":
            yield program(each)
        else:
            one, other = families[each % len(families)]
            yield diamond(one, other, each // len(families))


def against(options: argparse.Namespace) -> int:
    """Compare programs with libraries and engines, a chunk of programs with each in turn; give 1 if any differ."""
    names = others() if "all" in options.against else options.against
    start, tallies, done = time.monotonic(), {}, 0
    runs = {name: run(name, drawn("programs", options.seed, options.count), options.order) for name in names}
    for steps in zip(*runs.values(), strict=True):
        tallies, done = {tally.name: tally for _, tally in steps}, steps[0][0]
        if time.monotonic() - start > 60 * options.minutes:
            break
    for tally in tallies.values():
        print(tally, *tally.findings[: options.show], sep="\n\n", flush=True)
    seconds = time.monotonic() - start
    print(f"{done} programs from seed {options.seed}, each against {', '.join(names)}, in {seconds:.0f} s")
    return int(any(tally.findings for tally in tallies.values()))


def main() -> int:
    """Run, report, and give 1 if anything failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.programs", description=__doc__)
    parser.add_argument("kind", nargs="?", choices=["programs", "diamonds"], default="programs")
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0, help="the first seed; the others follow it")
    parser.add_argument("--checks", type=int, default=0, help="only so many of the checks, at random; 0 for all")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="stop after this time")
    parser.add_argument("--show", type=int, default=10, help="how many different failures are shrunk and printed")
    parser.add_argument("--against", nargs="+", choices=["all", *others()], help="compare programs with these")
    parser.add_argument("--order", type=int, choices=[1, 2], default=2, help="of the derivatives that are compared")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    if options.against:
        return against(options)
    start, done = time.monotonic(), 0
    kinds: Counter[str] = Counter()
    seeds: dict[str, list[object]] = {}
    for each in drawn(options.kind, options.seed, options.count):
        random = Random(f"checks {each.seed}")
        checks = some_of(random, options.checks) if options.checks else CHECKS
        doors = [random.choice(list(DOORS))] if options.checks else list(DOORS)
        first = next(failures(each, checks, doors), None)
        done += 1
        if first is not None:
            kind = f"{first.kind} in {first.check}"
            kinds[kind] += 1
            seeds.setdefault(kind, []).append(each.seed)
            if kinds[kind] == 1 and len(kinds) <= options.show:
                small = shrunk(first)
                print(f"\n{small}\n\n{source(small.program, small.check, small.expected)}", flush=True)
        if time.monotonic() - start > 60 * options.minutes:
            break
    seconds = time.monotonic() - start
    print(f"{done} {options.kind} from seed {options.seed} in {seconds:.0f} s: {kinds.total()} failed")
    for kind, count in kinds.most_common():
        print(f"{count:6} {kind}: {seeds[kind][:8]}")
    return int(bool(kinds))


if __name__ == "__main__":
    raise SystemExit(main())
