"""What "auto" becomes: each rule by which a setting follows from the data and the machine, once, with its reason.

The rules are plain arithmetic on what `probe` tells, so the same data on the same kind of machine settles to the same
recipe, before any image is read.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import nn

from convscope.data.augment import Augmentation
from convscope.data.listing import WHOLE
from convscope.data.open import Probe
from convscope.data.partition import split_rows
from convscope.data.records import Decoding
from convscope.errors import RunError
from convscope.nets import catalogue
from convscope.nets.build import build
from convscope.nets.depth import freeze
from convscope.report.units import plural
from convscope.train.class_weights import require_known
from convscope.train.losses import LOSSES
from convscope.train.machine import this_machine
from convscope.train.mode import Mode, Precision, require_possible
from convscope.train.muon import NEEDED, has_muon
from convscope.train.named import MODEL_INSTEAD, completed, table
from convscope.train.optimizers import MOMENTUM, decays_any, default_learning_rate
from convscope.train.place import Place, threads_for
from convscope.train.recipe import AUTO, Recipe, choices, plain, taken
from convscope.train.showing import choose_augmentation, choose_growth, choose_views
from convscope.train.start import FINE_TUNING_RATE, network_options, starts_trained
from convscope.train.streaming import chosen_stream
from convscope.train.text_values import parse_size

# Held back to choose the best weights by: a tenth, and no more than tell an accuracy to about half a percent.
VALIDATION_FRACTION, MOST_HELD_BACK = 0.1, 2_000
# Pictures with a side below this are enlarged to the network's own size, or at most to ENLARGED.
TINY_SIDE, ENLARGED = 24, 32
# bf16 pays where convolutions are large; in a network of few weights the casts cost more than they save.
BF16_WEIGHTS = 1_000_000
NATIVE_BF16 = "bf16 arithmetic with fp32 weights in the training step: this machine computes it natively"

# A step of a network this small is over before a second thread has joined in.
ONE_THREAD_WEIGHTS = 100_000


@dataclass(frozen=True, kw_only=True)
class Settled:
    """A recipe with nothing left open, in the forms in which the loop uses it; `reasons` say what auto became."""

    recipe: Recipe
    decoding: Decoding
    augmentation: Augmentation
    epochs: int
    batch_size: int
    learning_rate: float
    mode: Mode
    device: str
    weights: int
    reasons: tuple[str, ...]


def settle(recipe: Recipe, found: Probe, cache_directory: Path | None = None) -> Settled:
    """Replace every "auto" of a recipe by what fits the data, the machine, and what is free for decoded images.

    Raises:
        CaptureError: no such network or option.
        GeometryError: images of this size vanish in the network.
        RunError: a device that is not there.
    """
    reasons: list[str] = []
    recipe = recipe.changed({"validation_fraction": validation_fraction(found, recipe)})
    channels = taken(recipe.channels, found.channels)
    side = min(found.image_size)
    model = _model(recipe, side, channels, reasons)
    loss = _loss(recipe, found, reasons)
    asked, recipe = recipe, completed(recipe, model, loss)
    if recipe.optimizer == "muon" and not has_muon():
        if asked.optimizer == "muon":
            raise RunError(f"{NEEDED}: take sgd")
        reasons.append(f"optimizer sgd: {NEEDED}")
        recipe = completed(asked.changed({"optimizer": "sgd"}), model, loss)
    if recipe.recipe == "finetune" and not starts_trained(recipe):
        raise RunError(
            "the recipe finetune moves trained weights: give --weights FILE, or a timm network with "
            "--model-options pretrained=true"
        )
    if recipe.schedule == "plateau" and not recipe.validation_fraction and "val" not in found.counts:
        raise RunError("schedule plateau follows the validation, and there is none: let validation_fraction be above 0")
    size = _image_size(recipe, found, model, reasons)
    decoding = Decoding(size=size, channels=channels, resize_mode=recipe.resize_mode)
    options = network_options(recipe)
    with torch.device("meta"):  # shapes without numbers: an impossible recipe is refused before an image is read
        network = build(model, num_classes=len(found.classes), in_channels=channels, image_size=size, options=options)
    freeze(network, recipe.freeze)
    weights = sum(parameter.numel() for parameter in network.parameters())

    images = training_images(found, recipe)
    dose = table(recipe.recipe, model).dose
    epochs = taken(recipe.epochs, dose.epochs_for(images))
    batch_size = taken(recipe.batch_size, dose.batch_size_for(images))
    place = Place.of()
    _check_batch(recipe, place, model, network, batch_size, images)
    rate = taken(recipe.learning_rate, _learning_rate(recipe, batch_size, network, reasons))
    chosen = [f"{epochs} epochs"] * (recipe.epochs == AUTO) + [f"steps of {batch_size} images"] * (
        recipe.batch_size == AUTO
    )
    if chosen:
        reasons.append(f"{' in '.join(chosen)}: for about {images:,} training images")
    decays = decays_any(recipe.optimizer, network)
    if not decays and asked.weight_decay not in (AUTO, 0):
        raise RunError(
            f"weight_decay {asked.weight_decay} does nothing to what {model} trains with {recipe.optimizer}: "
            "leave it out"
        )
    augmentation = choose_augmentation(asked, recipe, found, decoding, reasons)
    views = choose_views(asked, recipe, augmentation, decoding, reasons)
    device = usable_device(recipe.device)
    _check_processes(place, device)
    mode = _mode(recipe, device, weights, reasons)
    complete = recipe.changed(
        {
            "model": model,
            "image_size": f"{size[0]}x{size[1]}",
            "stream": chosen_stream(recipe, found, decoding, cache_directory, reasons),
            "channels": channels,
            "flip": augmentation.flip,
            "flip_mode": augmentation.flip_mode,
            "color_jitter_pca": augmentation.color_jitter_pca,
            "test_views": views,
            "resolution_share": choose_growth(asked, recipe, network, decoding, reasons),
            "crop_padding": augmentation.crop_padding,
            "random_resized_crop": augmentation.random_resized_crop,
            "epochs": epochs,
            "batch_size": batch_size,
            "learning_rate": rate,
            "weight_decay": plain(recipe.weight_decay) if decays else 0.0,
            "momentum": taken(recipe.momentum, MOMENTUM[recipe.optimizer]),
            "split_seed": recipe.seed_of_split,
            "loss": loss,
            "label_smoothing": taken(recipe.label_smoothing, LOSSES[loss].smoothing),
            "device": device,
            "plan": "rules",
            **asdict(mode),
        }
    )
    return Settled(
        recipe=complete,
        decoding=decoding,
        augmentation=augmentation,
        epochs=epochs,
        batch_size=batch_size,
        learning_rate=rate,
        mode=mode,
        device=device,
        weights=weights,
        reasons=tuple(reasons),
    )


def _check_batch(recipe: Recipe, place: Place, model: str, network: nn.Module, batch_size: int, images: int) -> None:
    """Raise RunError where a batch, or what one process has of it, is too small to train on."""
    normalises = any(isinstance(module, nn.modules.batchnorm._BatchNorm) for module in network.modules())
    if recipe.sync_batchnorm and not normalises:
        raise RunError(f"sync_batchnorm: {model} has no batch normalization: leave it out")
    if batch_size == 1 and normalises:
        raise RunError(f"batch_size is 1, and {model} normalises over the batch: take 2 or more")
    if images < place.size:
        raise RunError(f"{images} training images for {place.size} processes: start {images} or fewer")
    alone = normalises and not recipe.sync_batchnorm and place.size > 1
    least = place.size * (2 if alone else 1)
    if batch_size < least:
        why = ", and each normalises over its own share (or take --sync-batchnorm)" if alone else ""
        raise RunError(f"batch_size is {batch_size} for {place.size} processes{why}: take {least} or more")


def _check_processes(place: Place, device: str) -> None:
    """Raise RunError where the processes of this machine can't each have a device."""
    if place.size == 1:
        return
    if device == "mps":
        raise RunError("device mps: several processes train on cuda or cpu; start one, or take --device cpu")
    if device == "cuda" and place.local_size > (devices := torch.cuda.device_count()):
        raise RunError(
            f"{place.local_size} processes on a machine with {devices} CUDA devices: start {devices}, "
            "or take --device cpu"
        )


def _threads(weights: int) -> int:
    """Threads of one process for a network of so many weights."""
    if weights < ONE_THREAD_WEIGHTS:
        return 1
    return threads_for(Place.of(), torch.get_num_threads(), cores=this_machine().cores)


def validation_fraction(found: Probe, recipe: Recipe) -> float:
    """The share of the training images that is held back where there is no val folder."""
    images = found.counts["train"] if "train" in found.counts else len(found.listing.rows_of(WHOLE))
    share = min(VALIDATION_FRACTION, MOST_HELD_BACK / max(1, images))
    # A share that leaves too little beside a large test part gives way to it.
    return taken(recipe.validation_fraction, min(share, (1 - recipe.test_fraction) / 2))


def training_images(found: Probe, recipe: Recipe) -> int:
    """About how many images will be trained on, told from the counts before anything is split."""
    held_back = validation_fraction(found, recipe)
    if "train" in found.counts:
        held_back = 0.0 if "val" in found.counts else held_back
        images = found.counts["train"]
    else:
        rows = found.listing.rows_of(WHOLE)
        fractions = (held_back, recipe.test_fraction)
        return len(split_rows(found.listing, rows, fractions, seed=recipe.seed_of_split)[0])
    return max(1, round(images * (1 - held_back)))


def _model(recipe: Recipe, side: int, channels: int, reasons: list[str]) -> str:
    if recipe.model != AUTO:
        return recipe.model
    model = catalogue.choose(side, channels=channels)
    model = MODEL_INSTEAD.get((recipe.recipe, model), model)
    reasons.append(f"model {model}: for images of about {plural(side, 'pixel')}")
    return model


def _learning_rate(recipe: Recipe, batch_size: int, network: nn.Module, reasons: list[str]) -> float:
    rate = default_learning_rate(recipe.optimizer, batch_size, network)
    if not starts_trained(recipe):
        return rate
    gentle = float(f"{rate * FINE_TUNING_RATE:.2g}")
    if recipe.learning_rate == AUTO:
        reasons.append(f"learning rate {gentle:g}, not {rate:g}: the weights are trained already")
    return gentle


def _loss(recipe: Recipe, found: Probe, reasons: list[str]) -> str:
    """The loss that fits the labels; raises RunError for one that does not."""
    loss = recipe.loss
    if loss == AUTO:
        loss = "multi-label" if found.multi_label else "softmax"
        if found.multi_label:
            reasons.append("loss multi-label: images have several labels, or none")
    if (loss == "multi-label") != found.multi_label:
        has = "several labels, or none" if found.multi_label else "one class each"
        fitting = "multi-label" if found.multi_label else "softmax, hinge or logistic"
        raise RunError(f"loss is {loss}, but the images of {found.source} have {has}: take {fitting}")
    require_known(recipe.class_weights, found.classes)
    return loss


def _image_size(recipe: Recipe, found: Probe, model: str, reasons: list[str]) -> tuple[int, int]:
    """The images' own size within the network's; tiny pictures are enlarged."""
    entry = catalogue.find(model)
    own = entry.image_size
    if entry.per_pixel:
        raise RunError(f"{model} answers for every pixel, and class folders have one class an image: choose another")
    if len(own) != 2:
        raise RunError(
            f"{model} takes inputs with {len(own)} spatial axes, and pictures have 2: choose another network"
        )
    if recipe.image_size != AUTO:
        return parse_size(recipe.image_size)
    side = min(found.image_size)
    taken = min(max(own), ENLARGED) if side < TINY_SIDE else min(side, max(own))
    if (taken, taken) != found.image_size:
        shown = "x".join(map(str, found.image_size))
        reasons.append(
            f"images at {taken}x{taken} pixels: they are about {shown}, and {model} was made for {own[0]}x{own[1]}"
        )
    return taken, taken


def usable_device(name: str) -> str:
    """The device of that name, or the best there is for "auto"; raises RunError where it is not there."""
    if name == AUTO:
        return "cuda" if torch.cuda.is_available() else "cpu"
    if name not in (known := choices("device")):
        raise RunError(f"device is {name!r}: it must be one of {', '.join(known)}")
    if name == "cuda" and not torch.cuda.is_available():
        raise RunError("device cuda: torch finds no CUDA device here; take cpu, or auto")
    if name == "mps" and not torch.backends.mps.is_available():
        raise RunError("device mps: torch finds no Apple GPU here; take cpu, or auto")
    return name


def _mode(recipe: Recipe, device: str, weights: int, reasons: list[str]) -> Mode:
    """How a step is computed, as rules without a clock have it."""
    precision: Precision = "fp32"
    if recipe.precision != AUTO:
        precision = recipe.precision
    elif recipe.plan != "fp32" and weights >= BF16_WEIGHTS and has_bf16(device):
        reasons.append(NATIVE_BF16)
        precision = "bf16"
    mode = Mode(
        precision=precision,
        memory_format="channels-last" if recipe.memory_format == AUTO else recipe.memory_format,
        compile="no" if recipe.compile == AUTO else recipe.compile,
        threads=taken(recipe.threads, _threads(weights)),
    )
    require_possible(mode, device)
    return mode


def has_bf16(device: str) -> bool:
    """Whether the device multiplies bf16 in hardware; where torch can't tell, no."""
    if device == "cuda":
        return bool(torch.cuda.is_bf16_supported())
    tell = getattr(torch.cpu, "get_capabilities", None)
    capabilities: dict[str, object] = tell() if device == "cpu" and tell else {}
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16") or capabilities.get("bf16"))
