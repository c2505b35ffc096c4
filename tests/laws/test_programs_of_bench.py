"""The programs of bench/ and docs/ import what exists, and call functions by their parameters; none is run here."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from tests.laws.test_names_in_docs_exist import assigned

ROOT = Path(__file__).parents[2]
PLACES = (ROOT / "src", ROOT / "bench")


@cache
def programs() -> dict[str, ast.Module]:
    """The syntax trees of the programs, and of the programs that they hold as text, by file (and line)."""
    found = {}
    for path in sorted([*(ROOT / "bench").rglob("*.py"), *(ROOT / "docs").glob("*.py")]):
        name = str(path.relative_to(ROOT))
        found[name] = ast.parse(path.read_text(encoding="utf-8"))
        for node in ast.walk(found[name]):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and "\nfrom convscope" in node.value:
                # A name in braces is what `str.format` fills in.
                found[f"{name}:{node.lineno}"] = ast.parse(re.sub(r"\{(\w+)(?:!r)?\}", r"\1", node.value))
    return found


@cache
def file_of(module: str) -> Path | None:
    """The file of a module of convscope or of bench/, by the name under which a program imports it; None of others."""
    path = Path(*module.split("."))
    ends = (path.with_suffix(".py"), path / "__init__.py")
    return next((place / end for place in PLACES for end in ends if (place / end).is_file()), None)


@cache
def statements(module: str) -> tuple[ast.stmt, ...]:
    """The statements of a module."""
    file = file_of(module)
    assert file is not None
    return tuple(ast.parse(file.read_text(encoding="utf-8")).body)


def defined(module: str, name: str) -> ast.FunctionDef | bool:
    """The function of this name in a module, also one that it imports; else whether it has such a name."""
    if file_of(f"{module}.{name}") is not None:
        return True
    for statement in statements(module):
        if isinstance(statement, ast.FunctionDef) and statement.name == name:
            return statement
        if isinstance(statement, ast.ImportFrom) and file_of(statement.module or "") is not None:
            for one in statement.names:
                if (one.asname or one.name) == name:
                    return defined(str(statement.module), one.name)
    return any(name in assigned(statement) for statement in statements(module))


def imported(tree: ast.Module) -> Iterator[tuple[str, str, str]]:
    """Yield what a program imports from modules that are known: module, name, and the name that it has there."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module and file_of(node.module) is not None:
            yield from ((node.module, one.name, one.asname or one.name) for one in node.names)


def misfit(call: ast.Call, function: ast.FunctionDef) -> str:
    """What of a call its function does not take; empty where it fits, or where that is not seen."""
    takes, args = function.args, call.args
    if any(isinstance(one, ast.Starred) for one in args) or any(one.arg is None for one in call.keywords):
        return ""
    in_order = [one.arg for one in (*takes.posonlyargs, *takes.args)]
    named = {str(one.arg) for one in call.keywords}
    if len(args) > len(in_order) and takes.vararg is None:
        return f"{len(args)} arguments in order, of {len(in_order)}"
    known = {*in_order[len(args) :], *(one.arg for one in takes.kwonlyargs)}
    if takes.kwarg is None and named - known:
        return f"no parameter {', '.join(sorted(named - known))}"
    needed = in_order[len(args) : len(in_order) - len(takes.defaults)]
    needed += [one.arg for one, value in zip(takes.kwonlyargs, takes.kw_defaults, strict=True) if value is None]
    return f"without {', '.join(sorted({*needed} - named))}" if {*needed} - named else ""


def wrong_uses(tree: ast.Module) -> Iterator[str]:
    """Yield each name that a program imports in vain, and each call that its function does not take."""
    functions: dict[str, ast.FunctionDef] = {}
    of_modules: dict[str, str] = {}
    for module, name, called in imported(tree):
        if not (found := defined(module, name)):
            yield f"{module} has no {name}"
        if isinstance(found, ast.FunctionDef):
            functions[called] = found
        elif file_of(f"{module}.{name}") is not None:
            of_modules[called] = f"{module}.{name}"
    own = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id not in own:
            function = functions.get(node.func.id)
            if function is not None and (said := misfit(node, function)):
                yield f"line {node.lineno}: {node.func.id}: {said}"
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            module = of_modules.get(node.value.id)
            if module is not None and not defined(module, node.attr):
                yield f"line {node.lineno}: {module} has no {node.attr}"


def test_programs_import_and_call_what_exists() -> None:
    wrong = [f"{name}: {use}" for name, tree in programs().items() for use in wrong_uses(tree)]
    assert not wrong, "\n".join(wrong)


def test_a_call_that_does_not_fit_is_found() -> None:
    text = (
        "from kit.images import some_of, none_of\n"
        "some_of(1, 2)\nsome_of(1, 2, 3, 4)\nsome_of(1, 2, pictures=3)\nsome_of(1, 2, images=3)\nsome_of(*all)"
    )
    assert list(wrong_uses(ast.parse(text))) == [
        "kit.images has no none_of",
        "line 2: some_of: without images",
        "line 3: some_of: 4 arguments in order, of 3",
        "line 4: some_of: no parameter pictures",
    ]
