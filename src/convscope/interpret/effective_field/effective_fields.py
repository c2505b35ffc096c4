"""Measure the effective fields of a network's layers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from convscope.api.annotations import Positive, Seed
from convscope.api.generators import exclusive
from convscope.api.public import public
from convscope.arrays import Floats
from convscope.capture.load import ModelLike, load
from convscope.data.batches import to_floats
from convscope.data.records import spaced_rows
from convscope.errors import CaptureError, ConvscopeError, DataError
from convscope.graph.reach_walk import walk_back
from convscope.graph.records import Graph
from convscope.interpret.effective_field.central_gradients import (
    MeanGradients,
    gradients_at_initialization,
    gradients_on_images,
)
from convscope.interpret.effective_field.layer_field import FieldMass, LayerField, Measurement
from convscope.interpret.effective_field.mapped_layers import MappedLayer, MappedLayers
from convscope.interpret.effective_field.object_size import Objects, object_side
from convscope.interpret.effective_field.record import EffectiveFields
from convscope.interpret.explanation.explain import given_network
from convscope.interpret.explanation.given import Given, GivenNetwork, in_dtype, network_input
from convscope.interpret.replay.replays import Replays
from convscope.report.printable import few
from convscope.report.progress import ProgressOption, progress_of
from convscope.report.units import plural
from convscope.runs.run_directory import Run
from convscope.runs.run_images import own_images

SEEDS = 20
IMAGES = 32
_HALF_PRECISION = (torch.float16, torch.bfloat16)


@public
@exclusive(None)
def effective_fields(
    model: ModelLike,
    images: Sequence[Given] | Tensor | None = None,
    *,
    layers: Sequence[str] | None = None,
    seeds: Positive = SEEDS,
    objects: Objects | None = None,
    input_shape: Sequence[int] | None = None,
    seed: Seed = 0,
    progress: ProgressOption = False,
) -> EffectiveFields:
    """Measure how large the fields of a network's layers are in effect, for the middle cell of each map.

    Four measurements, each a map over the image's pixels: which pixels the cell depends on; the number of paths to
    each; the absolute gradient at initialization, the mean over draws of the weights; and the absolute gradient with
    the network's own weights, the mean over images. In both a unit gradient with a random sign is in every channel of
    the cell, and absolute values are taken before the mean. The network is read in evaluation mode and left as it is.

    Args:
        model: as of `convscope.explain`.
        images: some images (32 do) in any form that `explain` takes. Unless given, 32 of a run's own are taken, of test
            or else val; without any, the gradient of the network's own weights is not measured.
        layers: names as `inspect` prints them; those at which the field grows unless given, at most 8.
        seeds: draws of the initial weights.
        objects: the size of what is to be recognised: a side in pixels, boxes (N, 4) as top, left, bottom, right, or
            masks (N, H, W).
        input_shape: of one sample, (C, H, W); the model's own unless given.
        seed: of the first draw, and of the weights of a model that has none of its own.
        progress: True shows a bar; a function is called as `progress(done, total, what)`.

    Raises:
        CaptureError: no such model or layer, or it takes no images.
        DataError: an image can't be read, or does not have the network's channels or sizes.
        GeometryError: a layer that has no map, or objects without a size.

    Source: Luo, Li, Urtasun and Zemel, "Understanding the effective receptive field" (2016).

    >>> from torch import nn
    >>> network = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 4, 3, padding=1))
    >>> found = effective_fields(network, torch.rand(2, 1, 9, 9), layers=["2"], seeds=3)
    >>> found.layers[0].side, found.layers[0].measured["paths"].extent.half
    (5, 3)
    """
    side = None if objects is None else object_side(objects)
    loaded = load(model)
    network = given_network(loaded, input_shape, seed)
    batch, remarks = (_batch(images, network), []) if images is not None else _own_batch(loaded.run)
    shape = tuple(batch.shape[1:]) if batch is not None else network.input_shape
    if shape is None:
        raise CaptureError(f"{network.name} does not say what it takes: give its input_shape, such as (3, 224, 224)")
    # Half precision has too few digits for products over many layers.
    dtype = torch.float32 if network.dtype in _HALF_PRECISION else None
    replays = Replays(network.module, name=network.name, dtype=dtype)
    like = next(network.module.parameters(), torch.zeros(()))
    sample = torch.zeros(1, *shape, dtype=network.dtype, device=like.device)
    with progress_of(progress) as report:
        known = replays.on(sample)
        graph, mapped = known.graph, MappedLayers(known.graph, known.names)
        measured = mapped.asked(layers)
        initial = gradients_at_initialization(replays, measured, sample, seeds=seeds, seed=seed, progress=report)
        trained = None if batch is None else gradients_on_images(replays, measured, batch, seed=seed, progress=report)
    return EffectiveFields(
        network=network.name,
        image_shape=mapped.image_shape,
        layers=tuple(_layer_field(graph, mapped.image, layer, initial, trained) for layer in measured),
        draws=initial.draws,
        images=0 if trained is None else trained.draws,
        object_side=side,
        notes=(
            *filter(None, (loaded.weights_note(seed),)),
            *remarks,
            *_notes(graph, initial, trained, asked=(seeds, 0 if batch is None else len(batch))),
        ),
    )


def _own_batch(run: Run | None) -> tuple[Tensor | None, list[str]]:
    """Return 32 of a run's own images, evenly spaced, with a remark where they can't be read."""
    if run is None:
        return None, []
    try:
        split, found = own_images(run)
    except ConvscopeError as error:
        return None, [f"The gradient after training is not measured, for want of images: {error}."]
    pixels = found.images[spaced_rows(len(found), IMAGES)]
    return to_floats(pixels, run.spec().normalization), [f"The images are {len(pixels)} of the run's {split} split."]


def _batch(images: Sequence[Given] | Tensor, network: GivenNetwork) -> Tensor | None:
    """Return images as one batch (N, C, H, W) for the network; None without any."""
    if isinstance(images, (str, bytes)):
        raise DataError("images: give a list of them, even of one")
    if not len(images):
        return None
    found = []
    for place, image in enumerate(images):
        tensor = network_input(image, network).tensor
        found.append(in_dtype(tensor, network.dtype, name=f"image {place}", network=network.name))
        if found[0].shape != found[-1].shape:
            raise DataError(f"image {place} has another size than the first: give images of one size")
    like = next(network.module.parameters(), found[0])
    return torch.cat(found).to(like.device)


def _layer_field(
    graph: Graph, image: int, layer: MappedLayer, initial: MeanGradients, trained: MeanGradients | None
) -> LayerField:
    mask = walk_back(graph, layer.value, layer.cell).mask(image)
    weights: dict[Measurement, Floats] = {
        "theoretical": mask.astype(np.float64),
        "paths": walk_back(graph, layer.value, layer.cell, measure="paths").map(image),
        "initial": initial.of[layer.name],
    }
    if trained is not None:
        weights["trained"] = trained.of[layer.name]
    measured = {kind: FieldMass.of(found, layer.centre) for kind, found in weights.items()}
    return LayerField(layer=layer, mask=mask, measured=measured)


def _notes(graph: Graph, initial: MeanGradients, trained: MeanGradients | None, *, asked: tuple[int, int]) -> list[str]:
    """Return what the gradients depend on, and what is missing of them."""
    pools = any(node.op == "max_pool" for node in graph.nodes)
    notes = [
        "Initial weights are drawn by each module's own reset_parameters; batch normalization is in evaluation mode, "
        "with a mean of 0 and a variance of 1."
    ]
    if pools and trained is not None:
        notes.append(
            "Max pooling passes the gradient to the largest value of each window alone, so the field after training "
            f"depends on the images: it is the mean over {plural(trained.draws, 'image')}."
        )
    if initial.kept:
        notes.append(f"Kept as they are, having no reset_parameters: the weights of {few(initial.kept, 4)}.")
    for done, wanted, what in (
        (initial.draws, asked[0], "draws"),
        (trained.draws if trained else 0, asked[1], "images"),
    ):
        if done < wanted:
            notes.append(f"Interrupted: {done} of {wanted} {what} are in the mean.")
    return notes
