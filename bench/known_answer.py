"""Attributions on images whose answer is known: how much of each map is where the class is decided.

    python bench/known_answer.py [--kinds plain,random,cue,distractor,hard] [--size 64] [--runs runs] [--explained 100]

A small residual network (last map 8x8 of 64 pixels) is trained on shapes with `convscope.train`, or its run is taken
from `--runs`, and unseen images that it classifies rightly are explained. The plain images are of shapes on a ground
of coarse colours under noise; hard ones have a textured ground of stronger colours and, in half, a bar in front of the
shape; in "cue" a dot in a corner is the class; a distractor is a second, smaller shape of another class, which every
image of that network's training has too, so that the network learns to distinguish them.

Each figure is a share of the map's positive part, the mean of the networks: in the box around the shape (at a cue:
around the dot), and in the box half a cell and a cell of the last stage wider, which are 4 and 8 of 64 pixels, 8 and 16
of 224. A cell of stage 2 is half as large. Pointing is how often the largest value is in the box that counts, a cell of
the layer wider, of maps on the input the bare one; "elsewhere" is the share at the shape that decides nothing, and "net
there" the sum of a signed map at it, negative part included, as a share of the absolute map's sum. With random weights,
five networks, the share has to be chance, which is the box's area, or of integrated gradients the share of the absolute
difference of the image from its baseline, which they multiply by; beside it is the rank correlation with the trained
network's map. A network with random weights has activations that are further from their mean at the shape than on the
ground. The rows "activations" have their share, which Grad-CAM and HiResCAM are expected to follow.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from convscope.arrays import Floats
from convscope.interpret.attribution.checks.rank_correlation import rank_correlation
from convscope.interpret.attribution.options import AttributionOptions
from convscope.report.table import Column, Table, print_table
from kit.known_answer_task import Task, Way, task_of
from kit.map_shares import mean_share, net_share, pointing
from kit.results import RESULTS, add_rows, read_rows, where_and_when

KINDS = ("plain", "random", "cue", "distractor", "hard")
ACCURACY = 0.98
SEEDS = 5
# What must be reached with trained weights: in the bare box, or in the box a cell of the layer wider.
REQUIRED = {"Grad-CAM": ("cell", 0.80), "HiResCAM": ("cell", 0.75), "HiResCAM, stage 2": ("cell", 0.75),
            "IG, blurred": ("box", 0.70)}  # fmt: skip
POINTING = {"Grad-CAM": 0.95}
NULLS = {"blurred": "from the blurred image", "mean": "from the mean"}  # difference of the image
AT_CHANCE = ("Grad-CAM", "gradient", "occlusion", "IG, blurred", "IG, mean")  # with random weights
NEAR_CHANCE, NEAR_NULL, UNLIKE = 0.05, 0.03, 0.3  # with random weights


def ways(size: int) -> tuple[Way, ...]:
    """Return the methods with their settings, for images of a size."""
    step = size // 16
    return (
        Way(name="Grad-CAM", method="grad-cam", options=AttributionOptions(), figure="cell"),
        Way(name="HiResCAM", method="hires-cam", options=AttributionOptions(), figure="cell"),
        Way(name="Grad-CAM, stage 2", method="grad-cam", options=AttributionOptions(layer="layer2"), figure="half"),
        Way(name="HiResCAM, stage 2", method="hires-cam", options=AttributionOptions(layer="layer2"), figure="half"),
        Way(name="IG, blurred", method="integrated-gradients", options=AttributionOptions(steps=64), smoothed=5),
        Way(name="IG, mean", method="integrated-gradients", options=AttributionOptions(steps=64, baseline="mean"),
            smoothed=5),
        Way(name="gradient", method="gradient", options=AttributionOptions()),
        Way(name="guided backprop", method="guided-backprop", options=AttributionOptions()),
        Way(name="occlusion", method="occlusion", options=AttributionOptions(window=3 * step, stride=step)),
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Need:
    """What a figure must reach.

    Args:
        figure: which of `Found`.
        least: it must be at least this,
        most: and at most this.
    """

    figure: str
    least: float = -1.0
    most: float = 1.0


@dataclass(frozen=True, kw_only=True)
class Found:
    """The figures of a method, and what is required of them.

    Args:
        accuracy: the network's, on unseen images.
        box: share in the box.
        half: half a cell of the last stage wider.
        cell: a cell of the last stage wider.
        pointing: how often the largest value is in the box that counts.
        rank: rank correlation with the trained network's map.
        elsewhere: share at the shape that decides nothing.
        net: sum of the map at that shape, negative part included, as a share of the absolute map's sum.
        needs: what is required of these figures.
        required: the same in words.
    """

    accuracy: float | None = None
    box: float | None = None
    half: float | None = None
    cell: float | None = None
    pointing: float | None = None
    rank: float | None = None
    elsewhere: float | None = None
    net: float | None = None
    needs: tuple[Need, ...] = ()
    required: str = ""

    @property
    def met(self) -> str:
        """Whether what is required is reached: yes, no, or nothing where nothing is."""
        reached = [need.least <= getattr(self, need.figure) <= need.most for need in self.needs]
        return ("yes" if all(reached) else "no") if reached else ""


FIGURES = ("box", "half", "cell", "pointing", "rank", "elsewhere", "net")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--kinds", default=",".join(KINDS), help="of images and networks, with commas")
    parser.add_argument("--size", type=int, default=64, help="side of the images: 64 or 224")
    parser.add_argument("--networks", type=int, default=3, help="trained of each kind, from seeds 0, 1, ...")
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="where runs are made, and taken from")
    parser.add_argument("--trained", type=int, default=10_000, help="images to train on")
    parser.add_argument("--epochs", type=int, help="6, of cues 3, of distractors and hard images 11")
    parser.add_argument("--explained", type=int, default=100, help="images")
    parser.add_argument("--random-images", type=int, default=50, help="images explained with random weights")
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder of known-answer.csv")
    given = parser.parse_args()
    for kind in given.kinds.split(","):
        measure = {"random": with_random_weights, "cue": at_cues, "distractor": at_distractors}.get(kind, located)
        each: list[dict[str, Found]] = []
        for seed in range(1 if kind == "random" else given.networks):
            task = task_of("plain" if kind == "random" else kind, given, seed=seed)
            rows = task.right[: given.random_images if kind == "random" else given.explained]
            each.append({"accuracy": Found(accuracy=task.accuracy), **dict(measure(task, rows, given.size))})
        accuracy = float(np.mean([one.pop("accuracy").accuracy for one in each]))
        required = Found(accuracy=accuracy, needs=(Need(figure="accuracy", least=ACCURACY),),
                         required=f"accuracy {ACCURACY:.0%}")  # fmt: skip
        found = {"accuracy": required} if kind in ("plain", "distractor", "hard") else {}
        found |= {name: mean_of([one[name] for one in each]) for name in each[0]}
        kept = [
            {"size": given.size, "images": kind, "method": name, "networks": len(each), "explained": len(rows),
             "accuracy": f"{accuracy:.4f}", **cells(one), **where_and_when()}
            for name, one in found.items()
        ]  # fmt: skip
        add_rows(given.results / "known-answer.csv", kept, key=("size", "images", "method"))
        print_table(table([row for row in read_rows(given.results / "known-answer.csv") if row["images"] == kind]))


def mean_of(each: Sequence[Found]) -> Found:
    """Return the mean figures of several networks, and the mean of what is required of each."""
    figures = {name: mean([getattr(one, name) for one in each]) for name in FIGURES}
    needs = tuple(
        Need(
            figure=together[0].figure,
            least=float(np.mean([need.least for need in together])),
            most=float(np.mean([need.most for need in together])),
        )
        for together in zip(*(one.needs for one in each), strict=True)
    )
    return Found(**figures, needs=needs, required=each[0].required)


def mean(numbers: Sequence[float | None]) -> float | None:
    known = [number for number in numbers if number is not None]
    return float(np.mean(known)) if known else None


def located(task: Task, rows: Sequence[int], size: int) -> Iterator[tuple[str, Found]]:
    """Yield where each method's positive part is with trained weights."""
    boxes = task.made.boxes[list(rows)]
    for way in ways(size):
        found = shares(task.maps(way, rows), boxes, way, size)
        share, least = REQUIRED.get(way.name, ("", 0.0))
        if not share:
            yield way.name, found
            continue
        judged = way.figure if share == "cell" else "box"
        needs, said = [Need(figure=judged, least=least)], f"{least:.2f} in the box{beside(judged, size)}"
        if way.name in POINTING:
            needs.append(Need(figure="pointing", least=POINTING[way.name]))
            said += f", pointing {POINTING[way.name]:.2f}"
        yield way.name, replace(found, needs=tuple(needs), required=said)
    for name, maps in (
        ("the image's area", [np.ones((size, size))] * len(rows)),
        *((name, task.differences(rows, baseline)) for baseline, name in NULLS.items()),
    ):
        yield name, replace(shares(maps, boxes, ways(size)[0], size), pointing=None)


def with_random_weights(task: Task, rows: Sequence[int], size: int) -> Iterator[tuple[str, Found]]:
    """Yield where each method's positive part is with random weights, the mean of 5 networks."""
    boxes = task.made.boxes[list(rows)]
    flat = [np.ones((size, size))] * len(rows)
    nets = [task.with_weights(task.fresh_weights(seed)) for seed in range(SEEDS)]
    for way in ways(size):
        trained = task.maps(way, rows)
        each, ranks = [], []
        for net in nets:
            maps = net.maps(way, rows)
            each.append(shares(maps, boxes, way, size))
            ranks += [rank_correlation(np.abs(one), np.abs(other)) for one, other in zip(maps, trained, strict=True)]
        integrated = way.method == "integrated-gradients"
        null = task.differences(rows, way.options.baseline or "blurred") if integrated else flat
        expected, near = mean_share(null, boxes, way.wider(size)), NEAR_NULL if integrated else NEAR_CHANCE
        needs = Need(figure=way.figure, least=expected - near, most=expected + near), Need(figure="rank", most=UNLIKE)
        said = f"{expected:.2f} ± {near:.2f} in the box{beside(way.figure, size)}, rank correlation below {UNLIKE}"
        found = replace(mean_of(each), rank=mean(ranks))
        yield way.name, replace(found, needs=needs, required=said) if way.name in AT_CHANCE else found
    for name, layer in (("activations", None), ("activations, stage 2", "layer2")):
        each = [shares(net.deviations(rows, layer), boxes, ways(size)[0], size) for net in nets]
        yield name, replace(mean_of(each), pointing=None)


def at_cues(task: Task, rows: Sequence[int], size: int) -> Iterator[tuple[str, Found]]:
    """Yield the shares at the dot that decides the class, and at the shape, each in the box that counts."""
    assert task.made.cue_boxes is not None
    dots, boxes = task.made.cue_boxes[list(rows)], task.made.boxes[list(rows)]
    for way in ways(size):
        maps = task.maps(way, rows)
        found = shares(maps, dots, way, size)
        # A smoothed map and one of windows have the dot's part beside it too, as one of cells has.
        judged = "half" if way.figure == "box" else way.figure
        shape = mean_share(maps, boxes, widths(size)[judged])
        needs = (Need(figure=judged, least=max(0.5, shape)),)
        said = f"most in the dot's box{beside(judged, size)}, and more than at the shape"
        yield way.name, replace(found, elsewhere=shape, needs=needs, required=said)


def at_distractors(task: Task, rows: Sequence[int], size: int) -> Iterator[tuple[str, Found]]:
    """Yield the shares at the first shape, whose class is explained, and at a second one of another class."""
    assert task.made.second_boxes is not None
    boxes, second = task.made.boxes[list(rows)], task.made.second_boxes[list(rows)]
    area = mean_share([np.ones((size, size))] * len(rows), second, 0)
    for way in ways(size):
        maps = task.maps(way, rows)
        needs = (Need(figure="elsewhere", most=area),)
        said = f"less at the second shape than its area, {area:.3f}"
        found = replace(shares(maps, boxes, way, size), elsewhere=mean_share(maps, second, 0))
        net = net_share(maps, second) if any((one < 0).any() for one in maps) else None
        yield way.name, replace(found, net=net, needs=needs, required=said)


def widths(size: int) -> dict[str, int]:
    """Return by how many pixels the box of each figure is wider: 0, half a cell and a cell of the last stage."""
    cell = 8 if size < 128 else 16
    return {"box": 0, "half": cell // 2, "cell": cell}


def beside(figure: str, size: int) -> str:
    """Return by how much the box of a figure is wider, in words."""
    wider = widths(size)[figure]
    return f", {wider} pixels wider" if wider else ""


def shares(maps: Sequence[Floats], boxes: np.ndarray, way: Way, size: int) -> Found:
    """Return the shares in boxes, and how often the largest value is in the box that counts for the method."""
    found = {name: mean_share(maps, boxes, wider) for name, wider in widths(size).items()}
    return Found(**found, pointing=pointing(maps, boxes, way.wider(size)))


def cells(found: Found) -> dict[str, str]:
    """Return figures as columns of the file."""
    numbers = {name: getattr(found, name) for name in FIGURES}
    kept = {name: "" if value is None else f"{value:.4f}" for name, value in numbers.items()}
    return {**kept, "required": found.required, "met": found.met}


def table(rows: list[dict[str, str]]) -> Table:
    """Return the figures of each kind of images."""
    headers = ("box", "+ half a cell", "+ a cell", "pointing", "rank correlation", "elsewhere", "net there")
    names = dict(zip(FIGURES, headers, strict=True))
    columns = [Column("size", numeric=True), Column("images"), Column("networks", numeric=True),
               Column("accuracy", numeric=True), Column("method")]  # fmt: skip
    columns += [Column(header, numeric=True) for header in names.values()]
    columns += [Column("required"), Column("met")]
    ordered = sorted(rows, key=lambda row: (int(row["size"]), KINDS.index(row["images"])))
    return Table.of(columns, [
        (row["size"], row["images"], str(SEEDS) if row["images"] == "random" else row["networks"],
         f"{float(row['accuracy']):.1%}", row["method"],
         *(f"{float(row[name]):.2f}" if row[name] else "" for name in names), row["required"], row["met"])
        for row in ordered
    ])  # fmt: skip


if __name__ == "__main__":
    main()
