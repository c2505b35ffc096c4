"""The README and every page name commands and options that exist, and show what they print."""

import re
import shlex
from pathlib import Path

import click
import pytest

import convscope
from convscope.cli.main import COMMANDS, LazyGroup, cli, main
from convscope.nets.build import build

ROOT = Path(__file__).parents[2]
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").glob("*.md")])


def commands(page: Path) -> list[list[str]]:
    """The words of every `$ convscope ...` line of a page."""
    lines = re.findall(r"^\$ convscope (.+)$", page.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return [shlex.split(re.split(r"\s#|\||>", line)[0]) for line in lines]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_and_options_exist(page: Path) -> None:
    assert isinstance(cli, LazyGroup)
    for name, *words in commands(page):
        command = cli.get_command(click.Context(cli), name)
        assert command is not None, f"{page.name} names {name!r}, which is no command"
        known = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
        used = {word.split("=")[0] for word in words if re.fullmatch(r"--?[a-z][\w-]*(=.*)?", word)}
        assert used <= known | {"--help"}, f"{page.name}: {name} has no {used - known}"


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_of_the_table_loads_and_helps(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main([name, "--help"])
    assert stopped.value.code == 0 and "Usage: convscope" in capsys.readouterr().out


def test_a_wrong_command_is_told_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["trian", "digits"])
    assert stopped.value.code == 2 and "No such command 'trian'. Did you mean train?" in capsys.readouterr().err


@pytest.mark.parametrize("verb", sorted(set(convscope.__all__) - {"__version__"}))
def test_every_verb_loads(verb: str) -> None:
    assert callable(getattr(convscope, verb))


def test_the_readme_shows_what_size_prints(capsys: pytest.CaptureFixture[str]) -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    shown = re.search(r"\$ convscope (size .+)\n([\s\S]+?)```", readme)
    assert shown is not None
    with pytest.raises(SystemExit):
        main(shlex.split(shown[1]))
    assert shown[2].strip() in capsys.readouterr().out


def test_the_readme_knows_the_macs_of_resnet18() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    said = re.search(r'\["totals"\]\["macs"\]\s+# (\d+)', readme)
    assert said is not None
    assert convscope.inspect(lambda: build("resnet18"), (3, 224, 224)).to_dict()["totals"]["macs"] == int(said[1])
