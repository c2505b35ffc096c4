"""Files from strangers: no code in them runs, and each is refused in one line, soon and in little memory."""

from __future__ import annotations

import os
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest

from clocks import in_loops
from convscope.errors import CaptureError
from convscope.nets.weights.pickled import MOST_OPCODES
from convscope.nets.weights.read import read_weights
from hostile_weights import tensor, text, with_code, without_end_or_measure, zipped

WITH_CODE = dict(with_code("harmed"))
INERT = ("getattr",)  # a record beside good weights that does no harm
ENDLESS = dict(without_end_or_measure())
MANY_SMALL = ("a million tensors", "2^60 ways to one table", "tables too deep")
SEEN: list[str] = []
_WATCHED = ("os.mkdir", "os.system", "subprocess.Popen", "exec", "compile", "import", "pickle.find_class", "os.exec")


def _watch(event: str, arguments: tuple[object, ...]) -> None:
    if SEEN and event in _WATCHED:
        SEEN.append(event)


@pytest.fixture(scope="module")
def watched():
    sys.addaudithook(_watch)  # it can't be taken away again, and sees nothing while the list is empty


def refused(path: Path) -> str:
    with pytest.raises(CaptureError) as caught:
        read_weights(path)
    assert "\n" not in str(caught.value) and path.name in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("kind", WITH_CODE)
def test_no_code_runs(tmp_path, monkeypatch, watched, kind):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "x.pth"
    path.write_bytes(WITH_CODE[kind])
    read = read_weights if kind in INERT else refused
    read(path)  # what reading imports is imported now
    SEEN.append("watching")
    try:
        read(path)
    finally:
        seen = SEEN[1:]
        SEEN.clear()
    assert seen == [] and [path.name for path in tmp_path.iterdir()] == ["x.pth"]


@pytest.mark.parametrize(
    "name",
    ["os system", "__builtin__ eval", "builtins open", "logging os.system", "importlib import_module", "sys exit"],
)
def test_names_that_do_harm_are_refused_though_nothing_calls_them(tmp_path, name):
    path = tmp_path / "x.pth"
    module, function = name.encode().split()
    body = b"}" + text("w") + tensor(3, 0, (3,), (1,)) + b"s" + text("x") + b"c" + module + b"\n" + function + b"\ns"
    path.write_bytes(zipped(body))
    assert "runs no code from files" in refused(path)


def test_there_are_many_of_them():
    assert len(WITH_CODE) >= 25 and len(ENDLESS) >= 40


@pytest.mark.parametrize("kind", ENDLESS)
def test_sizes_that_are_not_there_are_refused_soon_and_in_little_memory(tmp_path, kind):
    path = tmp_path / "x.pth"
    path.write_bytes(ENDLESS[kind])
    if kind in MANY_SMALL:
        _, loops = in_loops(lambda: refused(path))  # tracing each of their values would take longer than reading them
    else:
        peak, loops = in_loops(lambda: peak_of(lambda: refused(path)))
        assert peak < 50_000_000
    assert loops < 1000


def peak_of(work: Callable[[], object]) -> int:
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.long
@pytest.mark.parametrize(
    "step", [b"]", b"}", b")", b"(", b"}\x94", b"]\x940", b"N", b"(1", b"cmath\nsqrt\n0", b")\x85\x85\x850"]
)
def test_a_flood_of_steps_ends(tmp_path, step):
    path = tmp_path / "x.pth"
    path.write_bytes(zipped(step * (2 * MOST_OPCODES)))
    said, loops = in_loops(lambda: refused(path))
    assert "steps" in said or step.startswith(b"(1")
    assert loops < 1000


def test_what_is_no_regular_file_is_refused_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.pth")
    (tmp_path / "zero.pth").symlink_to("/dev/zero")
    (tmp_path / "self.pth").symlink_to("self.pth")
    for name in ("pipe.pth", "zero.pth"):
        assert "not a regular file" in refused(tmp_path / name)
    refused(tmp_path / "self.pth")
