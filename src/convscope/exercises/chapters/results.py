"""Find the wrong result: four exercises with fresh numbers and answers, one of which a known mistake led to."""

from __future__ import annotations

from collections.abc import Mapping

from convscope.exercises.draw import Draw, Drawn, ExerciseRule
from convscope.exercises.exercise import exercise
from convscope.exercises.texts import answer_text, word

SHOWN = 4
# Exercises whose statement is a sentence and whose answer is a number or several.
_SOURCES = (
    "1a", "1b", "1c", "3a", "3b", "3d", "4a", "4b", "4c", "5b", "6a", "6b", "6c", "6d", "7c", "8c", "quiz-crops",
    "quiz-wider-kernel", "quiz-pool-work", "quiz-stride-padding",
)  # fmt: skip
_SEEDS = 10**6


def _results(draw: Draw) -> Drawn:
    asked = {name: exercise(name, seed=draw.whole(0, _SEEDS - 1)) for name in draw.some(_SOURCES, SHOWN)}
    slip = asked[draw.one(tuple(asked))]
    mistake = draw.one(slip.misconceptions)
    lines = {
        name: word("result", statement=one.statement, answer=answer_text(one.answer)) for name, one in asked.items()
    }
    lines[slip.name] = word("result", statement=slip.statement, answer=answer_text(mistake.value))
    steps = [{"line": line} for line in (mistake.sentence, *slip.steps)]
    return Drawn(
        numbers={"lines": steps, "name": slip.name, "seed": slip.seed, "mistake": mistake.name},
        answer=slip.name,
        wrong={name: name for name in asked if name != slip.name},
        options=tuple(asked),
        written={
            **{f"options.{name}": line for name, line in lines.items()},
            **{f"wrong.{name}": word("result-right", answer=answer_text(one.answer), formula=one.formula)
               for name, one in asked.items() if name != slip.name},
        },
    )  # fmt: skip


RULES: Mapping[str, ExerciseRule] = {"results": ExerciseRule(kind="choice", draw=_results)}
