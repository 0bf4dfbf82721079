"""`check_op`: a complete property test of an op in one line."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tapem.core import Primitive, ShapeDtype, tree_flatten
from tapem.errors import ArgumentError, DTypeError, ShapeError
from tapem.testing.case import operand_names
from tapem.testing.findings import GradientMismatch
from tapem.testing.flattening import is_array, settled
from tapem.testing.rule_checks import insist, rule_report
from tapem.testing.strategies import hypothesis_modules, shaped
from tapem.types import Signature


def check_op(
    fn: Callable[..., Any],
    /,
    *,
    elements: Any = None,
    prepare: Callable[..., tuple[Any, ...]] | None = None,
    max_examples: int = 25,
    max_side: int = 3,
    max_axes: int = 2,
    order: int = 2,
    rtol: float | None = None,
    atol: float | None = None,
    seed: int | None = None,
    **static: Any,
) -> None:
    """Property-test an op, or any annotated function of ops: `check_rule` on examples drawn from its signature.

    Shapes come from the jaxtyping annotations, as `shaped` reads them; numbers are drawn away from zero, from integers
    and from each other, where kinks usually are. Every example undergoes all of `check_rule`: both modes and their
    nestings against finite differences, batch rule, dtypes, doors, side effects. A failure is shrunk to a small
    example, which the error shows.

    - `elements`: strategies for the numbers, as for `shaped`.
    - `prepare`: a function that turns the drawn arguments into a tuple of valid ones, such as
      `lambda a: (a @ a.T + np.eye(len(a)),)` for an op that wants a positive definite matrix.
    - `static`: static arguments of the op; Hypothesis strategies among them are drawn from.
    - `seed` makes the run reproducible; otherwise every run draws afresh.

    Examples that the op refuses in words, and those at which its value is not finite, are drawn again.

    Raises GradientMismatch with every finding and the smallest failing example, MissingExtraError without Hypothesis.

    >>> import tapem as tm
    >>> from jaxtyping import Float
    >>> Vector = Float[tm.Tensor, "n"]
    >>> @tm.primitive(rrule=(lambda g, y, x: g * y * (1 - y),), frule=(lambda t, y, x: t * y * (1 - y),))
    ... def logistic(x: Vector) -> Vector:
    ...     return 1 / (1 + np.exp(-x))
    >>> check_op(logistic, max_examples=5)
    """
    hypothesis, st = hypothesis_modules()
    drawn = {name: value for name, value in static.items() if isinstance(value, st.SearchStrategy)}
    fixed = {name: value for name, value in static.items() if name not in drawn}
    signature = Signature.of(fn)
    # Axis sizes may be named by a static argument; those that are drawn are not known yet.
    arguments = shaped(
        fn,
        elements=elements,
        dtypes=[np.float64, np.int64, np.bool_],
        max_side=max_side,
        max_axes=max_axes,
        static=fixed,
    )
    names: list[str] = []
    example: tuple[Any, ...] = ()

    def property_of(values: tuple[Any, ...], options: dict[str, Any], direction_seed: int) -> None:
        nonlocal example
        values = separated(values) if elements is None else values
        values = tuple(prepare(*values)) if prepare is not None else values
        names[:] = operand_names(fn, len(values))
        given = {**fixed, **options}
        example = (*values, given)
        result: Any = None
        try:
            with np.errstate(all="ignore"):
                result = settled(fn(*values, **given))
        except ArgumentError:
            hypothesis.reject()
        except (ShapeError, DTypeError) as error:
            if error.__context__ is None:  # it is the result that does not fit
                raise
            hypothesis.reject()
        hypothesis.assume(all(np.isfinite(leaf).all() for leaf in tree_flatten(result)[0]))
        if not isinstance(fn, Primitive):
            signature.verify(values, result, static=given)
        insist(rule_report(fn, values, given, order=order, rtol=rtol, atol=atol, seed=direction_seed, brief=True))

    run: Any = hypothesis.given(arguments, st.fixed_dictionaries(drawn), st.integers(0, 2**32 - 1))(property_of)
    settings = hypothesis.settings(
        max_examples=max_examples,
        deadline=None,
        database=None,
        report_multiple_bugs=False,
        print_blob=False,
        phases=[hypothesis.Phase.generate, hypothesis.Phase.shrink],
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    run = settings(run)
    if seed is not None:
        run = hypothesis.seed(seed)(run)
    try:
        run()
    except GradientMismatch as error:
        whole = rule_report(fn, example[:-1], example[-1], order=order, rtol=rtol, atol=atol)
        shown = [f"{name} = {array_text(value)}" for name, value in zip(names, example, strict=False)]
        shown += [f"{name} = {value!r}" for name, value in example[-1].items()]
        note = "\n".join(["  the smallest example that fails:", *(f"    {line}" for line in shown)])
        raise GradientMismatch(error.what, whole.findings or error.findings, note) from None


def separated(values: tuple[Any, ...]) -> tuple[Any, ...]:
    """The same arguments with their real numbers moved off kinks and ties: no zeros, no integers, no two alike."""
    position = 0
    moved: list[Any] = []
    for value in values:
        if value is None or ShapeDtype.of(value).dtype.kind != "f":
            moved.append(value)
            continue
        size = np.size(value)
        # Between two multiples of 1/8, each element at a place of its own.
        places = np.modf(0.6180339887 * np.arange(position + 1, position + size + 1))[0].reshape(np.shape(value))
        moved.append((np.floor(8 * value) + 0.2 + 0.6 * places) / 8)
        position += size
    return tuple(moved)


def array_text(value: Any) -> str:
    """An argument as the error shows it."""
    text = np.array2string(value, separator=", ", precision=6) if is_array(value) else repr(value)
    kind = f"  {value.dtype}{list(value.shape)}" if is_array(value) else ""
    return text.replace("\n", "\n      ") + kind


__all__ = ["check_op"]
