"""What a run starts from: fresh weights, a file's, or timm's; and which parts of the network stay as they are."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import nn

from convscope.data.batches import to_floats
from convscope.data.preprocessing import Normalization
from convscope.data.records import Decoding, ImageSet
from convscope.errors import CaptureError, ConvscopeError, RunError
from convscope.nets.build import build, option_values
from convscope.nets.entry import TIMM
from convscope.nets.layer_groups import ALL_BUT_LAST, Whitened, freeze, part_names, parts_with
from convscope.nets.weights.fit import Fit, Weights, fit_weights
from convscope.nets.weights.match import fits, match_weights
from convscope.nets.weights.read import WeightsFile, read_weights
from convscope.recipe.recipe import Recipe
from convscope.recipe.setting import parse_options
from convscope.report.units import plural
from convscope.runs.model_spec import ModelSpec
from convscope.runs.run_directory import Run

# Fetch timm's trained weights: an option of the start alone. It is not in model.json, for predicting must not fetch.
PRETRAINED = "pretrained"
# Trained weights are moved gently: this share of the rate that fresh weights learn at.
FINE_TUNING_RATE = 0.2
# So many images tell what a first layer should take apart, or fewer of larger ones.
WHITENING_IMAGES = 5_000
WHITENING_PIXELS = WHITENING_IMAGES * 32 * 32
# Number of other classes that a message names.
CLASSES_NAMED = 5
# The stream of their draw beside the run's other draws.
WHITENING_STREAM = 2**23 - 2


def network_options(recipe: Recipe) -> dict[str, object]:
    """Return the network's own settings that make it what it is, whatever weights it starts from."""
    options = parse_options(recipe.model_options)
    if recipe.model.startswith(TIMM):
        options.pop(PRETRAINED, None)
    return options


def starts_trained(recipe: Recipe) -> bool:
    """Return whether the run starts from weights that were trained before."""
    fetched = recipe.model.startswith(TIMM) and parse_options(recipe.model_options).get(PRETRAINED) is True
    if fetched and recipe.weights:
        raise RunError("pretrained=true and weights are two starts: leave one out")
    return fetched or bool(recipe.weights)


@dataclass(frozen=True)
class Start:
    """What a run starts from, where that is a file of weights.

    Args:
        weights: under the network's names.
        lines: where they were found, and what does not fit.
        freeze: the parts that stay as they are, as the recipe names them: never one without weights.
    """

    weights: Weights
    lines: tuple[str, ...]
    freeze: str


def read_start(recipe: Recipe, *, classes: int, decoding: Decoding) -> Start | None:
    """Return the weights to start from, or None where the recipe names none; before anything slow is done.

    Raises:
        CaptureError: a file that can't be read, or with the weights of another network.
        RunError: parts are frozen that get no weights.
    """
    if not recipe.weights:
        if recipe.freeze and not starts_trained(recipe):
            raise RunError(
                f"freeze {recipe.freeze}: without trained weights these parts would stay random: give --weights FILE"
            )
        return None
    options = network_options(recipe)
    network = _on_meta(recipe.model, options, classes, decoding)
    run = run_of_weights(recipe.weights)
    file = _weights_of_run(recipe.weights) or read_weights(recipe.weights)
    matched = match_weights(file, network.state_dict())
    other = "" if run is None or run.name == recipe.model else f"; it is of {run.name}, and --model is {recipe.model}"
    try:
        fit = fit_weights(network, matched.weights, where=recipe.weights)
    except CaptureError as error:
        raise CaptureError(f"{error}{other and other + ': leave --model out'}") from error
    lines = [matched.line, other and f"{recipe.weights} fits{other}"]
    remedy = ""
    if fit.misfits:
        option = _fitting_option(recipe.model, options, classes, decoding, matched.weights)
        remedy = f"--model-options {option} takes more of the file" if option else ""
        lines.append(remedy)
    frozen = _frozen(network, recipe, fit, remedy)
    left = [part for part in part_names(network, recipe.freeze) if part not in frozen]
    if left:
        lines.append(f"not frozen, for they got no weights that fit: {', '.join(left)}")
    return Start(weights=matched.weights, lines=tuple(filter(None, lines)), freeze=",".join(frozen))


def _frozen(network: nn.Module, recipe: Recipe, fit: Fit, remedy: str) -> tuple[str, ...]:
    """Return the parts to freeze that got all of their weights; those that the user named must have."""
    named = part_names(network, recipe.freeze)
    frozen = parts_with(network, named, fit.taken)
    without = [part for part in named if part not in frozen]
    if without and (recipe.freeze != ALL_BUT_LAST or not frozen):
        raise RunError(
            f"freeze: {', '.join(without[:CLASSES_NAMED])} got no weights that fit from {recipe.weights} "
            f"and would stay random: {remedy + ', or ' if remedy else ''}leave them out"
        )
    return frozen


def _fitting_option(
    model: str, options: Mapping[str, object], classes: int, decoding: Decoding, weights: Weights
) -> str:
    """Return the setting of a network with which most of the weights fit, as "stem=imagenet", or "" if none helps."""

    def fitting(changed: Mapping[str, object]) -> int:
        try:
            own = _on_meta(model, changed, classes, decoding).state_dict()
        except ConvscopeError:
            return 0
        return sum(tensor.numel() for name, tensor in own.items() if name in weights and fits(tensor, weights[name]))

    tried = {f"{name}={value}": fitting({**options, name: value}) for name, value in option_values(model)}
    best = max(tried, key=tried.__getitem__, default="")
    return best if best and tried[best] > fitting(options) else ""


def _on_meta(model: str, options: Mapping[str, object], classes: int, decoding: Decoding) -> nn.Module:
    with torch.device("meta"):
        return build(
            model, num_classes=classes, in_channels=decoding.channels, image_size=decoding.size, options=options
        )


def run_of_weights(weights: str) -> ModelSpec | None:
    """Return what is known of the network of some weights: of a run, or of the model.json beside the file, if any.

    Raises:
        RunError: a run of several networks, of another format, or whose model.json can't be read.
    """
    run = _run(weights)
    if run is None:
        return None
    if Path(weights) in (run.path, run.weights):
        return run.spec_of_one()
    with suppress(ConvscopeError):
        return run.spec()
    return None


def _run(weights: str) -> Run | None:
    path = Path(weights)
    folder = path if path.is_dir() else path.parent
    with suppress(OSError):
        return Run(folder) if weights and (folder / "model.json").is_file() else None
    return None


def _weights_of_run(weights: str) -> WeightsFile | None:
    """Return a run's weights, checked against the digest that model.json requires; None for any other file."""
    run = _run(weights)
    if run is None or not run.weights.is_file() or Path(weights) not in (run.path, run.weights):
        return None
    return WeightsFile(where=weights, tensors=run.read_weights())


def lasting_start(recipe: Recipe) -> str:
    """Return the weights' path as it can be found again from another folder."""
    return os.path.realpath(recipe.weights) if recipe.weights else ""


def starting_network(
    spec: ModelSpec, recipe: Recipe, start: Start | None, train: ImageSet
) -> tuple[nn.Module, list[str]]:
    """Return the network that a new run trains, and what there is to say of its weights.

    Raises:
        CaptureError: weights of another network, or timm's that can't be fetched.
    """
    lines = []
    if start is not None:
        network = spec.build()
        # A first layer that the file does not have is fitted all the same, for training would leave it random.
        fit_first_layer(network, train, spec.normalization, seed=recipe.seed)
        of_run = run_of_weights(recipe.weights)
        learned = None if of_run is None else of_run.classes
        others = learned is not None and len(learned) == len(spec.classes) and learned != spec.classes
        fresh = _classifier(spec) if others else ()
        fit = fit_weights(network, start.weights, where=recipe.weights, fresh=fresh)
        lines = [f"weights: {line}" for line in (*fit.lines(), *start.lines)]
        if fit.other and learned is not None:
            lines[0] += f", which learned other classes: {_some(learned)}"
    elif starts_trained(recipe):
        network = build(
            spec.name,
            num_classes=len(spec.classes),
            in_channels=spec.decoding.channels,
            image_size=spec.decoding.size,
            options={**spec.options, PRETRAINED: True},
        )
        lines = ["weights: timm's own, with a fresh classifier"]
    else:
        network = spec.build()
        lines = fit_first_layer(network, train, spec.normalization, seed=recipe.seed)
    if names := freeze(network, recipe.freeze if start is None else start.freeze):
        lines.append(f"frozen: {plural(len(names), 'part')}, {', '.join(names)}")
    return network, lines


def _classifier(spec: ModelSpec) -> tuple[str, ...]:
    """Return the names of a network's weights that depend on the number of classes."""
    with torch.device("meta"):
        more = replace(spec.preprocessing, classes=(*spec.classes, ""))
        own, wider = spec.build(), replace(spec, preprocessing=more).build()
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


def resumed_network(spec: ModelSpec, recipe: Recipe) -> nn.Module:
    """Return the network that a resumed run puts its checkpoint into."""
    network = spec.build()
    freeze(network, recipe.freeze)
    return network
