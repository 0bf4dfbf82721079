"""Random programs: against judges that know nothing of tapem, against compiled programs and other libraries."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.programs.__main__ import drawn
from tests.programs.checks import CHECKS, failures
from tests.programs.differential import others, run
from tests.programs.doors import DOORS
from tests.programs.generate import program

SLOW = {"numba": 50, "jax": 20}
"""What takes so many times as long as the others gets so many times fewer programs."""


def measure(count: int, seed: int) -> list[dict[str, Any]]:
    """What became of this many programs with each judge."""
    failed = 0
    judged = max(1, count // 20)
    for each in range(seed, seed + judged):
        with np.errstate(all="ignore"):
            failed += next(failures(program(each), CHECKS, list(DOORS)), None) is not None
    checks = f"complex steps, differences and loops: {len(CHECKS)} transforms and nestings, {len(DOORS)} doors"
    found: list[dict[str, Any]] = [{"judge": checks, "programs": judged, "refused": 0, "alone": 0, "findings": failed}]
    for name in others():
        *_, (_, tally) = run(name, drawn("programs", seed, max(1, count // SLOW.get(name, 1))), 2)
        row = {"judge": name, "programs": tally.compared, "refused": tally.refused.total()}
        found.append({**row, "alone": len(tally.alone), "findings": len(tally.findings)})
    return found
