"""What of NumPy and of SciPy's ufuncs stays without a rule, function by function, from tapem's tables of names.

`python -m tapem without` prints it; docs/reference/without_a_rule.md holds it, and a test compares the two.
"""

from __future__ import annotations

import importlib
import textwrap
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from tapem.core import FUNCTIONS, REFUSED, SCIPY, UFUNCS, Primitive, instead, is_constant, is_several, name_of

_INTRODUCTION = """\
# What stays without a rule

Made by `python -m tapem without` from tapem's tables of names, with NumPy {numpy} and SciPy {scipy}. Whatever is not
here has a rule, with the options that NumPy has for it, but for `out=`, which would write into a traced value.
"""

_KINDS: Mapping[str, str] = {
    "constant": "Constant: small changes of the arguments do not change the result. Never refused, but inside `vmap`,\n"
    "where values are not known, those whose shape or value cannot be said without them.",
    "refused": "Refused, since it would write into a traced value; and what to write instead:",
    "without": "Without a rule; a call raises `NoRuleError`, or, where values are converted, `ConcretizationError`.\n"
    "What to write instead, where there is something:",
    "partial": "Differentiated, but not in these arguments:",
    "no hook": "NumPy asks no argument of these whether it is traced. Most take no arrays; a traced value\n"
    "given to the others raises `ConcretizationError`:",
}


class Space(NamedTuple):
    """A namespace: its title, and its functions by name."""

    title: str
    functions: Mapping[str, Callable[..., Any]]


def spaces() -> Iterator[Space]:
    """Yield NumPy's namespaces and that of SciPy's ufuncs, which are entered by this."""
    special: Any = importlib.import_module("scipy.special")
    importlib.import_module(SCIPY)
    window = {"lib.stride_tricks.sliding_window_view": np.lib.stride_tricks.sliding_window_view}
    emath = {f"emath.{name}": function for name, function in _public(np.emath).items()}
    yield Space("numpy", _public(np) | emath | window)
    yield Space("numpy.linalg", _public(np.linalg))
    yield Space("numpy.fft", _public(np.fft))
    ufuncs = {name: function for name, function in _public(special).items() if isinstance(function, np.ufunc)}
    yield Space("scipy.special (ufuncs)", ufuncs)


def _public(space: Any) -> dict[str, Any]:
    found = {name: getattr(space, name) for name in sorted(space.__all__)}  # NumPy lists them in any order
    return {name: x for name, x in found.items() if callable(x) and hasattr(x, "__name__") and not isinstance(x, type)}


def kind_of(function: Callable[..., Any]) -> str:
    """Which of the kinds a function is of; "rule" if it is differentiated in all its arguments."""
    if function in REFUSED:
        return "refused"
    if is_constant(function):
        return "constant"
    if function in FUNCTIONS or function in UFUNCS:
        return "partial" if _constant_arguments(function) else "rule"
    asked = isinstance(function, np.ufunc) or hasattr(function, "_implementation")
    return "without" if asked else "no hook"


def _constant_arguments(function: Callable[..., Any]) -> list[str]:
    """The arguments in which an op has no derivative, though its operands are numbers."""
    op = UFUNCS.get(function) if isinstance(function, np.ufunc) else None
    if not isinstance(op, Primitive) or not is_several(op.rrule):
        return []
    return [place for place, rule in zip(("first", "second", "third"), op.rrule, strict=False) if rule is None]


def without_a_rule() -> str:
    """The page, as Markdown.

    >>> print(without_a_rule().splitlines()[0])
    # What stays without a rule
    """
    versions = {name: importlib.import_module(name).__version__ for name in ("numpy", "scipy")}
    short = {name: ".".join(version.split(".")[:2]) for name, version in versions.items()}
    parts = [_INTRODUCTION.format(**short)]
    for title, functions in spaces():
        found: dict[str, list[str]] = {kind: [] for kind in ("rule", *_KINDS)}
        for name, function in sorted(functions.items()):
            found[kind_of(function)].append(name)
        parts.append(f"## {title}\n\n{len(found['rule'])} functions have a rule.\n")
        for kind, about in _KINDS.items():
            if found[kind]:
                parts.append(f"{about}\n\n{_listed(kind, found[kind], functions)}\n")
    return "\n".join(parts).rstrip()


def _listed(kind: str, names: list[str], functions: Mapping[str, Callable[..., Any]]) -> str:
    """The names of one kind: with what to write instead, where something is known, and else in one paragraph."""
    lines: list[str] = []
    rest: list[str] = []
    for name in names:
        function = functions[name]
        advice = REFUSED.get(function) or instead(name_of(function))
        if kind == "partial":
            lines.append(f"- `{name}`: the {' and the '.join(_constant_arguments(function))}")
        elif advice and kind in ("refused", "without"):
            lines.append(f"- `{name}`: {advice if advice.startswith('nothing') else f'`{advice}`'}")
        else:
            rest.append(f"`{name}`")
    paragraph = textwrap.fill(", ".join(rest), 118, break_long_words=False, break_on_hyphens=False)
    return "\n".join([*lines, *([""] if lines and rest else []), *([paragraph] if rest else [])])
