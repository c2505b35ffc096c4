"""The course as one HTML file that needs no server: the room Learn, and every answer that it asks for. No torch."""

from __future__ import annotations

from importlib.metadata import version

from convscope.course.course import chapters, course_record
from convscope.course.exercise_record import exercise_record
from convscope.course.record import make_record, records
from convscope.studio.exporting.answer_archive import AnswerArchive
from convscope.studio.exporting.page_parts import course_parts
from convscope.studio.protocol import Packet

DRAWS = 100
LIMIT = 5_000_000  # bytes of the file; a test holds it


def static_course(*, draws: int = DRAWS) -> bytes:
    """Return the course as one HTML file; the same bytes each time.

    Args:
        draws: how many of each exercise it holds: those of the seeds 0 to draws - 1.

    Raises:
        StudioError: the package's files of the page are not whole.
    """
    blocks, answers = _answers(draws).packed()
    about = {
        "version": version("convscope"),
        "state": "#/learn",
        "draws": draws,
        "chapters": len(chapters()),
        "blocks": blocks,
    }
    return course_parts().as_one_file(title="convscope: the course", about=about, answers=answers).encode()


def _answers(draws: int) -> AnswerArchive:
    """Return what the page of the course asks: its texts, each widget's records, and draws of each exercise."""
    archive = AnswerArchive()
    archive.begin()
    archive.add(("course",), Packet({**course_record(), "seeds": draws}))
    for name, record in records().items():
        archive.begin()
        for settings in record.combinations():
            archive.add(("record", name, *settings.values()), Packet(make_record(name, settings)))
    for chapter in chapters():
        for name in (*chapter.exercises, *chapter.slips):
            archive.begin()
            for seed in range(draws):
                archive.add(("exercise", name, seed), Packet(exercise_record(name, seed)))
    archive.describe("settings", {name: _defaults(name) for name in records()})
    return archive


def _defaults(name: str) -> dict[str, str]:
    return {setting: values[0] for setting, values in records()[name].choices.items()}
