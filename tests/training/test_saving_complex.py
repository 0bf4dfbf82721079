"""Complex numbers in files: stored as pairs of floats, and read back to the bit."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy

import tapem as tm
from tests.training.test_saving import COMPLEX, assert_same


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "tree.safetensors"


PARTS = [0.0, -0.0, 1.5, np.inf, -np.inf, np.nan, -np.nan, 1e-40]


@pytest.mark.parametrize("dtype", COMPLEX)
@pytest.mark.parametrize("shape", [(8, 8), (), (0,), (0, 2), (2, 0), (2,), (64, 1)])
def test_complex_arrays_come_back_to_the_bit(path: Path, dtype: str, shape: tuple[int, ...]) -> None:
    pairs = np.array(np.meshgrid(PARTS, PARTS), np.dtype(dtype).type(0).real.dtype)
    bits = pairs.view(f"u{pairs.itemsize}")
    bits[np.isnan(pairs)] |= 77  # which NaN it is
    numbers = np.moveaxis(pairs, 0, -1).copy().view(dtype)
    whole = np.resize(numbers, shape) if np.prod(shape) else np.zeros(shape, dtype)
    tree = {"z": whole, "swapped": whole.astype(whole.dtype.newbyteorder(">")), "turned": whole.T}
    tm.save(path, tree)
    expected = {**tree, "swapped": whole, "turned": np.array(whole.T, order="C")}
    assert_same(tm.load(path), expected)
    assert_same(tm.load(path, like=tree), expected)
    stored = safetensors.numpy.load_file(path)["z"]
    assert stored.shape == (*shape, 2) and stored.dtype == pairs.dtype
    np.testing.assert_array_equal(stored[..., 0], np.real(whole))
    np.testing.assert_array_equal(stored[..., 1], np.imag(whole))
    assert tm.load(path)["z"].flags.writeable


def test_complex_arrays_of_another_program(path: Path) -> None:
    """Newer versions of safetensors have a dtype for complex64."""
    header = json.dumps({"z": {"dtype": "C64", "shape": [2], "data_offsets": [0, 16]}}).encode()
    z = np.array([1 - 2j, np.inf], np.complex64)
    path.write_bytes(len(header).to_bytes(8, "little") + header + z.tobytes())
    if "C64" in getattr(safetensors.numpy, "_TYPES", {}):
        assert_same(tm.load(path), {"z": z})
    else:
        with pytest.raises(tm.FileFormatError):
            tm.load(path)


def test_floats_in_pairs_stay_floats(path: Path) -> None:
    """In a file of another program, and beside complex arrays in one of tapem's."""
    pairs = {"v": np.ones(2, np.float32), "w": np.ones((3, 2))}
    safetensors.numpy.save_file(pairs, path)
    assert_same(tm.load(path), pairs)
    with pytest.raises(tm.TreeError, match=r"w: is f64\[3,2\], but must be c128\[3\]"):
        tm.load(path, like={**pairs, "w": np.ones(3, complex)})
    tree = {**pairs, "z": np.ones(3, complex)}
    tm.save(path, tree)
    assert_same(tm.load(path), tree)
    with pytest.raises(tm.TreeError, match=r"z: is c128\[3\], but must be f64\[3,2\]"):
        tm.load(path, like={**tree, "z": np.ones((3, 2))})


@pytest.mark.parametrize(
    "names", ['["v"]', '["w", "i"]', '["s"]', "3", '{"w": 1}', "[[]]", "[", "[" * 100_000, '["t"]']
)
def test_names_of_what_is_no_pair(path: Path, names: str) -> None:
    arrays = {"w": np.ones((3, 2)), "i": np.ones((3, 2), int), "s": np.array(1.0), "t": np.ones((2, 3))}
    outline = json.dumps({"version": 1, "tree": {"dict": [[name, "array"] for name in arrays]}})
    safetensors.numpy.save_file(arrays, path, metadata={"tapem": outline, "tapem.complex": names})
    for like in (None, arrays):
        with pytest.raises(tm.FileFormatError, match="names arrays as complex that are no pairs of floats"):
            tm.load(path, like=like)


@pytest.mark.parametrize(("kind", "names"), [("array", '["w"]'), ("complex array", "[]"), ("complex", '["w"]')])
def test_an_outline_and_the_names_of_pairs_agree(path: Path, kind: str, names: str) -> None:
    outline = json.dumps({"version": 1, "tree": {"dict": [["w", kind]]}})
    safetensors.numpy.save_file({"w": np.ones((3, 2))}, path, metadata={"tapem": outline, "tapem.complex": names})
    with pytest.raises(tm.FileFormatError, match="describes a tree that does not fit its arrays"):
        tm.load(path)


def test_a_training_of_complex_parameters_goes_on(path: Path) -> None:
    """Stopped, saved, loaded and continued, a training gives the bits of one that was never stopped."""
    x = np.linspace(-1, 1, 12)
    target = (x * np.exp(2j) + 0.5).view(np.float64).reshape(-1, 2)

    def model(params: Any, x: Any) -> Any:
        turned = x * params["turn"] + params["shift"]
        return np.stack([turned.real, turned.imag], axis=-1)

    def loss(prediction: Any, target: Any) -> Any:
        return np.mean((prediction - target) ** 2)

    optimizer, start = tm.optim.adam(0.05), {"turn": np.array([1j]), "shift": np.array([0.1], np.float32)}
    options: dict[str, Any] = {"params": start, "batch": 4, "key": tm.random.key(3), "progress": False}
    options["validation"] = (x, target)
    whole = tm.fit(model, loss, optimizer, (x, target), epochs=40, **options)
    first = tm.fit(model, loss, optimizer, (x, target), epochs=2, **options)
    tm.save(path, first.state)
    state = tm.load(path, like=tm.fit(model, loss, optimizer, (x, target), epochs=0, **options).state)
    assert_same(tm.tree_leaves(state), tm.tree_leaves(first.state))
    continued = tm.fit(model, loss, optimizer, (x, target), epochs=40, resume=state, **options)
    assert_same(tm.tree_leaves(continued.state), tm.tree_leaves(whole.state))
    assert whole.params["turn"].dtype == complex
    np.testing.assert_allclose(whole.params["turn"], [np.exp(2j)], atol=0.05)
