"""A class, alias or type variable of the package has one meaning: its name is found by one search."""

from __future__ import annotations

import ast
import re
from collections import defaultdict

from source_trees import source_trees

# Names that stand in several files, at most five, each with the reason.
ALLOWED: dict[str, str] = {}


def named(statement: ast.stmt) -> list[str]:
    """The names that a module's statement gives to classes, aliases and type variables; constants are upper case."""
    match statement:
        case ast.ClassDef(name=name):
            names = [name]
        case ast.Assign(targets=targets):
            names = [target.id for target in targets if isinstance(target, ast.Name)]
        case ast.AnnAssign(target=ast.Name(id=name)):
            names = [name]
        case _:
            names = []
    # A leading underscore makes no other name of it for a reader.
    return [name.lstrip("_") for name in names if re.fullmatch(r"_?[A-Z][a-z]\w*", name)]


def test_every_name_stands_in_one_file() -> None:
    files = defaultdict(set)
    for path, tree in source_trees().items():
        for statement in tree.body:
            for name in named(statement):
                files[name].add(path)
    several = {name: sorted(paths) for name, paths in files.items() if len(paths) > 1}
    assert not {name: paths for name, paths in several.items() if name not in ALLOWED}
    assert not set(ALLOWED) - set(several), "a name has one meaning again: take it off the list"
    assert len(ALLOWED) <= 5
