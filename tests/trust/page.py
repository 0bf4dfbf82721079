"""The page that shows the records: docs/trust.md."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from tests.trust import records

PAGE = Path(__file__).parents[2] / "docs" / "trust.md"

INTRODUCTION = """\
# Trust

This page shows how right tapem's derivatives are: what was measured, by which judge, and what tapem does not promise.
`python -m tests.trust` measures everything again and writes the page; each section tells its date, versions and
seeds. No judge uses tapem's rules: they are complex steps, differences in a higher precision, NumPy, and other
libraries.
"""

PROMISES = """\
## What tapem promises, and what it does not

- **A derivative is right, or an error says why there is none.** An op without a rule, a value that escapes, a write
  into an array that a rule needs: each is refused in a sentence. A lost or wrong gradient is a fault; please report
  it.
- **Both modes, batches and compiled programs say the same.** The tests compare them for every op. Compiled programs
  agree to rounding, and with `engine="numpy", fast=False` their values are bit for bit those of eager programs.
- **Where there is no derivative, there is a convention**, the same in both modes: [the page of kinks](kinks.md) says
  which and why. Complex gradients have [a convention](complex.md) too.
- **Rounding is that of NumPy's operations.** A rule is a formula of a few of them, so its error is a few ulp, as the
  first table shows, but no bound is proven. Where a function is ill-conditioned (nearly equal eigenvalues, a nearly
  singular matrix, a saturated softmax) its derivative is too, and no formula helps. `tm.testing.float_error` names
  the nodes where a program loses digits.
- **Rounding differs between machines**, as NumPy's does: with its version, the BLAS library and the processor.
- **Random programs and drawn operands are samples.** They find mistakes; they prove nothing. What is not covered is
  in [the limits](limits.md) and in [what has no rule](reference/without_a_rule.md).
"""

ROUNDING = """\
## Rounding

The largest error of each op in units in the last place (ulp) of its dtype, in forward mode (`jvp`) and in reverse
mode (`vjp`), over operands that are drawn near rows of [the table of
ops](https://github.com/tapem/tapem/tree/main/tests/tables), for elementwise ops in shapes that are drawn too. An
error is measured against the largest sum |J| |v| of absolute terms of the derivative J along v, since what cancels in
that sum is no fault of a rule; points where an op is saturated, so that its derivative is next to nothing beside its
value, are left out.

The judge takes *complex steps* in 80 or 64 bits where they agree with differences, else *differences* at four steps,
extrapolated. `≤ n` means that the judge itself is no surer than n ulp: tapem is at most that far off.
"""

SLOPES = """\
## Taylor slopes

With right derivatives, what is left of a function after k terms of its Taylor polynomial vanishes like the (k+1)th
power of the step: rates 1, 2, 3 for the orders 0, 1, 2 (`tm.testing.taylor_test`). A higher rate is right as well (an
even function), and `-` means that rounding hides the rest at all steps (a linear function). Each line shows the
lowest rates over the points that were drawn. At some points a kink is nearer than the smallest step, and the rates
there are not shown; the last column counts them.
"""

KINKS = """\
## Kinks, from both sides

Each row of [the table of kinks](kinks.md): the slopes to the left and to the right by one-sided differences (in every
coordinate), and what tapem gives in both modes.
"""

MUTATIONS = """\
## Mistakes that the tests notice

`tm.testing.mutants` makes wrong versions of rules from their source: another sign, a dropped factor, swapped
operands, a wrong axis, a derivative that is lost, and so on. The test is [the table of
ops](https://github.com/tapem/tapem/tree/main/tests/tables). A mistake that it does not notice must be named with its
reason in `tests/mutation/survivors.py`; a slow test runs every mistake and compares.
"""

PROGRAMS = """\
## Random programs

Programs of up to seven statements, with loops, conditions, nested transforms, custom rules, threads and blocks
without gradients, at three points each (`python -m tests.programs`). Values, gradients and second derivatives are
compared. Where two libraries differ, complex steps decide: *alone* counts programs in which the other one contradicts
them too: it promotes dtypes in its own way, where NumPy computes `np.sin` of bools in float16. *Not taken* are
programs that the other cannot express.
"""


def table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """A table in Markdown."""
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    lines += ["| " + " | ".join(str(cell).replace("|", "\\|") for cell in row) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def code(text: str) -> str:
    """A text as code, short."""
    text = " ".join(text.split())
    return f"`{text if len(text) <= 60 else text[:57] + '...'}`"


def when(record: Any) -> str:
    """When and with what a section was measured."""
    how = ", ".join(f"{name} {value}" for name, value in record["how"].items())
    return f"\nMeasured {record['date']} with {record['versions']}; {how}.\n"


def of_rounding(record: Any) -> Iterator[str]:
    """The table of ops."""
    found = record["found"]
    none = [one for one in found if "none" in one]
    yield ROUNDING + when(record)
    keys = [f"{mode} {dtype}" for dtype in ("float64", "float32") for mode in ("forward", "reverse")]
    sure = {key: sorted(one["worst"][key] for one in found if key in one.get("worst", {})) for key in keys}
    yield "Of all ops, the median and the largest of these errors:\n"
    yield table(
        ["", *keys], [
            ["median", *(f"{values[len(values) // 2]:.1f}" if values else "-" for values in sure.values())],
            ["largest", *(f"{values[-1]:.1f}" if values else "-" for values in sure.values())],
        ],
    )  # fmt: skip

    def cell(one: Any, key: str) -> str:
        worst = one["worst"]
        if key in worst:
            return f"{worst[key]:.1f}"
        limited = worst.get(f"{key}, judge")
        return "-" if limited is None else f"≤ {max(limited, *one['judges'].values()):.0g}"

    yield table(
        ["op", *keys, "points", "judge"],
        [
            [f"`{one['op']}`", *(cell(one, key) for key in keys), one["points"], "; ".join(one["judges"])]
            for one in found
            if "none" not in one
        ],
    )
    reasons: dict[str, list[str]] = {}
    for one in none:
        reasons.setdefault(one["none"], []).append(f"`{one['op']}`")
    yield "Not measured:\n"
    yield "\n".join(f"- {reason}: {', '.join(names)}" for reason, names in reasons.items()) + "\n"


def of_slopes(record: Any) -> Iterator[str]:
    """A table for ops and losses, and one for layers and examples."""
    yield SLOPES + when(record)
    for kinds, title in ((("op", "loss"), "Ops and losses"), (("layer",), "Layers"), (("example",), "Examples")):
        rows = [one for one in record["found"] if one["kind"] in kinds]
        yield f"### {title}\n"
        yield table(
            ["function", "order 0", "order 1", "order 2", "points", "at a kink"],
            [
                [
                    code(one["name"]),
                    *("-" if r is None else f"{r:.2f}" for r in one["rates"]),
                    one["points"],
                    one["kinks"],
                ]
                if "rates" in one
                else [code(one["name"]), "-", "-", "-", 0, one.get("refused", "")]
                for one in rows
            ],
        )


def of_kinks(record: Any) -> Iterator[str]:
    """The table."""
    yield KINKS + when(record)
    head = ["function", "at", "left", "right", "reverse", "forward"]
    yield table(head, [[code(one["function"]), *(one[name] for name in head[1:])] for one in record["found"]])


def of_mutations(record: Any) -> Iterator[str]:
    """The score, and the survivors with their reasons."""
    found = record["found"]
    total, named = found["mistakes"], found["named"]
    yield MUTATIONS + when(record)
    share, reasonless = record["how"].get("share", 1), sum(one[-1] is None for one in found["survived"])
    yield (
        f"There are {total} mistakes in the rules and helpers of {found['ops']} ops. {len(named)} of them are named as "
        "unnoticed with their reasons, most of them since what is computed is the same, so "
        f"{1 - len(named) / total:.2%} must be noticed. The run behind this page tried {found['tried']} of them, in "
        f"every op whose number is a multiple of {share}: {len(found['survived'])} survived, {reasonless} of them "
        "without a reason.\n"
    )
    yield table(["kind of mistake", "mistakes"], Counter(found["kinds"]).most_common())
    yield "### Survivors\n"
    by_reason: dict[str, list[str]] = {}
    for op, kind, before, after, reason in named:
        by_reason.setdefault(reason, []).append(f"`{op}`: {kind}, {code(before)} for {code(after)}")
    for reason, several in by_reason.items():
        yield f"**{reason[0].upper()}{reason[1:]}:**\n"
        yield "\n".join(f"- {one}" for one in several) + "\n"


def of_programs(record: Any) -> Iterator[str]:
    """The table of judges."""
    yield PROGRAMS + when(record)
    head = ["judge", "programs", "not taken", "alone", "differences"]
    keys = ["judge", "programs", "refused", "alone", "findings"]
    yield table(head, [[one[key] for key in keys] for one in record["found"]])


SECTIONS = {
    "rounding": of_rounding, "slopes": of_slopes, "kinks": of_kinks, "mutations": of_mutations, "programs": of_programs,
}  # fmt: skip


def text(folder: Path = records.FOLDER) -> str:
    """The whole page."""
    parts = [INTRODUCTION, PROMISES]
    for section, shown in SECTIONS.items():
        parts += shown(records.read(section, folder))
    return "\n".join(parts)


def write(page: Path = PAGE, folder: Path = records.FOLDER) -> None:
    """Write the page."""
    page.write_text(text(folder), encoding="utf-8")
