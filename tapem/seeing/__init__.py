"""Show what a program and its sweeps do."""

from tapem.seeing.debugging import debug, debug_mode, explain
from tapem.seeing.rule_table import OpRules, RuleTable, rule_table
from tapem.seeing.without_rule import without_a_rule

__all__ = ["OpRules", "RuleTable", "debug", "debug_mode", "explain", "rule_table", "without_a_rule"]
