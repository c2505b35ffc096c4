"""A recipe as a TOML file: every setting, with the line that explains it above it."""

from __future__ import annotations

import tomllib
from dataclasses import Field
from pathlib import Path
from typing import Any

from convscope.errors import RunError
from convscope.train.settings.recipe import Recipe, choices, settings


def to_toml(recipe: Recipe) -> str:
    """Every setting as TOML, with the line that explains it above it.

    >>> print(to_toml(Recipe(epochs=3)).split("# passes")[1].splitlines()[1])
    epochs = 3
    """
    import tomli_w

    lines: list[str] = []
    group = ""
    for item in settings():
        if item.metadata["group"] != group:
            group = item.metadata["group"]
            lines += ["", f"# ---- {group} ----"]
        lines.append(f"# {item.metadata['help']}{_words(item)}")
        lines.append(tomli_w.dumps({item.name: getattr(recipe, item.name)}).rstrip())
    return "\n".join(lines).lstrip() + "\n"


def from_toml(text: str, *, where: str = "the recipe") -> Recipe:
    """A recipe from TOML; `where` names the file in errors. Raises RunError."""
    try:
        return Recipe.from_dict(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise RunError(f"{where} is not TOML: {error}") from error
    except RunError as error:
        raise RunError(f"{where}: {error}") from error


def load_recipe(path: Path) -> Recipe:
    """A recipe from a TOML file. Raises RunError."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise RunError(f"the recipe {path} can't be read: {reason}") from error
    return from_toml(text, where=str(path))


def _words(item: Field[Any]) -> str:
    words = choices(item.name)
    return f" ({' | '.join(words)})" if words else ""
