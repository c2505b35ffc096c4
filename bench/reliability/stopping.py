"""Trainings that are stopped: at each step, at random moments, by a full disk; and files that were damaged since."""

from __future__ import annotations

import os
import random
import shutil
import signal
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

import data_makers as made
import stops
import weights
from convscope.errors import RunError
from convscope.runs.checkpoint import Checkpoint, load_checkpoint, save_checkpoint, saved_checkpoints
from convscope.runs.run_directory import Run
from convscope.training import kept_state
from convscope.training.loop import loop
from reliability.row import SETTINGS, Outcome, children, command, ended, forked, torchrun, wait_for

# The training images of a run, which give the steps of an epoch.
STEPS = 8
# What is trained beside the usual: each of these is stopped at each step.
RECIPES = {
    "as it is": "",
    "bf16": "--precision bf16",
    "mixup and CutMix": "--mixup 0.2 --cutmix 1",
    "averaged weights": "--ema-epochs 1",
    "dropout": "--model vgg11 --image-size 32",
    "batch normalization": "--model cifarnet --image-size 32 --ema-epochs 1",
    "streamed": "--stream yes",
    "2 threads": "--threads 2",
    "AdamW": "--optimizer adamw",
    "Muon": "--optimizer muon",
    "progressive resizing": (
        "--model cifarnet --image-size 32 --progressive-resize-start 0.5 --progressive-resize-share 0.9"
    ),
    "TrivialAugment and cutout": "--trivial-augment --cutout 2 --random-crop-padding 1",
    "alternating mirror images": "--flip yes --flip-mode alternating",
    "plateau schedule": "--schedule plateau --gradient-clip 1",
}


def resumed(folder: Path, full: bool) -> Outcome:
    """Stop each recipe at each step of its second epoch, by SIGTERM and by SIGKILL in turn, and go on."""
    outcome = Outcome(note=f"{len(RECIPES)} recipes: {', '.join(RECIPES)}; by SIGTERM and SIGKILL in turn")
    kept_state.CHECKPOINT_EVERY_SECONDS = 0.0
    made.fill(folder / "data" / "train", {"a": 40, "b": 40})
    made.fill(folder / "data" / "val", {"a": 8, "b": 8}, first_seed=500)
    made.fill(folder / "data" / "test", {"a": 8, "b": 8}, first_seed=600)
    for number, (name, options) in enumerate(RECIPES.items()):
        if not full and name not in ("as it is", "streamed"):
            continue
        runs = folder / f"recipe-{number}"
        words = f"train {folder / 'data'} {SETTINGS} --epochs 3 --batch-size 10 --runs {runs} {options}".split()
        if (code := ended(forked(command([*words, "--name", "whole"]), folder / "whole.txt"))) != 0:
            said = (folder / "whole.txt").read_text().splitlines()[-1:]
            outcome.check(False, f"{name}: trained with exit {code}: {''.join(said)}")
            continue
        whole = (runs / "whole" / "weights.safetensors").read_bytes()
        for step in range(STEPS) if full else (3,):
            run = runs / f"stopped-{step}"
            by = signal.SIGKILL if step % 2 else signal.SIGTERM
            stop = stopping_at([*words, "--name", run.name], STEPS + step, by)
            code = ended(forked(stop, folder / "stopped.txt"))
            again = ended(forked(command(["train", "--resume", str(run)]), folder / "resumed.txt"))
            same = again == 0 and (run / "weights.safetensors").read_bytes() == whole
            outcome.check(code in (143, -by) and same, f"{name}, step {step}: exits {code} and {again}, equal: {same}")
    return outcome


def stopping_at(words: Sequence[str], step: int, by: signal.Signals) -> object:
    """Return a training that gets a signal when it takes this step, counted from 0."""
    plain = loop.guarded_step

    def stopping(state, settings, inputs, *others):  # type: ignore[no-untyped-def]
        if inputs.step == step:
            os.kill(os.getpid(), by)
        return plain(state, settings, inputs, *others)

    def work() -> None:
        loop.guarded_step = stopping
        command(words)()

    return work


def killed(folder: Path, full: bool) -> Outcome:
    """Kill trainings that save after every epoch at random moments."""
    kept_state.CHECKPOINT_EVERY_SECONDS = 0.0
    kills = 200 if full else 4
    whole = stops.unbroken(folder / "whole")
    tally = stops.stopped(
        folder / "runs", (signal.SIGKILL,), kills, (-signal.SIGKILL, 0), random.Random("reliability"), whole
    )
    bad = max(tally.lost, tally.tracebacks, tally.other_codes)
    return Outcome(tally.times, [f"{tally}"] * bad, "at random moments of 6 epochs, each with a checkpoint")


def full_disk(folder: Path, full: bool) -> Outcome:
    """Train on disks of several sizes."""
    kept_state.CHECKPOINT_EVERY_SECONDS = 0.0
    tally = stops.full_disks(folder / "disk")
    if not tally.times:
        return Outcome(0, [], "not tried: mounting a small disk needs root")
    outcome = Outcome(tally.times, [f"{tally}"] * max(tally.lost, tally.tracebacks, tally.other_codes))
    outcome.note = f"tmpfs of {stops.DISKS[0]} to {stops.DISKS[-1]} MiB"
    return outcome


def damaged(folder: Path, full: bool) -> Outcome:
    """Change bytes of checkpoints and of weights files."""
    count = 1000 if full else 40
    accepted = weights.damaged(folder / "weights.safetensors", count // 2)
    outcome = Outcome(
        count // 2, ["a damaged file of weights was accepted"] * accepted, "half checkpoints, half weights"
    )
    draw = np.random.default_rng(0)
    state = {"weight": torch.randn(64, 64), "bias": torch.randn(64)}
    path = save_checkpoint(folder / "checkpoint", Checkpoint(state, state, state, {"step": 3, "epoch": 1}))
    whole = {file: file.read_bytes() for file in path.iterdir()}
    for number in range(count - count // 2):
        file = sorted(whole)[number % len(whole)]
        content = bytearray(whole[file])
        at, size = int(draw.integers(len(content))), int(draw.integers(1, 64))
        if number % 3 == 0:
            content[at] ^= 1 << int(draw.integers(8))
        elif number % 3 == 1:
            del content[at:]
        else:
            content[at : at + size] = bytes(len(content[at : at + size]))
        if bytes(content) == whole[file]:
            continue
        file.write_bytes(content)
        outcome.check(not _accepted(folder / "checkpoint", state), f"{file.name}: change {number} was accepted")
        file.write_bytes(whole[file])
    return outcome


def _accepted(folder: Path, state: dict[str, torch.Tensor]) -> bool:
    """Return whether a changed checkpoint is taken for another one; blanks within JSON change nothing."""
    try:
        found = load_checkpoint(folder)
    except RunError:
        return False
    assert found is not None
    same = all(torch.equal(found.model[name], tensor) for name, tensor in state.items())
    return not same or found.values != {"format": 1, "step": 3, "epoch": 1}


def terminated(folder: Path, full: bool) -> Outcome:
    """Send SIGTERM to one process and to torchrun, and time until they have ended."""
    outcome, longest = Outcome(), 0.0
    for number in range(20 if full else 2):
        run = Run(folder / f"one-{number}")
        words = f"train digits {SETTINGS} --epochs 5000 --patience 0 --runs {folder} --name {run.path.name}"
        process = forked(command(words.split()), folder / "one.txt")
        wait_for(run.metrics_path.exists)
        time.sleep(random.Random(number).uniform(0, 0.5))
        began = time.monotonic()
        os.kill(process, signal.SIGTERM)
        code = ended(process, 60)
        taken = time.monotonic() - began
        longest = max(longest, taken)
        held = code == 143 and taken < 15 and saved_checkpoints(run.checkpoints) and run.report.is_file()
        outcome.check(held, f"one process: exit {code} after {taken:.1f} s")
    for number in range(5 if full else 1):
        run = Run(folder / f"team-{number}")
        words = f"train digits {SETTINGS} --epochs 5000 --patience 0 --runs {folder} --name {run.path.name}"
        launcher = torchrun(words.split(), folder / "team.txt")
        wait_for(run.metrics_path.exists)
        workers = children(launcher.pid)
        began = time.monotonic()
        launcher.send_signal(signal.SIGTERM)
        launcher.wait(120)
        taken = time.monotonic() - began
        longest = max(longest, taken)
        held = taken < 15 and saved_checkpoints(run.checkpoints) and run.report.is_file() and workers
        outcome.check(held, f"torchrun: ended after {taken:.1f} s")
    outcome.note = f"one process and torchrun with 2; the longest took {longest:.1f} s"
    return outcome


def two_in_one(folder: Path, full: bool) -> Outcome:
    """Resume a run that is being trained."""
    outcome, longest = Outcome(), 0.0
    run = Run(folder / "run")
    words = f"train digits {SETTINGS} --epochs 100000 --patience 0 --runs {folder} --name run"
    first = forked(command(words.split()), folder / "first.txt")
    wait_for(lambda: saved_checkpoints(run.checkpoints))
    for number in range(20 if full else 2):
        said = folder / f"second-{number}.txt"
        began = time.monotonic()
        code = ended(forked(command(["train", "--resume", str(run)]), said), 30)
        longest = max(longest, time.monotonic() - began)
        held = code == 2 and "being trained by another process" in said.read_text()
        outcome.check(held and time.monotonic() - began < 2, f"exit {code}: {said.read_text()[-200:]}")
    os.kill(first, signal.SIGKILL)
    ended(first)
    outcome.note = f"the longest took {longest:.2f} s"
    return outcome


def while_decoding(folder: Path, full: bool) -> Outcome:
    """Stop a training while it decodes, by SIGTERM, SIGINT or SIGKILL, and train again."""
    outcome = Outcome(note="SIGTERM, SIGINT and SIGKILL in turn, at random moments of decoding 400 images")
    made.fill(folder / "data", {"a": 8, "b": 8})
    for name in ("a", "b"):
        for number in range(200):
            made.image(1000 * (name == "b") + number, 300).save(folder / "data" / name / f"large-{number}.png")
    for number in range(18 if full else 2):
        cache, runs = folder / f"cache-{number}", folder / f"runs-{number}"
        words = f"train {folder / 'data'} --model lenet5 --threads 1 --autotune rules --epochs 1 --name run".split()
        words += ["--runs", str(runs), "--cache", str(cache)]
        said = folder / f"said-{number}.txt"
        process = forked(command(words), said)
        wait_for(lambda cache=cache: cache.exists() and any(cache.iterdir()))
        time.sleep(random.Random(number).uniform(0, 0.4))
        by = (signal.SIGTERM, signal.SIGINT, signal.SIGKILL)[number % 3]
        os.kill(process, by)
        code = ended(process, 60)
        half = (
            [path for path in cache.iterdir() if path.name.startswith((".tmp", "tmp"))] if by != signal.SIGKILL else []
        )
        shutil.rmtree(runs, ignore_errors=True)
        again = ended(forked(command(words), said))
        held = again == 0 and code in (-by, 128 + by, 0) and "Traceback" not in said.read_text() and not half
        outcome.check(held, f"{by.name}: exits {code} and {again}, left over: {half}")
    return outcome
