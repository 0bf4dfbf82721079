"""`python -m tests.trust` measures how right tapem's derivatives are, and writes docs/trust.md.

Names of sections measure these alone; the page takes the others from the records of their last run, which lie in
tests/trust/records. `--quick` measures few points and programs, in about two minutes.
"""

from __future__ import annotations

import argparse
import time
import warnings
from pathlib import Path

from tests.trust import kinks, mutations, page, programs, records, rounding, slopes


def measure(section: str, quick: bool, seed: int, count: int, folder: Path = records.FOLDER) -> None:
    """Measure one section and keep its record."""
    points = 5 if quick else 40
    if section == "rounding":
        records.write(section, rounding.measure(points, seed), folder, points=points, seed=seed)
    elif section == "slopes":
        points = 2 if quick else 6
        records.write(section, slopes.measure(points, seed), folder, points=points, seed=seed)
    elif section == "kinks":
        records.write(section, kinks.measure(), folder, rows="all")
    elif section == "mutations":
        share = 100 if quick else 1
        records.write(section, mutations.measure(share), folder, share=share)
    else:
        count = min(count, 200) if quick else count
        records.write(section, programs.measure(count, seed), folder, seed=seed)


def main() -> int:
    """Measure, and write the page."""
    parser = argparse.ArgumentParser(prog="python -m tests.trust", description=__doc__)
    parser.add_argument("sections", nargs="*", metavar="section", help=f"of {', '.join(page.SECTIONS)}; default all")
    parser.add_argument("--quick", action="store_true", help="few points and programs")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--programs", type=int, default=100_000, help="how many random programs")
    parser.add_argument("--page", type=Path, default=page.PAGE, help="where the page is written")
    parser.add_argument("--records", type=Path, default=records.FOLDER, help="the folder of the records")
    options = parser.parse_args()
    unknown = [name for name in options.sections if name not in page.SECTIONS]
    if unknown:
        parser.error(f"no section {unknown[0]!r}; there are {', '.join(page.SECTIONS)}")
    warnings.simplefilter("ignore")
    for section in options.sections or page.SECTIONS:
        start = time.monotonic()
        measure(section, options.quick, options.seed, options.programs, options.records)
        print(f"{section}: {time.monotonic() - start:.0f} s", flush=True)
    page.write(options.page, options.records)
    print(options.page)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
