"""What a run starts from: fresh weights, a file's, or timm's; and which parts of the network stay as they are."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import nn

from convscope.data.batches import Normalization, to_floats
from convscope.data.records import Decoding, ImageSet
from convscope.errors import ConvscopeError, RunError
from convscope.nets.build import build
from convscope.nets.depth import freeze
from convscope.nets.entry import TIMM
from convscope.nets.paces import Whitened
from convscope.nets.weights import Weights, fit_weights, read_weights
from convscope.report.units import plural
from convscope.train.directory.run import ModelCard, Run
from convscope.train.settings.recipe import Recipe
from convscope.train.settings.text_values import parse_options

# Fetch timm's trained weights: an option of the start alone. It is not in model.json, for predicting must not fetch.
PRETRAINED = "pretrained"
# Trained weights are moved gently: this share of the rate that fresh weights learn at.
FINE_TUNING_RATE = 0.2
# So many images tell what a first layer should take apart, or fewer of larger ones.
WHITENING_IMAGES = 5_000
WHITENING_PIXELS = WHITENING_IMAGES * 32 * 32
# Of other classes, so many are named.
CLASSES_NAMED = 5
# The stream of their draw beside the run's other draws.
WHITENING_STREAM = 2**23 - 2


def network_options(recipe: Recipe) -> dict[str, object]:
    """The network's own settings that make it what it is, whatever weights it starts from."""
    options = parse_options(recipe.model_options)
    if recipe.model.startswith(TIMM):
        options.pop(PRETRAINED, None)
    return options


def starts_trained(recipe: Recipe) -> bool:
    """Whether the run starts from weights that were trained before."""
    fetched = recipe.model.startswith(TIMM) and parse_options(recipe.model_options).get(PRETRAINED) is True
    if fetched and recipe.weights:
        raise RunError("pretrained=true and weights are two starts: leave one out")
    return fetched or bool(recipe.weights)


def read_start(recipe: Recipe, *, classes: int, decoding: Decoding) -> Weights | None:
    """The weights to start from, or None where the recipe names none; refused before anything slow is done.

    Raises:
        CaptureError: a file that can't be read, or with the weights of another network.
    """
    if not recipe.weights:
        return None
    weights = read_weights(recipe.weights)
    with torch.device("meta"):
        network = build(
            recipe.model,
            num_classes=classes,
            in_channels=decoding.channels,
            image_size=decoding.size,
            options=network_options(recipe),
        )
    fit_weights(network, weights, where=recipe.weights)
    return weights


def lasting_start(recipe: Recipe) -> str:
    """The weights' path as it can be found again from another folder."""
    return os.path.realpath(recipe.weights) if recipe.weights else ""


def starting_network(
    card: ModelCard, recipe: Recipe, weights: Weights | None, train: ImageSet
) -> tuple[nn.Module, list[str]]:
    """The network that a new run trains, and what there is to say of its weights.

    Raises:
        CaptureError: weights of another network, or timm's that can't be fetched.
    """
    lines = []
    if weights is not None:
        network = card.build()
        # A first layer that the file does not have is fitted all the same, for training would leave it random.
        fit_first_layer(network, train, card.normalization, seed=recipe.seed)
        learned = _learned_classes(recipe.weights)
        others = learned is not None and len(learned) == len(card.classes) and learned != card.classes
        fresh = _classifier(card) if others else ()
        fit = fit_weights(network, weights, where=recipe.weights, fresh=fresh)
        lines = [f"weights: {line}" for line in fit.lines()]
        if fit.other and learned is not None:
            lines[0] += f", which learned other classes: {_some(learned)}"
    elif starts_trained(recipe):
        network = build(
            card.name,
            num_classes=len(card.classes),
            in_channels=card.decoding.channels,
            image_size=card.decoding.size,
            options={**card.options, PRETRAINED: True},
        )
        lines = ["weights: timm's own, with a fresh classifier"]
    else:
        network = card.build()
        lines = fit_first_layer(network, train, card.normalization, seed=recipe.seed)
    if names := freeze(network, recipe.freeze):
        lines.append(f"frozen: {plural(len(names), 'part')}, {', '.join(names)}")
    return network, lines


def _learned_classes(weights: str) -> tuple[str, ...] | None:
    """The classes that a run's weights are for: those of the run, or of the model.json beside the file, if any."""
    path = Path(weights)
    with suppress(ConvscopeError):
        return Run(path if path.is_dir() else path.parent).card().classes
    return None


def _classifier(card: ModelCard) -> tuple[str, ...]:
    """The names of a network's weights that are for its classes: those that another number of classes would change."""
    with torch.device("meta"):
        own, wider = card.build(), replace(card, classes=(*card.classes, "")).build()
    sizes = {name: tensor.shape for name, tensor in wider.state_dict().items()}
    return tuple(name for name, tensor in own.state_dict().items() if sizes.get(name) != tensor.shape)


def _some(classes: tuple[str, ...]) -> str:
    return ", ".join(classes[:CLASSES_NAMED]) + (" ..." if len(classes) > CLASSES_NAMED else "")


def fit_first_layer(network: nn.Module, train: ImageSet, normalization: Normalization, *, seed: int) -> list[str]:
    """Fit a whitened network's first layer to a shuffled sample of the training images; says so.

    A sample in the folder's order would hold few classes only.
    """
    if not isinstance(network, Whitened):
        return []
    height, width = train.images.shape[1:3]
    count = min(len(train), WHITENING_IMAGES, max(1, WHITENING_PIXELS // (height * width)))
    rows = np.random.default_rng([seed, WHITENING_STREAM]).permutation(len(train))[:count]
    network.fit_whitening(to_floats(train.images[np.sort(rows)], normalization))
    return [f"first layer: fitted to {plural(count, 'training image')}, its filters are not trained"]


def resumed_network(card: ModelCard, recipe: Recipe) -> nn.Module:
    """The network that a resumed run puts its checkpoint into."""
    network = card.build()
    freeze(network, recipe.freeze)
    return network
