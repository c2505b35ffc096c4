"""Names of ours in docstrings, comments and pages exist: modules, functions, members of classes, files, errors."""

import ast
import builtins
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path, PurePosixPath

from source_trees import source_trees

ROOT = Path(__file__).parents[2]
SRC = ROOT / "src"
# Pages of what was true once.
HISTORY = ("CHANGELOG.md", "field-log.md")
# What ends like an attribute and is a file's name.
# fmt: off
ENDINGS = {
    "py", "json", "jsonl", "toml", "txt", "csv", "md", "html", "svg", "bin", "npy", "npz", "tar", "css",
    "jpg", "png", "pth", "safetensors", "onnx",
    "",  # a prefix, such as "model."
}
# fmt: on
# First words of a sentence without a verb in the imperative, which ruff's D401 lets pass.
# fmt: off
NO_VERBS = {
    "A", "All", "An", "Any", "At", "By", "Each", "Every", "For", "From", "How", "In", "It", "One", "Our", "Some", "The",
    "What", "When", "Where", "Whether", "Which", "Who", "Why",
}
# fmt: on
IN_BACKTICKS = re.compile(r"(?<!`)`([A-Za-z_][\w./]*)(?:\(.*?\))?`")
FULL = re.compile(r"\bconvscope(?:\.[A-Za-z_]\w*)+")
RAISED = re.compile(r"\b[Rr]aises? (?:an? )?`?([A-Z][A-Za-z]+)\b|^ {4,}([A-Z]\w*Error): ", re.MULTILINE)


@cache
def modules() -> dict[str, ast.Module]:
    """The syntax trees of convscope, by the modules' names."""
    trees = {}
    for path, tree in source_trees().items():
        parts = ("convscope", *PurePosixPath(path).with_suffix("").parts)
        trees[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = tree
    return trees


def assigned(statement: ast.stmt) -> set[str]:
    """The names that a statement defines."""
    match statement:
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
            return {name}
        case ast.Assign(targets=targets):
            return {node.id for target in targets for node in ast.walk(target) if isinstance(node, ast.Name)}
        case ast.AnnAssign(target=ast.Name(id=name)):
            return {name}
        case ast.Import(names=names) | ast.ImportFrom(names=names):
            return {alias.asname or alias.name for alias in names}
        case ast.If(body=body) | ast.Try(body=body):
            return {name for inner in body for name in assigned(inner)}
    return set()


def definitions(node: ast.Module | ast.ClassDef | ast.FunctionDef) -> Iterator[ast.ClassDef | ast.FunctionDef]:
    """The classes and functions in a module, class or function, the inner ones too."""
    for statement in node.body:
        if isinstance(statement, ast.ClassDef | ast.FunctionDef):
            yield statement
            yield from definitions(statement)


@cache
def classes() -> dict[str, set[str]]:
    """The members of each class by its name: of all classes that have the name, and of their bases."""
    members: dict[str, set[str]] = {}
    bases: dict[str, set[str]] = {}
    for tree in modules().values():
        for node in definitions(tree):
            if isinstance(node, ast.ClassDef):
                own = members.setdefault(node.name, set())
                own |= {name for statement in node.body for name in assigned(statement)}
                starts = [
                    inner for inner in node.body if isinstance(inner, ast.FunctionDef) and inner.name == "__init__"
                ]
                own |= {inner.attr for start in starts for inner in ast.walk(start) if isinstance(inner, ast.Attribute)}
                bases.setdefault(node.name, set()).update(ast.unparse(base).split(".")[-1] for base in node.bases)
    for _ in range(3):
        for name, parents in bases.items():
            members[name] = members[name].union(*(members.get(parent, set()) for parent in parents))
    return members


@cache
def known() -> set[str]:
    """Every module, and everything in a module or a class, by each end of its dotted name that has a dot."""
    found = set()
    for module, tree in modules().items():
        parts = module.split(".")
        names = {name for statement in tree.body for name in assigned(statement)}
        for start in range(len(parts)):
            end = ".".join(parts[start:])
            found |= {end, *(f"{end}.{name}" for name in names)}
            found |= {f"{end}.{name}.{member}" for name in names for member in classes().get(name, ())}
    for name, members in classes().items():
        variable = re.findall("[A-Z][a-z]*", name)[-1:]  # `recipe.lr`, `state.best`: a variable named for its class
        found |= {f"{owner}.{member}" for owner in (name, *map(str.lower, variable)) for member in members}
    return found


@cache
def beginnings() -> set[str]:
    """What a name of ours begins with: a part of a module's name, or a class."""
    return {part for module in modules() for part in module.split(".")} | set(classes())


def wrong_names(text: str) -> set[str]:
    """The names in a text that are ours by their beginning and lead nowhere."""
    wrong = {name for name in FULL.findall(text) if name.rsplit(".", 1)[1] not in ENDINGS and name not in known()}
    for name in IN_BACKTICKS.findall(text):
        if "/" in name:
            places = (ROOT, SRC, SRC / "convscope")
            if name.endswith(".py") and not any((place / name).exists() for place in places):
                wrong.add(name)
        elif (
            "." in name
            and name.rsplit(".", 1)[1] not in ENDINGS
            and name.split(".")[0] in beginnings()
            and name not in known()
        ):
            wrong.add(name)
    for match in RAISED.finditer(text):
        error = match[1] or match[2]
        if error not in classes() and not hasattr(builtins, error) and error not in ("No", "None"):
            wrong.add(f"raises {error}")
    return wrong


def test_names_in_docstrings_exist() -> None:
    wrong = []
    for module, tree in modules().items():
        for node in (tree, *definitions(tree)):
            found = wrong_names(ast.get_docstring(node, clean=False) or "")
            wrong += [f"{module} {getattr(node, 'name', '')}: {name}" for name in found]
    assert not wrong, "\n".join(wrong)


def test_docstrings_of_functions_begin_with_a_verb() -> None:
    wrong = []
    for module, tree in modules().items():
        for node in definitions(tree):
            if isinstance(node, ast.FunctionDef) and not any("property" in ast.unparse(d) for d in node.decorator_list):
                first = (ast.get_docstring(node) or "Return").split()[0]
                if not first[0].isalpha() or first in NO_VERBS:
                    wrong.append(f"{module} {node.name}: {first}")
    assert not wrong, "\n".join(wrong)


def test_names_in_comments_exist() -> None:
    wrong = []
    for path in [*SRC.rglob("*.py"), *(ROOT / "bench").rglob("*.py")]:
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            _, mark, comment = line.partition("# ")
            if mark:
                wrong += [f"{path.relative_to(ROOT)}:{number}: {name}" for name in wrong_names(comment)]
    assert not wrong, "\n".join(wrong)


def test_names_in_pages_exist() -> None:
    pages = [path for path in (*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")) if path.name not in HISTORY]
    wrong = [f"{page.name}: {name}" for page in pages for name in wrong_names(page.read_text(encoding="utf-8"))]
    assert not wrong, "\n".join(wrong)


def test_a_name_that_leads_nowhere_is_found() -> None:
    text = (
        "`convscope.geometry.cots` and `Layout.parses`; `nn.Module` is torch's. Raises GoneError.\n`geometry/cots.py`"
    )
    assert wrong_names(text) == {"convscope.geometry.cots", "Layout.parses", "raises GoneError", "geometry/cots.py"}
    assert not wrong_names("`convscope.geometry.cost`, `Layout.parse` and `model.json`; raises DataError, ValueError")
