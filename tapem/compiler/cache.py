"""The cache on disk: native functions as modules, beside which numba keeps what it compiled.

A file is named by what is in it and by the versions, so it never changes, and processes may share it. It lies in
`TAPEM_CACHE_DIR`, or else in `tapem` under the user's directory of caches. Where nothing can be written, functions are
compiled anew in each process.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import sys
import tempfile
from pathlib import Path
from types import ModuleType


def directory() -> Path:
    """The directory of the cache."""
    given = os.environ.get("TAPEM_CACHE_DIR")
    if given:
        return Path(given)
    base = os.environ.get("XDG_CACHE_HOME") or (os.environ.get("LOCALAPPDATA") if sys.platform == "win32" else None)
    return Path(base or Path.home() / ".cache") / "tapem"


def module_of(text: str, versions: tuple[str, ...]) -> tuple[ModuleType, bool]:
    """A module with this text, and whether it lies in the cache.

    `versions` are those of everything that the compiled code depends on.
    """
    name = "tapem_native_" + hashlib.sha256("\n".join([*versions, text]).encode()).hexdigest()[:32]
    if name in sys.modules:
        return sys.modules[name], True
    path = written(directory() / f"{name}.py", text)
    if path is None:
        module = ModuleType(name)
        exec(compile(text, f"<{name}>", "exec"), vars(module))
        return module, False
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # in another process numba finds by this name what it compiled
    spec.loader.exec_module(module)
    return module, True


def written(path: Path, text: str) -> Path | None:
    """The path of a file with this text; None if it cannot be written."""
    try:
        if path.read_text(encoding="utf-8") == text:
            return path
    except (OSError, UnicodeDecodeError):
        pass
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, suffix=".py")
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        os.replace(temporary, path)  # another process sees all of the file, or none of it
    except OSError:
        return None
    return path


__all__ = ["directory", "module_of"]
