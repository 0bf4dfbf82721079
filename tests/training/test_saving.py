"""Trees in files: what is saved comes back, foreign files load, and no bad file or tree passes or is half-loaded."""

from __future__ import annotations

import json
import os
from collections import OrderedDict, namedtuple
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import tapem as tm
from layers import Linear, Relu

Point = namedtuple("Point", "x y")
INTEGERS = ["uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64"]
COMPLEX = ["complex64", "complex128"]
DTYPES = ["bool", *INTEGERS, "float16", "float32", "float64", *COMPLEX]


@dataclass(frozen=True)
class Pair:
    left: Any
    right: Any


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "tree.safetensors"


def assert_same(a: Any, b: Any) -> None:
    """Equal to the bit: types, structure, dtypes, numbers."""
    assert type(a) is type(b)
    if isinstance(a, np.ndarray | np.generic):
        assert a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
    elif isinstance(a, dict):
        assert list(a) == list(b)
        for key in a:
            assert_same(a[key], b[key])
    elif isinstance(a, list | tuple):
        assert len(a) == len(b)
        for x, y in zip(a, b, strict=True):
            assert_same(x, y)
    elif isinstance(a, Pair):
        assert_same((a.left, a.right), (b.left, b.right))
    else:
        assert repr(a) == repr(b)  # nan is nan, and -0.0 is not 0.0


# What comes back ------------------------------------------------------------------------------------------------------

LEAVES = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats()
    | st.complex_numbers(allow_nan=True)
    | st.sampled_from(DTYPES).flatmap(lambda dtype: hnp.arrays(dtype, hnp.array_shapes(min_dims=0, min_side=0)))
    | st.sampled_from([np.float32(1.5), np.int8(-3), np.bool_(True), np.complex64(1 - 2j)])
)
TREES = st.recursive(
    LEAVES,
    lambda parts: (
        st.lists(parts, max_size=3)
        | st.lists(parts, max_size=3).map(tuple)
        | st.dictionaries(st.text("abc_", min_size=1, max_size=3) | st.integers(0, 9), parts, max_size=3)
    ),
    max_leaves=8,
)


@given(TREES)
def test_what_is_saved_comes_back(tmp_path_factory: Any, tree: Any) -> None:
    path = tmp_path_factory.getbasetemp() / "any.safetensors"
    tm.save(path, tree)
    assert_same(tm.load(path), tree)
    assert_same(tm.load(path, like=tree), tree)
    other = tm.tree_map(lambda x: type(x)(0) if np.isscalar(x) else np.zeros_like(x), tree)
    assert_same(tm.load(path, like=other), tree)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("order", ["<", ">"])
def test_memory_layouts(path: Path, dtype: str, order: str) -> None:
    a = np.arange(24).reshape(2, 3, 4).astype(np.dtype(dtype).newbyteorder(order))
    tree = {"t": a.T, "step": a[:, ::2], "back": a[::-1], "column": a[:, 1], "wide": np.broadcast_to(a[0, 0], (3, 4))}
    tm.save(path, tree)
    for name, array in tm.load(path).items():
        assert array.dtype == np.dtype(dtype)
        np.testing.assert_array_equal(array, tree[name])
        array[...] = 0  # it belongs to whoever loaded it


def test_like_may_have_another_order_of_bytes(path: Path) -> None:
    tm.save(path, [np.arange(3, dtype=">f4")])
    assert_same(tm.load(path, like=[np.zeros(3, ">f4")]), [np.arange(3, dtype=np.float32)])


def test_types_of_trees(path: Path) -> None:
    tree = {"p": Point(np.ones(2), [1]), "d": Pair(np.zeros(1), None), "o": OrderedDict(z=1, a=2)}
    tm.save(path, tree)
    assert_same(tm.load(path, like=tree), tree)
    plain = {"p": {"x": np.ones(2), "y": [1]}, "d": {"left": np.zeros(1), "right": None}, "o": {"z": 1, "a": 2}}
    assert_same(tm.load(path), plain)
    assert set(safetensors.numpy.load_file(path)) == {"p.x", "p.y.0", "d.left", "o.z", "o.a"}


def test_names_are_those_of_torch(path: Path) -> None:
    tm.save(path, (Linear(2, 3) >> Relu() >> Linear(3, 1)).init(tm.random.key(0)))
    assert set(safetensors.numpy.load_file(path)) == {"0.weight", "0.bias", "2.weight", "2.bias"}


def test_a_training_is_saved_and_goes_on(path: Path) -> None:
    model, optimizer = Linear(2, 3) >> Relu(), tm.optim.adam(tm.optim.cosine(0.1, 10))
    params = model.init(tm.random.key(0))
    state, key = optimizer.init(params), tm.random.key(7)
    params, state = optimizer.update(params, state, params)
    tm.save(path, {"params": params, "state": state, "key": key})
    fresh = model.init(tm.random.key(1))
    back = tm.load(path, like={"params": fresh, "state": optimizer.init(fresh), "key": tm.random.key(0)})
    assert_same(back, {"params": params, "state": state, "key": key})
    assert_same(tm.random.split(back["key"]), tm.random.split(key))
    assert_same(
        optimizer.update(back["params"], back["state"], back["params"]), optimizer.update(params, state, params)
    )


def test_like_may_be_shapes_only(path: Path) -> None:
    tm.save(path, [np.float64(2.0), np.ones((2, 3), np.float32)])
    like = tm.eval_shape(lambda x: [tm.astype(np.sum(x), np.float64), x * 2], np.zeros((2, 3), np.float32))
    assert_same(tm.load(path, like=like), [np.array(2.0), np.ones((2, 3), np.float32)])


def test_the_same_tree_is_the_same_file(tmp_path: Path) -> None:
    for name in ("a", "b"):
        tm.save(tmp_path / name, {"w": np.ones(3), "n": 1})
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_paths_may_be_strings(path: Path) -> None:
    tm.save(str(path), 1.5)
    assert tm.load(str(path)) == 1.5


# Files from elsewhere -------------------------------------------------------------------------------------------------


def test_foreign_files(path: Path) -> None:
    arrays = {"0.weight": np.ones((2, 3), np.float32), "0.bias": np.zeros(2, np.float32)}
    safetensors.numpy.save_file(arrays, path, metadata={"format": "pt"})
    assert_same(tm.load(path), dict(sorted(arrays.items())))
    params = Linear(3, 2).init(tm.random.key(0))
    assert_same(tm.load(path, like=[params]), [{"weight": arrays["0.weight"], "bias": arrays["0.bias"]}])


def test_what_loads_can_be_saved_as_it_is(path: Path) -> None:
    safetensors.numpy.save_file({"0.weight": np.ones(2), "0.bias": np.ones(1)}, path)
    found = tm.load(path)
    tm.save(path, found)
    assert_same(tm.load(path), found)


def test_bfloat16_is_refused(path: Path) -> None:
    header = json.dumps({"w": {"dtype": "BF16", "shape": [2], "data_offsets": [0, 4]}}).encode()
    path.write_bytes(len(header).to_bytes(8, "little") + header + bytes(4))
    with pytest.raises(tm.FileFormatError, match=r"w in .* holds BF16 values, which tapem does not have. Convert"):
        tm.load(path)


# Files that are not what they should be -------------------------------------------------------------------------------


def test_every_part_of_a_file_is_refused(path: Path) -> None:
    tm.save(path, {"w": np.ones(3), "step": 3})
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(tm.FileFormatError, match="is not a safetensors file, or only a part of one"):
            tm.load(path)
    path.write_bytes(whole + b"x")
    with pytest.raises(tm.FileFormatError):
        tm.load(path)


def test_other_files_are_refused(path: Path) -> None:
    np.savez(path.with_suffix(".npz"), w=np.ones(2))
    for content in (b"", b"hello", b"\x80\x04\x95" * 40, path.with_suffix(".npz").read_bytes()):
        path.write_bytes(content)
        with pytest.raises(tm.FileFormatError) as error:
            tm.load(path)
        assert str(path) in str(error.value) and isinstance(error.value, ValueError)


def test_missing_files(path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        tm.load(path)
    with pytest.raises(IsADirectoryError, match="is a directory, not a file"):
        tm.load(path.parent)
    with pytest.raises(FileNotFoundError, match="there is no directory"):
        tm.save(path / "a" / "b", 1.0)
    with pytest.raises(FileExistsError, match="exists and is not a file, so it is not replaced"):
        tm.save(path.parent, 1.0)


def test_names_may_be_as_long_as_the_system_allows(path: Path) -> None:
    path = path.with_name("n" * 250)
    tm.save(path, 1.5)
    assert tm.load(path) == 1.5


@pytest.mark.parametrize(
    "outline",
    [
        "}", "[]", "{}", '{"version": 1}', '{"version": 1, "tree": "array"}',
        '{"version": 1, "tree": {"dict": [["v", "array"]]}}',
        '{"version": 1, "tree": {"list": ["array"], "tuple": []}}', '{"version": 1, "tree": {"set": ["array"]}}',
        '{"version": 1, "tree": {"dict": [["w", "complex"]]}}', '{"version": 1, "tree": {"dict": [["w", "int"]]}}',
        '{"version": 1, "tree": {"dict": [["w", "array"], ["w", "array"]]}}', '{"version": 1, "tree": 3}',
        '{"version": 1, "tree": {"dict": []}}', "[" * 100_000,
        '{"version": 1, "tree": {"dict": [["w", "scalar"]]}}', '{"version": 1, "tree": {"dict": {"w": "array"}}}',
        '{"version": 1, "tree": {"list": {"w": "array"}}}',
    ],
)  # fmt: skip
def test_outlines_that_do_not_fit_their_arrays(path: Path, outline: str) -> None:
    safetensors.numpy.save_file({"w": np.ones(2)}, path, metadata={"tapem": outline})
    with pytest.raises(
        tm.FileFormatError, match=r"describes a tree that does not fit its arrays \(.*\). Load the arrays with"
    ):
        tm.load(path)
    assert_same(tm.load(path, like={"w": np.zeros(2)}), {"w": np.ones(2)})


@pytest.mark.parametrize("kind", ["bool", "int", "float"])
@pytest.mark.parametrize("value", [np.inf, 1.5, np.float32(1), True, np.uint8(1), 1, np.ones(1)])
def test_an_outline_calls_a_number_what_is_another_one(path: Path, kind: str, value: Any) -> None:
    metadata = {"tapem": json.dumps({"version": 1, "tree": {"dict": [["w", kind]]}})}
    safetensors.numpy.save_file({"w": np.asarray(value)}, path, metadata)
    if type(value).__name__ == kind:
        assert_same(tm.load(path), {"w": value})
        return
    with pytest.raises(tm.FileFormatError, match="describes a tree that does not fit its arrays"):
        tm.load(path)


@pytest.mark.parametrize("key", ["1.5", "null", "true", "[1]", '{"a": 1}', "NaN"])
def test_keys_that_could_not_be_saved(path: Path, key: str) -> None:
    for part in ('{"list": []}', '{"dict": [["w", "array"]]}'):
        outline = f'{{"version": 1, "tree": {{"dict": [["w", "array"], [{key}, {part}]]}}}}'
        safetensors.numpy.save_file({"w": np.ones(2)}, path, metadata={"tapem": outline})
        with pytest.raises(tm.FileFormatError, match=r"value has the key .*, not a str or int"):
            tm.load(path)
    outline = '{"version": 1, "tree": {"dict": [["w", "array"], ["e", {"list": []}], ["e", {"tuple": []}]]}}'
    safetensors.numpy.save_file({"w": np.ones(2)}, path, metadata={"tapem": outline})
    with pytest.raises(tm.FileFormatError, match="value has the key 'e', twice"):
        tm.load(path)


def test_bools_are_zeros_and_ones(path: Path) -> None:
    tree = {"flags": np.array([[True, False], [True, True]])}
    tm.save(path, tree)
    whole = path.read_bytes()
    for position in range(-4, 0):
        for byte in (2, 128, 255):
            end = bytearray(whole[-4:])
            end[position] = byte
            path.write_bytes(whole[:-4] + end)
            for like in (None, tree):
                with pytest.raises(tm.FileFormatError, match=r"flags in .* but has bytes other than 0 and 1"):
                    tm.load(path, like=like)


def corrupted(rng: np.random.Generator, content: bytes) -> bytes:
    """A file with some of its bytes changed, lost, doubled or moved, mostly in its header."""
    damaged = bytearray(content)
    header = 8 + int.from_bytes(content[:8], "little")
    for _ in range(rng.integers(1, 4)):
        end = max(1, min(len(damaged), header if rng.random() < 0.8 else len(damaged)))
        at, length = int(rng.integers(end)), int(rng.integers(1, 6))
        kind = rng.integers(5)
        if kind == 0:
            damaged[at] ^= 1 << int(rng.integers(8))
        elif kind == 1:
            del damaged[at : at + length]
        elif kind == 2:
            damaged[at:at] = damaged[at : at + length]
        elif kind == 3:
            damaged[at] = int(rng.choice(list(b'0123456789"[]{},:.-entf\\')))
        else:
            source = int(rng.integers(len(damaged)))
            damaged[at : at + length] = damaged[source : source + length]
    if rng.random() < 0.7:  # a header of the right length gets further
        damaged[:8] = (header - 8 + len(damaged) - len(content)).to_bytes(8, "little", signed=True)
    return bytes(damaged)


CORRUPTED: list[Any] = [
    {"w": np.ones((2, 3), np.float32), "step": 7, "flags": np.array([True, False]), "rate": 0.5},
    ({"a": [np.arange(3), None, ()], 5: np.float16(1.5)}, [True, {"": np.zeros((0, 2))}]),
    np.arange(4.0),
    {"z": np.array([[1j, 2 - 1j]], np.complex64), "c": 1j, "pairs": np.ones((3, 2))},
]


@pytest.mark.parametrize("tree", CORRUPTED, ids=["dict", "nested", "array", "complex"])
def test_corrupted_files_are_refused_or_hold_what_could_be_saved(path: Path, tree: Any) -> None:
    rng, refused, again = np.random.default_rng(0), 0, path.with_name("again")
    tm.save(path, tree)
    whole = path.read_bytes()
    for _ in range(400):
        path.write_bytes(corrupted(rng, whole))
        try:
            found = tm.load(path)
        except tm.FileFormatError:
            refused += 1
        else:
            tm.save(again, found)
            assert_same(tm.load(again), found)
        try:
            found = tm.load(path, like=tree)
        except (tm.FileFormatError, tm.TreeError):
            continue
        assert tm.tree_flatten(found)[1] == tm.tree_flatten(tree)[1]
    assert 200 < refused < 400


@pytest.mark.parametrize("shape", [[1] * 65, [2**62, 0]])
def test_shapes_that_numpy_cannot_have(path: Path, shape: list[int]) -> None:
    size = 8 if 0 not in shape else 0
    header = json.dumps({"w": {"dtype": "F64", "shape": shape, "data_offsets": [0, size]}}).encode()
    path.write_bytes(len(header).to_bytes(8, "little") + header + bytes(size))
    with pytest.raises(tm.FileFormatError, match="is not a safetensors file, or only a part of one"):
        tm.load(path)


def test_files_of_the_future(path: Path) -> None:
    safetensors.numpy.save_file({"w": np.ones(2)}, path, metadata={"tapem": '{"version": 2}'})
    with pytest.raises(tm.FileFormatError, match=r"another version of tapem \(format 2, this one reads 1\)"):
        tm.load(path)


def test_everything_that_does_not_fit_is_listed(path: Path) -> None:
    tm.save(path, {"a": np.ones(2), "b": np.ones((2, 3)), "c": np.ones(2), "d": 1, "same": np.ones(1)})
    like = {"b": np.ones((3, 2)), "c": np.ones(2, np.float32), "d": 1.0, "e": [np.ones(4)], "same": np.zeros(1)}
    with pytest.raises(tm.TreeError) as error:
        tm.load(path, like=like)
    assert str(error.value) == (
        f"load: {path} does not hold the tree that like describes\n"
        "  missing: e.0 f64[4]\n"
        "  unexpected: a f64[2]\n"
        "  b: is f64[2,3], but must be f64[3,2]\n"
        "  c: is f64[2], but must be f32[2]\n"
        "  d: is i64[], but must be f64[]"
    )
    np.testing.assert_array_equal(like["same"], [0.0])


# Trees that cannot be saved -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tree", "kind", "text"),
    [
        ({"a": [1, "text"]}, tm.DTypeError, "save: a.1 is 'text', but only arrays and numbers can be saved."),
        ([object], tm.DTypeError, "but only arrays and numbers can be saved"),
        ([np.ones(2, np.clongdouble)], tm.DTypeError, "values, but only bool, uint8,"),
        ([np.array([None])], tm.DTypeError, "save: 0 holds object values"),
        ([np.ones(2, np.longdouble)], tm.DTypeError, "values, but only bool"),
        ([np.array(["a"])], tm.DTypeError, "save: 0 holds <U1 values"),
        ([np.ma.masked_array([1.0], [True])], tm.DTypeError, "but only arrays and numbers"),
        ([2**63], tm.DTypeError, "save: 0 is an int of 64 bits and a sign, but ints are saved with 64 bits, sign incl"),
        ([-(10**5000)], tm.DTypeError, "save: 0 is an int of 16610 bits and a sign, but"),
        ({(1, 2): 1.0}, tm.TreeError, "save: value has the key (1, 2), but keys must be strings or ints."),
        ({"a": {"b": 1.0}, "a.b": 1.0}, tm.TreeError, "save: two leaves would have the name 'a.b'"),
        ({"__metadata__": 1.0}, tm.TreeError, "save: the name '__metadata__' is reserved"),
        ({"a": {"\ud800": 1.0}}, tm.TreeError, r"save: the name 'a.\ud800' cannot be written in UTF-8"),
    ],
)
def test_what_cannot_be_saved(path: Path, tree: Any, kind: type[Exception], text: str) -> None:
    with pytest.raises(kind) as error:
        tm.save(path, tree)
    assert text in str(error.value)
    assert not os.listdir(path.parent)


def test_tracers_refs_and_steps_are_refused(path: Path) -> None:
    def saves(x: Any) -> Any:
        tm.save(path, {"x": x})
        return x

    with pytest.raises(tm.ConcretizationError, match=r"save: x is Tracer 0 .*, which stands for a number while"):
        tm.grad(saves)(1.0)
    ref, _ = tm.Tape().leaf(1.0)
    for value in (ref, tm.sin(ref)):
        with pytest.raises(tm.DTypeError, match=r"which holds no numbers. Save tape.value\(ref\) instead."):
            tm.save(path, [value])


# Whole or not at all --------------------------------------------------------------------------------------------------


def test_a_failure_leaves_the_old_file(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tm.save(path, 1.0)

    def fails(*_: Any) -> None:
        raise OSError("the disk is full")

    for function in ("fsync", "replace"):
        with monkeypatch.context() as patched:
            patched.setattr(os, function, fails)
            with pytest.raises(OSError, match="the disk is full"):
                tm.save(path, 2.0)
        assert tm.load(path) == 1.0 and os.listdir(path.parent) == [path.name]
    tm.save(path, 2.0)
    assert tm.load(path) == 2.0 and os.listdir(path.parent) == [path.name]
