"""`check_op`: a complete property test of an op in one line."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn

import numpy as np

from tapem.core import Primitive, tree_flatten
from tapem.errors import ArgumentError, DTypeError, ShapeError
from tapem.testing.case import op_name, operand_names
from tapem.testing.domains import Domain, separated, within
from tapem.testing.dtypes import COMPLEX, FLOATS, only_discrete, operand_allows
from tapem.testing.findings import GradientMismatch
from tapem.testing.flattening import REFUSALS, computed
from tapem.testing.given_derivatives import given_derivatives, plain
from tapem.testing.linear_maps import known_modes
from tapem.testing.replay import array_text, call_text, exact_text
from tapem.testing.rule_checks import insist, rule_report
from tapem.testing.seeded import hypothesis_modules, seeded
from tapem.testing.strategies import is_open, missing_arguments, shaped
from tapem.types import Operand, Signature


def check_op(
    fn: Callable[..., Any],
    /,
    *,
    elements: Any = None,
    domain: Domain = None,
    prepare: Callable[..., tuple[Any, ...]] | None = None,
    dtypes: Sequence[Any] | None = None,
    modes: Sequence[str] = ("fwd", "rev"),
    order: int = 2,
    batch: bool = True,
    max_examples: int | None = None,
    max_side: int = 3,
    max_axes: int = 2,
    rtol: float | None = None,
    atol: float | None = None,
    seed: int | None = None,
    watch: Callable[[tuple[Any, ...], dict[str, Any]], None] | None = None,
    gradient: Callable[..., Any] | None = None,
    jvp: Callable[[Any, Any], Any] | None = None,
    vjp: Callable[[Any, Any], Any] | None = None,
    **static: Any,
) -> None:
    """Property-test an op, or any annotated function of ops: `check_rule` on examples drawn from its signature.

    Shapes come from the jaxtyping annotations, as `shaped` reads them. Numbers are drawn away from zero, from integers
    and from each other, since kinks are usually there. Every example runs through all of `check_rule`: both modes and
    their nestings against finite differences, batch rule, dtypes, doors, side effects. A failure is shrunk to a small
    example, which the error shows together with the calls that repeat the run and the example.

    - `elements`: strategies for the numbers, as for `shaped`.
    - `domain`: what the numbers have to be, as for `shaped`: "positive", {"a": "invertible"} and so on. There the value
      must be finite.
    - `prepare`: a function that turns the drawn arguments into a tuple of valid ones, such as
      `lambda a: (a @ a.T + np.eye(len(a)),)` for an op that wants a positive definite matrix.
    - `dtypes`: the dtypes to try, by default float64, float32 and float16, and complex128 and complex64, if the
      annotations allow them. Numbers are drawn in the most precise one, and every example is tried in the others too. A
      dtype that the op itself refuses, as LAPACK refuses float16, is not a finding. Operands without an annotation of
      their dtype are real, unless `dtypes` has complex ones.
    - `modes`, `order`, `batch`: which derivatives to check, up to which order, and whether under `vmap`. A rule that
      calls a function that only takes arrays, such as SciPy's, needs `order=1, batch=False`.
    - `static`: static arguments of the op; a Hypothesis strategy among them draws its value.
    - `watch` is called with the operands and the static arguments of every example that passed.
    - `gradient`, `jvp`, `vjp`: derivatives to check in place of tapem's, from anywhere, as for `check_grads`. They and
      fn are called with plain arrays and static arguments, and never traced, so only the value, the derivatives, their
      linearity and their side effects are checked, in the most precise dtype unless `dtypes` are given.
    - `seed` repeats a run. Without `max_examples`, and for everything else, Hypothesis' current profile decides.

    Examples that the op refuses with an error of tapem's, or where its value is not finite, are drawn again.

    Raises GradientMismatch with every finding and the smallest failing example, MissingExtraError without Hypothesis,
    ArgumentError for a function without annotations that fails on the drawn arrays, and for one that takes none of the
    drawn arrays, or whose value is not finite somewhere in its `domain`.

    >>> import tapem as tm
    >>> from jaxtyping import Float
    >>> Vector = Float[tm.Tensor, "n"]
    >>> @tm.primitive(rrule=(lambda g, y, x: g * y * (1 - y),), frule=(lambda t, y, x: t * y * (1 - y),))
    ... def logistic(x: Vector) -> Vector:
    ...     return 1 / (1 + np.exp(-x))
    >>> check_op(logistic, max_examples=5)
    >>> def product(a: Float[np.ndarray, "n"], b: Float[np.ndarray, "n"]) -> float:
    ...     return np.sum(a * b)
    >>> check_op(product, gradient=lambda a, b: (b, a), max_examples=5)
    """
    hypothesis, st = hypothesis_modules()
    name = op_name(fn)
    drawn = {key: value for key, value in static.items() if isinstance(value, st.SearchStrategy)}
    fixed = {key: value for key, value in static.items() if key not in drawn}
    signature = Signature.of(fn)
    kinds = None if dtypes is None else [np.dtype(dtype) for dtype in dtypes]
    # Annotations may name a static argument as a size; the values of drawn ones are not known yet.
    arguments = shaped(
        fn,
        elements=elements,
        domain=domain,
        edges=False,
        dtypes=dtypes_to_draw(signature, kinds),
        max_side=max_side,
        max_axes=max_axes,
        static=fixed,
    )
    given_derivatives("check_op", gradient, jvp, vjp, alone=False)  # refuses what contradicts itself
    missing = missing_arguments(fn, signature, static)
    if missing:
        raise ArgumentError(
            f"check_op: {name} needs {', '.join(missing)}, which cannot be drawn; give what it is, as in "
            f"check_op({name}, {missing[0]}=...), or close over it."
        )
    asked: dict[str, Any] = {"dtypes": dtypes, "modes": known_modes("check_op", modes), "order": order, "batch": batch}
    asked |= {"rtol": rtol, "atol": atol, "gradient": gradient, "jvp": jvp, "vjp": vjp}
    foreign = gradient is not None or jvp is not None or vjp is not None
    example: list[tuple[tuple[Any, ...], dict[str, Any], int]] = []

    def property_of(values: tuple[Any, ...], options: dict[str, Any], direction_seed: int) -> None:
        if elements is None:
            values = within(domain, signature, separated(values, direction_seed))
        values = tuple(prepare(*values)) if prepare is not None else values
        given = {**fixed, **options}
        example[:] = [(values, given, direction_seed)]
        result: Any = None
        try:
            with np.errstate(all="ignore"):
                result = computed(fn(*values, **given))
                result = plain(result) if foreign else result
        except (ArgumentError, np.linalg.LinAlgError):
            hypothesis.reject()
        except (ShapeError, DTypeError) as error:
            # NumPy and the implementation accepted the operands: the result does not fit.
            if error.__context__ is None and not refuses(fn, values, given):
                raise
            hypothesis.reject()
        except Exception as error:
            if not isinstance(fn, Primitive) and not any(operand.leaves for operand in signature.operands):
                refuse_unannotated(name, operand_names(fn, len(values)), values, error)
            raise
        finite = all(np.isfinite(leaf).all() for leaf in tree_flatten(result)[0])
        if domain is not None and not finite:
            refuse_domain(name, domain, operand_names(fn, len(values)), values)
        hypothesis.assume(finite)
        if not isinstance(fn, Primitive):
            signature.verify(values, result, static=given)
        insist(rule_report(fn, values, given, seed=direction_seed, brief=True, **asked))
        if watch is not None:
            watch(values, given)

    seed = fresh_seed(name) if seed is None else seed
    key = f"tapem.check_op {getattr(fn, '__module__', '')}.{name}"
    drawing = (arguments, st.fixed_dictionaries(drawn), st.integers(0, 2**32 - 1))
    run = seeded(property_of, *drawing, seed=seed, max_examples=max_examples, key=key)
    options: dict[str, Any] = {
        **asked,
        "elements": elements,
        "domain": domain,
        "prepare": prepare,
        "max_examples": max_examples,
    }
    options |= {"max_side": max_side, "max_axes": max_axes, **static, "seed": seed}
    again = f"  the same again: {call_text(check_op, name, options)}"
    try:
        run()
    except GradientMismatch as error:
        values, given, direction_seed = example[0]
        whole = rule_report(fn, values, given, seed=direction_seed, **asked)
        shown = [
            f"{key} = {array_text(value)}" for key, value in zip(operand_names(fn, len(values)), values, strict=True)
        ]
        shown += [f"{key} = {value!r}" for key, value in given.items()]
        single = call_text(rule_report, name, {**asked, "seed": direction_seed}, values, given)
        note = [
            "  the smallest example that fails:",
            *(f"    {line}" for line in shown),
            again,
            f"  this example again: {single}",
        ]
        raise GradientMismatch(error.what, whole.findings or error.findings, "\n".join(note)) from None
    except hypothesis.errors.Unsatisfiable as error:
        refuse_all(
            name, operand_names(fn, len(example[0][0])) if example else [], example[0][0] if example else (), error
        )
    except Exception as error:
        error.add_note(again.strip())
        raise


def fresh_seed(name: str, derandomize: bool = False) -> int:
    """The seed of a run that is given none: one that pytest was given for Hypothesis, one of the name, or a new one."""
    hypothesis, _ = hypothesis_modules()
    if hypothesis.core.global_force_seed is not None:
        return int(hypothesis.core.global_force_seed)
    if derandomize or hypothesis.settings.default.derandomize:
        return zlib.crc32(name.encode())
    return int(np.random.SeedSequence().generate_state(1)[0])


def dtypes_to_draw(signature: Signature, kinds: Sequence[np.dtype[Any]] | None) -> list[np.dtype[Any]]:
    """The most precise real and complex dtypes that are wanted and allowed, and the wanted dtypes of other numbers."""
    wanted = [*FLOATS, np.dtype(np.int64), np.dtype(np.bool_)] if kinds is None else kinds
    reals = [dtype for dtype in FLOATS if dtype in wanted]
    real_operands = [operand for operand in signature.operands if not only_discrete(operand)]
    allowed = [dtype for dtype in reals if all(operand_allows(operand, dtype) for operand in real_operands)]
    if kinds is None and not any(map(says_nothing, real_operands)):
        wanted = [*wanted, *COMPLEX]
    planes = [dtype for dtype in COMPLEX if dtype in wanted]
    precise = [dtype for dtype in planes if any(operand_allows(operand, dtype) for operand in signature.operands)]
    others = [dtype for dtype in wanted if dtype not in FLOATS and dtype not in COMPLEX]
    given = [*(allowed or reals)[:1], *(precise or planes)[:1], *others]
    return given if others else [*given, np.dtype(np.int64), np.dtype(np.bool_)]


def says_nothing(operand: Operand) -> bool:
    """Whether an operand has no annotation, or one that says nothing of its dtype."""
    return not operand.leaves or any(map(is_open, operand.leaves))


def refuses(fn: Callable[..., Any], values: Sequence[Any], static: Mapping[str, Any]) -> bool:
    """Tell whether the implementation of an op refuses the operands, before its result is checked."""
    if not isinstance(fn, Primitive):
        return False
    operands, given = fn.bind(tuple(values), static)
    try:
        fn.implementation(*operands, **given)
    except REFUSALS:
        return True
    return False


def refuse_unannotated(name: str, names: Sequence[str], values: Sequence[Any], error: Exception) -> NoReturn:
    """Raise ArgumentError for a function without annotations that fails on arrays that broadcast together."""
    shown = ", ".join(f"{key} of shape {np.shape(value)}" for key, value in zip(names, values, strict=True))
    raise ArgumentError(
        f"check_op: {name}({', '.join(names)}) has no annotations, so arrays that broadcast together were drawn; for "
        f"{shown} it raised {type(error).__name__}: {str(error).rstrip('.')}. Annotate its parameters, as in "
        f"{names[0]}: Float[tm.Tensor, 'n m'], or check it at a point of your own, with tm.testing.check_grads."
    ) from error


def refuse_domain(name: str, domain: Domain, names: Sequence[str], values: Sequence[Any]) -> NoReturn:
    """Raise ArgumentError for a function whose value is not finite in the domain that it is said to have."""
    raise ArgumentError(
        f"check_op: {name} leaves its domain {domain!r}: its value is not finite at "
        f"{shown_values(names, values)}. Give a domain, elements or a prepare in which it is."
    )


def refuse_all(name: str, names: Sequence[str], values: Sequence[Any], error: Exception) -> NoReturn:
    """Raise ArgumentError for a function that refuses whatever is drawn, or whose value is never finite."""
    at = f", as at {shown_values(names, values)}" if names else ""
    raise ArgumentError(
        f"check_op: {name} refused nearly all that was drawn, or its value was not finite{at}. Say what it takes: "
        "domain='positive', or elements=, or prepare=."
    ) from error


def shown_values(names: Sequence[str], values: Sequence[Any]) -> str:
    """Arguments in one line."""
    return ", ".join(f"{key} = {exact_text(value)}" for key, value in zip(names, values, strict=True))


__all__ = ["check_op", "fresh_seed"]
