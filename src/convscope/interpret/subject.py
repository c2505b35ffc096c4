"""A network with one image: what every part of a look reads."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import torch
from torch import nn

from convscope.arrays import Array
from convscope.capture.declared import main_input
from convscope.capture.load import Loaded, ModelLike, load
from convscope.data.batches import to_floats
from convscope.data.preprocessing import Normalization, Preprocessing
from convscope.errors import CaptureError, DataError, GeometryError, did_you_mean
from convscope.interpret.explanation.explain import given_network
from convscope.interpret.explanation.given import Given, GivenNetwork, in_dtype, network_input
from convscope.interpret.map_geometry import MapGeometry
from convscope.interpret.replay.own_probabilities import own_objective
from convscope.interpret.replay.replay import Replay
from convscope.interpret.replay.replays import Replays
from convscope.nets.from_file import needed_arguments
from convscope.report.printable import few
from convscope.report.units import plural
from convscope.runs.model_spec import ModelSpec
from convscope.runs.predictor import Predictor
from convscope.runs.run_directory import Run
from convscope.scoring.objective import Objective

_NAMED, _LONGEST_NAME = 4, 40  # inputs that a message names, and characters of each


@dataclass(frozen=True, kw_only=True, eq=False)
class Subject:
    """A network and an image, prepared as for prediction.

    Args:
        network: the module, as its owner has it; it is never run itself.
        name: the network's.
        image_name: the image's path, or "the input".
        tensor: the network's input, (1, C, *S).
        pixels: the image as the network sees it, uint8 (H, W, C); None where the input is no picture.
        classes: the names of the network's outputs; empty where they are not known.
        preprocessing: how an image becomes the tensor; None where that is not known.
        spec: what the network's run says of it, such as its temperature; None where it has no run.
        run: the run that the network is of; None where it has none.
        notes: remarks, such as that the weights are random.
        given_replays: the network on any batch, where it is not simply the module, such as with other weights.
        given_replay: the run on this image, where it is known already.
    """

    network: nn.Module
    name: str
    image_name: str
    tensor: torch.Tensor
    pixels: Array | None = None
    classes: tuple[str, ...] = ()
    preprocessing: Preprocessing | None = None
    spec: ModelSpec | None = None
    run: Run | None = None
    notes: tuple[str, ...] = field(default=())
    given_replays: Replays | None = None
    given_replay: Replay | None = None

    @cached_property
    def replays(self) -> Replays:
        """The network on any batch, by its operations."""
        return self.given_replays or Replays(self.network, name=self.name)

    def with_weights(self, weights: Mapping[str, torch.Tensor]) -> Subject:
        """Return the image with the network under other numbers, by parameter's name; the module stays as it is."""
        return replace(self, given_replays=self.replays.with_weights(weights), given_replay=None)

    @cached_property
    def replay(self) -> Replay:
        """The network on this image: the one run that pictures, attributions and checks read."""
        return self.given_replay or self.replays.on(self.tensor)

    @cached_property
    def geometry(self) -> MapGeometry:
        """Where the cells of each layer's map are on the image."""
        return MapGeometry(self.replay.graph)

    @cached_property
    def objective(self) -> Objective:
        """How its scores become probabilities: as its run says, else by its last operation, see `own_objective`."""
        return own_objective(self.replay.graph) if self.spec is None else self.spec.objective

    @cached_property
    def normalization(self) -> Normalization | None:
        """How the picture became the input; None where the input is no picture of 8 bits, normalised."""
        pixels = self.pixels
        if pixels is None or self.tensor.shape != (1, pixels.shape[2], *pixels.shape[:2]):
            return None
        known = [] if self.preprocessing is None else [self.preprocessing.normalization]
        for tried in (*known, Normalization.default(pixels.shape[2])):
            floats = to_floats(np.ascontiguousarray(pixels)[None], tried)
            if torch.equal(floats.to(self.tensor.dtype), self.tensor):
                return tried
        return None

    def picture(self, what: str) -> tuple[Array, Normalization]:
        """Return the picture, uint8 (H, W, C), and how it became the input; `what` is made of pictures alone.

        Raises:
            DataError: the input is no picture of 8 bits, normalised.
        """
        if self.pixels is None or self.normalization is None:
            raise DataError(
                f"{self.image_name} is no 8-bit image in grey or colours, and {what} are of those only: "
                "give an image file or an array of uint8"
            )
        return self.pixels, self.normalization

    @cached_property
    def predicted(self) -> int:
        """The class with the highest score."""
        return int(self.replay.class_scores[0].argmax())

    def target(self, asked: int | str | None = None) -> int:
        """Return a class by number or name; the predicted one unless asked for.

        Raises:
            GeometryError: there is no such class; the message has the nearest names or the range.
        """
        if asked is None:
            return self.predicted
        if isinstance(asked, str) and (asked in self.classes or not re.fullmatch("-?[0-9]{1,9}", asked)):
            return self.class_named(asked)
        number, count = int(asked), self.replay.class_scores.shape[1]
        if not 0 <= number < count:
            raise GeometryError(f"{self.name} has no class {number}: it has {count}, 0 to {count - 1}")
        return number

    def class_named(self, name: str) -> int:
        """Return the number of a class.

        Raises:
            GeometryError: there is no class of this name; the message has the nearest names.
        """
        if name in self.classes:
            return self.classes.index(name)
        known = did_you_mean(name, self.classes) if self.classes else " Its classes have numbers only."
        if not known.strip():
            known = f" Its classes: {', '.join(self.classes[:10])}{', ...' * (len(self.classes) > 10)}."
        raise GeometryError(f"{self.name} has no class {name!r}.{known}")

    def class_name(self, number: int) -> str:
        """Return the name of a class; "class 3" where names are not known."""
        return self.classes[number] if number < len(self.classes) else f"class {number}"


def subject(model: ModelLike, image: Given, *, input_shape: Sequence[int] | None = None, seed: int = 0) -> Subject:
    """Return a model in any form with an image in any form, as `explain` takes them.

    Raises:
        CaptureError: there is no such model, it takes several inputs, or it does not run on this image.
        DataError: the image can't be read.
    """
    loaded = load(model)
    network = given_network(loaded, input_shape, seed)
    require_one_input(loaded, network)
    given = network_input(image, network)
    name = os.fspath(image) if isinstance(image, (str, os.PathLike)) else "the input"
    tensor = in_dtype(given.tensor, network.dtype, name=name, network=network.name)
    prepared = network.preprocessing
    return Subject(
        network=network.module,
        name=network.name,
        image_name=name,
        tensor=tensor,
        pixels=given.pixels,
        classes=() if prepared is None else prepared.classes,
        preprocessing=prepared,
        run=loaded.run,
        spec=model.spec if isinstance(model, Predictor) else None if loaded.run is None else loaded.run.spec(),
        notes=(*filter(None, (loaded.weights_note(seed),)), *given.notes),
    )


def require_one_input(loaded: Loaded, network: GivenNetwork) -> None:
    """Raise CaptureError for a network that takes several inputs: an image is one of them.

    Where a hook or a decorator of its forward may give the others, running it shows.
    """
    forward = network.module.forward
    others = bool(network.module._forward_pre_hooks) or hasattr(forward, "__wrapped__")
    names = [one.name[:_LONGEST_NAME] for one in loaded.declared] or ([] if others else needed_arguments(forward))
    if len(names) > 1:
        raise CaptureError(
            f"{network.name} takes {plural(len(names), 'input')} ({few(names, _NAMED)}), and an image is one: "
            "wrap it in a module whose forward takes the image and gives it the others"
        )
    main = main_input(loaded.declared) if loaded.declared else None
    if main is not None and main.batch_axis is None and len(main.sizes or ()) > 1:
        raise CaptureError(
            f"{network.name} takes {main.described} at once, and an image is one: export it for one, or for any number"
        )
