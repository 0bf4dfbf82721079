"""Traced values answer `__array_namespace__`: code written for the array API standard runs on them."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import tapem as tm


def answered(question):
    """What a traced vector of three elements answers."""
    answers = []
    tm.grad(lambda x: (answers.append(question(x)), tm.sum(x))[1])(np.ones(3))
    return answers[0]


@pytest.mark.parametrize("version", [None, "2022.12", "2023.12", "2024.12"])
def test_traced_values_name_their_namespace(version: str | None):
    assert answered(lambda x: x.__array_namespace__(api_version=version)) is tm.xp


def test_other_versions_are_refused():
    with pytest.raises(tm.ArgumentError, match=r"version '2099.12' of the array API standard, but to '2022.12', '2023"):
        answered(lambda x: x.__array_namespace__(api_version="2099.12"))


def test_traced_values_lie_on_the_cpu():
    assert answered(lambda x: x.device) == "cpu" == answered(lambda x: np.asarray(1.0).device)
    assert answered(lambda x: x.to_device("cpu") is x)
    with pytest.raises(tm.ArgumentError, match=r"x.to_device\('cuda:0'\): tapem computes on the \"cpu\" only"):
        answered(lambda x: x.to_device("cuda:0"))


def test_asarray_stacks_what_is_traced():
    def f(x):
        xp = x.__array_namespace__()
        return xp.sum(xp.asarray([[x[0], 1.0], (x[1] * x[0], x[2])]) ** 2 * xp.asarray([[1.0, 2.0], [3.0, 4.0]]))

    x = np.array([2.0, 3.0, 5.0])
    np.testing.assert_allclose(tm.grad(f)(x), [2 * 2 + 3 * 2 * 6 * 3, 3 * 2 * 6 * 2, 4 * 2 * 5])
    np.testing.assert_allclose(tm.vmap(f)(np.stack([x, x])), [4 + 2 + 108 + 100] * 2)


def test_asarray_gives_back_what_needs_no_change():
    assert answered(lambda x: tm.xp.asarray(x) is x)
    assert answered(lambda x: tm.xp.asarray(x, copy=False, dtype=tm.xp.float64) is x)
    with pytest.raises(tm.ArgumentError, match=r"copy=False\): x is float64, so it is copied"):
        answered(lambda x: tm.xp.asarray(x, copy=False, dtype=tm.xp.float32))
    with pytest.raises(tm.ShapeError):
        answered(lambda x: tm.xp.asarray([x, x[:2]]))
    with pytest.raises(ValueError, match="cpu"):
        answered(lambda x: tm.xp.asarray(x, device="cuda:0"))


def test_nested_derivatives_pass_through():
    def f(x):
        xp = x.__array_namespace__()
        return xp.sum(xp.asarray([x[0] ** 3, x[0] * x[1] ** 2]))

    np.testing.assert_allclose(tm.hessian(f)(np.array([2.0, 3.0])), [[12.0, 6.0], [6.0, 4.0]])


SCIPY = """
import os
os.environ["SCIPY_ARRAY_API"] = "1"
import numpy as np, scipy.integrate, scipy.special, scipy.stats
import tapem as tm
from scipy.spatial.transform import Rotation

x = np.array([0.3, 1.2, 2.0, 0.5, 0.7])
functions = {
    "softmax": lambda v: scipy.special.softmax(v) ** 2,
    "gmean": scipy.stats.gmean,
    "hmean": scipy.stats.hmean,
    "pmean": lambda v: scipy.stats.pmean(v, 3),
    "moment": lambda v: scipy.stats.moment(v, 3),
    "skew": scipy.stats.skew,
    "kurtosis": scipy.stats.kurtosis,
    "tvar": scipy.stats.tvar,
    "kstat": lambda v: scipy.stats.kstat(v, 2),
    "circmean": scipy.stats.circmean,
    "differential_entropy": scipy.stats.differential_entropy,
    "cumulative_trapezoid": scipy.integrate.cumulative_trapezoid,
    "Rotation": lambda v: Rotation.from_rotvec(v[:3]).as_matrix(),
}
for name, f in functions.items():
    weights = np.cos(np.arange(np.size(f(x)))).reshape(np.shape(f(x)))
    gradient = tm.grad(lambda v: tm.sum(f(v) * weights))(x)
    differences = [np.sum((f(x + h) - f(x - h)) * weights) / 2e-6 for h in 1e-6 * np.eye(5)]
    np.testing.assert_allclose(gradient, differences, rtol=1e-5, atol=1e-8, err_msg=name)
    print(name)
try:
    tm.grad(lambda v: scipy.special.logsumexp(v))(x)
except tm.MutationError as error:
    assert "scipy.special.logsumexp(x) changes its array in place, which a tracer cannot be" in str(error), error
    assert str(error).endswith("Write tm.logsumexp(x)."), error
    print("refused")
"""


def test_scipys_functions_for_the_standard_run_on_traced_values(tmp_path: Path):
    """SciPy reads the variable when it is imported, so this is a process of its own."""
    program = tmp_path / "program.py"
    program.write_text(SCIPY)
    ran = subprocess.run([sys.executable, "-W", "ignore", program], capture_output=True, text=True, cwd=Path.cwd())
    assert ran.returncode == 0, ran.stderr
    assert len(ran.stdout.split()) == 14


def test_helpers_of_array_api_compat_know_traced_values():
    """Those of scikit-learn's copy: array_api_compat is what libraries find namespaces with."""
    from sklearn.externals import array_api_compat as compat

    assert answered(compat.is_array_api_obj)
    assert answered(compat.array_namespace) is tm.xp
    assert answered(lambda x: compat.array_namespace(x, x * 2, 1.0)) is tm.xp
    assert answered(compat.device) == "cpu"
    assert answered(compat.size) == 3
    assert answered(lambda x: compat.to_device(x, "cpu") is x)
    assert not answered(compat.is_lazy_array)
