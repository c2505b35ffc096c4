"""What "auto" becomes: each rule by which a setting follows from the data and the machine, once, with its reason.

A rule takes plain values and returns a `Choice`; only `resolve` and its two helpers hold the recipe. The rules are
plain arithmetic on the counts of `probe`, so the same data on the same kind of machine gives the same recipe. One of
them decodes images: whether a mirror changes labels is seen in a small sample (`resolve.augmentation`), after all that
can be refused without.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from convscope.data.listing import Listing
from convscope.data.open import Probe
from convscope.data.records import Decoding, Labels
from convscope.hardware.device import require_one_each, usable_device
from convscope.hardware.mode import require_possible
from convscope.hardware.rank import Rank
from convscope.nets.modules import has_batch_norm
from convscope.nets.own_code import is_own, without_folders
from convscope.recipe.class_weights import require_known
from convscope.recipe.presets import preset_values, table
from convscope.recipe.recipe import Recipe
from convscope.recipe.setting import AUTO, options_text, plain, value_or
from convscope.scoring.defect_rule import require_enough, require_good_class
from convscope.scoring.losses import LOSSES
from convscope.training.optim.optimizers import MOMENTUM, decays_any, default_learning_rate
from convscope.training.probe.linear_head import head_problem
from convscope.training.resolve import augmentation, budget, head, machine, network
from convscope.training.resolve.normalization import normalization
from convscope.training.resolve.resolved_recipe import Choice, Notice, ResolvedRecipe, decoding_of
from convscope.training.start import architecture_of, network_options, require_named, run_of_weights, starts_trained


def resolve(recipe: Recipe, found: Probe, cache_directory: Path | None = None) -> ResolvedRecipe:
    """Replace every "auto" of a recipe by what fits the data, the machine, and what is free for decoded images.

    Raises:
        CaptureError: no such network or option.
        GeometryError: images of this size vanish in the network.
        RunError: a device that is not there.
    """
    asked, listing = recipe, found.listing
    recipe, choices = _with_network(asked, found)
    decoding = decoding_of(recipe)
    architecture = architecture_of(
        recipe.model, recipe.model_options, classes=len(found.classes), decoding=decoding, freeze=recipe.freeze
    )
    made = architecture.on_meta()
    trained = starts_trained(recipe.model, recipe.model_options, recipe.weights)
    start = head.head(
        recipe.head,
        made=made,
        freeze=recipe.freeze,
        trained=trained,
        open_length=recipe.epochs == recipe.steps == AUTO,
        loss=recipe.loss,
        problem=lambda: head_problem(architecture),
    )
    parameters = sum(parameter.numel() for parameter in made.parameters())
    rows, held_back = budget.rows_to_learn(
        listing, held_back=recipe.held_back, test_fraction=recipe.test_fraction, seed=recipe.seed_of_split
    )
    if recipe.miss_rate:
        defects = int((listing.labels[held_back] != found.classes.index(recipe.good_class)).sum())
        require_enough(defects, recipe.miss_rate, own_val=listing.is_split)
    images, usual = max(1, len(rows)), table(recipe.preset, recipe.model).budget
    solved = start.value == head.SOLVE
    of_pixels = normalization(recipe, channels=decoding.channels, solved=solved)
    epochs = head.epochs(asked, budget.epochs(recipe.epochs, images, usual), made=made, solved=solved, trained=trained)
    frozen = head.freeze(recipe.freeze, made=made, preset=recipe.preset, epochs=epochs.value)
    of_epochs: list[str] = []
    if not epochs.value:
        recipe = recipe.changed(head.without_epochs(asked))
        of_epochs = list(filter(None, [head.without_effect(asked)]))
    batch_size = budget.batch_size(recipe.batch_size, images, usual, epochs=epochs.value or None)
    normalizes = has_batch_norm(made)
    budget.require_batch(
        batch_size.value, images, model=recipe.model, normalizes=normalizes, synchronized=recipe.sync_batchnorm
    )
    choices += [*of_pixels, start, frozen, epochs, batch_size]
    default = default_learning_rate(recipe.optimizer, batch_size.value, made)
    choices.append(budget.learning_rate(recipe.learning_rate, default, trained=trained))
    decays = decays_any(recipe.optimizer, made)
    decay = budget.weight_decay(
        asked.weight_decay, plain(recipe.weight_decay), decays=decays, model=recipe.model, optimizer=recipe.optimizer
    )
    device = usable_device(recipe.device)
    require_one_each(Rank.of(), device)
    of_images, flip_mode, flipped = _augmentation(asked, recipe, listing, rows, decoding)
    choices += [
        *of_images,
        augmentation.tta(asked.tta, recipe.tta, decoding, flipped=flipped),
        machine.stream(recipe.stream, listing, decoding, cache_directory),
        augmentation.progressive_resize_share(
            plain(recipe.progressive_resize_share),
            plain(recipe.progressive_resize_start),
            made,
            decoding,
            share_asked=asked.progressive_resize_share != AUTO,
            start_asked=asked.progressive_resize_start != AUTO,
        ),
        machine.precision(recipe.precision, autotune=recipe.autotune, weights=parameters, device=device),
    ]
    complete = (
        # The steps are planned for the minutes once they are timed; a recipe has the one or the other.
        recipe.changed({"minutes": 0.0, **{choice.setting: choice.value for choice in choices}})
        .changed(
            {
                "weight_decay": decay,
                "flip_mode": flip_mode,
                "split_seed": recipe.seed_of_split,
                "device": device,
                "autotune": "rules",
            }
        )
        .filled({"memory_format": "channels-last", "compile": "no", "threads": machine.usual_threads(parameters)})
    )
    resolved = ResolvedRecipe(
        recipe=complete,
        classes=len(found.classes),
        parameters=parameters,
        choices=tuple(
            choice
            for choice in choices
            if (choice.reason or choice.shown) and (epochs.value or choice.setting not in head.OF_STEPS)
        ),
        notices=tuple(Notice(message=line, level="warning") for line in (*_notices(choices), *of_epochs)),
    )
    require_possible(resolved.mode, device)
    return resolved


def _notices(choices: list[Choice[Any]]) -> list[str]:
    return [line for choice in choices for line in choice.notices]


def _with_network(asked: Recipe, found: Probe) -> tuple[Recipe, list[Choice[Any]]]:
    """Return the recipe with its network, image size and loss, and its preset's values; and what was chosen.

    A network at auto is that of the run that the weights are from, if any, with the size and channels of its images.
    """
    listing = found.listing
    held_back = budget.validation_fraction(asked.validation_fraction, listing, test_fraction=asked.test_fraction)
    own = is_own(asked.model)
    spec = run_of_weights(asked.weights) if asked.model == AUTO or own else None
    if spec is not None and own and asked.model.rpartition(":")[2] != spec.name.rpartition(":")[2]:
        spec = None  # another factory has other options
    channels = value_or(asked.channels, found.channels if spec is None else spec.decoding.channels)
    recipe = asked.changed({"validation_fraction": held_back, "channels": channels, "layout": found.layout})
    if spec is None:
        model = network.model(
            asked.model, min(found.image_size), channels=channels, preset=asked.preset, image_size=asked.image_size
        )
    else:
        if not own:
            require_named(spec, asked.weights)
        size = "x".join(map(str, spec.decoding.size))
        name = asked.model if own else spec.name
        kind = "" if channels == found.channels else "grey " if channels == 1 else "colour "
        reason = f"the network of {asked.weights}, with {kind}images at {size} pixels"
        model = Choice("model", name, reason, shown=f"model {without_folders(name)}")
        recipe = recipe.filled({"image_size": size}).changed(
            {"model_options": asked.model_options or options_text(spec.options)}
        )
    loss = network.loss(asked.loss, multi_label=found.multi_label, source=found.source)
    require_known(asked.class_weights, found.classes)
    if asked.good_class:
        require_good_class(asked.good_class, found.classes, multi_label=found.multi_label)
    usual = preset_values(asked.preset, model=model.value, loss=loss.value)
    optimizer = network.optimizer(asked.optimizer, str(usual["optimizer"]))
    recipe = (
        recipe.changed({"model": model.value, "loss": loss.value})
        .filled(preset_values(asked.preset, model=model.value, loss=loss.value, optimizer=optimizer.value))
        .filled({"label_smoothing": LOSSES[loss.value].smoothing, "momentum": MOMENTUM[optimizer.value], "patience": 0})
    )
    budget.require_means(
        recipe.preset,
        recipe.schedule,
        plain(recipe.patience),
        trained=starts_trained(recipe.model, recipe.model_options, recipe.weights),
        validated=bool(held_back) or "val" in listing.parts,
    )
    options = network_options(recipe.model, recipe.model_options)
    image_size = network.image_size(recipe.image_size, found.image_size, model=recipe.model, options=options)
    of_weights = run_of_weights(asked.weights)
    fitting = network.model_options(
        recipe.model_options,
        image_size.value,
        model=recipe.model,
        of_weights=of_weights.options if of_weights and of_weights.name == recipe.model else None,
    )
    recipe = recipe.changed({"image_size": image_size.value, "model_options": fitting.value})
    return recipe, [model, loss, optimizer, image_size, fitting]


def _augmentation(
    asked: Recipe, recipe: Recipe, listing: Listing, rows: Labels, decoding: Decoding
) -> tuple[list[Choice[Any]], str, bool]:
    """Return the choices of augmentation, in the order in which they are shown, the flips' mode, and if there are any.

    Raises:
        RunError: an augmentation that these images can't take.
    """
    crop = augmentation.random_resized_crop(recipe.random_resized_crop, decoding)
    padding = augmentation.random_crop_padding(recipe.random_crop_padding, decoding, resized=crop.value)
    augmentation.require_within(recipe.cutout, decoding)
    lighting = augmentation.pca_lighting(asked.pca_lighting, plain(recipe.pca_lighting), decoding)
    # Last of all: images are decoded for it.
    flip = augmentation.flip(
        recipe.flip, listing, rows, decoding, trivial_augment=recipe.trivial_augment, seed=recipe.seed_of_split
    )
    mode = augmentation.flip_mode(asked.flip_mode, recipe.flip_mode, flip)
    flip = augmentation.shown_flip(flip, mode, decoding, in_views=asked.tta == AUTO)
    rest: list[Choice[Any]] = [padding, crop, lighting]
    choices = [flip, *rest] if flip.value else [*rest, flip]
    left_open = (getattr(asked, choice.setting) == AUTO for choice in choices)
    shown = [
        choice if is_open else replace(choice, reason="", shown="")
        for choice, is_open in zip(choices, left_open, strict=True)
    ]
    return shown, mode, flip.value
