"""The transforms, judged by finite differences, complex steps, loops and closed forms."""
