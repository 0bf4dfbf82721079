"""The pytest plugin of tapem: `@pytest.mark.gradcheck` property-tests the derivatives of an annotated function.

It is installed with tapem and idle until used: tapem is imported by the first marked test, or by an option.

    @pytest.mark.gradcheck
    def test_attention(q: Float[np.ndarray, "n d"], k: Float[np.ndarray, "m d"]):
        return tm.softmax(q @ k.T)

A marked function whose parameters are annotated as tensors is itself what is checked; its other parameters are fixtures
or parameters of `parametrize`. Any other marked test runs as tests do, and returns the function to check. Keywords of
the mark are options of `tm.testing.check_op`.

PYTEST_DONT_REWRITE: there are no assertions here, and pytest need not look for them.
"""

from __future__ import annotations

import functools
import inspect
import json
from collections.abc import Callable, Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from types import FunctionType
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tapem.testing import CheckRun

MARK = "gradcheck"
PROFILES = ("default", "ci", "quick")
_PROPERTY = f"{MARK}_"
_KEPT = pytest.StashKey[list[dict[str, Any]]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options that say how thorough gradient checks are and where their report goes."""
    group = parser.getgroup(MARK, "gradient checks (tapem)")
    group.addoption(f"--{MARK}-examples", type=_count, metavar="N", help="draw N examples for each gradient check")
    group.addoption(f"--{MARK}-seed", type=int, metavar="SEED", help="the seed of every gradient check, to replay one")
    group.addoption(f"--{MARK}-profile", choices=PROFILES, help="ci: 200 examples, and every run the same; quick: few")
    group.addoption(f"--{MARK}-json", metavar="PATH", help="write the figures of all gradient checks as JSON")
    parser.addini(f"{MARK}_profile", "the profile of gradient checks if no option says it", default="default")


def pytest_configure(config: pytest.Config) -> None:
    """Make the mark known, and start with no figures."""
    text = "property-test the derivatives of an annotated function; keywords are options of tapem.testing.check_op"
    config.addinivalue_line("markers", f"{MARK}(**options): {text}")
    config.stash[_KEPT] = []
    if _profile(config) not in PROFILES:
        raise pytest.UsageError(f"{MARK}_profile must be one of {', '.join(PROFILES)}, not {_profile(config)!r}.")


@pytest.hookimpl(tryfirst=True)
def pytest_pycollect_makeitem(collector: pytest.Module | pytest.Class, name: str, obj: object) -> Any:
    """Collect a marked function whatever its name, and look for no fixtures in the place of its tensors."""
    if not isinstance(obj, FunctionType) or hasattr(obj, "__tapem_gradcheck__"):
        return None
    marked = any(mark.name == MARK for mark in getattr(obj, "pytestmark", ()))
    wanted = marked or (collector.get_closest_marker(MARK) is not None and collector.istestfunction(obj, name))
    if not wanted or not _tensors(obj):
        return None

    @functools.wraps(obj)
    def shown(*args: Any, **kwargs: Any) -> Any:
        return obj(*args, **kwargs)

    vars(shown).update(__signature__=_without(obj, _tensors(obj)), __tapem_gradcheck__=True, __test__=True)
    return collector.ihook.pytest_pycollect_makeitem(collector=collector, name=name, obj=shown)


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run the gradient check that a marked test is, or that it returns."""
    __tracebackhide__ = _hidden
    marks = list(pyfuncitem.iter_markers(MARK))
    if not marks:
        return None
    function: Callable[..., Any] = pyfuncitem.obj
    given = {
        name: value for name, value in pyfuncitem.funcargs.items() if name in inspect.signature(function).parameters
    }
    options: dict[str, Any] = {}
    for mark in reversed(marks):
        if mark.args:
            pytest.fail(f"{pyfuncitem.name}: pytest.mark.{MARK} takes keywords only, not {mark.args!r}.", pytrace=False)
        options |= mark.kwargs
    if _tensors(function):
        options |= given
    else:
        function = _returned(function, given, pyfuncitem.name)
    config = pyfuncitem.config
    if config.getoption(f"{MARK}_seed") is not None:
        options["seed"] = config.getoption(f"{MARK}_seed")
    from tapem.testing import run_check

    run = run_check(function, profile=_profile(config), examples=config.getoption(f"{MARK}_examples"), **options)
    properties = [(_PROPERTY + key, value) for key, value in run.figures.items()]
    pyfuncitem.user_properties += [*properties, (f"{_PROPERTY}finding", _headline(run))]
    if not run:
        _fail(run, function, f"pytest '{pyfuncitem.nodeid}' {_replaying(config, run)}")
    return True


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Show how many functions were checked on how many examples, the worst error and the time; write the report."""
    rows = list(_rows(terminalreporter))
    path: str | None = config.getoption(f"{MARK}_json")
    if path is not None:
        _write(Path(path), rows)
    if not rows:
        return
    terminalreporter.write_sep("=", "gradient checks (tapem)")
    failed = [row for row in rows if row["outcome"] != "passed"]
    worst = [row for row in rows if row["worst_error"] is not None]
    top = max(worst, key=lambda row: row["worst_error"], default=None)
    error = "-" if top is None else f"{top['worst_error']:.1e} ({top['nodeid']})"
    examples, seconds = (sum(row[key] for row in rows) for key in ("examples", "seconds"))
    count = f"{len(rows)} function{'s' * (len(rows) != 1)}"
    count += f", {len(failed)} failed" if failed else ""
    terminalreporter.write_line(f"{count}; {examples} examples; worst error {error}; {seconds:.1f} s")
    for row in failed:
        terminalreporter.write_line(f"  {row['nodeid']}: {row['finding']}")
    if path is not None:
        terminalreporter.write_line(f"report: {path}")


def _hidden(excinfo: pytest.ExceptionInfo[BaseException]) -> bool:
    """Whether our frames are hidden: not from a failure that is shown without any, which pytest would remark on."""
    return not isinstance(excinfo.value, pytest.fail.Exception)


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ValueError
    return number


def _profile(config: pytest.Config) -> str:
    return str(config.getoption(f"{MARK}_profile") or config.getini(f"{MARK}_profile"))


def _tensors(function: Callable[..., Any]) -> set[str]:
    from tapem.testing import tensor_operands

    return {operand.name for operand in tensor_operands(function)}


def _without(function: Callable[..., Any], tensors: set[str]) -> inspect.Signature:
    """The signature of a function without its tensors, which pytest would take for fixtures."""
    signature = inspect.signature(function)
    others = [parameter for name, parameter in signature.parameters.items() if name not in tensors]
    return signature.replace(parameters=sorted(others, key=lambda one: (one.kind, one.default is not one.empty)))


def _returned(function: Callable[..., Any], given: dict[str, Any], name: str) -> Callable[..., Any]:
    """The function that a marked test without tensors returns."""
    __tracebackhide__ = _hidden
    returned = function(**given)
    if not callable(returned):
        pytest.fail(
            f"{name} is marked {MARK}, but it has no parameter annotated as a tensor, such as x: Float[Tensor, 'n'], "
            f"and returned {returned!r} instead of a function to check.",
            pytrace=False,
        )
    return returned


def _fail(run: CheckRun, function: Callable[..., Any], command: str) -> None:
    """Fail a test with the finding alone, or with the traceback from the function on if it raised the error itself."""
    __tracebackhide__ = _hidden
    if run.error is None or run.brief:
        pytest.fail(f"{run.finding}\n  in pytest: {command}", pytrace=False)
    run.error.add_note(f"in pytest: {command}")
    raise run.error.with_traceback(run.traceback_from(function))


def _headline(run: CheckRun) -> str:
    """What a failed run found first, in one line."""
    findings = getattr(run.error, "findings", ())
    lines = str(findings[0] if findings else run.error).splitlines() or [""]
    return "" if run.error is None else lines[0] if findings else f"{type(run.error).__name__}: {lines[0]}"


def _replaying(config: pytest.Config, run: CheckRun) -> str:
    """The options with which this run repeats."""
    options = [f"--{MARK}-seed={run.seed}"]
    for name in ("examples", "profile"):
        given = config.getoption(f"{MARK}_{name}")
        options += [] if given is None else [f"--{MARK}-{name}={given}"]
    return " ".join(options)


def _rows(reporter: pytest.TerminalReporter) -> Iterator[dict[str, Any]]:
    """The figures of every gradient check, from the reports of its tests."""
    for outcome in ("passed", "failed", "xfailed", "xpassed"):
        reports: Sequence[Any] = reporter.stats.get(outcome, ())
        for report in reports:
            found = {key: value for key, value in getattr(report, "user_properties", ()) if key.startswith(_PROPERTY)}
            if found and report.when == "call":
                figures = {key.removeprefix(_PROPERTY): value for key, value in found.items()}
                yield {"nodeid": report.nodeid, "outcome": outcome, **figures}


def _write(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    """Write the report, with the versions of what was tested."""
    from tapem import __version__

    versions = {"tapem": __version__, "numpy": version("numpy"), "hypothesis": version("hypothesis")}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"versions": versions, "functions": rows}, indent=2) + "\n")
