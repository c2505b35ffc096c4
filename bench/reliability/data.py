"""Data sets: leaks, odd ones, bombs; and that no command changes a file of the user's."""

from __future__ import annotations

import hashlib
import io
import json
import re
import subprocess
import sys
from pathlib import Path

from PIL import Image

import data_makers as made
from convscope.data.open import open_dataset
from convscope.data.records import Decoding
from reliability.row import ROOT, SETTINGS, Outcome, by_tests, command, ended, forked

SECONDS, MEGABYTES = 10.0, 500.0
# How an image is saved anew with the same pixels.
LOSSLESS: dict[str, dict[str, object]] = {
    "PNG": {}, "BMP": {}, "TIFF": {"compression": "tiff_lzw"}, "PPM": {}, "WEBP": {"lossless": True},
}  # fmt: skip
COMMANDS = (
    f"train DATA {SETTINGS} --epochs 1 --runs RUNS --name run",
    f"train DATA {SETTINGS} --epochs 1 --stream yes --verify --runs RUNS",
    f"train DATA {SETTINGS} --epochs 1 --ensemble 2 --runs RUNS",
    "train --resume RUNS/run --epochs 2",
    "evaluate RUNS/run",
    "evaluate RUNS/run DATA",
    "predict RUNS/run DATA/a",
    "check DATA",
    "shard DATA RUNS/shards",
    f"ablate DATA {SETTINGS} --epochs 1 --without dropout --seeds 1 --runs RUNS",
    "lr-find DATA --model lenet5 --steps 20 --threads 1 --autotune rules",
    "explain RUNS/run DATA/a/000.png --layer features.0 --at 2,2",
    "inspect RUNS/run",
    "audit RUNS/run",
)


def leaks(folder: Path, full: bool) -> Outcome:
    """Put copies of training images into the other splits."""
    outcome = Outcome(note="byte copies, and images saved anew as " + ", ".join(LOSSLESS))
    for number in range(40 if full else 4):
        data = folder / f"set-{number}"
        seed = made.fill(
            data / "train", {"a": 4, "b": 4}, first_seed=1000 * number, ending="jpg" if number % 2 else "png"
        )
        seed = made.fill(data / "val", {"a": 2, "b": 2}, first_seed=seed)
        made.fill(data / "test", {"a": 2, "b": 2}, first_seed=seed)
        (source, *_) = sorted((data / "train" / "a").iterdir())[number % 4 :]
        split = ("val", "test")[number // 2 % 2]
        kind = [None, *LOSSLESS][number % (1 + len(LOSSLESS))]
        copy = data / split / "b" / f"copy.{(kind or source.suffix[1:]).lower()}"
        if kind is None:
            copy.write_bytes(source.read_bytes())
        else:
            Image.open(source).save(copy, kind, **LOSSLESS[kind])
        found = open_dataset(str(data), decoding=Decoding(size=(16, 16)), cache_directory=folder / "cache").leaks
        said = [(Path(leak.first).name, Path(leak.second).name) for leak in found]
        outcome.check(said == [(source.name, copy.name)], f"set {number}, {kind}: {said}")
    return outcome


def tree(folder: Path) -> dict[str, tuple[str, int, int]]:
    """Return what a folder holds: each file's hash, mode and time."""
    return {
        str(path.relative_to(folder)): (
            hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "", path.stat().st_mode,
            path.stat().st_mtime_ns,
        )
        for path in sorted(folder.rglob("*"))
    }  # fmt: skip


def untouched(folder: Path, full: bool) -> Outcome:
    """Run every command that reads images on a folder with a broken one in it."""
    data, runs = folder / "data", folder / "runs"
    made.fill(data, {"a": 120, "b": 120})
    (data / "a" / "torn.png").write_bytes((data / "a" / "000.png").read_bytes()[:100])
    before, outcome, refused = tree(folder / "data"), Outcome(), []
    for words in COMMANDS:
        said = folder / f"{len(refused)}-{words.split()[0]}.txt"
        line = words.replace("DATA", str(data)).replace("RUNS", str(runs))
        code = ended(forked(command(line.split()), said))
        if code:
            refused.append(f"{words.split()[0]} ({code})")
            outcome.check(code == 2 and "predict" in words, f"exit {code}: {words}: {said.read_text()[-200:]}")
        outcome.check(tree(data) == before, f"changed by: {words}")
    outcome.note = f"hash, mode and time of {len(before)} files after {len(COMMANDS)} commands"
    if refused:
        outcome.note += f"; said by an error that an image is torn: {', '.join(refused)}"
    return outcome


def bombs(folder: Path, full: bool) -> Outcome:
    """Decode each kind of bomb 8 times at once, as bench/bombs.py does."""
    words = [sys.executable, str(ROOT / "bench" / "bombs.py"), *([] if full else ["--only", "PNG, a text of 1 GiB"])]
    done = subprocess.run(words, stdout=subprocess.PIPE, text=True, check=False)
    print(done.stdout, file=sys.stderr)
    last = done.stdout.strip().splitlines()[-1] if done.stdout.strip() else ""
    kinds = re.match(r"(\d+) kinds", last)
    return Outcome(int(kinds[1]) if kinds else 1, [] if done.returncode == 0 else [last or "broke off"], last)


PROBE = """
import json, sys, time
began = time.perf_counter()
from convscope.data.open import probe
found = probe(sys.argv[1])
seconds = time.perf_counter() - began
status = open("/proc/self/status").read()
peak = int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1]) * 1024 / 1e6
print(json.dumps([len(found.listing.names), len(found.classes), seconds, peak]))
"""
TRAIN = """
import resource, sys
from convscope.cli.main import main
try:
    main(sys.argv[1:])
except SystemExit as ended:
    assert not ended.code, ended.code
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6)
"""


def odd_sets(folder: Path, full: bool) -> Outcome:
    """List many files and many classes, in a fresh process; and have odd sets refused."""
    outcome = by_tests("tests/data/test_bad_input.py", "tests/data/test_open.py")(folder, full)
    stream = io.BytesIO()
    made.image(0, 8).save(stream, "PNG")
    content, notes = stream.getvalue(), []
    for classes, images in ((10, 10_000), (1000, 4)) if full else ((10, 100), (100, 4)):
        data = folder / f"{classes}-classes"
        for number in range(classes):
            (data / f"class-{number:04d}").mkdir(parents=True)
            for image in range(images):
                (data / f"class-{number:04d}" / f"{image:05d}.png").write_bytes(content)
        done = subprocess.run([sys.executable, "-c", PROBE, str(data)], stdout=subprocess.PIPE, text=True, check=True)
        files, found, seconds, peak = json.loads(done.stdout)
        notes.append(f"{files:,} files of {found:,} classes: {seconds:.1f} s, {peak:.0f} MB")
        outcome.check(
            (files, found) == (classes * images, classes) and seconds < SECONDS and peak < MEGABYTES, notes[-1]
        )
    many = folder / "different"
    for number in range(1000 if full else 20):
        made.fill(many, {f"class-{number:04d}": 3}, first_seed=3 * number)
    words = f"train {many} --model lenet5 --epochs 1 --threads 1 --autotune rules --runs {folder / 'runs'}".split()
    done = subprocess.run([sys.executable, "-c", TRAIN, *words], stdout=subprocess.PIPE, text=True, check=False)
    peak = float(done.stdout.split()[-1]) if done.returncode == 0 else -1.0
    notes.append(f"a training with {len(list(many.iterdir())):,} classes: {peak:.0f} MB")
    outcome.check(0 < peak < MEGABYTES, notes[-1])
    outcome.note += "; " + "; ".join(notes)
    return outcome
