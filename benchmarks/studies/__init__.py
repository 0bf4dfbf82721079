"""Measurements of tapem alone, one file each.

To add one: write a file with a ``measure(quick)`` that returns a ``Table`` and a ``STUDY`` at its end, and append it
here. Those not in ``BY_DEFAULT`` run only when they are named.
"""

from ..study import Study
from . import checkpoint_memory, doors, import_time, per_example_gradients, scan_steps, tape_length

STUDIES: tuple[Study, ...] = (
    tape_length.STUDY,
    doors.STUDY,
    per_example_gradients.STUDY,
    checkpoint_memory.STUDY,
    scan_steps.STUDY,
    import_time.STUDY,
)

BY_DEFAULT: tuple[Study, ...] = (tape_length.STUDY, import_time.STUDY)
