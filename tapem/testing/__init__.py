"""Gradient checks, and property tests made from jaxtyping annotations.

- `finite_diff` and `finite_diff_jacobian` compute derivatives from values alone.
- `check_gradient` and `check_gradients` compare a gradient with them and return the result; `check_grads` raises if a
  derivative is wrong, in both modes and at any order. They, `taylor_test` and `check_op` take the derivatives of other
  libraries as well, as `gradient=`, `jvp=` or `vjp=`.
- `taylor_test` measures the rates at which the remainders of Taylor polynomials vanish; `float_error` finds the nodes
  of a program that lose digits.
- `check_rule` runs every check of one op on given operands; `check_op` on examples drawn from the op's signature;
  `shaped` is the Hypothesis strategy behind it. `trees`, `arrays_like` and `models` draw trees and small networks.
- `check_invariant` checks what is said of a whole class of functions: symmetric, linear, bounded and so on.
- `mutants` makes wrong versions of an op's rules, and `mutation_score` says which of them a test notices.
- `run_check` is `check_op` with its figures, for the pytest plugin (tapem_pytest.py) and `python -m tapem check`;
  `check_signatures` holds a module's functions against each other by shapes alone.

>>> import tapem as tm
>>> tm.testing.check_op(tm.sin, max_examples=3)
"""

from tapem.errors import MissingExtraError
from tapem.testing.checks import GradientCheck, check_gradient, check_gradients, check_grads
from tapem.testing.command import add_check_options, check_command
from tapem.testing.findings import Finding, GradientMismatch
from tapem.testing.finite_differences import finite_diff, finite_diff_jacobian
from tapem.testing.invariants import check_invariant
from tapem.testing.lost_digits import FloatError, float_error
from tapem.testing.mutation import Mutant, MutationScore, mutants, mutation_score
from tapem.testing.networks import DrawnModel, Network, arrays_like, models, trees
from tapem.testing.properties import check_op
from tapem.testing.rule_checks import RuleReport, check_rule, rule_report
from tapem.testing.runs import (
    PROFILES,
    CheckRun,
    Profile,
    run_check,
    tensor_operands,
)
from tapem.testing.signatures import SignatureCheck, check_signatures
from tapem.testing.strategies import shaped
from tapem.testing.taylor import TaylorTest, taylor_test

__all__ = [
    "PROFILES", "CheckRun", "DrawnModel", "Finding", "FloatError", "GradientCheck", "GradientMismatch",
    "MissingExtraError", "Mutant", "MutationScore", "Network", "Profile", "RuleReport", "SignatureCheck", "TaylorTest",
    "add_check_options", "arrays_like", "check_command", "check_gradient", "check_gradients", "check_grads",
    "check_invariant", "check_op", "check_rule", "check_signatures", "finite_diff", "finite_diff_jacobian",
    "float_error", "models", "mutants", "mutation_score", "rule_report", "run_check", "shaped", "taylor_test",
    "tensor_operands", "trees",
]  # fmt: skip
