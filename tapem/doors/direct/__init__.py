"""The direct door: tracers in the place of arrays, and the recorder that they write to."""
