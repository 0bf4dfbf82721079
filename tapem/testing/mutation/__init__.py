"""Mutation scores: an op's rules are made wrong one by one, and a test is asked which of them it notices.

- `edits.py`: the wrong versions of one function, as changes of its source.
- `detached.py`: which arguments of a rule a wrong version may detach, so that only higher orders are wrong.
- `faults.py`: what the wrong versions call that the right ones do not.
- `rebuilding.py`: a rule with one function of it replaced, while the op's value keeps the right one.
- `mutants.py`: all wrong versions of an op; `scores.py`: what a test says of them.
"""

from tapem.testing.mutation.mutants import Mutant, mutants
from tapem.testing.mutation.scores import MutationScore, mutation_score

__all__ = ["Mutant", "MutationScore", "mutants", "mutation_score"]
