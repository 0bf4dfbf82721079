"""The direct door: tracers in the place of arrays, and the recorder that they write to."""

from tapem.doors.direct.recorder import Recorder, at_work, new_recorder, opened, put_to_work
from tapem.doors.direct.tracer import Tracer, home, resolved, results_of

__all__ = [
    "Recorder", "Tracer", "at_work", "home", "new_recorder", "opened", "put_to_work", "resolved", "results_of",
]  # fmt: skip
