"""The model level, judged by finite differences, through every door."""
