"""The course's texts: every word that the room Learn shows, a file for the room and one for each chapter."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Any

from convscope.exercises.texts import filled

LANGUAGE = "english"


@cache
def texts_of(name: str) -> Mapping[str, Any]:
    """Return the texts of a chapter by its number, or those of the room.

    >>> texts_of("3")["title"]
    'Padding and stride'
    """
    place = resources.files("convscope.course").joinpath(LANGUAGE, f"{name}.toml")
    return tomllib.loads(place.read_text("utf-8"))


def with_numbers(value: Any, numbers: Mapping[str, object]) -> Any:
    """Return texts, in lists and tables too, with numbers in the place of their names.

    >>> with_numbers({"text": ["{side} pixels", 3]}, {"side": 1024})
    {'text': ['1,024 pixels', 3]}
    """
    if isinstance(value, str):
        return filled(value, numbers)
    if isinstance(value, list):
        return [with_numbers(item, numbers) for item in value]
    if isinstance(value, dict):
        return {key: with_numbers(item, numbers) for key, item in value.items()}
    return value
