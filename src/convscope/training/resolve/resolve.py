"""What "auto" becomes: each rule by which a setting follows from the data and the machine, once, with its reason.

The rules are plain arithmetic on the counts of `probe`, so the same data on the same kind of machine gives the same
recipe. One of them decodes images: whether a mirror changes labels is seen in a small sample (`resolve.augmentation`),
after all that can be refused without.
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Literal

import torch
from torch import nn

from convscope.data.open import Probe
from convscope.data.pixels.cache import entry_key
from convscope.data.pixels.cache_budget import cache_directory as default_cache_directory
from convscope.data.pixels.cache_budget import lack_of_room
from convscope.data.records import Decoding
from convscope.errors import RunError
from convscope.hardware.device import has_bf16, require_one_each, usable_device
from convscope.hardware.machine import this_machine
from convscope.hardware.mode import ComputeMode, Precision, require_possible
from convscope.hardware.rank import Rank, threads_for
from convscope.nets import catalogue
from convscope.nets.build import build, nearest_input, own_size, smallest_input
from convscope.nets.layer_groups import freeze
from convscope.recipe.class_weights import require_known
from convscope.recipe.presets import MODEL_INSTEAD, completed
from convscope.recipe.recipe import Recipe
from convscope.recipe.setting import AUTO, options_text, parse_size, plain, value_or
from convscope.report.units import plural
from convscope.scoring.losses import LOSSES
from convscope.training.optim.muon import NEEDED, has_muon
from convscope.training.optim.optimizers import MOMENTUM, decays_any
from convscope.training.resolve.augmentation import choose_augmentation, choose_growth, choose_views
from convscope.training.resolve.budget import choose_budget, validation_fraction
from convscope.training.resolve.resolved_recipe import Resolution, ResolvedRecipe
from convscope.training.start import network_options, run_of_weights, starts_trained

# Pictures with a side below this are enlarged to the network's own size, or at most to ENLARGED.
TINY_SIDE, ENLARGED = 24, 32
# bf16 pays where convolutions are large; in a network of few weights the casts cost more than they save.
BF16_WEIGHTS = 1_000_000

# A step of a network this small is over before a second thread has joined in.
ONE_THREAD_WEIGHTS = 100_000


def resolve(recipe: Recipe, found: Probe, cache_directory: Path | None = None) -> ResolvedRecipe:
    """Replace every "auto" of a recipe by what fits the data, the machine, and what is free for decoded images.

    Raises:
        CaptureError: no such network or option.
        GeometryError: images of this size vanish in the network.
        RunError: a device that is not there.
    """
    resolution = Resolution()
    asked = _with_what_images_decide(recipe, found, resolution)
    recipe = _with_preset(asked, resolution)
    _check_means(recipe, found)
    decoding = Decoding(
        size=_image_size(recipe, found, resolution), channels=plain(recipe.channels), resize_mode=recipe.resize_mode
    )
    recipe = recipe.changed({"image_size": "x".join(map(str, decoding.size))})
    network = meta_network(recipe, classes=len(found.classes), decoding=decoding)
    parameters = sum(parameter.numel() for parameter in network.parameters())
    recipe = choose_budget(recipe, found, network, resolution)
    recipe = _with_what_its_optimizer_takes(asked, recipe, network)
    device = usable_device(recipe.device)
    require_one_each(Rank.of(), device)
    augmentation = choose_augmentation(asked, recipe, found, decoding, resolution)
    complete = recipe.changed(
        {
            **augmentation,
            "tta": choose_views(asked, recipe, decoding, resolution, flipped=bool(augmentation["flip"])),
            "stream": _stream(recipe, found, decoding, cache_directory, resolution),
            "progressive_resize_share": choose_growth(asked, recipe, network, decoding, resolution),
            "split_seed": recipe.seed_of_split,
            "label_smoothing": value_or(recipe.label_smoothing, LOSSES[recipe.loss].smoothing),
            "device": device,
            "autotune": "rules",
            **asdict(_mode(recipe, device, parameters, resolution)),
        }
    )
    return ResolvedRecipe(
        recipe=complete,
        classes=len(found.classes),
        parameters=parameters,
        choices=tuple(resolution.choices),
        notices=tuple(resolution.notices),
    )


def _with_what_images_decide(recipe: Recipe, found: Probe, resolution: Resolution) -> Recipe:
    """Return the recipe with the layout, the share that is held back, the channels, the network and the loss."""
    share, channels = validation_fraction(found, recipe), value_or(recipe.channels, found.channels)
    recipe = recipe.changed({"validation_fraction": share, "channels": channels, "layout": found.layout})
    recipe = _with_network_of_weights(recipe, resolution)
    recipe = recipe.changed({"model": _model(recipe, found, resolution)})
    return recipe.changed({"loss": _loss(recipe, found, resolution)})


def _with_preset(asked: Recipe, resolution: Resolution) -> Recipe:
    """Return the recipe completed by its table; where this torch has no Muon, the table's gives way to SGD."""
    recipe = completed(asked, asked.model, asked.loss)
    if recipe.optimizer != "muon" or has_muon():
        return recipe
    if asked.optimizer == "muon":
        raise RunError(f"{NEEDED}: take sgd")
    resolution.choose("optimizer", "sgd", NEEDED)
    return completed(asked.changed({"optimizer": "sgd"}), asked.model, asked.loss)


def _check_means(recipe: Recipe, found: Probe) -> None:
    """Raise RunError where the recipe lacks the weights that it tunes, or the validation that it goes by."""
    if recipe.preset == "finetune" and not starts_trained(recipe):
        raise RunError(
            "the recipe finetune moves trained weights: give --weights FILE, or a timm network with "
            "--model-options pretrained=true"
        )
    if recipe.validation_fraction or "val" in found.counts:
        return
    if recipe.schedule == "plateau":
        raise RunError("schedule plateau follows the validation, and there is none: let validation_fraction be above 0")
    if recipe.patience:
        raise RunError(
            f"patience {recipe.patience} waits for a better validation, and there is none: let validation_fraction be "
            "above 0, or leave patience out"
        )


def meta_network(recipe: Recipe, *, classes: int, decoding: Decoding) -> nn.Module:
    """Return the network, frozen where it will be, without memory for its weights.

    Raises:
        GeometryError: images of this size vanish in it.
    """
    with torch.device("meta"):
        network = build(
            recipe.model,
            num_classes=classes,
            in_channels=decoding.channels,
            image_size=decoding.size,
            options=network_options(recipe),
        )
    freeze(network, recipe.freeze)
    return network


def _with_what_its_optimizer_takes(asked: Recipe, recipe: Recipe, network: nn.Module) -> Recipe:
    """Return the recipe with its momentum, and without a weight decay that would do nothing."""
    decays = decays_any(recipe.optimizer, network)
    if not decays and asked.weight_decay not in (AUTO, 0):
        raise RunError(
            f"weight_decay {asked.weight_decay} does nothing to what {recipe.model} trains with {recipe.optimizer}: "
            "leave it out"
        )
    decay = plain(recipe.weight_decay) if decays else 0.0
    return recipe.changed({"weight_decay": decay, "momentum": value_or(recipe.momentum, MOMENTUM[recipe.optimizer])})


def _with_network_of_weights(recipe: Recipe, resolution: Resolution) -> Recipe:
    """Return the recipe with network, options and image size, if at auto, from the run that its weights are from."""
    spec = run_of_weights(recipe.weights) if recipe.model == AUTO else None
    if spec is None:
        return recipe
    size = "x".join(map(str, spec.decoding.size))
    resolution.choose("model", spec.name, f"the network of {recipe.weights}, with images at {size} pixels")
    return recipe.changed(
        {
            "model": spec.name,
            "model_options": recipe.model_options or options_text(spec.options),
            "image_size": size if recipe.image_size == AUTO else recipe.image_size,
        }
    )


def _model(recipe: Recipe, found: Probe, resolution: Resolution) -> str:
    if recipe.model != AUTO:
        return recipe.model
    side = min(found.image_size)
    usual = catalogue.choose(side, channels=plain(recipe.channels))
    usual = MODEL_INSTEAD.get((recipe.preset, usual), usual)
    others = (*(name for _, _, name in catalogue.AUTO), catalogue.AUTO_SMALLEST, catalogue.AUTO_OTHERWISE)
    model = next((name for name in (usual, *others) if _takes_size(name, recipe)), usual)
    why = "" if model == usual else f", and {usual} does not take {recipe.image_size}"
    resolution.choose("model", model, f"for images of about {plural(side, 'pixel')}{why}")
    return model


def _takes_size(model: str, recipe: Recipe) -> bool:
    """Return whether a network takes images of the size that the recipe asks for; any does where that is left open."""
    if recipe.image_size == AUTO:
        return True
    size = parse_size(recipe.image_size)
    return all(least <= side for least, side in zip(smallest_input(model), size, strict=True))


def _loss(recipe: Recipe, found: Probe, resolution: Resolution) -> str:
    """Return the loss that fits the labels; raises RunError for one that does not."""
    loss = recipe.loss
    if loss == AUTO:
        loss = "multi-label" if found.multi_label else "softmax"
        if found.multi_label:
            resolution.choose("loss", loss, "images have several labels, or none")
    if (loss == "multi-label") != found.multi_label:
        has = "several labels, or none" if found.multi_label else "one class each"
        fitting = "multi-label" if found.multi_label else "softmax, hinge or logistic"
        raise RunError(f"loss is {loss}, but the images of {found.source} have {has}: take {fitting}")
    require_known(recipe.class_weights, found.classes)
    return loss


def _image_size(recipe: Recipe, found: Probe, resolution: Resolution) -> tuple[int, int]:
    """Return the images' own size within the network's; tiny pictures are enlarged."""
    model = recipe.model
    entry = catalogue.find(model)
    own = own_size(entry, network_options(recipe))
    if entry.per_pixel:
        raise RunError(f"{model} answers for every pixel, and training needs one answer an image: choose another")
    if len(own) != 2:
        raise RunError(
            f"{model} takes inputs with {len(own)} spatial axes, and pictures have 2: choose another network"
        )
    if recipe.image_size != AUTO:
        return parse_size(recipe.image_size)
    side = min(found.image_size)
    largest = catalogue.LARGER_INPUTS.get(entry.name, max(own))
    taken = min(max(own), ENLARGED) if side < TINY_SIDE else min(side, largest)
    height, width = taken, taken
    if own != (taken, taken):
        height, width = nearest_input(model, (taken, taken), options=network_options(recipe)) or own
    if (height, width) != found.image_size:
        shown = "x".join(map(str, found.image_size))
        usual = f"was made for {own[0]}x{own[1]}" if largest == max(own) else f"gets {largest}x{largest} at most"
        made = usual if height == taken else "takes no smaller ones"
        size = f"{height}x{width}"
        why = f"they are about {shown}, and {model} {made}"
        resolution.choose("image_size", size, why, shown=f"images at {size} pixels")
    return height, width


def _mode(recipe: Recipe, device: str, weights: int, resolution: Resolution) -> ComputeMode:
    """Return the mode of computing a step, by rules instead of measurements."""
    precision: Precision = "fp32"
    if recipe.precision != AUTO:
        precision = recipe.precision
    elif recipe.autotune != "fp32" and weights >= BF16_WEIGHTS and has_bf16(device):
        resolution.choose("precision", "bf16", "this machine computes it natively, with fp32 weights")
        precision = "bf16"
    mode = ComputeMode(
        precision=precision,
        memory_format="channels-last" if recipe.memory_format == AUTO else recipe.memory_format,
        compile="no" if recipe.compile == AUTO else recipe.compile,
        threads=value_or(recipe.threads, _threads(weights)),
    )
    require_possible(mode, device)
    return mode


def _threads(weights: int) -> int:
    """Return the threads of one process for a network with this many weights."""
    if weights < ONE_THREAD_WEIGHTS:
        return 1
    return threads_for(Rank.of(), torch.get_num_threads(), cores=this_machine().cores)


def _stream(
    recipe: Recipe, found: Probe, decoding: Decoding, cache_directory: Path | None, resolution: Resolution
) -> Literal["no", "yes"]:
    """Return the setting `stream`: as given, else "yes" where the decoded images do not fit the cache.

    Raises:
        RunError: images that lie in memory as they are, which there is nothing to stream from.
    """
    listing = found.listing
    if listing.identity is None and recipe.stream == "yes":
        raise RunError(f"stream: the images of {found.source} are in memory as they are: leave it out")
    if recipe.stream != AUTO:
        return recipe.stream
    if listing.identity is None:
        return "no"
    key = entry_key(listing.identity, decoding)
    shape = (len(listing.labels), *decoding.image_shape)
    directory = cache_directory or default_cache_directory()
    why = None if (directory / key).is_dir() else lack_of_room(directory, shape)
    if why is None:
        return "no"
    shown = "training images are streamed, and decoded anew in each epoch"
    resolution.choose("stream", "yes", f"all images are {why}", shown=shown)
    return "yes"
