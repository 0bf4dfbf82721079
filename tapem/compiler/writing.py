"""Writing: values as Python source that makes them, without tapem.

An op becomes the function that implements it, a function its source, with all that it uses: functions, classes and
constants, found through its globals and its closure. Modules are imported if they are Python's, NumPy's or SciPy's.
"""

from __future__ import annotations

import ast
import builtins
import dataclasses
import dis
import enum
import functools
import keyword
import re
import sys
import types
from collections.abc import Callable
from typing import Any, cast

import numpy as np

from tapem import transforms
from tapem.compiler.array_text import array_text
from tapem.compiler.stripping import (
    BUILTINS,
    Edit,
    Source,
    bound_names,
    definition_of_class,
    definition_of_function,
    resolve,
    source_of_file,
    stripped,
)
from tapem.compiler.texts import literal
from tapem.compiler.unwritable import Unwritable
from tapem.core import Primitive, detach, in_float32
from tapem.errors import TapeError
from tapem.tangents import Thunk

_STRANGERS = ("tapem.doors.", "tapem.tangents.")
"""Where the classes are defined of which no value is in a program of arrays."""

_LONGEST = 90
"""A literal of more characters than this is no literal any more."""


THUNK = """class {name}:
    def __init__(self, value, add_into=None):
        self.value = value

    def __call__(self):
        return self.value()"""
"""What a rule defers, and calls when it needs it."""

COMPUTED = """def {name}(value):
    return value() if isinstance(value, ({classes},)) else value"""
"""What a rule returns, deferred or not."""


class Writer:
    """Writes definitions, each once and behind what it needs: `imports` and `definitions` are the head of a program.

    `used` are the names that are taken; they may be shared with what writes the rest of the program.
    """

    def __init__(self, used: set[str], half: bool = True) -> None:
        """Nothing is written yet. Without `half`, no value is of float16: what widens it to float32 is left out."""
        self.used = used
        self.half = half
        self.imports: list[str] = ["import numpy as np"]
        self.definitions: list[str] = []
        self._known: dict[int, tuple[str, Any]] = {}
        self.thunks: list[str] = []
        self._computed = ""
        self._constants: dict[tuple[str, str], str] = {}

    def expression(self, value: Any, name: str) -> str:
        """The text that stands for a value; `name` is what it may be called. Raises Unwritable."""
        if value is transforms.detach:
            value = detach  # which is for arrays alone
        known = self._known.get(id(value))
        if known is not None:
            return known[0]
        text = plain(value)
        if text is None or (len(text) > _LONGEST and type(value) is not str):
            text = self._written(value, name)
            if text.isidentifier():
                self._known[id(value)] = text, value
        return text

    def _written(self, value: Any, name: str) -> str:
        match value:
            case Primitive():
                return self.op(value)
            case np.ndarray():
                text = array_text(value, self.imported)
                uniform = re.match(r"np\.(zeros|ones)\b", text)
                return self.constant(uniform[1] if uniform and name == "constant" else name, text)
            case types.ModuleType():
                return self.module(value, name)
            case types.FunctionType() if public_path(value) is None:
                return self.function(value, name)
            case functools.partial():
                function = self.expression(value.func, "function")
                options = [f"{key}={self.expression(part, key)}" for key, part in value.keywords.items()]
                arguments = [self.expression(part, "value") for part in value.args]
                return f"{self.imported('functools')}.partial({', '.join([function, *arguments, *options])})"
            case type() | types.BuiltinFunctionType() if vars(builtins).get(value.__name__) is value:
                return value.__name__
            case type() if public_path(value) is None:
                return self.class_(value)
            case enum.Enum():
                return f"{self.expression(type(value), type(value).__name__)}.{value.name}"
            case tuple() | list() | set() | frozenset() | dict():
                return self.container(cast("Any", value))
            case _:
                return self.other(value, name)

    def other(self, value: Any, name: str) -> str:
        """What a package offers by a name, a method of such, or an object that is made of its fields."""
        path = public_path(value)
        if path is not None:
            module, way = path
            return f"{self.imported(module)}.{way}"
        wrapped: Any = getattr(value, "__wrapped__", None)
        if isinstance(value, functools._lru_cache_wrapper):  # pyright: ignore
            size: int | None = cast("Any", value).cache_parameters()["maxsize"]
            memo = "cache" if size is None else f"lru_cache({size})"
            return self.function(wrapped, name, f"@{self.imported('functools')}.{memo}")
        owner: Any = getattr(value, "__self__", None)
        if isinstance(value, types.BuiltinMethodType | types.MethodType) and owner is not None:
            return f"{self.expression(owner, name)}.{cast('Any', value).__name__}"
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            fields = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
            parts = [f"{key}={self.expression(part, key)}" for key, part in fields.items()]
            return f"{self.expression(type(value), type(value).__name__)}({', '.join(parts)})"
        known = "__reduce__" in vars(type(value)) and type(value).__module__ != "builtins"
        way: Any = cast("Any", value).__reduce__() if known else None
        if isinstance(way, tuple) and len(way) == 2:
            parts = [self.expression(part, "value") for part in way[1]]
            return f"{self.expression(way[0], 'made')}({', '.join(parts)})"
        raise Unwritable(f"it uses {name}, a value of type {type(value).__name__} that no expression makes")

    # -- modules ---------------------------------------------------------------------------------------------------

    def module(self, module: types.ModuleType, name: str) -> str:
        """The import of a module of Python, NumPy or SciPy."""
        if not is_common(module.__name__):
            raise Unwritable(f"it uses the module {module.__name__}")
        return self.imported(module.__name__)

    def imported(self, module: str) -> str:
        """The name of an imported module."""
        if module == "numpy":
            return "np"
        line, name = f"import {module}", module
        if "." in module:
            package, name = module.rsplit(".", 1)
            line = f"from {package} import {name}"
        if line not in self.imports:
            if name in self.used:
                name = self.fresh(name)
                line = f"import {module} as {name}"
            self.used.add(name)
            self.imports.append(line)
        return name

    # -- definitions -----------------------------------------------------------------------------------------------

    def fresh(self, name: str) -> str:
        """A name of a definition that is not taken."""
        name = re.sub(r"\W", "_", name) or "helper"
        name = f"_{name}" if name[0].isdigit() else name
        found, number = name, 2
        while found in self.used or found in BUILTINS or keyword.iskeyword(found):
            found, number = f"{name}_{number}", number + 1
        self.used.add(found)
        return found

    def constant(self, name: str, text: str) -> str:
        """A name for the value of an expression."""
        name = self.fresh(name)
        self.definitions.append(f"{name} = {text}")
        return name

    def computed(self, text: str) -> str:
        """The text of a value that a rule returns, which may have deferred it."""
        if not self.thunks:
            return text
        if not self._computed:
            self._computed = self.fresh("computed")
            self.definitions.append(COMPUTED.format(name=self._computed, classes=", ".join(self.thunks)))
        return f"{self._computed}({text})"

    def op(self, op: Primitive) -> str:
        """An op as the function that computes its value."""
        if not op.residuals:
            return self.expression(op.implementation, op.name)
        both = self.expression(op.implementation, f"{op.name}_and_kept")
        name = self.fresh(op.name)
        self.definitions.append(f"def {name}(*operands, **options):\n    return {both}(*operands, **options)[0]")
        return name

    def function(self, function: types.FunctionType, name: str, decorator: str = "") -> str:
        """A function by its source, and all that it uses."""
        code = function.__code__
        if code.co_name == in_float32.__name__ and not self.half:
            return self.expression(cast("Any", function).__wrapped__, name)
        name = self.fresh(name)
        self._known[id(function)] = name, function
        source = source_of_file(code.co_filename, function.__globals__)
        node = definition_of_function(source, code)
        names = names_of(code)
        closure = dict(zip(code.co_freevars, function.__closure__ or (), strict=True))

        def look_up(global_name: str) -> Any:
            if global_name in closure:
                return closure[global_name].cell_contents
            if global_name not in names:
                raise KeyError(global_name)
            return function.__globals__[global_name]

        edits = stripped(source, node) + self.resolved(source, node, look_up) + self.defaults(source, node, function)
        if isinstance(node, ast.Lambda):
            text = source.cut(node, edits)
            head = source.start(node.body) - source.start(node)
            given = source.cut(node, [*edits, Edit(source.start(node) + head, source.end(node), "")])
            arguments = given.removeprefix("lambda").rstrip("(\\ \t\n").removesuffix(":").strip()
            body = source.cut(node.body, edits)
            text = f"def {name}({arguments}):\n    return {f'({body})' if chr(10) in body else body}"
        else:
            start = source.text.index(node.name.encode(), source.start(node))
            text = source.cut(node, [*edits, Edit(start, start + len(node.name.encode()), name)])
        self.definitions.append("\n".join([*([decorator] if decorator else []), without_us(text)]))
        return name

    def resolved(self, source: Source, node: Any, look_up: Callable[[str], Any]) -> list[Edit]:
        """The edits of all names that a definition takes from around it."""

        def written(value: Any, name: str) -> str:
            if not name:
                return self.other_name(value)
            text = plain(value) if name.strip("_").isupper() else None
            if text is None:
                return self.expression(value, name)
            if (name, text) not in self._constants:
                self._constants[name, text] = self.constant(name, text)
            return self._constants[name, text]

        return resolve(source, node, look_up, written, is_others_module)

    def other_name(self, value: Any) -> str:
        """Another name for a value, where a local variable hides its own."""
        text = self.expression(value, "value")
        return self.constant(f"the_{text.rsplit('.', maxsplit=1)[-1]}", text)

    def defaults(self, source: Source, node: Any, function: types.FunctionType) -> list[Edit]:
        """The edits that write default values as they are."""
        places = node.args.defaults
        values = list(function.__defaults__ or ())
        for argument, place in zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True):
            if place is not None:
                places, values = [*places, place], [*values, (function.__kwdefaults__ or {})[argument.arg]]
        return [
            Edit(source.start(place), source.end(place), self.expression(value, "default"))
            for place, value in zip(places, values, strict=True)
            if not isinstance(place, ast.Constant)
        ]

    def class_(self, cls: type) -> str:
        """A class by its source; an error of ours becomes a plain exception."""
        name = self.fresh(cls.__name__)
        self._known[id(cls)] = name, cls
        if issubclass(cls, TapeError):
            base = next(b for b in cls.__mro__ if b.__module__ == "builtins")
            self.definitions.append(f"class {name}({base.__name__}):\n    pass")
            return name
        if issubclass(cls, Thunk):
            self.thunks.append(name)
            self.definitions.append(THUNK.format(name=name))
            return name
        if cls.__module__.startswith(_STRANGERS):
            self.definitions.append(f"class {name}:\n    pass")
            return name
        module = sys.modules[cls.__module__]
        source = source_of_file(getattr(module, "__file__", None) or f"<{module.__name__}>", vars(module))
        node = definition_of_class(source, cls.__name__)

        local = bound_names(node)

        def look_up(global_name: str) -> Any:
            if global_name == cls.__name__ or global_name in local or not hasattr(module, global_name):
                raise KeyError(global_name)
            return getattr(module, global_name)

        fields = dataclasses.is_dataclass(cls) or hasattr(cls, "_fields")
        edits = stripped(source, node, fields) + self.resolved(source, node, look_up)
        head = [f"@{source.cut(part, self.resolved(source, part, look_up))}" for part in node.decorator_list]
        self.definitions.append("\n".join([*head, without_us(source.cut(node, edits))]))
        return name

    def container(self, value: Any) -> str:
        """A tuple, list, set or dict of values."""
        if isinstance(value, dict):
            parts = [f"{self.expression(key, 'key')}: {self.expression(part, 'value')}" for key, part in value.items()]
            return f"{{{', '.join(parts)}}}"
        parts = [self.expression(part, "value") for part in value]
        if hasattr(value, "_fields"):
            return f"{self.expression(type(value), type(value).__name__)}({', '.join(parts)})"
        if isinstance(value, set | frozenset):
            inside = f"{{{', '.join(sorted(parts))}}}" if parts else "()"
            return f"{type(value).__name__}({inside})" if type(value) is frozenset or not parts else inside
        inside = ", ".join(parts)
        return f"[{inside}]" if isinstance(value, list) else f"({inside},)" if len(parts) == 1 else f"({inside})"


def plain(value: Any) -> str | None:
    """A plain value as a literal; a dtype as one, not as the type that NumPy takes for it."""
    if isinstance(value, np.dtype):
        text = literal(value)
        return text if text is None or text.startswith("np.dtype") else f"np.dtype({text})"
    if type(value) in (tuple, list):
        return None if any(plain(part) != literal(part) for part in value) else literal(value)
    return None if isinstance(value, np.ndarray) else literal(value)


def without_us(text: str) -> str:
    """The text of a definition without comments that speak of tapem, and without its extras in error messages."""
    text = re.sub(r"tapem\[(\w+)\]", r"\1", text)
    return ast.unparse(ast.parse(text)) if "tapem" in text else text


def names_of(code: types.CodeType) -> set[str]:
    """The names of globals in some code, and in the functions in it."""
    names = {step.argval for step in dis.get_instructions(code) if step.opname in ("LOAD_GLOBAL", "LOAD_NAME")}
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            names |= names_of(constant)
    return names


def is_common(module: str) -> bool:
    """Whether a module is Python's, NumPy's or SciPy's."""
    first = module.split(".")[0]
    return first in sys.stdlib_module_names or first in ("numpy", "scipy")


def is_others_module(value: Any) -> bool:
    """Whether a value is a module that a program cannot import."""
    return isinstance(value, types.ModuleType) and not is_common(value.__name__)


def public_path(value: Any) -> tuple[str, str] | None:
    """The module of Python, NumPy or SciPy that offers a value, and the value's name in it."""
    name = getattr(value, "__qualname__", None) or getattr(value, "__name__", None)
    own = getattr(value, "__module__", None) or ""
    if not isinstance(name, str) or not isinstance(own, str):
        return None
    if own == "builtins":
        return None
    packages = ("numpy", "numpy.linalg", "numpy.fft", "numpy.random", "numpy.lib.array_utils", "scipy.special")
    for module in (*packages, own):
        if (
            is_common(module)
            and functools.reduce(
                lambda part, key: getattr(part, key, None), name.split("."), cast("Any", sys.modules.get(module))
            )
            is value
        ):
            short = module.removeprefix("numpy.") if module.startswith("numpy.") else ""
            return ("numpy", f"{short}.{name}") if short else (module, name)
    return None


__all__ = ["Writer", "is_common"]
