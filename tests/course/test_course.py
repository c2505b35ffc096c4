"""Laws of the course: short chapters, complete texts, records that a copy without a server can hold, no torch."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import convscope.studio
from commands import run_command
from convscope.claims.sets import CLAIMS
from convscope.course.chapter import Chapter
from convscope.course.course import chapter_record, chapters, course_record
from convscope.course.exercise_record import exercise_record
from convscope.course.record import make_record, records
from convscope.course.records.images import KERNELS
from convscope.course.records.learned_kernel import CLOSE, learn_kernel
from convscope.course.texts import texts_of
from convscope.errors import ArgumentError
from convscope.exercises.chapters.statements import STATEMENTS
from convscope.exercises.exercise import exercise
from convscope.exercises.registry import names

STATIC = Path(convscope.studio.__file__).with_name("static") / "learn"
MOST_STEPS, MOST_WORDS = 8, 900
MOST_COMBINATIONS, MOST_BYTES = 40, 60_000
_IMPORTED = re.compile(r'(?:from|import\() ?"convscope/learn/(\w+)"')
_TEXT = re.compile(r'\btexts(?:\.(\w+)|\["([\w-]+)"\])')
_WORD = re.compile(r'\bwords(?:\.exercise)?(?:\.(\w+)|\["([\w-]+)"\])')


@pytest.fixture(params=chapters(), ids=lambda chapter: str(chapter.number))
def chapter(request: pytest.FixtureRequest) -> Chapter:
    found: Chapter = request.param
    return found


def _prose(record: dict[str, Any]) -> Iterator[str]:
    yield record["summary"]
    for step in record["steps"]:
        yield from (step["title"], *step["text"])
    yield from (task["text"] for task in record["tasks"])
    yield from record["own"]["text"]


def test_a_chapter_is_short_and_its_texts_are_filled(chapter: Chapter) -> None:
    record = chapter_record(chapter)
    words = " ".join(_prose(record)).split()
    assert len(words) <= MOST_WORDS and 1 <= len(record["steps"]) <= MOST_STEPS
    assert not re.search(r"\{\w+\}", " ".join(words))
    asked = [*chapter.exercises, *chapter.slips]
    assert set(asked) <= set(names()) and len(set(asked)) == len(asked)
    assert len({task["id"] for task in record["tasks"]}) == len(record["tasks"])
    assert record["own"]["commands"] and all(line.startswith("convscope ") for line in record["own"]["commands"])


# What the chapters say of published networks: the slip that asks for it, its right value, and the words.
SAID: Mapping[str, tuple[object, str]] = {
    "modern-kernels": ([7, 7], "ResNet begins with 7×7, and each block of ConvNeXt has a depthwise 7×7"),
    "densenet-block-that-spans": (2, "a field of 224 pixels, the whole image, is reached in the second"),
    "densenet-blocks": (4, "DenseNet-121, which has four blocks of convolutions"),
    "lenet-year": ("1990s", "LeNet-5, 1998"),
    "alexnet-2012-filters": (96, "Its first layer has 96 filters of 11×11"),
    "alexnet-halves": ([2, 4, 5], "the second, fourth and fifth convolution read only the maps on their own GPU"),
    "error-26.2": (25.8, "the second entry 26.2 %, the best of 2011 25.8 %"),
    "first-relu": (None, "ReLU, which earlier networks had too (Jarrett et al., 2009)"),
}
SHOWN = {"error-11.7", "product-of-neurons"}  # by the widget's entry of 2013; a product of numbers


def test_a_slip_asks_for_nothing_that_no_chapter_says() -> None:
    claims = {claim.id: claim for claim in CLAIMS}
    said: list[str] = []
    asked: set[str] = set()
    for chapter in chapters():
        said += _prose(chapter_record(chapter))
        facts = {slip.removeprefix("slip-") for slip in chapter.slips} - set(STATEMENTS)
        assert facts <= {*SAID, *SHOWN}, chapter.number
        for name in facts & set(SAID):
            value, words = SAID[name]
            assert words in " ".join(said), (chapter.number, words)
            compute = claims[name].compute
            assert (compute and compute()) == value, name
        asked |= facts
    assert asked == {*SAID, *SHOWN}
    entries = make_record("history", {})["challenge"]
    assert [one["title"] for one in entries if one["error"] == 11.7] == ["Clarifai"]


# Terms of the field, which a learner can't guess: a chapter says them before an exercise asks with them.
TERMS = (
    "activation", "augmentation", "average pooling", "backpropagation", "batch", "bias", "causal", "chain rule",
    "channel", "cross-correlation", "cross-entropy", "crop", "depth slice", "depthwise", "derivative", "dilation",
    "dropout", "epoch", "equivarian", "feature map", "filter", "flatten", "flip", "fully connected", "gradient",
    "impulse", "initialization", "invarian", "kernel", "learning rate", "logit", "loss", "MACs", "max pooling",
    "momentum", "normalization", "overfit", "padding", "parameter", "receptive field", "ReLU", '"same"', "sigmoid",
    "softmax", "stride", "tanh", "underfit", "weight decay", "window", "1×1",
)  # fmt: skip


def test_an_exercise_asks_with_terms_that_a_chapter_has_said() -> None:
    said = ""
    for chapter in chapters():
        said += " ".join(_prose(chapter_record(chapter))).casefold()
        for name in (*chapter.exercises, *chapter.slips):
            for seed in range(4):
                asked = exercise(name, seed=seed)
                text = " ".join([asked.statement, asked.unit, *asked.shown, *asked.options.values()]).casefold()
                unsaid = [term for term in TERMS if term.casefold() in text and term.casefold() not in said]
                assert not unsaid, (chapter.number, name, seed, unsaid)


def _modules(widget: str) -> dict[str, str]:
    """Return the sources of a widget's module and of those of its parts, which are given its texts as well."""
    found: dict[str, str] = {}
    wanted = [f"{widget}_widget"]
    while wanted:
        name = wanted.pop()
        source = (STATIC / f"{name}.js").read_text("utf-8")
        if name not in found and "{ texts" in source:
            found[name] = source
            wanted += _IMPORTED.findall(source)
    return found


def _keys(pattern: re.Pattern[str], sources: str) -> set[str]:
    return {first or second for first, second in pattern.findall(sources)}


def test_every_text_that_a_widget_shows_is_in_its_table(chapter: Chapter) -> None:
    sources = "\n".join(_modules(chapter.widget).values())
    table = texts_of(str(chapter.number))["widget"]
    assert _keys(_TEXT, sources) <= set(table)
    # And every text of the table is shown: by its name, or by the start of a name that is put together.
    started = re.findall(r"texts\[`([\w-]+)\$", sources)
    literal = set(re.findall(r'"([\w-]+)"|\b(\w+): ', sources)) | {("", key) for key in _keys(_TEXT, sources)}
    shown = {key for pair in literal for key in pair}
    left = {key for key in table if key not in shown and not any(key.startswith(start) for start in started)}
    assert all(key.startswith("own-") or key == "label" for key in left), left


def test_every_word_of_the_room_is_in_its_table() -> None:
    table = texts_of("room")
    known = set(table) | set(table["exercise"])
    used = _keys(_WORD, "\n".join(path.read_text("utf-8") for path in STATIC.glob("*.js")))
    assert used <= known | set(course_record()["marking"])
    assert known <= used


@pytest.mark.parametrize("name", list(records()))
def test_a_copy_without_a_server_can_hold_a_record_for_every_choice(name: str) -> None:
    combinations = list(records()[name].combinations())
    assert 1 <= len(combinations) <= MOST_COMBINATIONS
    for settings in (combinations[0], combinations[-1]):
        text = json.dumps(make_record(name, settings), allow_nan=False)
        assert len(text) <= MOST_BYTES and json.dumps(make_record(name, settings)) == text


def test_the_page_asks_for_each_record_by_all_of_its_settings() -> None:
    """A path then has one spelling, and a copy of the course without a server holds the answer of each."""
    sources = "\n".join(path.read_text("utf-8") for path in STATIC.glob("*.js"))
    asked = re.findall(r'\brecord\("([\w-]+)"(?:, \{([^}]*)\})?\)', sources)
    assert {name for name, _ in asked} == set(records())
    for name, settings in asked:
        keys = [pair.partition(":")[0].strip() for pair in settings.split(",") if pair.strip()]
        assert sorted(keys) == sorted(records()[name].choices), name


def test_the_page_has_a_widget_for_the_chapter(chapter: Chapter) -> None:
    widgets = (STATIC / "chapter.js").read_text("utf-8")
    assert f'{chapter.widget}: () => import("convscope/learn/{chapter.widget}_widget")' in widgets


@pytest.mark.parametrize(
    ("name", "given", "said"),
    [
        ("nothing", {}, "there is no record 'nothing'"),
        ("edge-images", {"seed": "1"}, "edge-images has no setting 'seed'"),
        ("learned-kernel", {"target": "1e9"}, "target is '1e9': it must be one of vertical"),
    ],
)
def test_a_record_that_is_not_there_is_refused_in_one_line(name: str, given: dict[str, str], said: str) -> None:
    with pytest.raises(ArgumentError, match=re.escape(said)):
        make_record(name, given)


@pytest.mark.parametrize(
    ("targets", "seeds"), [(["sobel"], [1]), pytest.param(list(KERNELS)[:7], [0, 1, 2], marks=pytest.mark.long)]
)
def test_a_learned_kernel_is_close_to_its_target(targets: list[str], seeds: list[int]) -> None:
    for target in targets:
        for seed in seeds:
            kernels, losses = learn_kernel(KERNELS[target], seed=seed)
            assert len(kernels) == len(losses) == 201
            assert np.abs(kernels[0] - KERNELS[target]).max() > CLOSE > np.abs(kernels[-1] - KERNELS[target]).max()
            assert losses[0] > losses[100] >= losses[-1]


def test_the_course_and_every_exercise_need_no_torch() -> None:
    code = (
        "import sys; from convscope.course.course import course_record, chapters\n"
        "from convscope.course.exercise_record import exercise_record\n"
        "course_record()\n"
        "for chapter in chapters():\n"
        "    for name in (*chapter.exercises, *chapter.slips): exercise_record(name, 7)\n"
        "assert 'torch' not in sys.modules, 'torch is imported'"
    )
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_an_exercise_carries_all_known_mistakes() -> None:
    record = exercise_record("3a", 42)
    known = {one["name"] for one in record["misconceptions"]}
    assert known <= {one["name"] for one in record["wrong"]} and record["answer"] == 55
    assert "{given}" in record["wrong"][0]["sentence"]
    assert exercise_record("2b", 1)["wrong"][0]["value"] in "abcd"
    assert exercise_record("design", 1)["limits"]["cells"] == 4


@pytest.fixture
def photo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder with the photo that the commands name."""
    monkeypatch.chdir(tmp_path)
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (60, 80, 3), np.uint8)).save("photo.jpg")


@pytest.mark.usefixtures("photo")
@pytest.mark.long
def test_every_command_of_a_chapter_runs(
    chapter: Chapter, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for command in chapter_record(chapter)["own"]["commands"]:
        filled = command.replace("{model}", "lenet5").replace("{layer}", "c1").replace("{input}", " --input 1x32x32")
        words = shlex.split(filled)
        code, out, err = run_command(capsys, *words[1:])
        assert code == 0 and out, (command, err)
