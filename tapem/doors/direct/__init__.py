"""The direct door: tracers in the place of arrays, and the recorder that they write to."""

from tapem.doors.direct.recorder import Recorder, current_recorder, new_recorder, opened, prepared_for
from tapem.doors.direct.tracer import Tracer, home, results_of

__all__ = [
    "Recorder", "Tracer", "current_recorder", "home", "new_recorder", "opened", "prepared_for", "results_of",
]  # fmt: skip
