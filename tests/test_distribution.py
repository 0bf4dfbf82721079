"""What is distributed is whole: an sdist that can test itself, a wheel that holds the three packages."""

import os
import re
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

import tapem as tm

ROOT = Path(__file__).parents[1]
# Quick, and of every kind: an engine's test, one that reads the tables, one that needs an example.
SAMPLE = ["tests/core", "tests/test_table.py::test_rows_have_edges", "tests/examples/test_arguments.py"]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the sdist, and the wheel that is made from it."""
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    subprocess.run(command, check=True, capture_output=True)
    return folder


@pytest.fixture(scope="module")
def sources(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sdist, unpacked."""
    folder = tmp_path_factory.mktemp("sdist")
    with tarfile.open(built / f"tapem-{tm.__version__}.tar.gz") as archive:
        archive.extractall(folder, filter="data")
    return folder / f"tapem-{tm.__version__}"


def test_the_version_is_one():
    """The package, its distribution, its citation and its changelog tell the same version."""
    ran = subprocess.run(
        [sys.executable, "-m", "hatchling", "version"], cwd=ROOT, check=True, capture_output=True, text=True
    )
    cited = re.search(r"^version: (.*)$", (ROOT / "CITATION.cff").read_text(), re.MULTILINE)
    newest = re.search(r"^## (\d\S+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert cited and newest
    assert re.fullmatch(r"\d+\.\d+\.\d+", tm.__version__)
    assert tm.__version__ == ran.stdout.strip() == cited[1] == newest[1]


def run_tests(where: Path, packages: Path) -> subprocess.CompletedProcess[str]:
    code = f"import tapem; assert tapem.__file__.startswith({str(packages)!r}), tapem.__file__"
    environment = {**os.environ, "PYTHONPATH": str(packages), "PYTHONSAFEPATH": "1"}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment, cwd=where)
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-n0", *SAMPLE]
    environment["PYTHONPATH"] = os.pathsep.join([str(packages), str(where)])
    return subprocess.run(command, env=environment, cwd=where, capture_output=True, text=True, check=False)


def test_the_sdist_tests_itself(sources: Path):
    for name in (
        "tests/conftest.py",
        "tests/tables/linalg.py",
        "examples/digits.py",
        "benchmarks/__main__.py",
        "LICENSE",
    ):
        assert (sources / name).exists(), name
    ran = run_tests(sources, sources)
    assert ran.returncode == 0, ran.stdout


MARKED = """
import numpy as np, pytest
from jaxtyping import Float

@pytest.mark.gradcheck(max_examples=2)
def test_marked(x: Float[np.ndarray, "n"]):
    return np.sin(x)
"""


def test_the_wheel_brings_a_plugin_of_pytest(built: Path, tmp_path: Path):
    """pytest finds it by its entry point, without being told."""
    with zipfile.ZipFile(built / f"tapem-{tm.__version__}-py3-none-any.whl") as archive:
        archive.extractall(tmp_path / "packages")
    (tmp_path / "test_marked.py").write_text(MARKED)
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "packages"), "PYTHONSAFEPATH": "1"}
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--gradcheck-seed=1", "test_marked.py"]
    ran = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "1 function; 2 examples; worst error" in ran.stdout


def test_the_wheel_holds_the_packages(built: Path, sources: Path, tmp_path: Path):
    with zipfile.ZipFile(built / f"tapem-{tm.__version__}-py3-none-any.whl") as archive:
        archive.extractall(tmp_path)
        [metadata] = [archive.read(name).decode() for name in archive.namelist() if name.endswith("METADATA")]
    assert {path.name for path in tmp_path.iterdir() if path.is_dir()} == {
        "tapem",
        "layers",
        "losses",
        f"tapem-{tm.__version__}.dist-info",
    }
    assert all((tmp_path / package / "py.typed").exists() for package in ("tapem", "layers", "losses"))
    # Links and pictures of the README lead somewhere when it is read on a package index.
    assert "](examples/" not in metadata and "/main/examples/digits.png)" in metadata
    for package in ("tapem", "layers", "losses"):  # the tests of the sdist, with the packages of the wheel
        (sources / package).rename(sources / f"unused_{package}")
    ran = run_tests(sources, tmp_path)
    assert ran.returncode == 0, ran.stdout
