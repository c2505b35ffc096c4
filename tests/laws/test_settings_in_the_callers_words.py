"""A message names a setting as its reader gives it: as an argument in Python, as an option on the command line."""

import ast
import inspect
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

import convscope
from commands import run_command
from convscope.cli.main import COMMANDS, cli
from convscope.recipe.recipe import settings
from convscope.report import usage
from source_trees import source_trees

OPTION = re.compile(r"(?<![\w-])--[a-z]")
# Of programs that are only commands: torchrun, pip; and the custom properties of a stylesheet.
OTHERS = re.compile(r"torchrun |pip install |--cs-")
# The figures of the lecture notes are shown by commands to type, whole ones; the studio writes some, and starts some.
COMMANDS_TO_TYPE = ("claims/sets", "exercises/worksheet.py", "studio/exporting/copy_as.py", "studio/trainings/")


def modules() -> Iterator[tuple[str, ast.Module]]:
    yield from ((name, tree) for name, tree in source_trees().items() if not name.startswith("cli/"))


def docstrings(tree: ast.Module) -> set[ast.AST]:
    """The first strings of modules, classes and functions."""
    owners = (ast.Module, ast.ClassDef, ast.FunctionDef)
    first = (node.body[0] for node in ast.walk(tree) if isinstance(node, owners) and node.body)
    return {statement.value for statement in first if isinstance(statement, ast.Expr)}


def test_no_string_of_the_library_has_an_option_of_the_command_line() -> None:
    found = []
    for name, tree in modules():
        if name == "report/usage.py" or name.startswith(COMMANDS_TO_TYPE):
            continue
        documented = docstrings(tree)
        found += [
            f"{name}:{node.lineno}: {node.value!r}"
            for node in ast.walk(tree)
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and node not in documented
            if OPTION.search(node.value) and not OTHERS.search(node.value)
        ]
    assert found == []


def named_in_messages() -> Iterator[tuple[str, str]]:
    """Every setting that a message names, with the module that does."""
    for name, tree in modules():
        for node in ast.walk(tree):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
                continue
            if node.func.id == "setting_name" and isinstance(node.args[0], ast.Constant):
                yield name, str(node.args[0].value)
            if node.func.id in ("settings_text", "call_text"):
                yield from ((name, keyword.arg) for keyword in node.keywords if keyword.arg)


def test_every_setting_in_a_message_is_an_argument_and_an_option() -> None:
    # The studio is a server of its own process.
    named = [command.replace("-", "_") for command in COMMANDS if command != "studio"]
    functions = [getattr(convscope, name) for name in named] + [convscope.train_ensemble]
    arguments = {name for function in functions for name in inspect.signature(function).parameters}
    arguments |= {item.name for item in settings()}
    options = set()
    for command in COMMANDS:
        found = cli.get_command(None, command)
        options |= {option for parameter in found.params for option in (*parameter.opts, *parameter.secondary_opts)}
    for module, name in set(named_in_messages()):
        assert name in arguments, f"{module}: no public function takes {name}"
        assert usage.option_name(name) in options, f"{module}: no command takes {usage.option_name(name)}"


def test_switches_are_the_settings_that_are_on_or_off() -> None:
    assert {item.name for item in settings() if isinstance(item.default, bool)} == usage.SWITCHES


def test_the_same_error_in_both_words(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    runs = {"name": "../x", "runs_directory": tmp_path}
    with pytest.raises(convscope.ConvscopeError, match="one folder; runs_directory says where it goes"):
        convscope.train("digits", convscope.Recipe(model="lenet5"), **runs)
    _, _, line = run_command(capsys, "train", "digits", "--model", "lenet5", "--name", "../x", "--runs", tmp_path)
    assert "one folder; --runs says where it goes" in line
    assert not usage.are_options()


def test_what_is_printed_in_python_can_be_called(tmp_path: Path) -> None:
    """A document's calls are code: each is parsed, and its function and arguments exist."""
    text = f"{convscope.models('lenet5')}\n{usage.call_text('train', resume=tmp_path / 'a run')}"
    calls = re.findall(r"convscope\.\w+\(.*\)", text)
    assert len(calls) == 3
    for call in calls:
        found = ast.parse(call, mode="eval").body
        assert isinstance(found, ast.Call) and isinstance(found.func, ast.Attribute)
        taken = inspect.signature(getattr(convscope, found.func.attr)).parameters
        assert {keyword.arg for keyword in found.keywords} <= set(taken)
    assert "convscope train DATA --model lenet5" in CliRunner().invoke(cli, ["models", "lenet5"]).output
