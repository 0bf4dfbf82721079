"""The page of trust can be made, and nothing is left out of it."""

from __future__ import annotations

import re

from tests.test_table import primitives
from tests.trust import kinks, page, records, rounding, slopes

SOME = ("tanh", "matmul", "max", "floor", "conv2d")


def test_it_can_be_made(tmp_path) -> None:
    def some(op) -> bool:
        return op.name in SOME

    found = rounding.measure(2, 0, some)
    assert {one["op"] for one in found} == set(SOME)
    measured = {one["op"]: one["worst"] for one in found if "none" not in one}
    assert measured.keys() == {"tanh", "matmul", "max", "conv2d"}
    for worst in measured.values():
        assert {"forward float32", "reverse float32"} <= worst.keys() and max(worst.values()) < 1e5
    assert max(measured["tanh"].values()) < 10
    rates = slopes.measure(2, 0, some, whole=False)
    assert {one["name"]: one["points"] for one in rates} == {"tanh": 2, "matmul": 2, "max": 2, "conv2d": 2}
    records.write("rounding", found, tmp_path, points=2, seed=0)
    records.write("slopes", rates, tmp_path, points=2, seed=0)
    records.write("kinks", kinks.measure()[:3], tmp_path, rows=3)
    for section in ("mutations", "programs"):  # theirs take longer: those of the page
        (tmp_path / f"{section}.json").write_bytes((records.FOLDER / f"{section}.json").read_bytes())
    page.write(tmp_path / "trust.md", tmp_path)
    made = (tmp_path / "trust.md").read_text(encoding="utf-8")
    assert "| `tanh` |" in made and "no derivative: `floor`" in made and "points 2, seed 0" in made


def test_the_page_shows_its_records() -> None:
    assert page.PAGE.read_text(encoding="utf-8") == page.text(), "python -m tests.trust writes it"


def test_every_op_is_in_it() -> None:
    told = page.PAGE.read_text(encoding="utf-8")
    section = told.split("\n## Rounding\n")[1].split("\n## ")[0]
    named = set(re.findall(r"`([a-z0-9_]+)`", section))
    missing = {op.name for op in primitives()} - named
    assert not missing, f"{sorted(missing)} are new: python -m tests.trust rounding slopes"


def test_a_wrong_rule_is_seen(monkeypatch) -> None:
    op = next(op for op in primitives() if op.name == "tanh")
    monkeypatch.setattr(op, "rrule", (lambda g, y, x: g * (1 - y * y) * (1 + 1e-13),))
    (found,) = rounding.measure(3, 0, lambda op: op.name == "tanh")
    assert found["worst"]["reverse float64"] > 50 > found["worst"]["forward float64"]
    monkeypatch.setattr(op, "rrule", (lambda g, y, x: g * (1 - y * y) * 1.1,))
    (rates,) = slopes.measure(2, 0, lambda op: op.name == "tanh", whole=False)
    assert rates["kinks"] == rates["points"] == 2 and rates["rates"][1] < 1.5
