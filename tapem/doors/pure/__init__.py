"""The pure door: an immutable tape, the handles to its nodes, and the gradients of a sweep."""

from tapem.doors.pure.gradients import Gradients
from tapem.doors.pure.ref import Ref
from tapem.doors.pure.tape import Tape

__all__ = ["Gradients", "Ref", "Tape"]
