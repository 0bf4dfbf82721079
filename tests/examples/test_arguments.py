"""What the examples have in common: a picture that could not be written is refused before the work, not after it."""

import runpy
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.mark.parametrize("name", ["char_transformer", "digits", "digits_cnn", "newton", "teach_autodiff"])
def test_a_picture_in_no_directory(name, tmp_path, capsys):
    main = runpy.run_path(str(EXAMPLES / f"{name}.py"))["main"]
    with pytest.raises(SystemExit):
        main(["--out", str(tmp_path / "none" / "picture.png")])
    assert f"error: --out: there is no directory {tmp_path / 'none'}" in capsys.readouterr().err
