"""What was measured, as data: each section in a file of its own, with its date, versions and seeds."""

from __future__ import annotations

import json
import platform
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import tapem

FOLDER = Path(__file__).parent / "records"
PACKAGES = ("numpy", "scipy", "numba", "jax", "torch")


def versions() -> str:
    """Those of tapem, Python and the packages that judge."""
    found = [f"tapem {tapem.__version__}", f"Python {platform.python_version()}"]
    for name in PACKAGES:
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            continue
    return ", ".join(found)


def write(section: str, found: Any, folder: Path = FOLDER, **how: Any) -> None:
    """Keep what a section found, and how."""
    folder.mkdir(exist_ok=True)
    record = {"date": f"{datetime.now(UTC):%Y-%m-%d}", "versions": versions(), "how": how, "found": found}
    (folder / f"{section}.json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


def read(section: str, folder: Path = FOLDER) -> Any:
    """What a section found, and how."""
    return json.loads((folder / f"{section}.json").read_text(encoding="utf-8"))
