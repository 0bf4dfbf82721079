"""docs/reading_derivatives.md: its code prints what stands below it."""

from __future__ import annotations

import contextlib
import io
import re
from pathlib import Path

import pytest

PAGE = (Path(__file__).parents[2] / "docs" / "reading_derivatives.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```\n+(?:```text\n(.*?)^```$)?", PAGE, re.MULTILINE | re.DOTALL)


def test_the_code_prints_what_it_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # for the file that it writes
    names: dict[str, object] = {"__name__": "page"}
    assert len(BLOCKS) >= 5
    for code, expected in BLOCKS:
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(code, "<page>", "exec"), names)
        assert printed.getvalue() == expected, code
