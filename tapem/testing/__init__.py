"""Gradient checks, and property tests made from jaxtyping annotations.

- `finite_diff` and `finite_diff_jacobian` compute derivatives from values alone.
- `check_gradient` and `check_gradients` compare a gradient with them and return the result; `check_grads` raises if a
  derivative is wrong, in both modes and at any order.
- `check_rule` runs every check of one op on given operands; `check_op` on examples drawn from the op's signature;
  `shaped` is the Hypothesis strategy behind it.

>>> import tapem as tm
>>> tm.testing.check_op(tm.sin, max_examples=3)
"""

from tapem.testing.checks import GradientCheck as GradientCheck
from tapem.testing.checks import check_gradient as check_gradient
from tapem.testing.checks import check_gradients as check_gradients
from tapem.testing.checks import check_grads as check_grads
from tapem.testing.findings import Finding as Finding
from tapem.testing.findings import GradientMismatch as GradientMismatch
from tapem.testing.finite_differences import finite_diff as finite_diff
from tapem.testing.finite_differences import finite_diff_jacobian as finite_diff_jacobian
from tapem.testing.properties import check_op as check_op
from tapem.testing.rule_checks import RuleReport as RuleReport
from tapem.testing.rule_checks import check_rule as check_rule
from tapem.testing.rule_checks import rule_report as rule_report
from tapem.testing.strategies import MissingExtraError as MissingExtraError
from tapem.testing.strategies import shaped as shaped

__all__ = [
    "Finding",
    "GradientCheck",
    "GradientMismatch",
    "MissingExtraError",
    "RuleReport",
    "check_gradient",
    "check_gradients",
    "check_grads",
    "check_op",
    "check_rule",
    "finite_diff",
    "finite_diff_jacobian",
    "rule_report",
    "shaped",
]
