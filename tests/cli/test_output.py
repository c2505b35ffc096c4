"""What reads the output may go away, be full, or never have been there: the command does not end in a traceback."""

from __future__ import annotations

import errno
import io
import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from convscope.cli.main import cli, main
from convscope.cli.output import Outlet, echo_json

FULL = Path("/dev/full")
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2] / "src")}
REFUSED = "convscope: the output can't be written: No space left on device\n"


def ended(redirection: str, words: str = "models") -> tuple[int, str, str]:
    """The exit code, stdout and stderr of a command whose descriptors a shell has arranged."""
    line = f"{sys.executable} -m convscope {words} {redirection}"
    done = subprocess.run(["bash", "-c", line], env=ENVIRONMENT, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout, done.stderr


@pytest.mark.skipif(os.name != "posix", reason="arranged by a shell")
@pytest.mark.parametrize(
    ("redirection", "words", "code", "said"),
    [
        (">&-", "models", 0, ""),
        (">&- 2>&- <&-", "models", 0, ""),
        ("2>&-", "models", 0, ""),
        ("| true; exit ${PIPESTATUS[0]}", "models", 0, ""),
        ("2>&1 | true; exit ${PIPESTATUS[0]}", "models none", 2, ""),
        ("2>&-", "models none", 2, ""),
        (f"2>{FULL}", "models none", 2, ""),
        (f">{FULL}", "models", 2, REFUSED),
        (f">{FULL} 2>{FULL}", "models", 2, ""),
    ],
)
def test_output_that_nothing_takes_does_not_end_a_command(redirection: str, words: str, code: int, said: str) -> None:
    if str(FULL) in redirection and not FULL.exists():
        pytest.skip("this system has no /dev/full")
    found = ended(redirection, words)
    assert (found[0], found[2]) == (code, said)


@pytest.mark.skipif(os.name != "posix", reason="arranged by a shell")
def test_a_file_that_is_opened_does_not_take_the_place_of_a_closed_stream(tmp_path: Path) -> None:
    page = tmp_path / "page.svg"
    code, out, _ = ended(">&- 2>&- <&-", f"models --timeline --svg {page}")
    assert (code, out) == (0, "") and page.read_text().startswith("<?xml")


def test_a_descriptor_that_does_not_block_gets_everything() -> None:
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    content = os.urandom(1_000_000)
    got = bytearray()

    def read() -> None:
        while part := os.read(reading, 5_000):
            got.extend(part)

    reader = threading.Thread(target=read)
    reader.start()
    outlet = Outlet(writing)
    sent = 0
    while sent < len(content):
        sent += outlet.write(content[sent:])
    os.close(writing)
    reader.join()
    os.close(reading)
    assert bytes(got) == content and outlet.error is None


def test_what_a_library_prints_below_goes_nowhere_as_well() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    outlet = Outlet(writing)
    with pytest.raises(BrokenPipeError):
        os.write(writing, b"before")
    assert outlet.write(b"lost") == 4 and outlet.loss is None
    assert outlet.error is not None and outlet.error.errno == errno.EPIPE
    assert os.write(writing, b"after") == 5
    os.close(writing)


def test_a_hang_up_before_a_run_exists_ends_as_a_termination(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli, "main", lambda **_: os.kill(os.getpid(), signal.SIGHUP))
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    try:
        with pytest.raises(SystemExit) as stopped:
            main(["models"])
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_DFL
    finally:
        signal.signal(signal.SIGHUP, before)
    assert stopped.value.code == 143


def test_an_encoding_that_lacks_a_character_keeps_columns_aligned():
    assert "3×3 – 8 · ü".encode("ascii", "convscope") == b"3x3 - 8 . \\xfc"


@pytest.mark.parametrize("encoding", ["cp1252", "latin-1", "ascii", "utf-8"])
def test_json_is_exact_in_any_encoding(encoding: str, monkeypatch: pytest.MonkeyPatch) -> None:
    names = ["\u00fc \u00d7", "\u753b\u50cf", "\U0001f600", "a \u2192 b\u2026", "\x1b[2J\u202e\udcff"]
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding=encoding, errors="convscope"))
    echo_json(names)
    sys.stdout.flush()
    text = written.getvalue().decode(encoding)
    assert json.loads(text) == names and ("\U0001f600" in text) == (encoding == "utf-8")
