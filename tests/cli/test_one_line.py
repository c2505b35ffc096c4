"""What is wrong with a command line is said in one line, with where to read on, and exit code 2."""

from __future__ import annotations

import pytest

from commands import told
from convscope.cli.main import main


@pytest.mark.parametrize(
    ("typed", "line"),
    [
        ("trian", "convscope: No such command 'trian'. Did you mean train? For all that it takes: convscope --help"),
        (
            "train --epcohs 3",
            "convscope train: No such option '--epcohs'. (Did you mean one of: '--ema-epochs', '--epochs'?) "
            "For all that it takes: convscope train --help",
        ),
        ("size", "convscope size: Missing argument 'INPUT'. For all that it takes: convscope size --help"),
        ("size 224 --kernel", "convscope: Option '--kernel' requires an argument."),
        (
            "train digits --optimizer adma",
            "convscope train: Invalid value for '--optimizer': 'adma' is not one of 'auto', 'sgd', 'adamw', 'muon'. "
            "For all that it takes: convscope train --help",
        ),
    ],
)
def test_a_mistyped_command_is_told_in_one_line(typed: str, line: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert told(capsys, *typed.split()) == (2, "", line + "\n")


def test_convscope_alone_shows_its_help(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main([])
    assert "Understand:" in capsys.readouterr().err
