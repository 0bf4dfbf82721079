"""A program as data: nodes, what an op is, and the table of NumPy's names. It knows no op and no door."""
