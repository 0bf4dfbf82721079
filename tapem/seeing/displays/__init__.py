"""The displays of a notebook: what the sheets of tapes, gradients, trees, trainings and errors say."""

# Each enters its types in the table of displays.
from tapem.seeing.displays import errors, gradients, tapes, training
from tapem.seeing.displays.trees import ShownTree, tree_fold
from tapem.seeing.displays.values import value_cell

__all__ = ["ShownTree", "errors", "gradients", "tapes", "training", "tree_fold", "value_cell"]
