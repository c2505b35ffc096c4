"""Train what the course and Explore show: `make course-weights`, some ten minutes on two cores.

    python docs/generate_course_weights.py [--only networks|shifts|fields|gradients]

Writes two networks into `src/convscope/runs/built_in_networks/` and numbers that need a training into
`src/convscope/course/trained_numbers.json`: predictions of shifted images with and without blurred pooling, effective
fields, and gradient norms in a network of twelve layers. LeNet-5 is trained on four fifths of the built-in digits (UCI
Machine Learning Repository, "Optical Recognition of Handwritten Digits", CC BY 4.0), TinyVGG on shapes that
`convscope.data.known_answer` draws; the weights are convscope's own, under its licence. They are kept as float16, and
their accuracy is measured as they are kept, on images that no training saw.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

import convscope
from convscope.arrays import Floats
from convscope.data.batches import to_floats
from convscope.data.known_answer import KnownAnswers, known_answers
from convscope.data.records import Labels, Pixels
from convscope.interpret.effective_field.effective_fields import effective_fields
from convscope.interpret.equivariance.antialiased import antialiased_network
from convscope.nets.weights.digest import sealed
from convscope.runs.built_in import FACTS, FOLDER
from convscope.runs.run_directory import Run
from convscope.runs.tensor_files import NOTE, tensor_bytes
from convscope.training.demo import RECIPE as OF_DIGITS

PACKAGE = Path(convscope.__file__).parent
NETWORKS = PACKAGE / "runs" / FOLDER
NUMBERS = PACKAGE / "course" / "trained_numbers.json"

SHAPES = 8
TRAINED_ON, HELD_OUT, SEED = 24_000, 1_000, 20
RADII, NOISE = (8 / 64, 22 / 64), 0.06  # of the drawn shapes, and of the ground
OF_SHAPES = convscope.Recipe(
    model="tinyvgg", epochs=10, optimizer="adamw", learning_rate=0.003, weight_decay=0.01, tta="one", autotune="rules"
)
MARGIN = 8  # pixels by which an image is shifted
PICTURES, COUNTED = 4, 100  # images that are shown, and that are counted
TUNED_EPOCHS, BATCH = 2, 100
LAYERS, WIDTH, DRAWS, DROPPED, EPOCHS, RATE = 12, 16, 2, 0.2, 12, 0.05


@dataclass(frozen=True)
class Shapes:
    """Drawn shapes: images (N, 64, 64, 3) and labels that are trained on, and images held out on both grounds."""

    images: Pixels
    labels: Labels
    held_out: KnownAnswers
    on_texture: KnownAnswers


def shapes() -> Shapes:
    """Draw the images; those held out have a seed of their own."""
    plain, textured = (drawn(TRAINED_ON // 2, SEED, textured=ground) for ground in (False, True))
    return Shapes(
        np.concatenate([plain.images, textured.images]), np.concatenate([plain.labels, textured.labels]),
        drawn(HELD_OUT, SEED + 1), drawn(HELD_OUT, SEED + 1, textured=True),
    )  # fmt: skip


def drawn(count: int, seed: int, *, textured: bool = False) -> KnownAnswers:
    """Draw shapes of many sizes under a little noise."""
    noise = None if textured else NOISE
    return known_answers(count, classes=SHAPES, radii=RADII, noise=noise, textured=textured, seed=seed)


def train_networks(of: Shapes) -> None:
    """Train both networks, keep them, and write what is known of them."""
    facts = {}
    with tempfile.TemporaryDirectory() as runs:
        images = np.concatenate([of.held_out.images, of.on_texture.images])
        labels = np.concatenate([of.held_out.labels, of.on_texture.labels])
        data, classes = {"train": (of.images, of.labels), "test": (images, labels)}, of.held_out.classes
        of_shapes = convscope.train(data, OF_SHAPES, classes=classes, runs_directory=runs, name="tinyvgg-shapes")
        keep(of_shapes.run)
        facts["tinyvgg-shapes"] = {
            "title": "TinyVGG, trained on drawn shapes",
            "images": "64x64, eight shapes in any colours, drawn by convscope.data.known_answer; Apache-2.0",
            "trained_on": TRAINED_ON,
            **measured("tinyvgg-shapes", images, labels),
        }
        of_digits = convscope.train("digits", OF_DIGITS, runs_directory=runs, name="lenet5-digits")
        keep(of_digits.run)
        images, labels = test_digits(of_digits.run)
        facts["lenet5-digits"] = {
            "title": "LeNet-5, trained on the built-in digits",
            "images": "8x8, E. Alpaydin and C. Kaynak, UCI Machine Learning Repository, CC BY 4.0",
            "trained_on": 1797 - len(labels),
            **measured("lenet5-digits", images, labels),
        }
    (NETWORKS / FACTS).write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")


def keep(run: Run) -> None:
    """Copy a run's spec, and its weights as float16."""
    folder = NETWORKS / run.path.name
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(run.spec_path, folder / run.spec_path.name)
    half = {name: tensor.half() for name, tensor in run.read_weights().items()}
    note = json.dumps(run.measures_of_weights())
    (folder / run.weights.name).write_bytes(sealed(tensor_bytes(half), {NOTE: note}))


def test_digits(run: Run) -> tuple[Pixels, Labels]:
    """Return the digits that the training of a run held out."""
    from convscope.runs.run_images import own_images

    _, found = own_images(run)
    return found.images[:], found.labels


def measured(name: str, images: Pixels, labels: Labels) -> dict[str, object]:
    """Return the accuracy of a kept network on images that were held out."""
    network = Run(NETWORKS / name)
    scores = scores_of(network.network(), images, network)
    return {"held_out": len(labels), "accuracy": round(float((scores.argmax(1) == labels).mean()), 4)}


def scores_of(network: nn.Module, images: Pixels, run: Run) -> Floats:
    """Return the scores of images of the network's own size."""
    inputs = to_floats(np.ascontiguousarray(images), run.spec().normalization)
    with torch.no_grad():
        return torch.cat([network(part) for part in inputs.split(250)]).numpy()


def shifted_predictions(of: Shapes) -> dict[str, object]:
    """Return predictions of shifted images by TinyVGG with max and with blurred pooling, both tuned further."""
    run = Run(NETWORKS / "tinyvgg-shapes")
    plain = run.network()
    blurred = tuned(antialiased_network(plain, (3, 64, 64)).network, of, run)
    networks = {"max": tuned(plain, of, run), "blurred": blurred}
    labels = of.held_out.labels
    right = {
        name: scores_of(network, of.held_out.images, run).argmax(1) == labels for name, network in networks.items()
    }
    pictures, consistent = [], {name: [] for name in networks}
    for row in np.flatnonzero(right["max"] & right["blurred"])[:COUNTED]:
        shifted = crops(of.held_out.images[row])
        probabilities = {
            name: torch.from_numpy(scores_of(network, shifted, run)).softmax(1).numpy()
            for name, network in networks.items()
        }
        predicted = {name: found.argmax(1) for name, found in probabilities.items()}
        for name, classes in predicted.items():
            consistent[name].append(float((classes == labels[row]).mean()))
        if len(pictures) < PICTURES and 0 < (predicted["max"] != labels[row]).sum() < len(shifted) / 3:
            pictures.append({
                "row": int(row),
                "label": int(labels[row]),
                "predicted": {name: "".join(map(str, found)) for name, found in predicted.items()},
                "percent": {name: np.rint(100 * p.max(1)).astype(int).tolist() for name, p in probabilities.items()},
            })  # fmt: skip
    return {
        "classes": list(of.held_out.classes),
        "seed": SEED + 1,
        "radii": RADII,
        "noise": NOISE,
        "margin": MARGIN,
        "pictures": pictures,
        "images": len(consistent["max"]),
        "held_out": HELD_OUT,
        "same": {name: round(float(np.mean(shares)), 4) for name, shares in consistent.items()},
        "accuracy": {name: round(float(found.mean()), 4) for name, found in right.items()},
    }


def crops(image: Pixels) -> Pixels:
    """Return an image shifted by -MARGIN to MARGIN pixels, rows slowest, (N, H, W, C); what comes in is mirrored."""
    padded = np.pad(image, ((MARGIN, MARGIN), (MARGIN, MARGIN), (0, 0)), mode="reflect")
    side, shifts = len(image), range(2 * MARGIN, -1, -1)  # shifted down: cut out higher up
    return np.stack([padded[down : down + side, right : right + side] for down in shifts for right in shifts])


def tuned(network: nn.Module, of: Shapes, run: Run) -> nn.Module:
    """Train a network further on the same images, by Adam."""
    torch.manual_seed(SEED)
    inputs = to_floats(of.images, run.spec().normalization)
    labels = torch.from_numpy(of.labels)
    steps = TUNED_EPOCHS * (len(labels) // BATCH)
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.01, steps)
    network.train()
    for _ in range(TUNED_EPOCHS):
        for rows in torch.randperm(len(labels)).split(BATCH)[: len(labels) // BATCH]:
            optimizer.zero_grad()
            functional.cross_entropy(network(inputs[rows]), labels[rows]).backward()
            optimizer.step()
            schedule.step()
    return network.eval()


def fields_in_effect(of: Shapes) -> dict[str, object]:
    """Return how much each pixel counts for the middle cell of TinyVGG's layers, in 255ths of the largest."""
    run = Run(NETWORKS / "tinyvgg-shapes")
    images = [np.ascontiguousarray(image) for image in of.held_out.images[:32]]
    names = ("conv1_1", "conv1_2", "pool1", "conv2_1", "conv2_2", "pool2")
    found = effective_fields(run.path, images, layers=names, seed=SEED)
    layers = []
    for layer in found.layers:
        (top, bottom), (left, right) = layer.layer.spans
        masses = {
            kind: np.rint(255 * mass.mass[top : bottom + 1, left : right + 1] / mass.mass.max()).astype(int).tolist()
            for kind, mass in layer.effective.items()
        }
        sizes = {kind: {"half": mass.extent.half, "most": mass.extent.most} for kind, mass in layer.effective.items()}
        layers.append({"layer": layer.name, "size": layer.side, "masses": masses, "sizes": sizes})
    return {"network": "tinyvgg-shapes", "images": found.images, "draws": found.draws, "layers": layers}


class Deep(nn.Module):
    """Eleven 3x3 convolutions of 16 maps that keep the size, the mean of each map, and one linear layer."""

    def __init__(self, *, activation: str, dropout: bool, skip: bool) -> None:
        super().__init__()
        made, self.act = ACTIVATIONS[activation]
        self.layers = nn.ModuleList(nn.Conv2d(1 if not k else WIDTH, WIDTH, 3, padding=1) for k in range(LAYERS - 1))
        self.layers.append(nn.Linear(WIDTH, 10))
        self.dropout, self.skip = nn.Dropout2d(DROPPED if dropout else 0.0), skip
        for layer in self.layers:
            made(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Return scores (N, 10) of images (N, 1, H, W)."""
        for number, layer in enumerate(self.layers[:-1]):
            found = self.dropout(self.act(layer(x)))
            x = x + found if self.skip and number else found
        scores: Tensor = self.layers[-1](x.mean((2, 3)))
        return scores


ACTIVATIONS = {
    "sigmoid": (nn.init.xavier_normal_, torch.sigmoid),
    "tanh": (nn.init.xavier_normal_, torch.tanh),
    "relu": (lambda weight: nn.init.kaiming_normal_(weight, nonlinearity="relu"), torch.relu),
}


def gradient_norms() -> dict[str, object]:
    """Return the norm of each layer's gradient before and after a training, and what was learned, for each network."""
    from convscope.data.sources.digits import load_digits

    pixels, labels = load_digits()
    inputs = to_floats(np.ascontiguousarray(pixels), None) - 0.3
    order = torch.from_numpy(np.random.default_rng(SEED).permutation(len(labels)))
    train, test = order[360:], order[:360]
    targets = torch.from_numpy(labels)
    found = {}
    for activation in ACTIVATIONS:
        for dropout in (False, True):
            for skip in (False, True):
                draws = [
                    learned(Deep(activation=activation, dropout=dropout, skip=skip), inputs, targets, train, test)
                    for draw in range(DRAWS)
                    if torch.manual_seed(draw)
                ]
                mean = {key: np.mean([draw[key] for draw in draws], axis=0).round(4).tolist() for key in draws[0]}
                found[f"{activation}-{'dropout' if dropout else 'plain'}-{'skip' if skip else 'chain'}"] = mean
    return {
        "layers": LAYERS, "width": WIDTH, "draws": DRAWS, "dropped": DROPPED, "epochs": EPOCHS, "images": len(train),
        "held_out": len(test), "rate": RATE, "networks": found,
    }  # fmt: skip


def learned(network: Deep, inputs: Tensor, labels: Tensor, train: Tensor, test: Tensor) -> Mapping[str, Floats]:
    """Return log10 of each layer's gradient norm before and after a training, the losses by epoch and the accuracy."""
    optimizer = torch.optim.SGD(network.parameters(), lr=RATE, momentum=0.9)
    batch = train[:256]

    def norms() -> Floats:
        network.zero_grad()
        functional.cross_entropy(network(inputs[batch]), labels[batch]).backward()
        return np.array([float(torch.log10(layer.weight.grad.norm() + 1e-30)) for layer in network.layers])

    before, losses = norms(), []
    for _ in range(EPOCHS):
        of_epoch = []
        for rows in train[torch.randperm(len(train))].split(64):
            optimizer.zero_grad()
            loss = functional.cross_entropy(network(inputs[rows]), labels[rows])
            loss.backward()
            nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimizer.step()
            of_epoch.append(loss.item())
        losses.append(float(np.mean(of_epoch)))
    after = norms()
    network.eval()
    with torch.no_grad():
        accuracy = float((network(inputs[test]).argmax(1) == labels[test]).float().mean())
    return {"before": before, "after": after, "losses": np.array(losses), "accuracy": np.array(accuracy)}


def main() -> None:
    """Make what is asked for; numbers that are not made anew stay as they are."""
    parts = {"shifts": shifted_predictions, "fields": fields_in_effect, "gradients": lambda of: gradient_norms()}
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=("networks", *parts), help="make these alone")
    only = parser.parse_args().only
    torch.manual_seed(SEED)
    of = shapes()
    if only in (None, "networks"):
        train_networks(of)
    numbers = json.loads(NUMBERS.read_text(encoding="utf-8")) if NUMBERS.exists() else {}
    for name, make in parts.items():
        if only in (None, name):
            numbers[name] = make(of)
    NUMBERS.write_text(json.dumps(numbers, separators=(",", ":"), sort_keys=True) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
