"""What is wrong with a command line is said in one line, with where to read on, and exit code 2."""

from __future__ import annotations

import errno
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from commands import run_command
from convscope.cli.main import cli, main
from convscope.cli.settings import SettingOption


@pytest.mark.parametrize(
    ("typed", "line"),
    [
        ("trian", "convscope: No such command 'trian'. Did you mean train? For all that it takes: convscope --help"),
        (
            "train --epcohs 3",
            "convscope train: No such option '--epcohs'. (Did you mean one of: '--ema-epochs', '--epochs', '--steps'?) "
            "For all that it takes: convscope train --help",
        ),
        *(
            (
                f"{command} digits --{other} 3",
                f"convscope {command}: No such option '--{other}'. Did you mean '--{ours}'? "
                f"For all that it takes: convscope {command} --help",
            )
            for command, other, ours in (
                ("train", "lr", "learning-rate"),
                ("train", "test-views", "tta"),
                ("train", "plan", "autotune"),
                ("train", "num-workers", "threads"),
                ("ablate", "workers", "jobs"),
            )
        ),
        *(
            (
                f"{command} --deadline nan",
                f"convscope {command.split()[0]}: Invalid value for '--deadline': nan is not a number of seconds. "
                f"For all that it takes: convscope {command.split()[0]} --help",
            )
            for command in ("inspect lenet5", "studio lenet5")
        ),
        (
            "explain lenet5 --demo edges",
            "convscope explain: --demo shows a lesson: leave MODEL out. "
            "For all that it takes: convscope explain --help",
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
    assert run_command(capsys, *typed.split()) == (2, "", line + "\n")


def test_convscope_alone_shows_its_help(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main([])
    assert "Understand:" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["train", "ablate", "lr-find"])
def test_help_leaves_the_advanced_settings_to_help_all(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    shown = {}
    for flag in ("--help", "--help-all"):
        with pytest.raises(SystemExit) as stopped:
            main([name, flag])
        assert stopped.value.code == 0
        shown[flag] = capsys.readouterr().out
    command = cli.get_command(click.Context(cli), name)
    assert command is not None
    settings = {option.opts[0]: option.advanced for option in command.params if isinstance(option, SettingOption)}
    assert any(settings.values()) and not all(settings.values()) and "--help-all" in shown["--help"]
    for option, advanced in settings.items():
        assert f"{option} " in shown["--help-all"] and (f"{option} " in shown["--help"]) != advanced


def test_an_advanced_setting_works_as_any_other(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, error = run_command(capsys, "train", "digits", "--flip-mode", "alternate")
    assert (code, out) == (2, "") and "'alternate' is not one of 'auto', 'random', 'alternating'" in error


def test_a_current_folder_that_is_gone_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def gone() -> Path:
        raise FileNotFoundError(2, "No such file or directory")

    monkeypatch.setattr(Path, "cwd", gone)
    done = CliRunner().invoke(cli, ["models"], standalone_mode=False)
    assert str(done.exception).startswith("the current folder can't be used (No such file or directory): change to one")


NAMED = "check {}; train {}; train {}.csv; train digits --recipe {}; train --resume {}; evaluate {}; predict {} 1.png"


@pytest.mark.parametrize("typed", f"{NAMED}; inspect {{}}; ablate --resume {{}}; shard digits {{}}".split("; "))
def test_a_name_that_no_file_can_have_is_one_line(typed: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run_command(capsys, *typed.format("n" * 300).split())
    assert code == 2 and not out and err.count("\n") == 1 and err.startswith("convscope"), err


def test_a_folder_that_may_not_be_entered_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refused(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", "closed/photos")

    monkeypatch.setattr("convscope.experiments.check.check.survey", refused)
    assert run_command(capsys, "check", "closed/photos") == (2, "", "convscope: closed/photos: permission denied\n")
