"""`convscope studio`: what it says before the page, how it starts without torch, and how it ends."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from commands import run_command
from convscope.errors import ConvscopeError

STARTED = """
import sys
import convscope
import convscope.cli.main
assert not {"starlette", "uvicorn", "torch", "numpy"} & set(sys.modules)
import convscope.cli.studio
assert not {"starlette", "uvicorn", "torch"} & set(sys.modules)
import convscope.studio.models
import convscope.studio.server.launch
assert "torch" not in sys.modules
"""


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--host", "0.0.0.0"], "add --i-know"),
        (["--port", "99999"], "99999 is not in the range"),
        (["--input", "3x32x32"], "--input is about MODEL: name one"),
        (["resnet81"], "Did you mean resnet18"),
        (["lenet5", "--trust-code"], "lenet5 is no run"),
        (["--image", "none.png"], "none.png: "),
        (["--data", "none"], "'none' does not exist"),
        (["--host", "256.1.1.1", "--i-know"], "is no address"),
        (["--imgae", "x.png"], "--image"),
        (
            ["--state", "zzz"],
            "the link names no part of this page; give a link of the page, from its # on",
        ),
        (["--state", "#/explore?c=-4"], "--state #/explore?c=-4: c=-4 is out of range; give a link"),
        (["--state", "http://127.0.0.1:8421/?t=x#/train?v=9"], "the link is of another version than 1; give"),
        (["--image", "zeros.png"], "zeros.png: not an image that is read: it is nothing but zeros"),
        (["--image", "empty.png"], "empty.png: empty file (0 bytes)"),
    ],
)
def test_a_mistake_is_one_line(
    arguments: list[str], line: str, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("uvicorn")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "zeros.png").write_bytes(bytes(10_000))
    (tmp_path / "empty.png").touch()
    code, out, err = run_command(capsys, "studio", *arguments)
    assert (code, out) == (2, "") and line in err and err.count("\n") == 1


def test_a_missing_extra_is_one_line(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "starlette", None)
    needed = "convscope: the studio needs starlette: pip install 'convscope[studio]'\n"
    assert run_command(capsys, "studio") == (2, "", needed)


def test_help_and_the_server_import_no_torch(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("uvicorn")
    done = subprocess.run([sys.executable, "-c", STARTED], capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    code, out, _ = run_command(capsys, "studio", "--help")
    assert code == 0 and "ssh -L" in out and "--i-know" in out


def test_the_next_free_port_is_used() -> None:
    pytest.importorskip("uvicorn")
    from convscope.studio.server.launch import listen

    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with listen("127.0.0.1", port) as listening:
            assert port < listening.getsockname()[1] < port + 100
    with pytest.raises(ConvscopeError, match=r"can't be listened to|is free"):
        listen("192.0.2.1", 8421)  # an address of nobody


def test_it_says_its_link_and_ends_with_an_interrupt(tmp_path: Path) -> None:
    pytest.importorskip("uvicorn")
    from studio_command import start_studio
    from studio_runs import make_run

    make_run(tmp_path / "runs" / "mine")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        studio = start_studio(folder=tmp_path, port=taken.getsockname()[1])
        try:
            assert f"port {taken.getsockname()[1]} is taken: using {studio.port}\n" in studio.lines
            opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
            assert b"<title>" in opener.open(studio.address, timeout=300).read()
            session = json.load(opener.open(f"{studio.origin}/api/session", timeout=300))
            assert session["stage"] in ("starting", "importing torch", "ready")
            events = opener.open(f"{studio.origin}/api/runs/mine/events", timeout=300)
            assert events.readline() == b"retry: 1000\n"
        finally:
            code = studio.stop()
        assert code == 0
        assert (b"\n" + events.read()).endswith(b"\n\n")  # an open stream does not hold the end up
    assert not [line for line in studio.lines if "Traceback" in line or "ERROR" in line]
