"""The chapters of the course, and the course as the page reads it."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from functools import cache
from typing import Any, cast

from convscope.course.chapter import Chapter
from convscope.course.texts import texts_of, with_numbers
from convscope.exercises.registry import title_of
from convscope.exercises.texts import table

_FILES = ("dense", "convolution", "padding", "volumes", "pooling", "fields", "history", "training")
SEEDS = 10**6  # from which a fresh draw of the page takes one


@cache
def chapters() -> tuple[Chapter, ...]:
    """Return the chapters in their order.

    >>> [chapter.number for chapter in chapters()][:4]
    [1, 2, 3, 4]
    """
    found = (importlib.import_module(f"convscope.course.chapters.{file}").CHAPTER for file in _FILES)
    return tuple(cast("Chapter", chapter) for chapter in found)


def chapter_record(chapter: Chapter) -> dict[str, Any]:
    """Return a chapter as JSON's types, its texts filled with its numbers.

    The widget's own texts and the commands keep the names that the page fills in.

    Keys:
        number: of the chapter.
        title: of the chapter.
        summary: what it is about.
        steps: of each its title, paragraphs, and the widget's settings that go with it, or null.
        tasks: of each its id, its text, and the label of a prediction, or "".
        widget: its name and its texts.
        own: the question asked of the learner's own network, paragraphs, and commands.
        exercises: of each its name and title.
        slips: the same of the exercises that ask for a wrong statement of the lecture notes.
    """
    texts = texts_of(str(chapter.number))
    numbers = chapter.numbers()
    own = texts["own"]
    return {
        "number": chapter.number,
        "title": texts["title"],
        "summary": with_numbers(texts["summary"], numbers),
        "steps": [
            {
                "title": with_numbers(step["title"], numbers),
                "text": with_numbers(step["text"], numbers),
                "set": step.get("set"),
            }
            for step in texts["steps"]
        ],
        "tasks": [
            {"id": task["id"], "text": with_numbers(task["text"], numbers), "predict": task.get("predict", "")}
            for task in texts.get("tasks", ())
        ],
        "widget": {"name": chapter.widget, "texts": texts["widget"]},
        "own": {
            "question": chapter.own,
            "text": with_numbers(own["text"], numbers),
            "commands": list(own["commands"]),
        },
        "exercises": [{"name": name, "title": title_of(name)} for name in chapter.exercises],
        "slips": [{"name": name, "title": title_of(name)} for name in chapter.slips],
    }


def course_record() -> dict[str, Any]:
    """Return the course as the page reads it.

    Keys:
        words: the room's texts.
        marking: texts about answers, which the exercises share.
        seeds: a fresh draw takes a seed below this.
        chapters: as `chapter_record` gives them.
    """
    words: Mapping[str, Any] = table()["words"]
    return {
        "words": texts_of("room"),
        "marking": dict(words),
        "seeds": SEEDS,
        "chapters": [chapter_record(chapter) for chapter in chapters()],
    }
