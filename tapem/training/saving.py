"""Trees of arrays in safetensors files: `save(path, tree)` writes a tree, and `load(path)` reads it.

A file holds every array under a name, which is its keys joined by dots as in torch's `state_dict` (`0.weight`), and an
outline of the tree in its metadata. A file of another program has no outline: it loads as a dict from names to arrays.

Not every version of safetensors has complex numbers. So a complex array is stored as pairs: floats with one more axis,
the last one, for the real and the imaginary part. The metadata names these arrays, under `PAIRS`.
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
COMPLEX = {"float32": "complex64", "float64": "complex128"}
"""The dtypes that are stored as pairs, by the dtypes of their parts."""
PAIRS = "tapem.complex"
"""The entry of the metadata that lists the names of the arrays that are stored as pairs."""
NUMBERS = (bool, int, float, complex)
"""The types of Python's numbers, which are restored as such."""


def save(path: str | os.PathLike[str], tree: Any) -> None:
    """Write a tree of arrays and numbers to a safetensors file: parameters, the state of an optimizer, steps, keys.

    The tree is any nesting of dict, list, tuple, NamedTuple, dataclass and None. Its leaves are arrays of any shape and
    of the dtypes float16 to float64, complex64, complex128, int8 to uint64 and bool, or Python's bools and numbers,
    which `load` restores as such. Equal trees give equal bytes, and other programs that read safetensors find the
    arrays under their names. They find a complex array of shape `(n, m)` as floats of shape `(n, m, 2)`, its real and
    imaginary parts; `load` knows from the metadata which floats are pairs.

    The file appears complete or not at all: it is written under another name in the same directory, and renamed when it
    is on the disk. It keeps the mode (the permissions) of a file that it replaces.

    Raises DTypeError for a leaf that is not such an array or number, ConcretizationError for a tracer, and TreeError if
    a dict has keys that are neither strings nor ints or if two leaves would have the same name.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "model.safetensors"
    >>> save(path, {"params": ({"weight": np.ones((2, 3))}, ()), "step": 7})
    >>> load(path)
    {'params': ({'weight': array([[1., 1., 1.],
           [1., 1., 1.]])}, ()), 'step': 7}
    """
    arrays, outline = taken_apart(tree)
    metadata = {"tapem": json.dumps({"version": VERSION, "tree": outline})}
    if pairs := [name for name, array in arrays.items() if array.dtype.kind == "c"]:
        metadata[PAIRS] = json.dumps(pairs)
        arrays |= {name: as_pairs(arrays[name]) for name in pairs}
    from safetensors.numpy import save as serialized

    write(Path(path), serialized(arrays, metadata))


def load(path: str | os.PathLike[str], like: Any = None) -> Any:
    """Read a tree that `save` wrote, or the arrays of any safetensors file.

    Without `like`, dicts, lists and tuples are restored, a NamedTuple or dataclass becomes a dict of its fields, and a
    file that `save` did not write, such as a `state_dict` of torch, becomes a dict from names to arrays.

    With `like`, a tree such as `model.init(key)` or `optimizer.init(params)`, the result is a tree of exactly that
    type. Names, shapes and dtypes must be those of `like`; its numbers do not matter, and it is never written to.

    Raises TreeError if the file does not hold the tree of `like`, with a list of what is missing, unexpected, or has
    another shape or dtype. Raises FileFormatError if the file is not a whole safetensors file (a pipe or a device is
    not), has a dtype that tapem does not have (bfloat16), or describes a tree that `save` does not write. Raises
    FileNotFoundError if there is no file.

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
    if PAIRS in metadata:
        arrays |= complex_arrays(arrays, metadata[PAIRS], path)
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
            f"load: {os.fspath(path)} describes a tree that does not fit its arrays ({error!r}). Load the arrays with "
            "like=."
        ) from error


# Trees and names ------------------------------------------------------------------------------------------------------


def taken_apart(tree: Any) -> tuple[Arrays, Outline]:
    """Split a tree into its arrays, by their names, and its outline."""
    tree_flatten(tree)  # registers the dataclasses in it with optree
    arrays: Arrays = {}

    def outline_of(node: Any, way: tuple[str, ...]) -> Outline:
        if node is None:
            return None
        if optree.tree_is_leaf(node, namespace=NAMESPACE):
            name = leaf_name(way)
            if name in arrays:
                raise TreeError(f"save: two leaves would have the name {name!r}, so they could not be told apart.")
            if name == "__metadata__":
                raise TreeError("save: the name '__metadata__' is reserved in safetensors files. Rename the leaf.")
            if name.encode(errors="replace").decode() != name:
                raise TreeError(f"save: the name {name!r} cannot be written in UTF-8, as safetensors files need.")
            arrays[name] = storable(node, name)
            return kind_of(node)
        parts = [[key, outline_of(part, (*way, str(key)))] for key, part in parts_of(node, way)]
        if type(node) in (list, tuple):
            return {type(node).__name__: [part for _, part in parts]}
        return {"dict": parts}

    outline = outline_of(tree, ())
    return arrays, outline


def parts_of(node: Any, way: tuple[str, ...]) -> Iterator[tuple[str | int, Any]]:
    """Yield the parts of an inner node with their keys, in its own order. Raises TreeError for keys that JSON lacks."""
    parts, _, entries, _ = optree.tree_flatten_one_level(node, namespace=NAMESPACE)
    found = dict(zip(getattr(node, "_fields", entries), parts, strict=True))
    keys: list[Any] = list(cast("Mapping[Any, Any]", node) if isinstance(node, Mapping) else found)
    for key in keys:
        if not is_key(key):
            raise TreeError(f"save: {leaf_name(way)} has the key {key!r}, but keys must be strings or ints.")
        yield key, found[key]


def is_key(key: Any) -> bool:
    """Whether a dict with this key can be saved: JSON has strings and ints."""
    return isinstance(key, str) or type(key) is int


def kind_of(leaf: Any) -> str:
    """The kind under which a leaf is saved: a number's Python type, or "scalar" for NumPy's."""
    if isinstance(leaf, np.ndarray):
        return "complex array" if cast("npt.NDArray[Any]", leaf).dtype.kind == "c" else "array"
    return type(leaf).__name__ if type(leaf) in NUMBERS else "scalar"


def storable(leaf: Any, name: str) -> npt.NDArray[Any]:
    """Convert a leaf to a contiguous array that safetensors can write. Raises DTypeError if that is impossible."""
    if isinstance(leaf, Tracer):
        raise ConcretizationError(
            f"save: {name} is {leaf!r}, which stands for a number while a transform runs. Save what the transform "
            "returns, after it has."
        )
    if isinstance(leaf, Ref | TapeM):
        raise DTypeError(f"save: {name} is {leaf!r}, which holds no numbers. Save tape.value(ref) instead.")
    if not isinstance(leaf, np.ndarray | np.generic | bool | int | float | complex) or isinstance(
        leaf, np.ma.MaskedArray
    ):
        raise DTypeError(f"save: {name} is {leaf!r}, but only arrays and numbers can be saved.")
    number = cast(Any, leaf)
    if type(number) is int and not -(2**63) <= number < 2**63:
        raise DTypeError(
            f"save: {name} is an int of {number.bit_length()} bits and a sign, but ints are saved with 64 bits, sign "
            "included."
        )
    array = np.asarray(number)
    known = [*DTYPES.values(), *COMPLEX.values()]
    if array.dtype.name not in known:
        raise DTypeError(f"save: {name} holds {array.dtype} values, but only {', '.join(known)} can be saved.")
    # The file is row-major and little-endian. `reshape` keeps a 0-d array 0-d.
    return np.ascontiguousarray(array, array.dtype.newbyteorder("<")).reshape(array.shape)


def as_pairs(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """The real and imaginary parts of a contiguous complex array along a last axis, bit for bit.

    >>> as_pairs(np.array([1 + 2j, 3j]))
    array([[1., 2.],
           [0., 3.]])
    """
    return array.reshape(-1).view(f"f{array.itemsize // 2}").reshape(*array.shape, 2)


def complex_arrays(arrays: Arrays, names: str, path: str | os.PathLike[str]) -> Arrays:
    """The arrays of a file that are stored as pairs, as complex ones; `names` is the entry of the metadata.

    Raises FileFormatError if there are no such arrays, or if they are no pairs.
    """
    found: Arrays = {}
    try:
        listed = json.loads(names)
        if type(listed) is not list:
            raise TypeError(f"{listed!r} is not a list of names")
        for name in cast(list[str], listed):
            array = arrays[name]
            if array.shape[-1:] != (2,):
                raise ValueError(f"{name} has shape {array.shape}, which does not end in 2")
            kind = np.dtype(COMPLEX[array.dtype.name])
            found[name] = np.ascontiguousarray(array).reshape(-1).view(kind).reshape(array.shape[:-1])
    except (KeyError, ValueError, TypeError, RecursionError) as error:
        raise FileFormatError(
            f"load: {os.fspath(path)} names arrays as complex that are no pairs of floats ({error!r})."
        ) from error
    return found


def built(outline: Outline, arrays: Arrays) -> Any:
    """Make the tree of an outline with these arrays.

    Raises KeyError, TypeError or ValueError for an outline that `save` does not write.
    """
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
                    f"{leaf_name(way)} has the key {key!r}, " + ("twice" if is_key(key) else "not a str or int")
                )
            tree[key] = tree_of(part, (*way, str(key)))
        return tree

    tree = tree_of(outline, ())
    if unused:
        raise ValueError(f"not part of it: {', '.join(unused)}")
    return tree


def leaf_of(kind: str, array: npt.NDArray[Any]) -> Any:
    """Convert an array from a file to the kind of leaf that the outline names.

    Raises KeyError for an unknown kind, ValueError if the array does not fit it.
    """
    if kind in ("array", "complex array"):
        if (kind == "complex array") != (array.dtype.kind == "c"):
            raise ValueError(f"{ShapeDtype.of(array)} is not of the kind {kind!r}")
        return array
    dtypes = {"bool": "bool", "int": "int64", "float": "float64", "complex": "complex128", "scalar": array.dtype.name}
    if array.shape or array.dtype.name != dtypes[kind]:
        raise ValueError(f"{ShapeDtype.of(array)} is not a {kind}")
    return array[()] if kind == "scalar" else array.item()


def restored(like: Any, arrays: Arrays, complaint: str) -> Any:
    """Make a tree of the type of `like` from named arrays; if they do not fit, raise TreeError with this complaint."""
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
    """The same kind in the machine's byte order, which loaded arrays have."""
    return ShapeDtype(kind.shape, kind.dtype.newbyteorder("="))


def as_like(leaf: Any, array: npt.NDArray[Any]) -> Any:
    """Convert an array from a file to a Python number or NumPy scalar if the leaf of `like` is one."""
    if type(leaf) in NUMBERS:
        return array.item()
    return array[()] if isinstance(leaf, np.generic) else array


# Files ----------------------------------------------------------------------------------------------------------------


def write(path: Path, content: bytes) -> None:
    """Write a file atomically: a reader sees the old file or the new one, at any time."""
    path = path.resolve()  # a link stays a link
    if not path.parent.is_dir():
        raise FileNotFoundError(f"save: there is no directory {path.parent} to write {path.name} in.")
    if path.exists() and not path.is_file():  # a directory, a pipe, or a device such as /dev/null
        raise FileExistsError(f"save: {path} exists and is not a file, so it is not replaced.")
    beside = path.with_name(f".{path.name:.40}.{secrets.token_hex(8)}")
    mode = stat.S_IMODE(path.stat().st_mode) if path.exists() else None
    try:
        # The new file never has wider permissions than the old one, not even while it is written.
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
    """Read the arrays of a safetensors file by their names, and its metadata. Raises FileFormatError for others."""
    if path.is_dir():
        raise IsADirectoryError(f"load: {path} is a directory, not a file.")
    if path.exists() and not path.is_file():
        raise FileFormatError(
            f"load: {path} is a pipe or a device, which may have no end. Write its contents to a file, and load that."
        )
    from safetensors import SafetensorError, safe_open

    open(path, "rb").close()  # raises the right error; safetensors would always say that there is no such file
    try:
        with cast(Any, safe_open)(path, framework="np") as file:
            names = sorted(file.keys())
            for name in names:
                dtype = file.get_slice(name).get_dtype()
                if dtype not in DTYPES and dtype != "C64":  # which newer versions of safetensors have
                    raise FileFormatError(
                        f"load: {name} in {path} holds {dtype} values, which tapem does not have. Convert them where "
                        "the file was written, such as to F32."
                    )
            arrays: Arrays = {name: file.get_tensor(name) for name in names}
            for name, array in arrays.items():
                if array.dtype == bool and np.any(array.view(np.uint8) > 1):
                    raise FileFormatError(f"load: {name} in {path} has dtype BOOL, but has bytes other than 0 and 1.")
            return arrays, file.metadata() or {}
    except (SafetensorError, ValueError) as error:  # NumPy raises ValueError for shapes that it cannot have
        if isinstance(error, FileFormatError):
            raise
        raise FileFormatError(f"load: {path} is not a safetensors file, or only a part of one: {error}.") from error


__all__ = ["load", "save"]
