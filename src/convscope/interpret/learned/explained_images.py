"""Which parts of some images a network's answers depend on: of images that it has right, and of images it has wrong."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from convscope.arrays import Array, Floats, Integers, Rgb
from convscope.data.batches import to_floats
from convscope.data.preprocessing import Normalization
from convscope.data.records import ImageSet
from convscope.errors import CaptureError, ConvscopeError, DataError, GeometryError
from convscope.interpret.attribution.methods import attribute
from convscope.interpret.attribution.overlay import overlaid
from convscope.interpret.attribution.record import Attribution
from convscope.interpret.behaviour.labelled import class_names
from convscope.interpret.replay import Replays
from convscope.interpret.subject import Subject
from convscope.report.colour_maps import ColourScale
from convscope.report.document import Block, Callout, Document, Fact, Facts, Figure
from convscope.report.documented import Pictured
from convscope.report.image_grid import Tile, image_grid
from convscope.report.json_values import json_dict
from convscope.report.short_repr import ShortRepr, short_path
from convscope.report.svg import Drawing
from convscope.report.table import Cell, Column, Row, Table
from convscope.report.units import percent, plural
from convscope.scoring.multi_label import THRESHOLD
from convscope.scoring.objective import Objective

EACH = 4
"""Images that are right, and images that are wrong, at most."""

# Tried in this order: a network without a map in its layers has a gradient at its input all the same.
_METHODS = ("grad-cam", "gradient")
_COLUMNS, _TILE = 8, 100.0  # pictures in a row: each image twice, as it is and under its map


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class ExplainedImage(ShortRepr):
    """An image with the map of the class that it is predicted as.

    Args:
        name: the image's.
        row: in the data set.
        labels: the names of its true classes; several, or none, where an image may have so many.
        predicted: the class with the highest score, by number.
        probability: of that class.
        right: whether the prediction is right; of several labels an image, whether all of them are.
        pixels: as the network sees them, uint8 (H, W, C).
        attribution: of the predicted class.
    """

    name: str
    row: int
    labels: tuple[str, ...]
    predicted: int
    probability: float
    right: bool
    pixels: Rgb
    attribution: Attribution

    def headline(self) -> str:
        """Return the image, and what it is predicted as."""
        return f"{short_path(self.name)}: {self.attribution.class_name} ({percent(self.probability)})"


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class ExplainedImages(Pictured):
    """Some images that a network has right and some that it has wrong, each with a map of what its answer depends on.

    They are evenly spaced among the right and among the wrong ones: none was chosen for its map.

    Args:
        network: its name.
        data: the name of the images.
        right: how many images of all that were predicted are right.
        predicted: how many were predicted.
        images: those that are shown, the right ones first.
        stopped: whether some are missing, since the time for them was over.
    """

    network: str
    data: str
    right: int
    predicted: int
    images: tuple[ExplainedImage, ...]
    stopped: bool = field(default=False)

    @property
    def method(self) -> str:
        """The title of the method."""
        return self.images[0].attribution.title

    @property
    def layer(self) -> str:
        """The layer whose map it is; "" for a map on the input itself."""
        return self.images[0].attribution.layer

    @property
    def scale(self) -> ColourScale:
        """The colours of all maps, as shares of each one's largest value: attributions of two classes don't compare."""
        signed = self.images[0].attribution.signed
        return ColourScale("diverging" if signed else "sequential", -1.0 if signed else 0.0, 1.0)

    def headline(self) -> str:
        """Return the network, its right predictions, and what is shown."""
        where = f"{self.method}, {self.images[0].attribution.where()}"
        return f"{self.network}: {self.right:,} of {plural(self.predicted, 'image')} right; {where}"

    def arrays(self) -> dict[str, Array]:
        """Return the maps of all images, (N, H, W), as "maps", and their rows in the data set as "rows"."""
        maps = np.stack([image.attribution.map for image in self.images])
        return {"maps": maps, "rows": np.array([image.row for image in self.images])}

    def to_dict(self) -> dict[str, Any]:
        """Return the figures as JSON's types; `arrays` has the maps.

        Keys:
            network: its name.
            data: the name of the images.
            right: how many images are right.
            predicted: how many were predicted.
            method: the title of the method.
            layer: whose map it is; "" for a map on the input itself.
            images: of each name, row, labels, predicted, class_name, probability, right, has_evidence.
            stopped: whether some are missing, since the time for them was over.
        """
        images = [
            {
                "name": image.name,
                "row": image.row,
                "labels": image.labels,
                "predicted": image.predicted,
                "class_name": image.attribution.class_name,
                "probability": image.probability,
                "right": image.right,
                "has_evidence": image.attribution.has_evidence,
            }
            for image in self.images
        ]
        return json_dict({
            "network": self.network,
            "data": self.data,
            "right": self.right,
            "predicted": self.predicted,
            "method": self.method,
            "layer": self.layer,
            "images": images,
            "stopped": self.stopped,
        })  # fmt: skip

    def figure(self) -> Drawing:
        """Draw each image, and beside it the same under its map, on one scale."""
        return image_grid(list(self._tiles()), **self._settings())

    def table(self) -> Table:
        """Return the images: what they are, and what they are predicted as."""
        columns = (Column("image"), Column("true"), Column("predicted"), Column("probability", numeric=True),
                   Column("right"))  # fmt: skip
        rows = []
        for image in self.images:
            cells: list[Cell] = [
                short_path(image.name), ", ".join(image.labels) or "none", image.attribution.class_name,
                (percent(image.probability), image.probability), "yes" if image.right else "no",
            ]  # fmt: skip
            rows.append(Row.of(cells))
        return Table(columns, tuple(rows))

    def document(self) -> Document:
        """Return what is shown: the images under their maps, on a page the pictures, in a terminal a table."""
        share = self.right / self.predicted
        facts = Facts((
            Fact("right", f"{self.right:,} of {self.predicted:,} ({percent(share)})", self.right),
            Fact("map", f"{self.method}, {self.images[0].attribution.where()}"),
        ))  # fmt: skip
        figure = Figure(self.figure, self._caption())  # in a terminal the table says the same
        blocks: list[Block] = [*(Callout("note", remark) for remark in self.remarks()), facts]
        return Document(f"Right and wrong images of {self.data}, {self.network}", (*blocks, figure, self.table()))

    def remarks(self) -> Iterator[str]:
        """Yield a sentence on what to know before the pictures are read."""
        if all(image.right for image in self.images):
            yield "none of the images is wrong" if self.right == self.predicted else "no wrong image is shown"
        if self.method != "Grad-CAM":
            yield f"no layer has a map for Grad-CAM, so this is: {self.method}, {self.images[0].attribution.where()}"
        if self.stopped:
            yield "fewer images than usual: the time for them was over"

    def _caption(self) -> str:
        return (
            "Each image, and beside it in colour what the score of the predicted class depends on. Images are evenly "
            "spaced among the right and the wrong ones. These maps are not checked: a look at one image checks them."
        )

    def _settings(self) -> dict[str, Any]:
        return {
            "title": f"{self.network}: {self.method} of the predicted class, {self.images[0].attribution.where()}",
            "bars": ((self.scale, "share of the map's largest value, which is said above it"),),
            "columns": _COLUMNS,
            "tile_width": _TILE,
        }

    def _tiles(self) -> Iterator[Tile]:
        scale = self.scale
        for image in self.images:
            found = image.attribution
            largest = float(np.abs(found.map).max(initial=0.0))
            group = "right" if image.right else "wrong"
            labels = ", ".join(image.labels) or "none"
            note = f"{percent(image.probability, decimals=0)}, max {largest:.2g}"
            note = note if found.has_evidence else "no positive evidence"
            yield Tile(image.pixels, f"true: {labels}", short_path(image.name, longest=16), group=group,
                       description=f"{image.name}: {labels}", photograph=True)  # fmt: skip
            over = overlaid(image.pixels, found.map / (largest or 1.0), scale)
            yield Tile(over, f"as: {found.class_name}", note, group=group,
                       description=f"{found.title} of {found.class_name} in {image.name}", photograph=True)  # fmt: skip


def explained_images(
    replays: Replays,
    images: ImageSet,
    normalization: Normalization,
    scores: Floats,
    *,
    objective: Objective | None = None,
    each: int = EACH,
    data: str = "the images",
    classes: Sequence[str] = (),
    device: torch.device | str = "cpu",
    go_on: Callable[[], bool] = lambda: True,
) -> ExplainedImages:
    """Return some images that a network has right and some that it has wrong, with maps of the predicted classes.

    By Grad-CAM; of a network without a map by the gradient at the input.

    Args:
        replays: the network.
        images: the data set.
        normalization: of the network's input.
        scores: the network's, of all images, (N, classes).
        objective: how they become probabilities; a softmax unless given.
        each: images of either kind at most.
        data: what to call the images.
        classes: the names of the network's outputs.
        device: where the network is.
        go_on: is asked before each image but the first; False leaves the others out.

    Raises:
        DataError: no images.
        CaptureError: neither method has a map of the network.

    >>> from torch import nn
    >>> network = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 2))
    >>> pixels = np.random.default_rng(0).integers(0, 256, (6, 8, 8, 1), dtype=np.uint8)
    >>> given = ImageSet(pixels, np.array([0, 1, 0, 1, 0, 0]), list("abcdef"))
    >>> found = explained_images(Replays(network), given, Normalization.default(1), np.eye(2)[[0] * 6], each=2)
    >>> [(image.name, image.right) for image in found.images]
    [('a', True), ('e', True), ('b', False), ('d', False)]
    """
    if not len(images):
        raise DataError(f"there are no images in {data}, so none is right or wrong")
    known = class_names(classes, scores.shape[1])
    found = objective or Objective()
    probabilities = found.probabilities_of(scores)
    right = _right(images, scores, probabilities)
    rows = [*_spaced(np.flatnonzero(right), each), *_spaced(np.flatnonzero(~right), each)]
    shown: list[ExplainedImage] = []
    methods = list(_METHODS)
    for row in rows:
        if shown and not go_on():
            break
        subject = _subject(replays, images, row, normalization, known, device)
        target = int(np.nan_to_num(scores[row], nan=-math.inf).argmax())
        shown.append(
            ExplainedImage(
                name=images.names[row],
                row=row,
                labels=_labels(images, row, known),
                predicted=target,
                probability=float(probabilities[row, target]),
                right=bool(right[row]),
                pixels=np.asarray(images.images[row]),
                attribution=_attribution(subject, target, methods),
            )
        )
    return ExplainedImages(
        network=replays.name or "the network",
        data=data,
        right=int(right.sum()),
        predicted=len(images),
        images=tuple(shown),
        stopped=len(shown) < len(rows),
    )


def _attribution(subject: Subject, target: int, methods: list[str]) -> Attribution:
    """Return the map by the first of the methods that has one; those that have none are removed from the list."""
    reasons = []
    while methods:
        try:
            return attribute(subject, methods[0], target=target)
        except (CaptureError, GeometryError) as error:
            reasons.append(str(error))
            methods.pop(0)
    raise CaptureError(f"{subject.name} has no map of what an answer depends on: {reasons[0]}")


def _right(images: ImageSet, scores: Floats, probabilities: Floats) -> Array:
    """Return whether each image is predicted right, (N,): of several labels, whether all are."""
    finite = np.isfinite(scores).all(axis=1)
    if images.targets is not None:
        return np.asarray(finite & ((probabilities >= THRESHOLD) == (images.targets > 0)).all(axis=1))
    return np.asarray(finite & (scores.argmax(axis=1) == images.labels))


def _labels(images: ImageSet, row: int, known: Sequence[str]) -> tuple[str, ...]:
    numbers = [int(images.labels[row])] if images.targets is None else np.flatnonzero(images.targets[row]).tolist()
    return tuple(known[number] if 0 <= number < len(known) else f"class {number}" for number in numbers)


def _spaced(rows: Integers, most: int) -> list[int]:
    """Return at most so many rows, evenly spaced, the first among them.

    >>> _spaced(np.arange(10), 4), _spaced(np.arange(2), 4)
    ([0, 3, 6, 9], [0, 1])
    """
    return [int(row) for row in rows[:: max(1, -(-len(rows) // max(1, most)))]]


def _subject(
    replays: Replays,
    images: ImageSet,
    row: int,
    normalization: Normalization,
    classes: tuple[str, ...],
    device: torch.device | str,
) -> Subject:
    pixels = np.asarray(images.images[row])
    return Subject(
        network=replays.network,
        name=replays.name or "the network",
        image_name=images.names[row],
        tensor=to_floats(pixels[None], normalization, device=device),
        pixels=pixels,
        classes=classes,
        given_replays=replays,
    )


def class_scores(
    replays: Replays,
    images: ImageSet,
    normalization: Normalization,
    *,
    batch_size: int,
    progress: Callable[[int, int, str], None],
) -> Floats:
    """Return the scores of images, (N, classes), each of the image itself."""
    found = []
    for start in range(0, len(images), batch_size):
        rows = np.arange(start, min(start + batch_size, len(images)))
        batch = to_floats(np.asarray(images.images[rows]), normalization)
        found.append(replays.class_scores(batch).double().cpu().numpy())
        progress(int(rows[-1]) + 1, len(images), "predicting")
    if not found:
        raise ConvscopeError("there are no images to predict")
    return np.concatenate(found)
