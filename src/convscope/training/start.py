"""What a run starts from: fresh weights, a file's, or timm's; and which parts of the network stay as they are."""

from __future__ import annotations

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
from convscope.nets.build import Architecture, option_values
from convscope.nets.entry import TIMM
from convscope.nets.layer_groups import ALL_BUT_LAST, Whitened, part_names, parts, parts_with
from convscope.nets.layer_groups import freeze as freeze_parts
from convscope.nets.own_code import is_own, or_trust, without_folders
from convscope.nets.weights.fit import Weights, fit_weights
from convscope.nets.weights.match import fits, match_weights
from convscope.nets.weights.read import WeightsFile, read_weights
from convscope.recipe.setting import parse_options
from convscope.report.units import plural
from convscope.report.usage import Placeholder, setting_name, settings_text
from convscope.runs.model_spec import ModelSpec
from convscope.runs.run_directory import Run
from convscope.runs.run_like import names_checkpoint, run_of
from convscope.training.deeper_network import deeper_network

# Fetch timm's trained weights: an option of the start alone. It is not in model.json, for predicting must not fetch.
PRETRAINED = "pretrained"
# Images that a first layer is fitted to; fewer where they are larger.
WHITENING_IMAGES = 5_000
WHITENING_PIXELS = WHITENING_IMAGES * 32 * 32
# Number of other classes that a message names.
CLASSES_NAMED = 5
# The stream of their draw beside the run's other draws.
WHITENING_STREAM = 2**23 - 2


def network_options(model: str, model_options: str) -> dict[str, object]:
    """Return the network's own settings that make it what it is, whatever weights it starts from.

    >>> network_options("timm/resnet18", "pretrained=true,output_stride=16")
    {'output_stride': 16}
    """
    options = parse_options(model_options)
    if model.startswith(TIMM):
        options.pop(PRETRAINED, None)
    return options


def architecture_of(
    model: str, model_options: str, *, classes: int, decoding: Decoding, freeze: str = ""
) -> Architecture:
    """Return the network of some settings of a recipe, without its weights."""
    return Architecture(
        name=model,
        options=network_options(model, model_options),
        classes=classes,
        channels=decoding.channels,
        image_size=decoding.size,
        freeze=freeze,
    )


def starts_trained(model: str, model_options: str, weights: str) -> bool:
    """Return whether a run starts from weights that were trained before: of a file, or fetched by timm."""
    fetched = model.startswith(TIMM) and parse_options(model_options).get(PRETRAINED) is True
    if fetched and weights:
        raise RunError("pretrained=true and weights are two starts: leave one out")
    return fetched or bool(weights)


@dataclass(frozen=True)
class Start:
    """What a run starts from, where that is a file of weights.

    Args:
        source: the file, or the run.
        weights: under the network's names.
        lines: where they were found, and what does not fit.
        freeze: the parts that stay as they are, as the recipe names them: never one without weights.
    """

    source: str
    weights: Weights
    lines: tuple[str, ...]
    freeze: str


def read_start(weights: str, architecture: Architecture, *, trained: bool, solved: bool = False) -> Start | None:
    """Return the weights to start from, or None where there is no file of them; before anything slow is done.

    Args:
        weights: the file, or a run; "" for none.
        architecture: the network, with the parts to freeze.
        trained: whether the network has trained weights, of the file or of timm.
        solved: whether the last part is solved on features, which need the weights of all parts before it.

    Raises:
        CaptureError: a file that can't be read, or with the weights of another network.
        RunError: parts are frozen that get no weights, or features would come from such parts.
    """
    freeze = architecture.freeze
    if not weights:
        if freeze and not trained:
            raise RunError(
                f"freeze {freeze}: without trained weights these parts would stay random: "
                f"give {settings_text(weights=Placeholder('FILE'))}"
            )
        return None
    network = architecture.on_meta()
    run = run_of_weights(weights)
    file = _weights_of_run(weights) or read_weights(weights)
    matched = match_weights(file, network.state_dict())
    name, model = architecture.name, setting_name("model")
    same = run is None or run.name == without_folders(name)
    other = "" if run is None or same else f"; it is of {run.name}, and {model} is {name}"
    try:
        fit = fit_weights(network, matched.weights, where=weights)
    except CaptureError as error:
        raise CaptureError(f"{error}{other and f'{other}: leave {model} out'}") from error
    lines = [matched.line, other and f"{weights} fits{other}"]
    remedy = ""
    if fit.misfits:
        setting = _fitting_setting(architecture, matched.weights)
        remedy = f"{setting} takes more of the file" if setting else ""
        lines.append(remedy)
    if not other and (deeper := deeper_network(architecture, matched.weights, fit)):
        lines.append(
            f"the file has the layers of {deeper}, more than {name} takes: {settings_text(model=deeper)} takes them"
        )
    backbone = _backbone(architecture, network) if solved or freeze == ALL_BUT_LAST else ""
    if solved:
        before = part_names(network, backbone)
        lacking = [part for part in before if part not in parts_with(network, before, fit.taken)]
        if lacking:
            raise RunError(
                f"head solve: {', '.join(lacking[:CLASSES_NAMED])} got no weights that fit from {weights}, so features "
                f"would be random: {remedy + ', or ' if remedy else ''}take {settings_text(head='train')}"
            )
    named = part_names(network, freeze if freeze != ALL_BUT_LAST else backbone)
    frozen = parts_with(network, named, fit.taken)
    without = [part for part in named if part not in frozen]
    # Parts that the user named must have all of their weights.
    if (without and freeze != ALL_BUT_LAST) or (named and not frozen):
        raise RunError(
            f"freeze: {', '.join(without[:CLASSES_NAMED])} got no weights that fit from {weights} "
            f"and would stay random: {remedy + ', or ' if remedy else ''}leave them out"
        )
    if without:
        lines.append(f"not frozen, for they got no weights that fit: {', '.join(without)}")
    return Start(weights, matched.weights, tuple(filter(None, lines)), ",".join(frozen))


def _backbone(architecture: Architecture, network: nn.Module) -> str:
    """Return what `freeze` calls the backbone; of the user's own network, which may define its classifier anywhere, or
    several, the names of the parts whose weights do not depend on the number of classes.
    """
    if not is_own(architecture.name):
        return ALL_BUT_LAST
    with suppress(ConvscopeError):
        wider = replace(architecture, classes=architecture.classes + 1, freeze="").on_meta().state_dict()
        here = network.state_dict()
        heads = {name for name in here if name not in wider or wider[name].shape != here[name].shape}
        names = list(parts(network))
        backbone = [name for name in names if not any(head.startswith(f"{name}.") for head in heads)]
        if backbone and len(backbone) < len(names):
            return ",".join(backbone)
    return ALL_BUT_LAST


def _fitting_setting(architecture: Architecture, weights: Weights) -> str:
    """Return the setting with which most of the weights fit, as "--channels 3", or "" if none helps."""

    def fitting(architecture: Architecture, **options: object) -> int:
        try:
            own = architecture.on_meta(**options).state_dict()
        except ConvscopeError:
            return 0
        return sum(tensor.numel() for name, tensor in own.items() if name in weights and fits(tensor, weights[name]))

    tried = {
        settings_text(channels=count): fitting(replace(architecture, channels=count))
        for count in (1, 3)
        if count != architecture.channels
    }
    for name, value in option_values(architecture.name):
        tried[settings_text(model_options=f"{name}={value}")] = fitting(architecture, **{name: value})
    best = max(tried, key=tried.__getitem__, default="")
    return best if best and tried[best] > fitting(architecture) else ""


def run_of_weights(weights: str) -> ModelSpec | None:
    """Return what is known of the network of some weights: of a run, or of the model.json beside the file, if any.

    Raises:
        RunError: a run of several networks, of another format, or whose model.json can't be read.
    """
    run = _run(weights)
    if run is None:
        return None
    if Path(weights).absolute() in (run.opened_path, run.weights):
        return run.spec_of_one()
    with suppress(ConvscopeError):
        return run.spec()
    return None


def require_named(spec: ModelSpec, weights: str) -> None:
    """Raise RunError where a run's network is of own code, which a name in its files does not run."""
    if spec.source is not None:
        raise RunError(
            f"{weights} is a network of {spec.name}, and its code is not run unless you say so: "
            f"give {settings_text(model=spec.name)}{or_trust()}"
        )


def _run(weights: str) -> Run | None:
    path = Path(weights)
    if _is_checkpoint(weights) and path.is_dir():  # it may be gone where the training that began with it is resumed
        return run_of(path)
    folder = path if path.is_dir() else path.parent
    with suppress(OSError):
        return Run(folder) if weights and (folder / "model.json").is_file() else None
    return None


def _is_checkpoint(weights: str) -> bool:
    """Return whether this is the path of a run's checkpoint; other files and folders may have such names too."""
    path = Path(weights).absolute()
    of_run = bool(weights) and names_checkpoint(path) and (path.parent.parent / "model.json").is_file()
    return of_run and not path.is_file()


def _weights_of_run(weights: str) -> WeightsFile | None:
    """Return the weights of a run or its checkpoint, checked against their digest; None for any other file.

    Raises:
        RunError: they are missing or damaged.
    """
    run = run_of(weights) if _is_checkpoint(weights) else _run(weights)
    if run is None or Path(weights).absolute() not in (run.opened_path, run.weights):
        return None
    return WeightsFile(where=weights, tensors=run.read_weights())


def starting_network(
    spec: ModelSpec, train: ImageSet, *, seed: int, freeze: str = "", start: Start | None = None, fetched: bool = False
) -> tuple[nn.Module, list[str]]:
    """Return the network that a new run trains, and what there is to say of its weights.

    Args:
        spec: of the network; weights that are not trained yet are drawn from torch's generator.
        train: the training images, to a sample of which, by the seed, a whitened first layer is fitted.
        seed: of the run.
        freeze: the parts that stay as they are; those of `start` go before.
        start: the weights of a file.
        fetched: whether the weights are timm's own.

    Raises:
        CaptureError: weights of another network, or timm's that can't be fetched.
    """
    lines = []
    if start is not None:
        network = spec.build()
        # A first layer that the file does not have is fitted all the same, for training would leave it random.
        fit_first_layer(network, train, spec.normalization, seed=seed)
        of_run = run_of_weights(start.source)
        learned = None if of_run is None else of_run.classes
        others = learned is not None and len(learned) == len(spec.classes) and learned != spec.classes
        fresh = _classifier(spec) if others else ()
        fit = fit_weights(network, start.weights, where=start.source, fresh=fresh)
        lines = [f"weights: {line}" for line in (*fit.lines(), *start.lines)]
        if fit.other and learned is not None:
            lines[0] += f", which learned other classes: {_some(learned)}"
    elif fetched:
        network = replace(spec, options={**spec.options, PRETRAINED: True}).build()
        lines = ["weights: timm's own, with a fresh classifier"]
    else:
        network = spec.build()
        lines = fit_first_layer(network, train, spec.normalization, seed=seed)
    if names := freeze_parts(network, freeze if start is None else start.freeze):
        lines.append(f"frozen: {plural(len(names), 'part')}, {', '.join(names)}")
    return network, lines


def _classifier(spec: ModelSpec) -> tuple[str, ...]:
    """Return the names of a network's weights that depend on the number of classes."""
    with torch.device("meta"):
        more = replace(spec.preprocessing, classes=(*spec.classes, ""))
        own, wider = spec.build(check=False), replace(spec, preprocessing=more).build(check=False)
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
    count = images_to_fit(train)
    rows = np.random.default_rng([seed, WHITENING_STREAM]).permutation(len(train))[:count]
    network.fit_whitening(to_floats(train.images[np.sort(rows)], normalization))
    return [f"first layer: fitted to {plural(count, 'training image')}, its filters are not trained"]


def images_to_fit(train: ImageSet) -> int:
    """Return how many training images a first layer is fitted to: fewer of larger ones."""
    height, width = train.images.shape[1:3]
    return min(len(train), WHITENING_IMAGES, max(1, WHITENING_PIXELS // (height * width)))


def resumed_network(spec: ModelSpec, freeze: str) -> nn.Module:
    """Return the network that a resumed run puts its checkpoint into."""
    network = spec.build()
    freeze_parts(network, freeze)
    return network
