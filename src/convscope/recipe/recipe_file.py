"""A recipe as a TOML file: its format, then every setting with the line that explains it above it."""

from __future__ import annotations

from dataclasses import Field
from pathlib import Path
from typing import Any

from convscope.api.public import public
from convscope.errors import RunError
from convscope.files.checked import TOML_LIMIT, parse_toml
from convscope.files.fields import Fields
from convscope.files.regular import UnreadableError, refused_as
from convscope.files.text import path_in_text, read_text
from convscope.nets.own_code import is_own, or_trust
from convscope.recipe.recipe import Recipe, choices, names, settings
from convscope.report.usage import settings_text

# Of the settings' names: raised when one of them changes. A recipe written by hand may leave it out.
FORMAT = 2
# Of a run's own recipe, which stands nowhere else.
LOST = "put it back from a copy, or start a new run"
OLDER = "if an older convscope wrote it, train again, or use that version"


def to_toml(recipe: Recipe) -> str:
    """Return every setting as TOML, with the line that explains it above it.

    >>> print(to_toml(Recipe(epochs=3)).split("# passes")[1].splitlines()[1])
    epochs = 3
    """
    import tomli_w

    lines = [f"format = {FORMAT}"]
    group = ""
    for item in settings():
        if item.metadata["group"] != group:
            group = item.metadata["group"]
            lines += ["", f"# ---- {group} ----"]
        lines.append(f"# {item.metadata['help']}{_words(item)}")
        lines.append(tomli_w.dumps({item.name: getattr(recipe, item.name)}).rstrip())
    return "\n".join(lines).lstrip() + "\n"


def from_toml(text: str, *, where: str = "the recipe", whole: bool = False) -> Recipe:
    """Return the recipe in a TOML text; `where` names the file in errors.

    Raises:
        RunError: it is no recipe; or it lacks the last setting, where a `whole` one is needed: half a file is a recipe.
    """
    mend = f"; {LOST}" if whole else ""
    with refused_as(RunError, where):
        try:
            values = parse_toml(text)
        except UnreadableError as error:
            raise UnreadableError(f"{error}{mend}") from None
        if stated := "format" in values:
            Fields(values).require_format(FORMAT, remedy="train again")
            del values["format"]
    last = names()[-1]
    if whole and last not in values:
        raise RunError(f"{where} is cut off: it ends before {last!r}, the last setting{mend}")
    try:
        recipe = Recipe.from_dict(values)
        return recipe.changed({name: path_in_text(getattr(recipe, name)) for name in ("data", "weights")})
    except RunError as error:
        known = stated or not values.keys() - set(names())
        raise RunError(f"{where}: {error}{'' if known else f' ({OLDER})'}") from error


@public
def load_recipe(path: str | Path, *, whole: bool = False, model: str = "") -> Recipe:
    """Return the recipe in a TOML file, such as a run's recipe.toml: `train(data, load_recipe(path))` repeats the run.

    Args:
        path: of the file.
        whole: refuse one that is cut off.
        model: replaces its network. A recipe whose network is of own code, `file.py:factory`, needs it: the file may be
            a stranger's, and no code is run by a name that stands in it.

    Raises:
        RunError: the file can't be read, is no recipe, or names own code.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "recipe.toml")
    ...     _ = path.write_text(to_toml(Recipe(model="lenet5", epochs=3)), encoding="utf-8")
    ...     load_recipe(path).epochs
    3
    """
    recipe = read_recipe(Path(path), whole=whole)
    if is_own(recipe.model) and not model:
        raise RunError(
            f"{path} trains {recipe.model}, and its code is not run unless you say so: "
            f"give {settings_text(model=recipe.model)}{or_trust()}"
        )
    return recipe.changed({"model": model}) if model else recipe


def read_recipe(path: Path, *, whole: bool = False) -> Recipe:
    """Return the recipe in a file, whatever its network; raises RunError as `load_recipe` does."""
    try:
        text = read_text(path, limit=TOML_LIMIT, names=True)
    except UnreadableError as error:
        raise RunError(f"the recipe {path} can't be read: {error}{f'; {LOST}' if whole else ''}") from None
    return from_toml(text, where=str(path), whole=whole)


def _words(item: Field[Any]) -> str:
    words = choices(item.name)
    return f" ({' | '.join(words)})" if words else ""
