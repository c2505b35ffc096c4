"""Several processes that train one network: killed, stopped, hung, with bad numbers, with bad data."""

from __future__ import annotations

import datetime
import hashlib
import math
import os
import random
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

import data_makers as made
from convscope.data.batches import Batches
from convscope.data.preprocessing import Normalization
from convscope.data.records import ImageSet
from convscope.errors import ConvscopeError
from convscope.nets.build import build
from convscope.recipe.recipe import Recipe
from convscope.runs.run_directory import Run
from convscope.scoring.answer import evaluation_batch, scores_of_images
from convscope.training.distributed import launch
from convscope.training.loop import loop
from convscope.training.train import train
from reliability.row import (
    SETTINGS,
    Outcome,
    alive,
    by_tests,
    children,
    command,
    ended,
    forked,
    team,
    torchrun,
    wait_for,
)

RECIPE = Recipe(
    model="lenet5", epochs=2, threads=1, precision="fp32", autotune="rules", batch_size=64, learning_rate=0.05,
    optimizer="sgd",
)  # fmt: skip


# Of weights below 1, after 46 steps in float32 whose sums are added in another order.
WEIGHTS_APART = 1e-5
# Of the first epoch: 1,437 images.
LAST = 22


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def as_one(folder: Path, full: bool) -> Outcome:
    """Train with 1, 2 and 4 processes, each twice."""
    outcome, furthest, moved = Outcome(), 0.0, 0.0
    losses: dict[int, list[float]] = {}
    weights: dict[int, dict[str, torch.Tensor]] = {}
    for size in (1, 2, 4):
        found = []
        for time_of in (0, 1):
            runs = folder / f"{size}-{time_of}"

            def work(runs: Path = runs) -> list[float]:
                done = train("digits", RECIPE, runs_directory=runs, name="run")
                return [row.train_loss for row in done.rows] + [row.val_loss or 0.0 for row in done.rows]

            losses[size] = team(work, size, folder)[0]
            found.append(digest(runs / "run" / "weights.safetensors"))
        outcome.check(found[0] == found[1], f"{size} processes: the weights of two runs differ")
        weights[size] = Run(folder / f"{size}-0" / "run").read_weights()
        drift = max(float((weights[size][name] - tensor).abs().max()) for name, tensor in weights[1].items())
        moved = max(moved, drift)
        outcome.check(drift < WEIGHTS_APART, f"{size} processes: a weight differs by {drift:.1e} from one process's")
        apart = max(abs(one - other) for one, other in zip(losses[size], losses[1], strict=True))
        furthest = max(furthest, apart)
        outcome.check(apart < 1e-5, f"{size} processes: a loss differs by {apart:.1e} from one process's")
    outcome.note = (
        f"LeNet-5, float32, no batch normalization; the furthest loss is {furthest:.1e} away, the furthest weight "
        f"{moved:.1e}. Weights of 1, 2 and 4 processes are not equal bit for bit: sums are added in another order"
    )
    return outcome


def each_once(folder: Path, full: bool) -> Outcome:
    """Count the images of each epoch over all processes."""
    ways: dict[str, dict[str, Any]] = {
        "decoded ahead": {},
        "streamed": {"stream": "yes"},
        "batch normalization alone": {"model": "cifarnet"},
        "batch normalization shared": {"model": "cifarnet", "sync_batchnorm": True},
    }
    outcome = Outcome(note=f"last batches of 1 to 4 images; {', '.join(ways)}")
    made.fill(folder / "data", {"a": 33, "b": 34})
    plain, train_epoch = Batches.__iter__, loop._train_epoch

    for size in (1, 2, 3, 4) if full else (1, 4):
        # 67 images: the last batch has 3, 4, 2, 1 or all of them.
        for batch in (16, 9, 13, 11, 67) if full else (16,):
            for way, changes in ways.items():
                runs = folder / f"runs-{size}-{batch}-{way}"
                what = f"{size} processes, batch {batch}, {way}"

                def work(batch: int = batch, runs: Path = runs, changes: dict[str, Any] = changes) -> list[list[str]]:
                    epochs: dict[int, list[str]] = {}
                    in_the_loop: list[bool] = []

                    def counting(self: Batches) -> Iterator[Any]:
                        for found in plain(self):
                            if in_the_loop:
                                names = [self.image_set.names[row] for row in found[2].tolist()]
                                epochs.setdefault(self.epoch, []).extend(names)
                            yield found

                    def training(*given: Any) -> Any:
                        in_the_loop.append(True)  # the report and the tests of a batch read images as well
                        try:
                            return train_epoch(*given)
                        finally:
                            in_the_loop.clear()

                    loop._train_epoch = training
                    Batches.__iter__ = counting  # type: ignore[method-assign]
                    recipe = RECIPE.changed(
                        {"epochs": 3, "batch_size": batch, "test_fraction": 0.0,
                         "validation_fraction": 0.0, "patience": 0, **changes}
                    )  # fmt: skip
                    train(str(folder / "data"), recipe, runs_directory=runs)
                    return [epochs[number] for number in sorted(epochs)]

                members = team(work, size, folder)
                for epoch in range(3):
                    names = [name for member in members for name in member[epoch]]
                    once = len(names) == len(set(names)) == 67
                    outcome.check(once, f"{what}, epoch {epoch + 1}: {len(names)} images, {len(set(names))} different")
    return outcome


def same_metrics(folder: Path, full: bool) -> Outcome:
    """Measure an odd-sized set with the same network."""
    outcome = Outcome(note="accuracy and scores of sets of 1 to 1,025 images, bit for bit")
    draw = np.random.default_rng(0)
    torch.manual_seed(0)
    network = build("lenet5", num_classes=10, in_channels=1, image_size=(32, 32)).eval()
    normalization = Normalization((0.5,), (0.3,))
    batch = evaluation_batch((32, 32, 1))
    for count in (1, 3, batch - 1, batch + 1, 769, 1025) if full else (3, 769):
        images = ImageSet(
            draw.integers(0, 256, (count, 32, 32, 1), dtype=np.uint8), np.arange(count) % 10, ["x"] * count
        )

        def work(images: ImageSet = images) -> list[float]:
            torch.set_num_threads(1)
            with launch.joined() as group:
                scores = group.each_part(
                    images,
                    lambda part: scores_of_images(network, part, normalization, device="cpu", forward=network)[:, 0],
                    batch,
                )
                exact = [int(np.argmax(scores, 1).tolist() == images.labels.tolist()), float(scores.sum())]
                return [float((scores.argmax(1) == images.labels).mean()), *exact]

        alone = team(work, 1, folder)[0]
        for size in (2, 3, 4) if full else (2,):
            found = team(work, size, folder)
            outcome.check(
                all(one == alone for one in found), f"{count} images, {size} processes: {found} is not {alone}"
            )
    return outcome


def not_a_number(folder: Path, full: bool) -> Outcome:
    """Put NaN or infinity into a weight of one process before a step."""
    outcome = Outcome(note="NaN and infinity, in each process, at steps of the first and the second epoch")
    plain = loop.guarded_step
    for size in (1, 2, 3) if full else (2,):
        for rank in range(size):
            for step in (0, 5, LAST, 30, 44) if full else (LAST,):
                for value in (math.nan, math.inf):
                    runs = folder / f"{size}-{rank}-{step}-{value}"

                    def work(runs: Path = runs, rank: int = rank, step: int = step, value: float = value) -> Any:
                        reached = []

                        def spoilt(state: Any, settings: Any, inputs: Any, group: Any, *others: Any) -> Any:
                            reached.append(inputs.step)
                            if inputs.step == step and group.rank == rank:
                                next(state.network.parameters()).data.view(-1)[0] = value
                            return plain(state, settings, inputs, group, *others)

                        loop.guarded_step = spoilt
                        try:
                            train("digits", RECIPE, runs_directory=runs, name="run")
                        except ConvscopeError as error:
                            return [reached[-1], str(error)]
                        return [reached[-1], "went on"]

                    found = team(work, size, folder)
                    # Saturated units make a finite loss of an infinity, and NaN in the next step.
                    stopped = len({one[0] for one in found}) == 1 and found[0][0] - step in (0, 1)
                    stopped = stopped and all(one[1] != "went on" for one in found)
                    run = Run(runs / "run")
                    finite = not run.weights.exists() or all(
                        bool(tensor.isfinite().all()) for tensor in run.read_weights().values()
                    )
                    kept = finite and (run.weights.exists() or step <= LAST)
                    outcome.check(stopped and kept, f"{value} in process {rank} of {size}, step {step}: {found}")
    return outcome


def worker_death(folder: Path, full: bool) -> Outcome:
    """Kill a random worker of torchrun, which starts all of them again."""
    outcome, longest = Outcome(), 0.0
    draw = random.Random(0)
    words = f"train digits {SETTINGS} --epochs 12 --patience 0 --runs {folder}".split()
    whole = torchrun([*words, "--name", "whole"], folder / "whole.txt")
    whole.wait(600)
    want = digest(folder / "whole" / "weights.safetensors")
    for number in range(20 if full else 1):
        run = Run(folder / f"broken-{number}")
        said = folder / f"broken-{number}.txt"
        launcher = torchrun([*words, "--name", run.path.name], said, restarts=3)
        wait_for(lambda run=run: list(run.checkpoints.glob("step-*")))
        time.sleep(draw.uniform(0, 0.5))
        workers = sorted(children(launcher.pid))
        log = run.log_path
        began = time.monotonic()
        victim = draw.randrange(len(workers)) if workers else -1
        if workers:
            os.kill(workers[victim], signal.SIGKILL)
        back = wait_for(lambda log=log, on=launcher: "resuming" in log.read_text() or on.poll() is not None, 90)
        taken = time.monotonic() - began
        launcher.wait(600)
        longest = max(longest, taken)
        same = launcher.returncode == 0 and digest(run.weights) == want
        resumed = "resuming" in log.read_text()
        outcome.check(
            back and same and resumed and taken < 60,
            f"kill {number}, process {victim}: exit {launcher.returncode}, back after {taken:.0f} s, equal: {same}",
        )
    outcome.note = f"2 processes; the longest recovery took {longest:.0f} s"
    return outcome


def no_hang(folder: Path, full: bool) -> Outcome:
    """Read pipes and devices; kill or stop one process of two while the other waits for it."""
    outcome = by_tests("tests/cli/test_hostile_files.py")(folder, False)
    outcome.note += "; and one of two processes killed, or stopped with a patience of 8 s"
    for by in (signal.SIGKILL, signal.SIGSTOP):
        for rank in (0, 1) if full else (1,):
            runs = folder / f"{by.name}-{rank}"
            said = folder / f"{by.name}-{rank}.txt"
            launch.PATIENCE = datetime.timedelta(seconds=8)
            recipe = RECIPE.changed({"epochs": 5000, "patience": 0})

            def work(runs: Path = runs, recipe: Recipe = recipe) -> None:
                try:
                    train("digits", recipe, runs_directory=runs, name="run")
                except ConvscopeError as error:
                    print(error)
                    raise SystemExit(2) from None

            shared = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(23456 + 2 * int(by) + rank), "WORLD_SIZE": "2"}
            members = [forked(work, said, {**shared, "RANK": str(number)}) for number in (0, 1)]
            wait_for((runs / "run" / "metrics.csv").exists)
            os.kill(members[rank], by)
            began = time.monotonic()
            code = ended(members[1 - rank], 60)
            taken = time.monotonic() - began
            if by == signal.SIGSTOP:
                os.kill(members[rank], signal.SIGKILL)
            ended(members[rank])
            held = code == 2 and "has lost the other" in said.read_text() and taken < 30
            outcome.check(
                held, f"{by.name} of process {rank}: exit {code} after {taken:.0f} s: {said.read_text()[-200:]}"
            )
    return outcome


def orphans(folder: Path, full: bool) -> Outcome:
    """Kill or interrupt torchrun and an ablation with two trainings at once."""
    outcome = Outcome(note="torchrun with 2 processes, and ablate --jobs 2; by SIGKILL, SIGINT and SIGTERM")
    for by in (signal.SIGKILL, signal.SIGINT, signal.SIGTERM):
        for number in range(4 if full else 1):
            run = Run(folder / f"team-{by.name}-{number}")
            words = f"train digits {SETTINGS} --epochs 50000 --patience 0 --runs {folder} --name {run.path.name}"
            launcher = torchrun(words.split(), folder / "team.txt")
            wait_for(run.metrics_path.exists)
            workers = children(launcher.pid)
            launcher.send_signal(by)
            launcher.wait(120)
            gone = wait_for(lambda workers=workers: not alive(workers), 5)
            outcome.check(gone and len(workers) == 2, f"torchrun, {by.name}: {alive(workers)} of {workers} go on")
            runs = folder / f"ablation-{by.name}-{number}"
            words = f"ablate digits {SETTINGS} --epochs 3000 --patience 0 --without dropout --seeds 2 --jobs 2"
            ablation = forked(command([*words.split(), "--runs", str(runs)]), folder / "ablation.txt")
            found: list[int] = []
            wait_for(lambda ablation=ablation: len(children(ablation)) >= 2)
            time.sleep(4.0)
            found = children(ablation)
            os.kill(ablation, by)
            began = time.monotonic()
            ended(ablation, 60)
            gone = wait_for(lambda found=found: not alive(found), max(0.1, 5 - (time.monotonic() - began)))
            outcome.check(gone and len(found) >= 2, f"ablate, {by.name}: {alive(found)} of {found} go on")
            for orphan in alive([*found, *workers]):
                os.kill(orphan, signal.SIGKILL)
    return outcome


def unreadable(folder: Path, full: bool) -> Outcome:
    """Give torchrun a folder that is missing, empty or damaged, to all processes or to one of them."""
    outcome = Outcome(note="missing, empty, one class, a damaged table; and a folder that only one process has")
    (folder / "empty").mkdir()
    made.fill(folder / "one-class", {"a": 4})
    (folder / "labels.csv").write_text("image,label\nnowhere.png,a\nnor-here.png,b\n")
    for name in ("missing", "empty", "one-class", "labels.csv"):
        said = folder / f"said-{name}.txt"
        launcher = torchrun(["train", str(folder / name), "--model", "lenet5", "--runs", str(folder / "runs")], said)
        launcher.wait(120)
        times = sum(line.startswith("convscope: ") for line in said.read_text().splitlines())
        # torchrun prints a traceback of its own.
        held = launcher.returncode == 1 and times == 1 and said.read_text().count("Traceback") <= 1
        outcome.check(held, f"{name}: exit {launcher.returncode}, said {times} times")
    made.fill(folder / "whole", {"a": 30, "b": 30})

    for rank in (0, 1):

        def work(rank: int = rank) -> str:
            mine = int(os.environ["RANK"])
            source = folder / ("whole" if mine != rank else "missing")
            try:
                train(str(source), RECIPE, runs_directory=folder / f"apart-{rank}")
            except ConvscopeError as error:
                return f"{type(error).__name__}: {error}"
            return "went on"

        found = team(work, 2, folder)
        told = [one for one in found if not one.startswith("PeerError")]
        outcome.check(len(told) == 1 and "missing" in told[0], f"process {rank} has no data: {found}")
    return outcome
