"""Show what a program and its sweeps do."""

from tapem.seeing.debugging import debug, debug_mode
from tapem.seeing.displays import ShownTree
from tapem.seeing.explanation import explain
from tapem.seeing.explorer import Explorer, Picture, draw, show, to_dot
from tapem.seeing.origins import Block, Origin
from tapem.seeing.rule_table import BATCHED, OpRules, RuleTable, rule_table
from tapem.seeing.steps import Sweep, forward_steps, reverse_steps
from tapem.seeing.subjects import Subject, subject_of
from tapem.seeing.taping import Taped, tape_of
from tapem.seeing.without_rule import without_a_rule

__all__ = [
    "BATCHED", "Block", "Explorer", "OpRules", "Origin", "Picture", "RuleTable", "ShownTree", "Subject", "Sweep",
    "Taped", "debug", "debug_mode", "draw", "explain", "forward_steps", "reverse_steps", "rule_table", "show",
    "subject_of", "tape_of", "to_dot", "without_a_rule",
]  # fmt: skip
