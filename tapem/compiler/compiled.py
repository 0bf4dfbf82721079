"""compile: a function as a program that runs by itself.

The first call with a combination of tree, shapes, dtypes and static values traces the function on an abstract tape;
passes improve the tape, and an engine makes of it what runs. Later calls look it up.
"""

from __future__ import annotations

import functools
import os
import sys
import threading
import warnings
from collections import OrderedDict
from collections.abc import Callable, Sequence
from inspect import Parameter, Signature
from types import MethodType
from typing import Any, NamedTuple

from numpy import dtype, ndarray

from tapem.compiler.arguments import StaticArguments, StaticValues
from tapem.compiler.engines import Engine, Runner, engine_named
from tapem.compiler.lookup import PLAIN, key_of, kind_of_tree, order_of_leaves
from tapem.compiler.source import Place, source_of
from tapem.compiler.tracing import Traced, kind_of_leaf, traced
from tapem.core import Structure, boundary, leaf_names, shorten, taken, tree_flatten, tree_unflatten
from tapem.doors.direct import Tracer
from tapem.doors.monadic import lift
from tapem.doors.pure import Tape
from tapem.errors import ArgumentError
from tapem.transforms import Program, by_example, lowered, monadic
from tapem.types import as_tensor

_MOST = 128
"""The number of programs that a compiled function keeps."""

_MANY = 30
"""The number of programs after which a warning says what changes."""


class Passes(NamedTuple):
    """The tape of a compiled function, as it was traced and as it runs."""

    before: Tape
    after: Tape


class Entry(NamedTuple):
    """What is known for one combination: the trace, the improved program, and how it runs."""

    traced: Traced
    program: Program
    run: Runner


class Compiled:
    """A function that runs as a program: the result of `compile`.

    Of the programs, one for each combination of tree, shapes, dtypes and static values, the last 128 are kept.
    """

    def __init__(self, function: Callable[..., Any], static: StaticArguments, engine: Engine, fast: bool) -> None:
        """Compile nothing yet: the first call does."""
        functools.update_wrapper(self, function)
        self.__name__: str = getattr(function, "__name__", type(function).__name__)
        self.static = static
        self.engine = engine
        self.fast = fast
        self._some_static = bool(static)
        self._entries: OrderedDict[Any, Entry] = OrderedDict()
        self._known: dict[Any, tuple[list[int], Entry]] = {}
        self._lock = threading.Lock()
        self._written = 0

    def __get__(self, instance: Any, owner: type[Any] | None = None) -> Any:
        """In a class, the method of an instance, as a function gives it."""
        return self if instance is None else MethodType(self, instance)

    def __reduce__(self) -> str | tuple[Any, ...]:
        """Copied and pickled without its programs; what decorates a function of a module is found by its name there."""
        name: str = getattr(self, "__qualname__", "")
        if getattr(sys.modules.get(getattr(self, "__module__", "")), name, None) is self:
            return name
        return type(self), (self.static.function, self.static, self.engine, self.fast)

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        """The result of the function for these arguments."""
        try:
            leaves: list[Any] = []
            kind: Any = None
            if not self._some_static:
                try:
                    kind = kind_of_tree((arguments, options), leaves)
                except LookupError:
                    pass
                else:
                    known = self._known.get(kind)
                    if known is not None:
                        order, entry = known
                        return tree_unflatten(entry.traced.structure, entry.run(*[leaves[place] for place in order]))
            return self._looked_up(arguments, options, kind)
        except Exception as error:
            shorten(error)
            raise

    def _looked_up(self, arguments: tuple[Any, ...], options: dict[str, Any], tree: Any) -> Any:
        """The result for a tree that was not met before; `tree` is its kind, if it is a plain one."""
        static = None
        if self._some_static:
            arguments, options, static = self.static.split(arguments, options)
        leaves, structure = tree_flatten((arguments, options))
        found = self._entries.get(key_of(structure, static, leaves)) if PLAIN.issuperset(map(type, leaves)) else None
        if found is None:
            return self._slowly(leaves, structure, static)
        if tree is not None:
            if len(self._known) >= _MOST:
                self._known.clear()
            self._known[tree] = order_of_leaves((arguments, options)), found
        return tree_unflatten(found.traced.structure, found.run(*leaves))

    def _slowly(self, leaves: Sequence[Any], structure: Structure, static: StaticValues | None) -> Any:
        """The result for leaves that may be tracers, Refs or foreign arrays, or that were not met before."""
        if monadic(leaves):
            return lift(functools.partial(self._run, static=static))(tree_unflatten(structure, leaves))
        names = self._names(structure)
        values = [as_leaf(x, self.__name__, name) for x, name in zip(leaves, names, strict=True)]
        entry = self._entry(values, structure, static)
        if entry is None:
            arguments, options = tree_unflatten(structure, values)
            return self.static.call(arguments, options, static)
        outside = any(type(value) is Tracer for value in values)
        results = (entry.traced.program if outside else entry.run)(*values)
        return tree_unflatten(entry.traced.structure, results)

    def _run(self, call: Any, static: StaticValues | None) -> Any:
        return self._slowly(*tree_flatten(call), static)

    def _entry(self, leaves: Sequence[Any], structure: Structure, static: StaticValues | None) -> Entry | None:
        """What is known for these leaves, once it is compiled; None if the function uses a tracer from outside."""
        key = key_of(structure, static, leaves)
        entry = self._entries.get(key)
        if entry is not None:
            return entry

        def call(values: list[Any]) -> Any:
            arguments, options = tree_unflatten(structure, values)
            return self.static.call(arguments, options, static)

        sources = [self.static.function, *([] if static is None else static.values)]
        found = traced(call, [kind_of_leaf(leaf) for leaf in leaves], self.__name__, sources, not self.fast)
        if found is None:
            return None
        program = self.engine.improved(lowered(found.program), self.fast)
        entry = Entry(found, program, self.engine.build(program, self.fast))
        with self._lock:
            self._entries[key] = entry
            self._written += 1
            while len(self._entries) > _MOST:
                self._entries.popitem(last=False)
            if self._written == _MANY:
                self._warn()
        return entry

    def _warn(self) -> None:
        """Say what changes from call to call."""
        rows = [
            {"the structure of the arguments": key[0], "a static argument": key[1], **self._kinds(key)}
            for key in self._entries
        ]
        changing = [name for name in rows[-1] if len({row.get(name) for row in rows}) > 1]
        warnings.warn(
            f"{self.__name__} was compiled {_MANY} times, since {' and '.join(changing)} changes. To compile takes "
            "much longer than to call: pad arrays to a few sizes, or call the function without tm.compile.",
            stacklevel=6,
        )

    def _kinds(self, key: Sequence[Any]) -> dict[str, Any]:
        """The kinds of the leaves in a key, by their names."""
        rest, kinds = iter(key[3:]), []
        for part in rest:
            kinds.append((part, next(rest)) if isinstance(part, dtype) else part)
        return dict(zip(self._names(key[0]), kinds, strict=True))

    def _names(self, structure: Structure) -> list[str]:
        """The names of the leaves: the parameter, and the way to the leaf in its tree."""
        arguments, options = tree_unflatten(structure, range(structure.num_leaves))
        trees = [*zip(self.static.shown(len(arguments)), arguments, strict=True), *sorted(options.items())]
        return [name if isinstance(tree, int) else f"{name}.{way}" for name, tree in trees for way in leaf_names(tree)]

    # -- what was compiled ---------------------------------------------------------------------------------------------

    def _at(self, arguments: tuple[Any, ...], options: dict[str, Any]) -> tuple[Entry, Structure]:
        static = None
        if self._some_static:
            arguments, options, static = self.static.split(arguments, options)
        leaves, structure = tree_flatten((arguments, options))
        entry = self._entry(leaves, structure, static)
        if entry is None:
            raise ArgumentError(
                f"{self.__name__} uses a value of a transform around it, so it is not compiled here; pass the value as "
                "an argument."
            )
        return entry, structure

    @boundary
    def tape(self, *arguments: Any, **options: Any) -> Passes:
        """The tapes for these arguments, `(before, after)`: as the function was traced, and as the passes made it.

        >>> import numpy as np, tapem as tm
        >>> fast = tm.compile(lambda x: np.sin(x) + np.sin(x), engine="numpy")
        >>> [len(tape) for tape in fast.tape(np.ones(2))]
        [4, 3]
        """
        entry, _ = self._at(arguments, options)
        return Passes(*(Tape.of([*p.nodes], len(p.nodes)) for p in (entry.traced.program, entry.program)))

    @boundary
    def improved(self, *arguments: Any, **options: Any) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        """The program for these arguments, as the passes made it: a function, and the arguments that it takes.

        Its ops run one by one, so that it can be recorded and differentiated. Static arguments are left out.

        >>> import numpy as np, tapem as tm
        >>> f, arguments = tm.compile(lambda x: np.sin(x) + np.sin(x)).improved(0.0)
        >>> f(*arguments)
        np.float64(0.0)
        """
        entry, _ = self._at(arguments, options)

        def run(values: Any) -> Any:
            return tree_unflatten(entry.traced.structure, entry.program(*tree_flatten(values)[0]))

        return self._stage(arguments, options, lambda values, static: run(values))

    @boundary
    def plain(self, *arguments: Any, **options: Any) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        """The function as it runs without `compile`, and the arguments that it takes: all that are not static.

        >>> import tapem as tm
        >>> f, arguments = tm.compile(lambda x, n: x**n, static_argnums=1).plain(3.0, 2)
        >>> f(*arguments), arguments
        (9.0, (3.0,))
        """
        return self._stage(arguments, options, lambda values, static: self.static.call(values[0], values[1], static))

    def _stage(
        self, arguments: tuple[Any, ...], options: dict[str, Any], call: Callable[[Any, StaticValues | None], Any]
    ) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        """A function of the arguments that are not static, which keep their names, and these arguments."""
        static = None
        if self._some_static:
            arguments, options, static = self.static.split(arguments, options)

        def stage(*values: Any) -> Any:
            named = dict(zip(options, values[len(arguments) :], strict=True))
            return call((values[: len(arguments)], named), static)

        names = [*self.static.shown(len(arguments)), *options]
        if all(map(str.isidentifier, names)):
            parameters = [Parameter(name, Parameter.POSITIONAL_ONLY) for name in names]
            vars(stage)["__signature__"] = Signature(parameters)
        return stage, (*arguments, *options.values())

    @boundary
    def source(self, *arguments: Any, **options: Any) -> str:
        """The program for these arguments as NumPy source, which a person can read and which needs no tapem.

        Its last function has the name and the arguments of f, static ones left out: the program is for their values,
        and for the shapes and dtypes that its comments say. What has no text of one line is a function above it. With
        every engine the text is NumPy's. A loop or condition that differs between the examples of a `vmap` goes through
        them one after another here; when the compiled function runs, those of one way run together.

        Raises ArgumentError, which names the op, for a user's op that cannot be written out: its source is not
        available, or it uses what is no plain value, or another package than NumPy and SciPy.

        >>> import numpy as np, tapem as tm
        >>> print(tm.compile(tm.grad(lambda x: np.sum(np.sin(x) * x))).source(np.ones(3)))
        import numpy as np
        <BLANKLINE>
        <BLANKLINE>
        def f(x):
            # x: f64[3]
            sin = np.sin(x)  # f64[3]
            cos = np.cos(x)  # f64[3]
            mul = x * cos    # f64[3]
            add = sin + mul  # f64[3]
            return add
        """
        entry, structure = self._at(arguments, options)
        program = engine_named("numpy").improved(lowered(by_example(entry.traced.program)), self.fast)
        positional, named = tree_unflatten(structure, [*map(Place, range(structure.num_leaves))])
        trees = {**dict(zip(self.static.shown(len(positional)), positional, strict=True)), **named}
        result = tree_unflatten(entry.traced.structure, [*map(Place, range(entry.traced.structure.num_leaves))])
        return source_of(program, self.__name__, trees, result)

    @boundary
    def save(self, path: str | os.PathLike[str], *arguments: Any, **options: Any) -> None:
        """Write the program for these arguments as a module, which runs where there is no tapem.

        The module defines the function whose text is that of `source`. Raises what `source` raises.
        """
        text = self.source(*arguments, **options)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text + "\n")

    def __repr__(self) -> str:
        count = len(self._entries)
        programs = f"{count} program{'s' * (count != 1)}"
        ops = sorted({op.name for entry in self._entries.values() for op in entry.run.fallbacks})
        called = f", {len(ops)} op{'s' * (len(ops) != 1)} called: {', '.join(ops)}" if ops else ""
        return f"<compiled {self.__name__}: engine {self.engine.name}, {programs}{called}>"


def as_leaf(value: Any, op: str, argument: str) -> Any:
    """A leaf of the arguments as a program takes it. Raises DTypeError for what is no array of numbers."""
    return (
        as_tensor(value, op=op, argument=argument) if type(value) is ndarray else taken(value, op=op, argument=argument)
    )


def compile(
    f: Callable[..., Any] | None = None,
    *,
    engine: str | None = None,
    fast: bool = True,
    static_argnums: int | Sequence[int] = (),
    static_argnames: str | Sequence[str] = (),
) -> Any:
    """The function of the same arguments and results that runs as a program.

    `f` takes and returns trees of arrays; derivatives and updates may be inside, such as a whole training step. The
    first call with a combination of tree, shapes, dtypes and static values writes a program; later calls run it. Python
    numbers are operands, so a new learning rate compiles nothing; the arguments in `static_argnums` and
    `static_argnames` are not traced: a new value of theirs compiles anew. What f closes over is a constant, copied at
    the first call. Results are new arrays; one without axes is a NumPy scalar, as NumPy's functions return it.

    `engine` is "numpy", or None for the fastest that is installed. With `fast=False` the engine is "numpy" if none
    is asked for, and its values are those of f bit for bit, except in the last bit where derivatives of loops,
    conditions and repeated indices are summed in another order, in the sign of a zero that slices of a derivative sum
    to, and in what the page of limits says of complex numbers, NumPy scalars and threads.

    Raises ConcretizationError where f reads a value that is not known, ArgumentError for an unknown engine, a static
    argument that cannot be hashed, or numbers drawn from a global random state; DTypeError if f returns what is no tree
    of arrays.

    >>> import numpy as np, tapem as tm
    >>> @tm.compile(engine="numpy")
    ... def slope(x):
    ...     return tm.grad(lambda x: np.sum(np.sin(x)))(x)
    >>> slope(np.array([0.0, np.pi]))
    array([ 1., -1.])
    """
    numbers: tuple[Any, ...] = tuple(static_argnums) if isinstance(static_argnums, Sequence) else (static_argnums,)
    several = isinstance(static_argnames, Sequence) and not isinstance(static_argnames, str)
    names: tuple[Any, ...] = tuple(static_argnames) if several else (static_argnames,)
    if f is None:
        return functools.partial(compile, engine=engine, fast=fast, static_argnums=numbers, static_argnames=names)
    if not callable(f):
        raise ArgumentError(f"compile needs a function, not {f!r}.")
    return Compiled(f, StaticArguments(f, numbers, names), engine_named(engine, fast), fast)


__all__ = ["Compiled", "compile"]
