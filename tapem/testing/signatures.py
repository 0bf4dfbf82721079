"""Hold a module's annotated functions against each other by their shapes and dtypes alone, before anything is computed.

Every function runs abstractly on shapes that its annotations allow. Meanwhile every call that it makes to an annotated
function of the module is held to that one's annotations, which nothing else checks.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from types import FunctionType, ModuleType
from typing import Any

from tapem.errors import ArgumentError, ConcretizationError, MissingExtraError, NoRuleError, TapeError
from tapem.testing.flattening import first_line
from tapem.testing.runs import tensor_operands
from tapem.testing.seeded import seeded
from tapem.testing.strategies import abstract_arguments, missing_arguments
from tapem.transforms import eval_shape
from tapem.types import Signature, short_text


@dataclass(frozen=True)
class SignatureCheck:
    """What holding one function's signature against the others gave: `wrong` or `skipped` says why, if it is not empty.

    Its truth value is whether nothing is wrong.

    >>> print(SignatureCheck("encode"))
    ok     signature of encode
    """

    name: str
    wrong: str = ""
    skipped: str = ""

    def __bool__(self) -> bool:
        return not self.wrong

    def __str__(self) -> str:
        if self.wrong:
            return f"FAILED signature of {self.name}: {self.wrong}"
        return (
            f"?      signature of {self.name}: {self.skipped}" if self.skipped else f"ok     signature of {self.name}"
        )


def check_signatures(module: ModuleType, *names: str, max_examples: int = 25) -> list[SignatureCheck]:
    """Hold the signatures of a module's annotated functions against each other by `eval_shape`, without any data.

    Each function, or each of these names, runs on shapes and dtypes drawn from its annotations. Its own result and
    every call of an annotated function that stands in the module must fit the annotations. What needs values, such as a
    branch on a number, is skipped.

    Raises MissingExtraError without Hypothesis, ArgumentError for a name of which there is no annotated function.

    >>> from types import ModuleType
    >>> from jaxtyping import Float
    >>> network = ModuleType("network")
    >>> vars(network).update(Array=np.ndarray, Float=Float)
    >>> exec('''
    ... def encode(x: Float[Array, "n d"], w: Float[Array, "d k"]) -> Float[Array, "n k"]: return x @ w
    ... def code(x: Float[Array, "n d"], w: Float[Array, "d k"]): return encode(w, x)
    ... ''', vars(network))
    >>> for check in check_signatures(network): print(check)
    ok     signature of encode
    FAILED signature of code: encode(x, w): axis 'd' is ...
    ...
    """
    given: Any = module
    if not isinstance(given, ModuleType):
        raise ArgumentError(f"check_signatures takes a module, and names in it, not {short_text(given)}.")
    functions = annotated_functions(module)
    for name in names:
        if name not in functions:
            raise ArgumentError(
                f"check_signatures: {module.__name__} has no annotated function {name!r}; it has "
                f"{', '.join(functions)}."
            )
    return [check_signature(functions[name], module, name, max_examples) for name in names or own(functions, module)]


def annotated_functions(module: ModuleType) -> dict[str, FunctionType]:
    """The functions in a module that have a parameter annotated as a tensor, those that it imports too."""
    return {
        name: value
        for name, value in vars(module).items()
        if isinstance(value, FunctionType) and tensor_operands(value)
    }


def own(functions: Mapping[str, FunctionType], module: ModuleType) -> list[str]:
    """The names of the functions that the module itself defines."""
    return [name for name, function in functions.items() if function.__module__ == module.__name__]


def check_signature(fn: Callable[..., Any], module: ModuleType, name: str, max_examples: int) -> SignatureCheck:
    """Run one function abstractly on drawn shapes, while the calls that it makes are checked."""
    watched = verifying(fn)

    def property_of(arguments: tuple[Any, ...]) -> None:
        eval_shape(watched, *arguments)

    try:
        arguments = abstract_arguments(fn)
        missing = missing_arguments(fn, Signature.of(fn))
        if missing:
            return SignatureCheck(name, skipped=f"it needs {', '.join(missing)}, which cannot be drawn")
        run = seeded(property_of, arguments, seed=0, max_examples=max_examples)
        with all_verifying(module):
            run()
    except (ConcretizationError, NoRuleError, ArgumentError, MissingExtraError) as error:
        return SignatureCheck(name, skipped=first_line(error))
    except TapeError as error:
        return SignatureCheck(name, wrong=str(error))
    except Exception as error:  # whatever the function raises is told
        return SignatureCheck(name, wrong=f"{type(error).__name__}: {error}")
    return SignatureCheck(name)


@contextmanager
def all_verifying(module: ModuleType) -> Generator[None, None, None]:
    """Let the annotated functions of a module check every call, while this is open."""
    functions = annotated_functions(module)
    vars(module).update({name: verifying(function) for name, function in functions.items()})
    try:
        yield
    finally:
        vars(module).update(functions)


def verifying(fn: Callable[..., Any]) -> Callable[..., Any]:
    """A function that checks its arguments and its result against its annotations at every call."""
    signature, parameters = Signature.of(fn), inspect.signature(fn)

    @functools.wraps(fn)
    def verified(*args: Any, **options: Any) -> Any:
        bound = parameters.bind(*args, **options)
        bound.apply_defaults()
        operands: list[Any] = []
        for operand in signature.operands:
            value = bound.arguments[operand.name]
            operands += value if operand.variadic else [value]
        static = {name: bound.arguments[name] for name in signature.static if name in bound.arguments}
        signature.verify(operands, static=static)
        result = fn(*args, **options)
        signature.verify(operands, result, static=static)
        return result

    return verified


__all__ = ["SignatureCheck", "annotated_functions", "check_signatures", "own"]
