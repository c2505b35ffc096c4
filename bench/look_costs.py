"""What each part of a look costs, in forward passes of one image.

    python bench/look_costs.py [--model resnet50] [--size 224] [--rounds 3] [--threads 2] [--only TEXT]
                               [--results FOLDER]

The image is drawn, and so are the weights, as `convscope look resnet50 IMAGE` draws them: what is measured is time.
Each part starts from the network and the image alone, as the verb computes it without options, and what it takes to
record the network's operations is in it; the checks are given the attributions, and the pictures of channels the data
set's largest activations. Seconds are divided by those of the network's own forward pass of one image, measured before
and after the part. Medians of the rounds, with the least and the most; the memory is the process's largest while the
part ran. The first rows are what all parts consist of, for each image of a batch: no part can take fewer.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from torch import nn

from convscope.data.known_answer import known_answers
from convscope.data.preprocessing import Normalization, Preprocessing
from convscope.data.records import ImageSet
from convscope.hardware.allocator import prepare_memory
from convscope.interpret.attribution.checks.check import check_attributions
from convscope.interpret.attribution.methods import attribute
from convscope.interpret.attribution.record import Attribution
from convscope.interpret.behaviour.feature_visualization import feature_visualization
from convscope.interpret.features.feature_maps import feature_maps
from convscope.interpret.features.observed import observed_layers
from convscope.interpret.features.top_patches import TopPatches, top_patches
from convscope.interpret.look.look import look_at
from convscope.interpret.look.options import LOOK_METHODS, LookOptions
from convscope.interpret.subject import Subject
from convscope.nets.build import build
from convscope.report.table import Column, Table, print_table
from convscope.report.units import seconds as shown
from kit.results import RESULTS, add_rows, read_rows, where_and_when

FORWARDS = 5  # passes before and after a part
IMAGES = 16  # in the largest batch
VISUALIZED = 4  # channels


@dataclass(frozen=True)
class Bench:
    """A network and an image, and the parts of a look at them."""

    network: nn.Module
    name: str
    pixels: np.ndarray

    @property
    def preprocessing(self) -> Preprocessing:
        """Of the network's input."""
        size = self.pixels.shape[1]
        return Preprocessing.default((3, size, size), Normalization.default(3))

    @cached_property
    def inputs(self) -> torch.Tensor:
        """The images as the network takes them, (N, 3, H, W)."""
        return normalized(self.pixels)

    def subject(self) -> Subject:
        """Return the first image with the network, of which nothing is known yet."""
        return Subject(
            network=self.network,
            name=self.name,
            image_name="the first",
            tensor=self.inputs[:1].clone(),
            pixels=self.pixels[0],
            preprocessing=self.preprocessing,
        )

    def forward(self) -> None:
        """Run the network on the image."""
        with torch.inference_mode():
            self.network(self.inputs[:1])

    def forwards(self, *, in_bf16: bool) -> None:
        """Run the network on 16 images, as passes without gradients do."""
        replays = self.subject().replays
        (replays.in_bf16 if in_bf16 else replays).class_scores(self.inputs)

    def gradients(self) -> None:
        """Take the gradients of 8 images, as integrated gradients do."""
        self.subject().replays.computed_in(None, channels_last=True).class_gradients(0, self.inputs[:8])

    def all_maps(self) -> object:
        """Compute every layer's maps, on one scale."""
        return feature_maps(self.subject(), scale="network")

    def method(self, name: str) -> Attribution:
        """Explain the predicted class."""
        return attribute(self.subject(), name)

    @cached_property
    def explained(self) -> tuple[Subject, list[Attribution]]:
        """The attributions of a look."""
        subject = self.subject()
        return subject, [attribute(subject, name) for name in LOOK_METHODS]

    def checks(self) -> object:
        """Check the attributions of a look."""
        return check_attributions(*self.explained)

    @cached_property
    def patches(self) -> TopPatches:
        """The largest activations of the last layer with a map, of a few images."""
        layers = [found.name for found in observed_layers(self.subject().replay.names) if found.positions]
        images = ImageSet(self.pixels, np.zeros(len(self.pixels), np.int64), [str(n) for n in range(len(self.pixels))])
        return top_patches(self.subject().replays, images, Normalization.default(3), layers=layers[-1:])

    def visualized(self) -> object:
        """Make pictures that excite four channels of the last layer with a map."""
        images = ImageSet(self.pixels, np.zeros(len(self.pixels), np.int64), [""] * len(self.pixels))
        return feature_visualization(
            self.subject().replays,
            images,
            Normalization.default(3),
            layer=self.patches.layers[0],
            channels=range(VISUALIZED),
            patches=self.patches,
        )

    def page(self) -> object:
        """Look with all parts, and write the page."""
        return look_at(self.subject(), LookOptions()).to_html()


# What is measured, how many forward passes it may take, and into how many equal parts it is divided.
PARTS: tuple[tuple[str, Callable[[Bench], object], int | None, int], ...] = (
    ("an image forward, fp32", lambda bench: bench.forwards(in_bf16=False), None, 16),
    ("an image forward, bf16", lambda bench: bench.forwards(in_bf16=True), None, 16),
    ("an image forward and backward, fp32", Bench.gradients, None, 8),
    ("all maps", Bench.all_maps, 3, 1),
    ("Grad-CAM", lambda bench: bench.method("grad-cam"), 3, 1),
    ("guided backpropagation", lambda bench: bench.method("guided-backprop"), None, 1),
    ("integrated gradients", lambda bench: bench.method("integrated-gradients"), 35, 1),
    ("occlusion", lambda bench: bench.method("occlusion"), 60, 1),
    ("checks of five methods", Bench.checks, 120, 1),
    (f"{VISUALIZED} visualized channels", Bench.visualized, 170, 1),
    ("the whole page", Bench.page, 420, 1),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--model", default="resnet50")
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=0, help="torch's own number unless given")
    parser.add_argument("--only", default="", help="parts that contain this")
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder of look-costs.csv")
    given = parser.parse_args()
    prepare_memory()  # as the command does, before torch takes any
    if given.threads:
        torch.set_num_threads(given.threads)
    bench = made(given.model, given.size)
    bench.forward()
    bench.gradients()  # the process has taken the memory that all parts share
    file = given.results / "look-costs.csv"
    for part, compute, most, count in PARTS:
        if given.only not in part:
            continue
        if "checks" in part:
            _ = bench.explained
        if "visualized" in part:
            _ = bench.patches
        costs = [measured(bench, compute, count) for _ in range(given.rounds)]
        forwards = sorted(cost.forwards for cost in costs)
        row = {
            "model": given.model, "size": given.size, "part": part, "most": most,
            "forwards": statistics.median(forwards), "least": forwards[0], "largest": forwards[-1],
            "seconds": statistics.median(cost.seconds for cost in costs),
            "forward_ms": 1000 * statistics.median(cost.forward for cost in costs),
            "memory": max(cost.memory for cost in costs), "rounds": given.rounds, **where_and_when(),
        }  # fmt: skip
        add_rows(file, [row], key=("model", "size", "part"))
        print(f"{part}: {row['forwards']:.1f} forward passes, {row['seconds']:.2f} s", flush=True)
    print_table(table(read_rows(file)))


@dataclass(frozen=True, kw_only=True)
class Cost:
    """Seconds of a part and of a forward pass beside it, and the process's most bytes meanwhile."""

    seconds: float
    forward: float
    memory: int

    @property
    def forwards(self) -> float:
        """How many forward passes take as long as the part."""
        return self.seconds / self.forward


def measured(bench: Bench, compute: Callable[[Bench], object], count: int) -> Cost:
    """Return what a part costs, between forward passes."""
    passes = [seconds(bench.forward) for _ in range(FORWARDS)]
    forget_peak()
    taken = seconds(lambda: compute(bench)) / count
    memory = peak()
    passes += [seconds(bench.forward) for _ in range(FORWARDS)]
    return Cost(seconds=taken, forward=statistics.median(passes), memory=memory)


def seconds(work: Callable[[], object]) -> float:
    """Return the time of a call."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def made(name: str, size: int) -> Bench:
    """Return the network with drawn weights, and images."""
    torch.manual_seed(0)
    network = build(name, image_size=size)
    pixels = known_answers(IMAGES, size=size).images
    return Bench(network.eval(), name, pixels)


def normalized(pixels: np.ndarray) -> torch.Tensor:
    """Return images as a network takes them, (N, 3, H, W)."""
    of = Normalization.default(3)
    levels = torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255
    mean, std = (torch.tensor(numbers)[:, None, None] for numbers in (of.mean, of.std))
    return ((levels - mean) / std).contiguous()


def forget_peak() -> None:
    """Begin to measure the process's largest memory anew, where the system allows it."""
    try:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    except OSError:
        return


def peak() -> int:
    """Return the process's largest memory in bytes; 0 where the system does not say."""
    try:
        lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:")), 0)


def table(rows: list[dict[str, str]]) -> Table:
    """Return a row for each part."""
    columns = [Column("network"), Column("part"), *(Column(name, numeric=True) for name in (
        "forward passes", "least to most", "at most", "met", "seconds", "peak memory"))]  # fmt: skip
    lines = []
    for row in rows:
        found, most = float(row["forwards"]), row["most"]
        lines.append((
            f"{row['model']} at {row['size']}", row["part"], f"{found:.2f}" if found < 10 else f"{found:.0f}",
            f"{float(row['least']):.2f} to {float(row['largest']):.2f}", most or "-",
            "-" if not most else "yes" if found <= float(most) else "NO", shown(float(row["seconds"])),
            f"{float(row['memory']) / 2**20:,.0f} MB",
        ))  # fmt: skip
    return Table.of(columns, lines)


if __name__ == "__main__":
    main()
