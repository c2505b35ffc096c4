"""Attributions on images whose answer is known: how much of each map is where the class is decided.

    python bench/known_answer.py [--size 64] [--runs runs] [--images 10000] [--explained 100] [--random-images 20]

Trains a small network on shapes (and one on dots in a corner) with `convscope.train`, or takes the runs that are in
`--runs` already, and explains unseen images that it classifies rightly. To the shapes that it is trained on come half
as many images with a second, smaller shape, whose class is not the image's. Printed are the share of each map's
positive part in the shape's box, in the box half a cell and a cell wider, and how often the largest value is there
(pointing); the same for networks of random weights; the shares at a dot that decides the class and at a second shape
of another class; and what is required of each. The recipe, the seeds and the images are fixed.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional

import convscope
from convscope.arrays import Floats
from convscope.data.known_answer import AnswerVariant, KnownAnswers, known_answers
from convscope.interpret.attribution.baselines import baseline_of
from convscope.interpret.attribution.checks.rank_correlation import rank_correlation
from convscope.interpret.attribution.methods import attribute
from convscope.interpret.attribution.options import AttributionOptions
from convscope.interpret.subject import Subject, subject
from convscope.report.table import Column, Table, print_table
from kit.shapes_network import network

ACCURACY = 0.98
TRAIN_SEED, TEST_SEED, SECOND_SEED = 0, 1, 2
UNSEEN = 400  # images, of which those classified rightly are explained


@dataclass(frozen=True, kw_only=True)
class Way:
    """A method with its settings, and where its mass must be: in the box, or within a cell of it."""

    name: str
    method: str
    options: AttributionOptions
    wide: bool = False
    smoothed: int = 1
    mass: float = 0.0
    pointing: float = 0.0

    def map_of(self, of: Subject, target: int) -> Floats:
        """Return the map on the image."""
        found = attribute(of, self.method, target=target, options=self.options).map
        return box_mean(found, self.smoothed)

    def cell(self, size: int) -> int:
        """Return the side of a cell in pixels; of maps on the input, that of the last stage."""
        return {"layer2": 4, None: 8}[self.options.layer] * (1 if size < 128 else 2)


def ways(size: int) -> tuple[Way, ...]:
    step = size // 16
    return (
        Way(name="Grad-CAM", method="grad-cam", options=AttributionOptions(), wide=True, mass=0.80, pointing=0.95),
        Way(name="HiResCAM", method="hires-cam", options=AttributionOptions(), wide=True, mass=0.75),
        Way(name="Grad-CAM, stage 2", method="grad-cam", options=AttributionOptions(layer="layer2"), wide=True),
        Way(name="HiResCAM, stage 2", method="hires-cam", options=AttributionOptions(layer="layer2"), wide=True),
        Way(name="IG, blurred", method="integrated-gradients", options=AttributionOptions(steps=64, baseline="blurred"),
            smoothed=5, mass=0.70),
        Way(name="gradient", method="gradient", options=AttributionOptions()),
        Way(name="guided backprop", method="guided-backprop", options=AttributionOptions()),
        Way(name="occlusion", method="occlusion", options=AttributionOptions(window=3 * step, stride=step)),
    )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--size", type=int, default=64, help="side of the images: 64 or 224")
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="where runs are made, and taken from")
    parser.add_argument("--images", type=int, default=10_000, help="with one shape, to train on")
    parser.add_argument("--epochs", type=int, default=11)
    parser.add_argument("--explained", type=int, default=100, help="images")
    parser.add_argument("--random-images", type=int, default=20, help="images explained with random weights, 5 seeds")
    given = parser.parse_args()
    plain = Task.of("plain", given)
    right = plain.right[: given.explained]
    print(f"plain: accuracy {plain.accuracy:.1%} on {UNSEEN} unseen images (required {ACCURACY:.0%})", flush=True)
    maps = {way.name: plain.maps(way, right) for way in ways(given.size)}
    print_table(located(plain, right, maps, given.size))
    print_table(nulls(plain, right))
    print_table(random_weights(plain, right[: given.random_images], maps, given.size))
    cue = Task.of("cue", given)
    right = cue.right[: given.explained]
    print(f"cue: accuracy {cue.accuracy:.1%}; {len(right)} explained", flush=True)
    print_table(traps(cue, right, given.size))
    distractor = Task.of("distractor", given, trained="plain")
    right = distractor.right[: given.explained]
    print(f"distractor: the first shape is predicted in {distractor.accuracy:.1%}; {len(right)} explained", flush=True)
    print_table(distracted(distractor, right, given.size))


@dataclass(frozen=True, kw_only=True, eq=False)
class Task:
    """A trained network with unseen images of a variant."""

    made: KnownAnswers
    subjects: tuple[Subject, ...]
    right: tuple[int, ...]

    @classmethod
    def of(cls, variant: AnswerVariant, given: argparse.Namespace, trained: AnswerVariant | None = None) -> Task:
        """Return the task, its network trained now unless its run is there."""
        run = trained_run(trained or variant, given)
        made = known_answers(UNSEEN, size=given.size, variant=variant, seed=TEST_SEED)
        predictor = convscope.load(run, trust_code=True)
        first = subject(predictor, made.images[0])
        each = [replace(subject(predictor, image), given_replays=first.replays) for image in made.images]
        scores = first.replays.class_scores(torch.cat([one.tensor for one in each]))
        right = np.flatnonzero(scores.argmax(1).numpy() == made.labels)
        return cls(made=made, subjects=tuple(each), right=tuple(right.tolist()))

    @property
    def accuracy(self) -> float:
        """The share of unseen images that are classified rightly."""
        return len(self.right) / len(self.subjects)

    def maps(self, way: Way, rows: Sequence[int]) -> list[Floats]:
        """Return the map of each image's class."""
        return [way.map_of(self.subjects[row], int(self.made.labels[row])) for row in rows]

    def with_weights(self, weights: Mapping[str, torch.Tensor]) -> Task:
        """Return the task with other weights in the network."""
        replays = self.subjects[0].replays.with_weights(weights)
        return replace(self, subjects=tuple(replace(one, given_replays=replays) for one in self.subjects))


def trained_run(variant: AnswerVariant, given: argparse.Namespace) -> Path:
    """Return the run of a variant, trained unless it is there; one that was interrupted goes on."""
    name = f"known-answer-{variant}-{given.size}"
    earlier = convscope.Run(given.runs / name, trust_code=True) if (given.runs / name).is_dir() else None
    status = None if earlier is None else earlier.status()
    if earlier is not None and status is not None and status.state == "done":
        return earlier.path
    made = known_answers(given.images, size=given.size, variant=variant, seed=TRAIN_SEED)
    images, labels = made.images, made.labels
    if variant == "plain":
        two = known_answers(given.images // 2, size=given.size, variant="distractor", seed=SECOND_SEED)
        images, labels = np.concatenate([images, two.images]), np.concatenate([labels, two.labels])
    recipe = convscope.Recipe(
        model=f"{Path(__file__).parent / 'kit' / 'shapes_network.py'}:network",
        epochs=given.epochs,
        batch_size=64,
        optimizer="adamw",
        learning_rate=0.004,
        random_crop_padding=0,  # it would cut the dot off
        random_resized_crop=False,
        progressive_resize_share=0.0,
        tta="one",
        autotune="rules",
    )
    data, classes = (images, labels), list(made.classes)

    def on_epoch(row: convscope.EpochRow) -> None:
        print(f"{name}: {row}", flush=True)

    if earlier is not None:
        return convscope.train(data, classes=classes, resume=earlier, on_epoch=on_epoch).run.path
    runs = {"name": name, "runs_directory": given.runs}
    return convscope.train(data, recipe, classes=classes, on_epoch=on_epoch, **runs).run.path


def located(task: Task, rows: Sequence[int], maps: Mapping[str, list[Floats]], size: int) -> Table:
    """Return where each method's mass is, beside what is required."""
    columns = [Column("method"), *(Column(name, numeric=True) for name in
               ("box", "+ half a cell", "+ one cell", "pointing")), Column("required"), Column("met")]  # fmt: skip
    cells = []
    boxes = task.made.boxes[list(rows)]
    for way in ways(size):
        cell = way.cell(size)
        shares = [mean_share(maps[way.name], boxes, wider) for wider in (0, cell // 2, cell)]
        pointing = pointed(maps[way.name], boxes, cell if way.wide else 0)
        mass = shares[2] if way.wide else shares[0]
        needed = [f"{'+ one cell' if way.wide else 'box'} {way.mass:.2f}"] * bool(way.mass)
        needed += [f"pointing {way.pointing:.2f}"] * bool(way.pointing)
        met = mass >= way.mass and pointing >= way.pointing
        cells.append(
            (way.name, *(f"{share:.2f}" for share in (*shares, pointing)), ", ".join(needed), yes(met, needed))
        )
    area = [
        f"{mean_share([np.ones((size, size))] * len(rows), boxes, wider):.2f}" for wider in (0, size // 16, size // 8)
    ]
    cells.append(("area (chance), cells of an eighth", *area, "", "", ""))
    return Table.of(columns, cells, title="Share of the positive part")


def nulls(task: Task, rows: Sequence[int]) -> Table:
    """Return the share of |image - baseline| in the box: what integrated gradients multiply by."""
    cells = []
    for baseline in ("blurred", "mean"):
        maps = [null(task.subjects[row], baseline) for row in rows]
        cells.append((baseline, f"{mean_share(maps, task.made.boxes[list(rows)], 0):.2f}"))
    return Table.of([Column("null: |image - baseline|"), Column("box", numeric=True)], cells)


def random_weights(task: Task, rows: Sequence[int], trained: Mapping[str, list[Floats]], size: int) -> Table:
    """Return where the mass is with random weights, the mean of 5 networks, beside chance or the null."""
    boxes = task.made.boxes[list(rows)]
    whole = [np.ones((size, size))] * len(rows)
    blurred_null = mean_share([null(task.subjects[row], "blurred") for row in rows], boxes, 0)
    nets = [task.with_weights(fresh_weights(task, seed)) for seed in range(5)]
    cells = []
    for way in ways(size):
        wider = way.cell(size) if way.wide else 0
        shares, ranks, earlier = [], [], trained[way.name][: len(rows)]
        for net in nets:
            found = net.maps(way, rows)
            shares.append(mean_share(found, boxes, wider))
            ranks += [rank_correlation(np.abs(one), np.abs(other)) for one, other in zip(found, earlier, strict=True)]
        integrated = way.method == "integrated-gradients"
        expected = blurred_null if integrated else mean_share(whole, boxes, wider)
        tolerance = 0.03 if integrated else 0.05
        mass, rank = float(np.nanmean(shares)), float(np.mean([rank for rank in ranks if rank is not None]))
        met = abs(mass - expected) <= tolerance and rank < 0.3
        cells.append((way.name, f"{mass:.2f}", f"{'null' if integrated else 'chance'} {expected:.2f} ± {tolerance}",
                      f"{rank:.2f}", "below 0.3", yes(met)))  # fmt: skip
    columns = [Column("random weights, 5 seeds"), Column("share", numeric=True), Column("required"),
               Column("rank correlation", numeric=True), Column("required"), Column("met")]  # fmt: skip
    return Table.of(columns, cells)


def traps(task: Task, rows: Sequence[int], size: int) -> Table:
    """Return the shares at the dot that decides the class, and at the shape that does not."""
    assert task.made.cue_boxes is not None
    dots, boxes = task.made.cue_boxes[list(rows)], task.made.boxes[list(rows)]
    cells = []
    for way in ways(size):
        wider = way.cell(size) if way.wide else size // 32
        maps = task.maps(way, rows)
        dot, shape = mean_share(maps, dots, wider), mean_share(maps, boxes, wider)
        found = (f"{dot:.2f}", f"{shape:.2f}", f"{pointed(maps, dots, wider):.2f}")
        cells.append((way.name, *found, "at the dot: most, and above the shape", yes(dot >= 0.5 and dot > shape)))
    columns = [Column("a dot decides"), Column("at the dot", numeric=True), Column("at the shape", numeric=True),
               Column("pointing", numeric=True), Column("required"), Column("met")]  # fmt: skip
    return Table.of(columns, cells)


def distracted(task: Task, rows: Sequence[int], size: int) -> Table:
    """Return the shares at the first shape, whose class is explained, and at a second one of another class."""
    assert task.made.second_boxes is not None
    boxes, second = task.made.boxes[list(rows)], task.made.second_boxes[list(rows)]
    area = mean_share([np.ones((size, size))] * len(rows), second, 0)
    cells = []
    for way in ways(size):
        maps = task.maps(way, rows)
        other, net = mean_share(maps, second, 0), [net_share(maps, where) for where in (boxes, second)]
        signed = any((found < 0).any() for found in maps)
        found = (f"{mean_share(maps, boxes, 0):.2f}", f"{other:.3f}", *(f"{one:+.2f}" if signed else "" for one in net))
        met = other < area or (signed and net[1] < 0)
        cells.append((way.name, *found, f"positive below its area, {area:.3f}, or net below 0", yes(met)))
    columns = [Column("two shapes"), Column("positive, at the first", numeric=True),
               Column("at the second", numeric=True),
               Column("net, at the first", numeric=True), Column("at the second", numeric=True),
               Column("required"), Column("met")]  # fmt: skip
    return Table.of(columns, cells)


def fresh_weights(task: Task, seed: int) -> dict[str, torch.Tensor]:
    """Return the weights of a new network, its batch normalization measured on the unseen images."""
    images = torch.cat([one.tensor for one in task.subjects[:256]])
    torch.manual_seed(seed)
    fresh = network(num_classes=len(task.made.classes), image_size=images.shape[-1]).train()
    for module in fresh.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = None  # the mean over all batches, here of the one
    with torch.no_grad():
        fresh(images)
    return dict(fresh.state_dict())


def null(of: Subject, baseline: str) -> Floats:
    found: Floats = (of.tensor - baseline_of(of, baseline)[0])[0].abs().sum(0).double().numpy()
    return found


def box_mean(found: Floats, side: int) -> Floats:
    """Return a map smoothed by the mean over a square."""
    if side == 1:
        return found
    made: Floats = functional.avg_pool2d(
        torch.from_numpy(found)[None, None], side, 1, side // 2, count_include_pad=False
    )[0, 0].numpy()
    return made


def mean_share(maps: Sequence[Floats], boxes: np.ndarray, wider: int) -> float:
    """Return the mean share of the positive part in boxes, wider on every side; maps without one are left out."""
    shares = [
        float(positive[inside].sum() / positive.sum())
        for found, inside in within(maps, boxes, wider)
        if (positive := np.maximum(found, 0)).any()
    ]
    return float(np.mean(shares)) if shares else float("nan")


def net_share(maps: Sequence[Floats], boxes: np.ndarray) -> float:
    """Return the mean sum of the maps in boxes, negative parts included, as a share of their absolute sum."""
    return float(np.mean([found[inside].sum() / np.abs(found).sum() for found, inside in within(maps, boxes, 0)]))


def pointed(maps: Sequence[Floats], boxes: np.ndarray, wider: int) -> float:
    """Return how often the largest value is in the box."""
    return float(
        np.mean([inside[np.unravel_index(found.argmax(), found.shape)] for found, inside in within(maps, boxes, wider)])
    )


def within(maps: Sequence[Floats], boxes: np.ndarray, wider: int) -> Iterator[tuple[Floats, np.ndarray]]:
    for found, (top, left, bottom, right) in zip(maps, boxes, strict=True):
        inside = np.zeros(found.shape, bool)
        inside[max(0, top - wider) : bottom + wider, max(0, left - wider) : right + wider] = True
        yield found, inside


def yes(met: bool, needed: Sequence[str] | None = None) -> str:
    return "" if needed is not None and not needed else "yes" if met else "NO"


if __name__ == "__main__":
    main()
