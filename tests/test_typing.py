"""The types a checker infers, pinned: pyright in strict mode over tests/typing, where assert_type states them."""

import importlib.util
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import tapem as tm

CASES = Path(__file__).parent / "typing"
FILES = sorted(path.name for path in CASES.glob("*.py"))


@pytest.fixture(scope="session")
def findings(tmp_path_factory):
    """All that pyright has to say, by file; the cases are copied so that no other configuration has a part in it."""
    pytest.importorskip("pyright", reason="pyright comes with the [test] extra")
    room = tmp_path_factory.mktemp("typing")
    for name in FILES:
        shutil.copy(CASES / name, room / name)
    root = Path(tm.__file__).parent.parent
    config = {
        "include": ["."],
        "extraPaths": [str(root)],
        "typeCheckingMode": "strict",
        "pythonVersion": "3.11",
        "reportUnnecessaryTypeIgnoreComment": "error",
        "reportMissingTypeStubs": "none",
        # What the cases assert is about tapem; they use results only in order to state their types.
        "reportUnusedVariable": "none",
    }
    (room / "pyrightconfig.json").write_text(json.dumps(config))
    command = [sys.executable, "-m", "pyright", "-p", str(room), "--pythonpath", sys.executable, "--outputjson"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    report = json.loads(result.stdout)
    assert report["summary"]["filesAnalyzed"] == len(FILES), result.stderr
    by_file = {name: [] for name in FILES}
    for item in report["generalDiagnostics"]:
        by_file[Path(item["file"]).name].append(f"{item['range']['start']['line'] + 1}: {item['message']}")
    return by_file


@pytest.mark.parametrize("name", FILES)
def test_inferred_types(findings, name):
    assert findings[name] == []


def test_there_are_assertions_to_check():
    """A case without assertions would pass whatever the types were."""
    counts = {name: (CASES / name).read_text().count("assert_type(") for name in FILES}
    assert counts["pure.py"] > 10
    assert counts["monadic.py"] > 40
    assert (CASES / "wrong.py").read_text().count("pyright: ignore[") > 10


@pytest.mark.parametrize("name", [name for name in FILES if name != "wrong.py"])
def test_the_cases_run(name):
    """What is well typed must also run: each case is an ordinary program."""
    spec = importlib.util.spec_from_file_location(f"typing_case_{name[:-3]}", CASES / name)
    assert spec is not None
    assert spec.loader is not None
    spec.loader.exec_module(importlib.util.module_from_spec(spec))


def test_the_packages_are_marked_as_typed():
    root = Path(tm.__file__).parent.parent
    for package in ("tapem", "layers", "losses"):
        assert (root / package / "py.typed").exists(), package
