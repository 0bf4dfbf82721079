"""The examples, run as their readers run them, and looked into."""

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType


def loaded(script: Path) -> Iterator[ModuleType]:
    """An example as a module, for as long as a fixture lasts: its dataclasses ask for their module by its name."""
    spec = importlib.util.spec_from_file_location(f"{script.stem}_example", script)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]
