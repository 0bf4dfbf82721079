"""Files as Unix has them: pipes, links and modes. tests/conftest.py leaves this out elsewhere."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

import tapem as tm


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "tree.safetensors"


def test_what_is_no_file_is_neither_replaced_nor_called_missing(path: Path) -> None:
    os.mkfifo(path)
    for other in (path, Path("/dev/zero"), Path("/dev/null")):
        with pytest.raises(tm.FileFormatError, match=f"load: {other} is a pipe or a device"):
            tm.load(other)
    with pytest.raises(FileExistsError, match="exists and is not a file, so it is not replaced"):
        tm.save(path, 1.0)
    assert stat.S_ISFIFO(path.stat().st_mode) and os.listdir(path.parent) == [path.name]
    circle = path.with_name("circle")
    circle.symlink_to(circle)
    with pytest.raises(OSError, match="Too many levels of symbolic links"):
        tm.load(circle)


def test_modes_and_links(path: Path) -> None:
    real = path.with_name("real.safetensors")
    path.symlink_to(real)
    old = os.umask(0o027)
    try:
        tm.save(path, 3.0)
    finally:
        os.umask(old)
    assert path.is_symlink() and stat.S_IMODE(real.stat().st_mode) == 0o640
    assert tm.load(path) == tm.load(real) == 3.0


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o444, 0o666, 0o755])
@pytest.mark.parametrize("mask", [0o022, 0o077, 0o000])
def test_a_file_that_is_replaced_keeps_its_mode(
    path: Path, mode: int, mask: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    tm.save(path, 1.0)
    path.chmod(mode)
    written: list[int] = []
    sync = os.fsync

    def watched(file: int) -> None:
        written.append(stat.S_IMODE(os.fstat(file).st_mode))
        sync(file)

    monkeypatch.setattr(os, "fsync", watched)
    old = os.umask(mask)
    try:
        tm.save(path, 2.0)
    finally:
        os.umask(old)
    assert stat.S_IMODE(path.stat().st_mode) == mode and tm.load(path) == 2.0
    assert written and not written[0] & ~mode  # nor was it open to more while it was written
