"""A model that never ends, ends the process, or raises what is no Exception: one line, and exit 2."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from commands import run_command

SOURCE = """
import ctypes, itertools, multiprocessing, os, signal, subprocess, sys, threading, time
from torch import nn

def sleeps():
    while True:
        try:
            time.sleep(0.1)
        except BaseException:
            pass

class Other(BaseException):
    pass

def raised(error):
    raise error

def unalarmed():
    signal.setitimer(signal.ITIMER_REAL, 0)
    sleeps()

def writes():
    for descriptor in range(3, 256):
        try:
            os.write(descriptor, b"[0]\\n")
        except OSError:
            pass

WORK = {
    "closes": lambda: os.closerange(0, 100),
    "closes_all": lambda: os.closerange(3, 4096),
    "writes": writes,
    "prints": lambda: subprocess.run("echo from another program", shell=True),
    "orphan": lambda: subprocess.Popen(["sleep", "1000"]),
    "swallows": sleeps,
    "holds": lambda: sum(itertools.repeat(0)),
    "in_c": lambda: ctypes.CDLL(None).sleep(1000),
    "unalarmed": unalarmed,
    "leaves": lambda: os._exit(0),
    "crashes": lambda: ctypes.string_at(0),
    "exits": lambda: sys.exit(3),
    "interrupts": lambda: raised(KeyboardInterrupt),
    "raises": lambda: raised(Other("a reason")),
    "thread": lambda: threading.Thread(target=sleeps).start(),
    "process": lambda: multiprocessing.get_context("fork").Process(target=sleeps).start(),
}

class Net(nn.Module):
    def __init__(self, work):
        super().__init__()
        self.conv, self.work = nn.Conv2d(3, 4, 3), work

    def forward(self, x):
        y = self.conv(x)
        WORK[self.work]()
        return y

for name in WORK:
    globals()[name] = lambda name=name: Net(name)
"""
LATE = "takes more than 1 s: it may never end"


def command(folder: Path, model: str, *more: str) -> subprocess.Popen[str]:
    (folder / "net.py").write_text(SOURCE)
    words = ["-m", "convscope", "inspect", f"net.py:{model}", "--input", "3x8x8", *more]
    pipe = subprocess.PIPE
    return subprocess.Popen([sys.executable, *words], cwd=folder, stdout=pipe, stderr=pipe, text=True)


@pytest.mark.parametrize(
    ("model", "said"),
    [
        ("exits", "the model failed: it ends the program (exit 3)"),
        ("interrupts", "net.py:interrupts raised KeyboardInterrupt"),
        ("raises", "net.py:raises raised Other"),
    ],
)
def test_what_a_model_raises_is_its_own(tmp_path, monkeypatch, capsys, model, said):
    monkeypatch.chdir(tmp_path)
    Path("net.py").write_text(SOURCE)
    code, _, err = run_command(capsys, "inspect", f"net.py:{model}", "--input", "3x8x8")
    assert code == 2 and said in err.splitlines()[-1]


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="the system has no alarm")
def test_a_model_that_catches_everything_is_ended(tmp_path):
    ran = command(tmp_path, "swallows", "--deadline", "1")
    out, err = ran.communicate(timeout=300)
    assert ran.returncode == 2 and not out and LATE in err and len(err.splitlines()) == 1


@pytest.mark.long
@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="the system has no alarm")
@pytest.mark.parametrize(
    ("model", "seconds", "code", "said"),
    [
        ("holds", "1", 2, LATE),
        ("in_c", "1", 2, LATE),
        ("unalarmed", "1", 2, LATE),
        ("leaves", "60", 2, "net.py:leaves ended the process (exit 0)"),
        ("crashes", "60", 2, "net.py:crashes was ended by SIGSEGV"),
        ("thread", "60", 0, ""),
        ("process", "60", 0, ""),
        ("closes", "60", 0, ""),
        ("closes_all", "60", 2, "net.py:closes_all closes files that it did not open"),
        ("writes", "60", 0, ""),
        ("prints", "60", 0, "from another program"),
        ("orphan", "60", 0, ""),  # whose end the command's pipes would wait for
    ],
)
def test_whatever_a_model_does_the_command_ends(tmp_path, model, seconds, code, said):
    ran = command(tmp_path, model, "--deadline", seconds)
    out, err = ran.communicate(timeout=300)
    assert ran.returncode == code and said in err and len(err.splitlines()) <= 1
    assert f"{model} on 3" in out if code == 0 else not out


@pytest.mark.long
@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="the system has no alarm")
@pytest.mark.parametrize(
    ("signals", "code"), [([signal.SIGINT] * 2, 130), ([signal.SIGTERM], 143), ([signal.SIGHUP], 143)]
)
def test_signals_reach_the_process_that_works(tmp_path, signals, code):
    ran = command(tmp_path, "swallows")
    time.sleep(8)
    for number in signals:
        ran.send_signal(number)
        time.sleep(1)
    _, err = ran.communicate(timeout=300)
    assert ran.returncode == code and err == ("convscope: interrupted\n" if code == 130 else "")
