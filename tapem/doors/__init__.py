"""The three doors, by which an op is reached: what becomes of it depends on what it is given."""
