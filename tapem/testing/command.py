"""`python -m tapem check`: property tests of annotated functions, and their signatures ahead of them."""

from __future__ import annotations

import importlib
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any

from tapem.errors import ArgumentError
from tapem.testing.runs import PROFILES, run_check
from tapem.testing.signatures import annotated_functions, check_signatures, own


def add_check_options(parser: ArgumentParser) -> None:
    """Add the options of `check` to its parser.

    >>> parser = ArgumentParser()
    >>> add_check_options(parser)
    >>> parser.parse_args(["tapem:sin", "--seed=1"]).targets
    ['tapem:sin']
    """
    parser.add_argument(
        "targets", nargs="+", metavar="module[:function]", help="what to check; a module: all it defines"
    )
    parser.add_argument("--examples", type=positive, metavar="N", help="draw N examples for each function")
    parser.add_argument("--seed", type=int, metavar="SEED", help="the seed of every function, to replay one")
    parser.add_argument("--profile", choices=list(PROFILES), default="default", help="ci: thorough, repeats itself")
    parser.add_argument("--signatures", action="store_true", help="check signatures only, without any data")


def positive(text: str) -> int:
    """A count on the command line. Raises ValueError, of which argparse makes its own error."""
    count = int(text)
    if count < 1:
        raise ValueError(text)
    return count


def check_command(given: Namespace) -> int:
    """Check what the command line names, print a line for each check and what it found; 1 if anything failed, else 0.

    Raises ArgumentError for a module or a function that is not there, or that has nothing to check.

    >>> parser = ArgumentParser()
    >>> add_check_options(parser)
    >>> check_command(parser.parse_args(["tapem:sin", "--examples=2", "--seed=1"]))
    ok     sin: 2 examples, worst error ... s, seed 1
    0
    """
    wrong = 0
    for target in given.targets:
        module, functions = found(target)
        names = [name for name in functions if name in annotated_functions(module)]
        for checked in check_signatures(module, *names) if names else []:
            wrong += not checked
            print(f"{checked}", flush=True)
        for name, function in functions.items() if not given.signatures else ():
            run = run_check(function, profile=given.profile, examples=given.examples, seed=given.seed)
            if isinstance(run.error, ArgumentError) and ":" not in target:
                print(f"?      {name}: {run.error}", flush=True)  # one of many, that was not asked for by its name
                continue
            wrong += not run
            print(run, flush=True)
            if not run:
                again = f"python -m tapem check {module.__name__}:{name} {replaying(given, run.seed)}"
                print(f"{run.finding}\n  from the command line: {again}", flush=True)
    return int(wrong > 0)


def found(target: str) -> tuple[ModuleType, dict[str, Callable[..., Any]]]:
    """The module and the functions that a target such as `package.module:function` names."""
    name, _, function = target.partition(":")
    if not all(map(str.isidentifier, name.split("."))):
        raise ArgumentError(f"check: {name!r} is no module; write module:function, and of a file a/b.py a.b:function.")
    try:
        module = importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            raise  # it is there, but imports something that is not
        raise ArgumentError(f"check: there is no module {name!r} here; write module:function, as in Python.") from error
    functions = annotated_functions(module)
    if not function:
        there = own(functions, module)
        if not there:
            raise ArgumentError(f"check: {name} defines no function with a parameter annotated as a tensor.")
        return module, {key: functions[key] for key in there}
    chosen: Callable[..., Any] | None = getattr(module, function, None)
    if not callable(chosen):
        raise ArgumentError(f"check: {name} has no function {function!r}{known(list(functions))}.")
    return module, {function: chosen}


def known(names: Sequence[str]) -> str:
    """The names that could have been meant, for an error message."""
    return f"; annotated are {', '.join(names)}" if names else ""


def replaying(given: Namespace, seed: int) -> str:
    """The options with which a run repeats."""
    options = [] if given.profile == "default" else [f"--profile={given.profile}"]
    options += [] if given.examples is None else [f"--examples={given.examples}"]
    return " ".join([*options, f"--seed={seed}"])


__all__ = ["add_check_options", "check_command"]
