"""Native: groups of ops as loops that numba compiles."""

from tapem.compiler.native.access import Access, accesses
from tapem.compiler.native.codegen import Segment
from tapem.compiler.native.groups import Group, grouped

__all__ = ["Access", "Group", "Segment", "accesses", "grouped"]
