"""The public names: the same for the interpreter and for type checkers, all of them typed, and free of torch."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import convscope
from convscope.cli.main import COMMANDS
from convscope.training.loop.state import Best

USER = Path(__file__).parents[1] / "typed" / "user.py"


def test_type_checkers_import_the_names_that_the_interpreter_does() -> None:
    tree = ast.parse(Path(convscope.__file__).read_text(encoding="utf-8"))
    typed = {
        alias.name: statement.module
        for block in tree.body
        if isinstance(block, ast.If)
        for statement in block.body
        if isinstance(statement, ast.ImportFrom) and statement.module != "convscope"  # packages
        for alias in statement.names
        if alias.asname == alias.name  # only these are exported under mypy --strict
    }
    assert typed == convscope._MODULES


def test_the_program_that_mypy_checks_uses_every_public_name() -> None:
    used = {
        node.attr
        for node in ast.walk(ast.parse(USER.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "convscope"
    }
    assert used - set(convscope._PACKAGES) == set(convscope.__all__)


def test_every_public_name_is_found() -> None:
    for name, module in convscope._MODULES.items():
        found = getattr(convscope, name)
        assert callable(found) and found.__module__ == module, name
    assert set(convscope.__all__) <= set(dir(convscope))


def test_every_command_is_a_function_of_the_same_name() -> None:
    for command in COMMANDS:
        if command == "studio":  # a server of its own process; its numbers are had by convscope.studio.from_python
            continue
        function = getattr(convscope, command.replace("-", "_"))
        assert callable(function) and hasattr(function, "__wrapped__"), f"{command} is not decorated with public"


def test_packages_are_reached_after_the_import_alone() -> None:
    code = "import convscope as c; print(c.nets.build.build('lenet5', num_classes=3), c.reference.loss.__name__)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "out_features=3" in done.stdout and "convscope.reference.loss" in done.stdout


@pytest.mark.parametrize(
    ("owner", "name", "near"),
    [(convscope, "inspct", "inspect"), (convscope, "explian", "explain"), (convscope.nets, "bild", "build")],
)
def test_a_misspelt_name_is_met_with_the_nearest(owner: object, name: str, near: str) -> None:
    with pytest.raises(AttributeError, match=f"has no attribute {name!r}. Did you mean {near}"):
        getattr(owner, name)


def test_importing_convscope_imports_no_library() -> None:
    code = "import sys, convscope; print(*{'torch', 'numpy', 'click', 'rich', 'PIL'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_the_result_of_a_training_is_printed_without_its_weights() -> None:
    assert "weights" not in repr(Best(epoch=1, accuracy=0.5, loss=1.0, weights={"c1.weight": torch.zeros(6, 1, 5, 5)}))
