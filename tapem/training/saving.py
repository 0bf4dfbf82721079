"""Trees of arrays in safetensors files: `save(path, tree)`, and `load(path)` gives the tree back.

A file holds every array under a name, the way to it joined by dots as in torch's `state_dict` (`0.weight`), and in its
metadata an outline of the tree. Files from elsewhere have no outline: they load as they are, a dict of names.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import secrets
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeAlias, cast

import numpy as np
import numpy.typing as npt
import optree
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save as serialized

from tapem.core import NAMESPACE, ShapeDtype, differences, leaf_name, leaf_names, tree_flatten, tree_unflatten
from tapem.doors.direct import Tracer
from tapem.doors.monadic import TapeM
from tapem.doors.pure import Ref
from tapem.errors import ConcretizationError, DTypeError, FileFormatError, TreeError

# JSON: the kind of a leaf, None, or {"dict" | "list" | "tuple": the parts}.
Outline: TypeAlias = Any
Arrays: TypeAlias = dict[str, npt.NDArray[Any]]

VERSION = 1

# The dtypes that both safetensors and tapem have, by their names there.
DTYPES = {
    "BOOL": "bool", "U8": "uint8", "I8": "int8", "U16": "uint16", "I16": "int16", "U32": "uint32", "I32": "int32",
    "U64": "uint64", "I64": "int64", "F16": "float16", "F32": "float32", "F64": "float64",
}  # fmt: skip


def save(path: str | os.PathLike[str], tree: Any) -> None:
    """Write a tree of arrays and numbers to a safetensors file: parameters, the state of an optimizer, steps, keys.

    The tree is any nesting of dict, list, tuple, NamedTuple, dataclass and None, with leaves of any shape and of the
    dtypes float16 to float64, int8 to uint64 and bool; Python's bools, ints and floats come back as such. Files of the
    same tree are equal to the byte, and other programs that read safetensors find the arrays under their names.

    The file appears complete or not at all: it is written beside its place, and moved there when it is on the disk. A
    file that was there before is replaced by one of the same mode (who may read and write it).

    Raises DTypeError for a leaf that is no such array or number, ConcretizationError for one that is a tracer, and
    TreeError for a dict with keys that are neither strings nor ints, or if two leaves would have the same name.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "model.safetensors"
    >>> save(path, {"params": ({"weight": np.ones((2, 3))}, ()), "step": 7})
    >>> load(path)
    {'params': ({'weight': array([[1., 1., 1.],
           [1., 1., 1.]])}, ()), 'step': 7}
    """
    arrays, outline = taken_apart(tree)
    metadata = {"tapem": json.dumps({"version": VERSION, "tree": outline})}
    write(Path(path), serialized(arrays, metadata))


def load(path: str | os.PathLike[str], like: Any = None) -> Any:
    """Read a tree that `save` wrote, or the arrays of any safetensors file.

    Without `like`, dicts, lists and tuples come back as they were, a NamedTuple or dataclass as a dict of its fields,
    and a file that was not written by `save`, such as a `state_dict` of torch, as a dict of its names.

    With `like`, a tree such as `model.init(key)` or `optimizer.init(params)`, the result is a tree of exactly that
    type. Names, shapes and dtypes must be those of `like`; its numbers do not matter, and nothing is ever written into
    it.

    Raises TreeError, listing what is missing, unexpected, or of another shape or dtype, if the file does not hold such
    a tree; FileFormatError for what is no whole safetensors file (a pipe or a device is none), has a dtype that tapem
    lacks (bfloat16), or describes a tree that `save` does not write; FileNotFoundError if there is no file.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "state.safetensors"
    >>> params = [{"w": np.ones(2)}]
    >>> save(path, tm.optim.sgd(0.1).init(params))
    >>> load(path, like=tm.optim.sgd(0.5).init(params))
    {'step': 0}
    >>> load(path, like=tm.optim.sgd(0.5, momentum=0.9).init(params))
    Traceback (most recent call last):
    tapem.errors.TreeError: load: ...state.safetensors does not hold the tree that like describes
      missing: momentum.0.w f64[2]
    """
    arrays, metadata = read(Path(path))
    if like is not None:
        return restored(like, arrays, f"load: {os.fspath(path)} does not hold the tree that like describes")
    if "tapem" not in metadata:
        return arrays
    try:
        written: dict[str, Any] = json.loads(metadata["tapem"])
        if written["version"] != VERSION:
            raise FileFormatError(
                f"load: {os.fspath(path)} was written by another version of tapem (format {written['version']!r}, this "
                f"one reads {VERSION}). Its arrays can be loaded with like=."
            )
        return built(written["tree"], arrays)
    except (KeyError, ValueError, TypeError, AttributeError, ArithmeticError, RecursionError) as error:
        if isinstance(error, FileFormatError):
            raise
        raise FileFormatError(
            f"load: {os.fspath(path)} describes a tree that its arrays do not form ({error!r}). They can be loaded "
            "with like=."
        ) from error


# Trees and names ------------------------------------------------------------------------------------------------------


def taken_apart(tree: Any) -> tuple[Arrays, Outline]:
    """The arrays of a tree by their names, and what else there is to know about it."""
    tree_flatten(tree)  # makes dataclasses known
    arrays: Arrays = {}

    def outline_of(node: Any, way: tuple[str, ...]) -> Outline:
        if node is None:
            return None
        if optree.tree_is_leaf(node, namespace=NAMESPACE):
            name = leaf_name(way)
            if name in arrays:
                raise TreeError(f"save: two leaves would have the name {name!r}, so they could not be told apart.")
            if name == "__metadata__":
                raise TreeError("save: the name '__metadata__' means something else in safetensors files.")
            if name.encode(errors="replace").decode() != name:
                raise TreeError(f"save: the name {name!r} cannot be written in UTF-8, which files have.")
            arrays[name] = storable(node, name)
            return "array" if isinstance(node, np.ndarray) else kind_of(node)
        parts = [[key, outline_of(part, (*way, str(key)))] for key, part in parts_of(node, way)]
        if type(node) in (list, tuple):
            return {type(node).__name__: [part for _, part in parts]}
        return {"dict": parts}

    outline = outline_of(tree, ())
    return arrays, outline


def parts_of(node: Any, way: tuple[str, ...]) -> Iterator[tuple[str | int, Any]]:
    """The parts of an inner node with their keys, in its own order; TreeError for keys that could not be saved."""
    parts, _, entries, _ = optree.tree_flatten_one_level(node, namespace=NAMESPACE)
    found = dict(zip(getattr(node, "_fields", entries), parts, strict=True))
    keys: list[Any] = list(cast("Mapping[Any, Any]", node) if isinstance(node, Mapping) else found)
    for key in keys:
        if not is_key(key):
            raise TreeError(f"save: {leaf_name(way)} has the key {key!r}, but keys must be strings or ints.")
        yield key, found[key]


def is_key(key: Any) -> bool:
    """Whether a dict with such a key can be saved: JSON knows strings and ints."""
    return isinstance(key, str) or type(key) is int


def kind_of(number: Any) -> str:
    """What a number that is no array is to be when it comes back."""
    return type(number).__name__ if type(number) in (bool, int, float) else "scalar"


def storable(leaf: Any, name: str) -> npt.NDArray[Any]:
    """A leaf as a contiguous array in memory that safetensors can take; DTypeError if it is none."""
    if isinstance(leaf, Tracer):
        raise ConcretizationError(
            f"save: {name} is {leaf!r}, which stands for a number while a transform runs. Save what the transform "
            "returns, after it has."
        )
    if isinstance(leaf, Ref | TapeM):
        raise DTypeError(f"save: {name} is {leaf!r}, which holds no numbers. Save tape.value(ref) instead.")
    if not isinstance(leaf, np.ndarray | np.generic | bool | int | float) or isinstance(leaf, np.ma.MaskedArray):
        raise DTypeError(f"save: {name} is {leaf!r}, but only arrays and numbers can be saved.")
    number = cast(Any, leaf)
    if type(number) is int and not -(2**63) <= number < 2**63:
        raise DTypeError(
            f"save: {name} is an int of {number.bit_length()} bits and a sign, but ints are saved with 64 bits, sign "
            "included."
        )
    array = np.asarray(number)
    if array.dtype.name not in DTYPES.values():
        raise DTypeError(
            f"save: {name} holds {array.dtype} values, but only {', '.join(DTYPES.values())} can be saved."
        )
    # The file has the order of C and the bytes of a little-endian machine. A 0-d array is to stay one.
    return np.ascontiguousarray(array, array.dtype.newbyteorder("<")).reshape(array.shape)


def built(outline: Outline, arrays: Arrays) -> Any:
    """The tree of an outline, with these arrays; KeyError, TypeError or ValueError for what `save` does not write."""
    unused = dict(arrays)

    def tree_of(outline: Outline, way: tuple[str, ...]) -> Any:
        if outline is None:
            return None
        if isinstance(outline, str):
            return leaf_of(outline, unused.pop(leaf_name(way)))
        [(kind, parts)] = outline.items()
        if type(parts) is not list:
            raise TypeError(f"the parts of a {kind} are {parts!r}, not a list")
        if kind != "dict":
            found = (tree_of(part, (*way, str(i))) for i, part in enumerate(cast(list[Outline], parts)))
            return {"list": list, "tuple": tuple}[kind](found)
        tree: dict[Any, Any] = {}
        for key, part in cast(list[Outline], parts):
            if not is_key(key) or key in tree:
                raise ValueError(
                    f"{leaf_name(way)} has the key {key!r}, " + ("twice" if is_key(key) else "no str or int")
                )
            tree[key] = tree_of(part, (*way, str(key)))
        return tree

    tree = tree_of(outline, ())
    if unused:
        raise ValueError(f"not part of it: {', '.join(unused)}")
    return tree


def leaf_of(kind: str, array: npt.NDArray[Any]) -> Any:
    """An array from a file as the leaf that an outline says it was; KeyError or ValueError if it cannot have been."""
    if kind == "array":
        return array
    dtypes = {"bool": "bool", "int": "int64", "float": "float64", "scalar": array.dtype.name}
    if array.shape or array.dtype.name != dtypes[kind]:
        raise ValueError(f"{ShapeDtype.of(array)} is no {kind}")
    return array[()] if kind == "scalar" else array.item()


def restored(like: Any, arrays: Arrays, complaint: str) -> Any:
    """A tree of the same type as `like` made of named arrays; TreeError, beginning with `complaint`, if they differ."""
    leaves, structure = tree_flatten(like)
    names = list(leaf_names(like))
    kinds = {name: in_native_order(ShapeDtype.of(leaf)) for name, leaf in zip(names, leaves, strict=True)}
    if len(kinds) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise TreeError(f"load: two leaves of like have the name {twice!r}, so they cannot be told apart.")
    found = {name: ShapeDtype.of(array) for name, array in arrays.items()}
    if problems := differences(found, kinds):
        raise TreeError("\n  ".join([complaint, *problems]))
    return tree_unflatten(structure, [as_like(leaf, arrays[name]) for name, leaf in zip(names, leaves, strict=True)])


def in_native_order(kind: ShapeDtype) -> ShapeDtype:
    """The same with the machine's order of bytes, which all that was loaded has."""
    return ShapeDtype(kind.shape, kind.dtype.newbyteorder("="))


def as_like(leaf: Any, array: npt.NDArray[Any]) -> Any:
    """An array from a file as the Python number or NumPy scalar that stands in `like` in its place."""
    if type(leaf) in (bool, int, float):
        return array.item()
    return array[()] if isinstance(leaf, np.generic) else array


# Files ----------------------------------------------------------------------------------------------------------------


def write(path: Path, content: bytes) -> None:
    """Put a file in its place at once: whoever opens it, at any time, finds the old one or the new one."""
    path = path.resolve()  # a link stays one
    if not path.parent.is_dir():
        raise FileNotFoundError(f"save: there is no directory {path.parent} to write {path.name} in.")
    if path.exists() and not path.is_file():  # a directory, a pipe, or a device such as /dev/null
        raise FileExistsError(f"save: {path} exists and is no file, so it is not replaced.")
    beside = path.with_name(f".{path.name:.40}.{secrets.token_hex(8)}")
    mode = stat.S_IMODE(path.stat().st_mode) if path.exists() else None
    try:
        # What few may read is readable by no more while it is written, nor afterwards.
        with open(beside, "xb", opener=functools.partial(os.open, mode=0o666 if mode is None else mode)) as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        if mode is not None:
            beside.chmod(mode)
        os.replace(beside, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            beside.unlink()
        raise


def read(path: Path) -> tuple[Arrays, dict[str, str]]:
    """All arrays of a safetensors file by their names, and its metadata; FileFormatError if it is none."""
    if path.is_dir():
        raise IsADirectoryError(f"load: {path} is a directory, not a file.")
    if path.exists() and not path.is_file():
        raise FileFormatError(
            f"load: {path} is a pipe or a device, which would have to be read from its beginning to an end that may "
            "never come. Write what comes from it to a file, and load that."
        )
    open(path, "rb").close()  # says what is the matter; safetensors would say that there is no such file
    try:
        with cast(Any, safe_open)(path, framework="np") as file:
            names = sorted(file.keys())
            for name in names:
                dtype = file.get_slice(name).get_dtype()
                if dtype not in DTYPES:
                    raise FileFormatError(
                        f"load: {name} in {path} holds {dtype} values, which tapem does not have. Convert them where "
                        "the file was written, such as to F32."
                    )
            arrays: Arrays = {name: file.get_tensor(name) for name in names}
            for name, array in arrays.items():
                if array.dtype == bool and np.any(array.view(np.uint8) > 1):
                    raise FileFormatError(
                        f"load: {name} in {path} holds BOOL values, but has bytes other than 0 and 1, so they are none."
                    )
            return arrays, file.metadata() or {}
    except (SafetensorError, ValueError) as error:  # the second is NumPy's, for shapes that it cannot have
        if isinstance(error, FileFormatError):
            raise
        raise FileFormatError(f"load: {path} is no safetensors file, or only a part of one: {error}.") from error


__all__ = ["load", "save"]
