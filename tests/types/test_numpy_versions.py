"""Older NumPys: what they lack is told in one place; docs/limits.md, the package's metadata and CI agree with it."""

import inspect
import re
import tomllib
from pathlib import Path

import numpy as np
import pytest

import tapem as tm
from tapem.core.names import FUNCTIONS, OPTIONS, UFUNCS, Adapted, name_of
from tapem.types import NUMPY, SINCE, present, signature_of
from tapem.types.numpy_versions import _UNTOLD, _signature_of_ufunc

ROOT = Path(__file__).parents[2]
LIMITS, CI, WORKFLOW = (
    (ROOT / name).read_text(encoding="utf-8") for name in ("docs/limits.md", ".ci/run", ".github/workflows/ci.yml")
)


def test_the_installed_numpy_is_told():
    assert np.__version__.startswith(f"{NUMPY[0]}.{NUMPY[1]}.")


@pytest.mark.parametrize("name", SINCE)
def test_a_newer_function_is_there_from_its_version_on_and_has_a_rule(name: str):
    assert hasattr(np, name) is (NUMPY >= SINCE[name])
    assert all(function in FUNCTIONS or function in UFUNCS for function in present(name))


def test_a_function_whose_version_is_not_told_is_not_asked_for():
    with pytest.raises(KeyError, match="sin"):
        present("sin")


@pytest.mark.parametrize("ufunc", UFUNCS, ids=lambda ufunc: ufunc.__name__)
def test_the_arguments_of_a_ufunc_are_known(ufunc: np.ufunc):
    written = [(p.name, p.kind) for p in _signature_of_ufunc(ufunc).parameters.values()]
    assert [(p.name, p.kind) for p in signature_of(ufunc).parameters.values()] == written
    assert len(written) - ufunc.nin in (7, 9)


def test_a_function_that_does_not_tell_its_arguments_is_refused():
    with pytest.raises(ValueError, match="no signature"):
        signature_of(dict)


def test_the_limits_tell_what_an_older_numpy_lacks():
    [limit] = [item for item in LIMITS.split("\n- ") if "came with NumPy" in item]
    assert limit.startswith("NumPy 2.0 is the oldest")
    told: dict[str, tuple[int, ...]] = {}
    for part in re.split(r"(?<=\d), |;", limit):
        version = re.search(r"NumPy (\d)\.(\d)(?!.*oldest)", part.split("came")[-1])
        for name in re.findall(r"`np\.(\w+)`", part):
            assert version
            told[name] = (int(version[1]), int(version[2]))
    assert told == SINCE
    [ours] = re.findall(r"`tm.xp` has its (.*) with every", limit.replace("\n ", ""))
    assert {name for name in SINCE if hasattr(tm.xp, name)} == set(re.findall(r"`(\w+)`", ours))


def test_ci_runs_the_lowest_numpy_that_the_package_allows():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    [lowest] = [d.removeprefix("numpy>=") for d in project["dependencies"] if d.startswith("numpy")]
    assert lowest == "2.0"
    for text in (CI, WORKFLOW):
        assert re.findall(r"\bnumpy==([\d.]+)", text) == [f"{lowest}.0"]
    assert '"numpy"' in WORKFLOW  # and the newest


ADAPTED = {f: handler for f, handler in (*FUNCTIONS.items(), *OPTIONS.items()) if isinstance(handler, Adapted)}


@pytest.mark.parametrize("function", ADAPTED, ids=name_of)
def test_the_arguments_of_every_function_with_a_rule_are_known(function):
    """With older NumPys too, which do not tell those of functions in C; what is written down is what NumPy tells."""
    theirs = ADAPTED[function].plan.theirs
    assert "shape" in theirs or "newshape" not in theirs
    if NUMPY >= (2, 4) and function in _UNTOLD:
        theirs, written = (inspect.signature(f).parameters.values() for f in (function, _UNTOLD[function]))
        assert [(p.name, p.kind) for p in theirs] == [(p.name, p.kind) for p in written]
