"""Seeing what a program and its sweeps do."""
