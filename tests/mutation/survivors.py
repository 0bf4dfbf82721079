"""The mistakes in rules that the table of ops does not notice, each with its reason.

Most are equivalent: what is computed is the same. Whoever changes a rule may have to change its reasons; the slow test
compares this table with what survives.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from tapem.testing import Mutant


class Key(NamedTuple):
    """What a mistake is known by: the first op that has it, its kind, and the source before."""

    op: str
    kind: str
    before: str


def key_of(mutant: Mutant) -> Key:
    """The key of a mutant."""
    return Key(mutant.op.name, mutant.kind, mutant.before)


REASONS: Mapping[str, tuple[Key, ...]] = {}


def reason_of(mutant: Mutant) -> str | None:
    """Why a mistake is not noticed; None if it must be."""
    return NAMED.get(key_of(mutant))


NAMED: Mapping[Key, str] = {key: reason for reason, keys in REASONS.items() for key in keys}
