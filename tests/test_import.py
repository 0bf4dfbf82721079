"""What `import tapem` brings along: nothing that few programs need, and no name that a user would miss."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

# What each is imported for: when a signature is first checked, to test gradients, to show progress, to save.
LATER = ["beartype", "hypothesis", "tapem.testing", "tqdm", "safetensors"]
# Never needed: tapem speaks to them when a program has imported them itself.
NEVER = ["scipy", "matplotlib", "pandas", "torch", "jax"]


def imported_by(program: str) -> set[str]:
    """The modules that a fresh interpreter holds after a program."""
    command = [sys.executable, "-c", f"{program}\nimport sys\nprint(*sys.modules)"]
    ran = subprocess.run(command, capture_output=True, text=True, check=True)
    return set(ran.stdout.split())


@pytest.fixture(scope="module")
def imported() -> set[str]:
    return imported_by("import tapem, layers, losses")


@pytest.mark.parametrize("name", [*LATER, *NEVER])
def test_nothing_is_imported_that_few_need(imported: set[str], name: str):
    assert name not in imported


def test_arrays_need_no_checker():
    """The verdicts of elementwise ops are NumPy's: beartype is for shapes with names."""
    program = "import sys, numpy as np, tapem as tm; tm.sin(0.5); assert 'beartype' not in sys.modules"
    assert "beartype" in imported_by(f"{program}; tm.matmul(np.ones((2, 2)), np.ones((2, 2)))")


def test_checks_import_no_jax_that_is_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """jaxtyping would, at its first check: a second of the user's time, and other random numbers in NumPy."""
    package = tmp_path / "jax" / "_src"
    package.mkdir(parents=True)
    for name in ("../__init__.py", "__init__.py", "traceback_util.py"):
        (package / name).write_text("def register_exclusion(path): ...\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), *sys.path]))
    program = "import jax, sys; assert jax.__file__.startswith(sys.argv[1]); del sys.modules['jax']"
    subprocess.run([sys.executable, "-c", program, str(tmp_path)], check=True)
    modules = imported_by("import numpy as np, tapem as tm; tm.grad(lambda x: np.sum(x @ x))(np.ones((2, 2)))")
    assert "beartype" in modules and "jax" not in modules


@pytest.mark.parametrize(
    "program",
    [
        "import tapem as tm; tm.testing.check_grads",
        "from tapem import testing; testing.check_grads",
        "import tapem.testing; tapem.testing.check_grads",
        "from tapem import *; testing.check_grads",
    ],
)
def test_what_checks_gradients_is_there_when_it_is_asked_for(program: str):
    modules = imported_by(program)
    assert "tapem.testing" in modules
    assert {"hypothesis", "scipy"}.isdisjoint(modules)
