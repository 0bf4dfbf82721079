"""`check_invariant`: what holds of a whole class of functions, such as symmetry or linearity, on drawn arguments."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias, cast

import numpy as np

from tapem.errors import ArgumentError, ShapeError
from tapem.testing.case import op_name
from tapem.testing.domains import Domain
from tapem.testing.findings import GradientMismatch
from tapem.testing.invariant_checks import CHECKS, Example
from tapem.testing.properties import fresh_seed
from tapem.testing.replay import array_text, call_text
from tapem.testing.seeded import hypothesis_modules, seeded
from tapem.testing.strategies import shaped
from tapem.types import Signature

Names: TypeAlias = "bool | str | Sequence[str] | None"


def check_invariant(
    f: Callable[..., Any],
    /,
    *,
    symmetric: Names = None,
    permutation: Mapping[str, int] | None = None,
    equivariant: Mapping[str, int] | None = None,
    result_axis: int | None = None,
    shift: Names = None,
    scale: Names = None,
    linear: Names = None,
    bounded: tuple[float | None, float | None] | None = None,
    monotone: Mapping[str, str] | None = None,
    finite: tuple[float, float] | None = None,
    elements: Any = None,
    domain: Domain = None,
    dtypes: Sequence[Any] = (np.float64,),
    max_examples: int | None = None,
    max_side: int = 4,
    max_axes: int = 2,
    rtol: float | None = None,
    atol: float | None = None,
    seed: int | None = None,
    **static: Any,
) -> None:
    """Check that what is said of `f` holds, on arguments drawn from its annotations as `shaped` draws them.

    Names are those of f's tensors: one, several, or True for all of them. Any of these may be said, one at least:

    - `symmetric`: the value stays the same if two of them, of the same shape, are swapped.
    - `permutation={"keys": 0, "values": 0}`: it stays the same if these axes are permuted, all in the same way.
    - `equivariant={"x": -2}`: then `result_axis` of the result, by default the first of the axes, is permuted likewise.
    - `shift`, `scale`: it stays the same if one number is added to them, or if they are multiplied by a positive one.
    - `linear`: it is linear in them, taken together.
    - `bounded=(0, 1)`: it is within these bounds, of which one may be None.
    - `monotone={"x": "increasing"}`, or "decreasing": no element of the result falls, or rises, where x rises.
    - `finite=(-50, 50)`: the value and the derivatives in both modes are finite for numbers in this box, its edges and
      zeros of both signs among them; all numbers are drawn there.

    Two numbers may differ by `rtol` times the largest one of the result, if that is above 1, or by `atol`; by default
    rtol is the square root of the least precise dtype's epsilon. `elements`, `domain`, `dtypes`, `max_side` and
    `max_axes` are those of `shaped`, `max_examples` and `seed` those of `check_op`; `static` are other arguments of f.

    Arguments that f refuses with an error of tapem's are drawn again.

    Raises GradientMismatch, an AssertionError, with the smallest example that breaks what was said and the call that
    repeats the run; ArgumentError if nothing is said, or of a tensor that f does not have.

    >>> from jaxtyping import Float
    >>> def distance(a: Float[np.ndarray, "n"], b: Float[np.ndarray, "n"]):
    ...     return np.sum((a - b) ** 2)
    >>> check_invariant(distance, symmetric=True, shift=True, bounded=(0, None), max_examples=20)
    >>> check_invariant(distance, linear="a", max_examples=20, seed=0)
    Traceback (most recent call last):
    tapem.testing.findings.GradientMismatch: distance(a, b): 1 check failed
      linear in a: ...
    """
    hypothesis, st = hypothesis_modules()
    name, signature = op_name(f), Signature.of(f)
    names = [operand.name for operand in signature.operands]
    said: dict[str, Any] = {
        "symmetric": chosen("symmetric", symmetric, names),
        "permutation": axes_of("permutation", permutation, names),
        "equivariant": axes_of("equivariant", equivariant, names),
        "shift": chosen("shift", shift, names),
        "scale": chosen("scale", scale, names),
        "linear": chosen("linear", linear, names),
        "bounded": bounded,
        "monotone": directions(monotone, names),
        "finite": finite,
    }
    wanted = {check: what for check, what in said.items() if what is not None}
    if not wanted:
        raise ArgumentError(f"check_invariant: say what holds of {name}: {', '.join(said)}.")
    if finite is not None:
        elements = in_box(*finite) if elements is None else elements
    arguments = shaped(
        f, elements=elements, domain=domain, dtypes=dtypes, max_side=max_side, max_axes=max_axes, static=static
    )
    example: list[Sequence[Any]] = []
    compared: set[str] = set()

    def property_of(values: tuple[Any, ...], number: int) -> None:
        example[:] = [values]
        one = Example(f, names, values, static, np.random.default_rng(number), rtol, atol, result_axis)
        try:
            with np.errstate(all="ignore"):
                one.value  # noqa: B018
        except (ArgumentError, ShapeError, np.linalg.LinAlgError):
            hypothesis.reject()
        for check, what in wanted.items():
            with np.errstate(all="ignore"):
                found = list(CHECKS[check](one, what))
            compared.update([check] if one.compared else [])
            if found:
                raise GradientMismatch(f"{name}({', '.join(names)})", found)

    seed = fresh_seed(name) if seed is None else seed
    options = {"symmetric": symmetric, "permutation": permutation, "equivariant": equivariant, "shift": shift}
    options |= {"result_axis": result_axis, "scale": scale, "linear": linear, "bounded": bounded, "monotone": monotone}
    options |= {"finite": finite, "domain": domain, "max_examples": max_examples, "rtol": rtol, "atol": atol, **static}
    again = f"  the same again: {call_text(check_invariant, name, {**options, 'seed': seed})}"
    try:
        seeded(property_of, arguments, st.integers(0, 2**32 - 1), seed=seed, max_examples=max_examples)()
    except GradientMismatch as error:
        shown = [f"    {key} = {array_text(value)}" for key, value in zip(names, example[0], strict=False)]
        note = "\n".join(["  the smallest example that fails:", *shown, again])
        raise GradientMismatch(error.what, error.findings, note) from None
    except hypothesis.errors.Unsatisfiable as error:
        raise ArgumentError(
            f"check_invariant: {name} refused nearly all that was drawn. Say what it takes: domain= or elements=."
        ) from error
    except Exception as error:
        error.add_note(again.strip())
        raise
    if "symmetric" in wanted and "symmetric" not in compared:
        raise ArgumentError(
            f"check_invariant: no two of {', '.join(wanted['symmetric'])} were ever drawn in the same shape, so {name} "
            "cannot be symmetric in them; annotate them alike."
        )


def chosen(check: str, said: Names, names: Sequence[str]) -> tuple[str, ...] | None:
    """The tensors of which something is said. Raises ArgumentError for one that there is not."""
    if said is None or said is False:
        return None
    found = tuple(names) if said is True else (said,) if isinstance(said, str) else tuple(said)
    known(check, found, names)
    if check == "symmetric" and len(found) < 2:
        raise ArgumentError(f"check_invariant: symmetric={said!r} must name two tensors at least.")
    return found


def axes_of(check: str, said: Any, names: Sequence[str]) -> Mapping[str, int] | None:
    """The axes that are permuted. Raises ArgumentError for anything that is not a mapping from tensors to axes."""
    if said is None:
        return None
    if not isinstance(said, Mapping) or not said:
        raise ArgumentError(f"check_invariant: {check}={said!r} must map tensors to their axes, as in {{'x': 0}}.")
    axes = cast("Mapping[str, int]", said)
    known(check, tuple(axes), names)
    return axes


def directions(said: Any, names: Sequence[str]) -> Mapping[str, str] | None:
    """How the value moves with its arguments. Raises ArgumentError for an unknown way."""
    if said is None:
        return None
    ways = cast("Mapping[str, str]", said if isinstance(said, Mapping) else {"": said})
    if not set(map(str, ways.values())) <= {"increasing", "decreasing"} or "" in ways:
        raise ArgumentError(
            f"check_invariant: monotone={said!r} must map tensors to 'increasing' or 'decreasing', as in "
            "{'x': 'increasing'}."
        )
    known("monotone", tuple(ways), names)
    return ways


def known(check: str, said: Sequence[str], names: Sequence[str]) -> None:
    """Raise ArgumentError for a tensor that the function does not have."""
    for name in said:
        if name not in names:
            raise ArgumentError(f"check_invariant: {check} has {name!r}, but the tensors are {', '.join(names)}.")


def in_box(low: float, high: float) -> Any:
    """A strategy for numbers in a box, in which its edges and zeros are frequent."""
    _, st = hypothesis_modules()
    if not low <= high:
        raise ArgumentError(
            f"check_invariant: finite=({low}, {high}) must be a box, from its lower to its upper bound."
        )
    edges = [float(low), float(high), *(zero for zero in (0.0, -0.0) if low <= 0 <= high)]
    return st.one_of(st.floats(low, high), st.sampled_from(edges))


__all__ = ["check_invariant"]
