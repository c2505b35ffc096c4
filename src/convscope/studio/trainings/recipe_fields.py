"""A recipe's settings as the fields of a form, made from their schema; and a form's values as a recipe.

The page may name no path and no code: data is chosen by its id, weights are those of a run below the runs folder, and
a network is one of the catalogue.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from convscope.errors import RunError, did_you_mean
from convscope.nets import catalogue
from convscope.recipe.presets import NAMED
from convscope.recipe.recipe import Recipe, choices, kinds, settings
from convscope.recipe.setting import AUTO, SettingValue
from convscope.studio.protocol import StudioError

# Settings that the page has no field for: data is chosen by its id; a folder is a path.
LEFT_OUT = ("data", "image_folder")
# Settings whose values the page chooses from a list of ours.
MODEL, WEIGHTS = "model", "weights"
# What these do here, where they can't be what the command line takes.
HELP = {
    MODEL: "a network of the catalogue, or auto: by image size",
    WEIGHTS: "start from the weights of a run; what does not fit is listed",
}
LONGEST_TEXT = 500
TYPES = {bool: "boolean", int: "integer", float: "number", str: "text"}
PRESETS = {
    "fast": "accurate after few epochs; the default",
    "classic": "as AlexNet was trained in 2012",
    "finetune": "moves trained weights gently",
    "probe": "solves the last layer on trained features",
}


def recipe_fields() -> list[dict[str, Any]]:
    """Return a field for each setting that the page may set, in the recipe's order.

    Each has name, group, type (boolean, integer, number, choice or text), whether it may be "auto", default, limits
    (at_least, below, at_most), help, choices, and whether it is advanced.
    """
    found = []
    for item in settings():
        if item.name in LEFT_OUT:
            continue
        words, kind = choices(item.name), kinds(item.name)
        if item.name == MODEL:
            words = (AUTO, *trainable())
        found.append(
            {
                "name": item.name,
                "group": item.metadata["group"],
                "type": "choice" if words or item.name == WEIGHTS else TYPES[kind.type],
                "auto": AUTO in kind.words or item.default == AUTO,
                "default": item.default,
                "limits": {name: item.metadata[name] for name in ("at_least", "below", "at_most")},
                "help": HELP.get(item.name, item.metadata["help"]),
                "choices": list(words),
                "advanced": item.metadata["advanced"],
            }
        )
    return found


def preset_rows() -> list[dict[str, Any]]:
    """Return the presets: name, what it is for, and the settings that it has for what is left at auto."""
    return [{"name": name, "help": PRESETS[name], "settings": dict(preset.settings)} for name, preset in NAMED.items()]


def trainable() -> tuple[str, ...]:
    """Return the catalogue's networks that classify images, oldest first."""
    return tuple(entry.name for entry in catalogue.ENTRIES if len(entry.input_shape) == 3 and not entry.per_pixel)


def recipe_of(values: Mapping[str, Any], *, data: str, weights: Mapping[str, str]) -> Recipe:
    """Return the recipe of a form's values by setting; a value may be its text, as an input has it.

    Args:
        values: by setting; one that is missing or "" has its default.
        data: what is trained on.
        weights: the paths of the runs that weights may be of, by name.

    Raises:
        StudioError: a setting that the page may not set, or a network or run that is not in the list.
        RunError: a value of the wrong kind or out of range.
    """
    given: dict[str, SettingValue] = {}
    known = {item.name: item for item in settings() if item.name not in LEFT_OUT}
    for name, value in values.items():
        if name not in known:
            raise StudioError(f"a training has no setting {name[:40]!r} here.{did_you_mean(name[:40], known)}")
        if not isinstance(value, (str, bool, int, float)):
            raise StudioError(f"{name} must be a text, a number or a switch")
        if isinstance(value, str):
            if len(value) > LONGEST_TEXT:
                raise StudioError(f"{name} has {len(value):,} characters: the limit is {LONGEST_TEXT}", "range")
            if not value.strip():
                continue
            value = kinds(name).read(value.strip())
        given[name] = value
    if given.get(MODEL, AUTO) not in (AUTO, *trainable()):
        near = did_you_mean(str(given[MODEL]), trainable())
        raise StudioError(f"there is no network {str(given[MODEL])[:80]!r} in the list.{near}")
    if run := given.get(WEIGHTS, ""):
        if str(run) not in weights:
            raise StudioError(f"there is no run {str(run)[:80]!r} to take weights from: choose one of the list", "gone")
        given[WEIGHTS] = weights[str(run)]
    try:
        return Recipe.from_dict({**given, "data": data})
    except RunError as error:
        raise StudioError(str(error), "range") from None
