"""NumPy's names, made of the ops."""
