"""How Sphinx makes the documentation: `sphinx-build -W docs site`."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "_extensions"))

import tapem

project = "tapem"
author = "The tapem authors"
copyright = "2026, the tapem authors"
version = release = tapem.__version__

extensions = ["myst_nb", "rooms"]
exclude_patterns = ["_build", "_extensions", "outputs"]
html_theme = "furo"
html_title = "tapem"
html_static_path = ["_static"]
html_show_sourcelink = True

myst_enable_extensions = ["deflist", "dollarmath", "colon_fence", "attrs_inline"]
myst_heading_anchors = 4

# A notebook that fails, or that is slower than a reader's patience, fails the build.
nb_execution_mode = "force"
nb_execution_raise_on_error = True
nb_execution_timeout = 120
nb_merge_streams = True
# What a cell writes to stderr, such as a warning, is a warning of the build.
nb_output_stderr = "warn"

# Quotation marks stay as they are written: in a signature they are code.
smartquotes = False
