"""The verb `learned`: what a network learned, over a data set, part by part."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeAlias

from convscope.api.annotations import Positive, Seed
from convscope.api.generators import generators_restored
from convscope.api.public import public
from convscope.api.torch_state import changes_undone
from convscope.capture.load import ModelLike
from convscope.data.memory.source import InMemory
from convscope.errors import ConvscopeError
from convscope.interpret.behaviour.other_network import other_network
from convscope.interpret.interrupts import noted_interrupts
from convscope.interpret.learned.network_on_data import NetworkOnData, network_on_data
from convscope.interpret.learned.parts import PARTS, LearnedPart, PartOptions, find_parts, some_inputs
from convscope.interpret.learned.record import Learned
from convscope.interpret.replay.class_scores import output_notes
from convscope.interpret.replay.finite import require_finite
from convscope.report.documented import Documented
from convscope.report.progress import ProgressOption, progress_of

OnLearnedPart: TypeAlias = Callable[[str, Documented], None]
"""What is called with the title of each part, and the part, once it is ready."""


@public
@generators_restored()
def learned(
    model: ModelLike,
    data: str | Path | InMemory | None = None,
    *,
    parts: Sequence[str] = (),
    every: bool = False,
    split: str | None = None,
    images: Positive | None = None,
    layer: str | None = None,
    against: ModelLike | None = None,
    input_shape: Sequence[int] | None = None,
    seed: Seed = 0,
    on_part: OnLearnedPart | None = None,
    progress: ProgressOption = False,
) -> Learned:
    """Measure what a network learned over a data set: filters, patches, confusions, calibration, health and more.

    The quick parts unless others are asked for: filters, examples, patches, confusions, calibration, health, norms,
    consistency. The slow ones, minutes for large networks: robustness, knock-out, probes, equivariance, similarity,
    visualization. The network is left as it is. Ctrl-C ends the work, and what is ready is returned.

    Args:
        model: a run, in any form; with `data` any model that `convscope.explain` takes.
        data: what `convscope.evaluate` takes; the run's own images unless given.
        parts: the names of parts; the quick ones unless given.
        every: all of them.
        split: test, val or train; test, or else val, unless given.
        images: how many each part goes through at most, evenly spaced; 1,000 or fewer unless given.
        layer: whose filters, patches, knock-out, confusions and visualization; each part's own choice unless given.
        against: another run or network, with whose layers this one's are compared, and whose norms are drawn beside.
        input_shape: of one sample, (C, H, W), with `data` for a model that does not say it.
        seed: of all that is random.
        on_part: is called with the title of each part, and the part, once it is ready.
        progress: True shows a bar; a function is called as `progress(done, total, what)`.

    Raises:
        ArgumentError: no such part.
        CaptureError: no such model or layer, or it is no run and has no images.
        DataError: the images can't be read or are gone, or there is no such split.
        RunError: a run that can't be used.

    Here `run` is LeNet-5 after an epoch on the built-in digits:

    >>> found = learned(run, parts=["calibration"])
    >>> found.calibration.images, found.health is None
    (179, True)
    """
    chosen = find_parts(parts, every=every, with_other=against is not None)
    options = PartOptions(
        images=images,
        layer=layer,
        other=None if against is None else other_network(against, seed),
        seed=seed,
    )
    with progress_of(progress) as report:
        given = network_on_data(model, data, split=split, input_shape=input_shape, seed=seed, progress=report)
    return learned_of(given, chosen, options, on_part, progress)


def learned_of(
    given: NetworkOnData,
    parts: Sequence[LearnedPart],
    options: PartOptions,
    on_part: OnLearnedPart | None = None,
    progress: ProgressOption = False,
) -> Learned:
    """Return what a network learned, of a network and images that are opened.

    Raises:
        CaptureError: no such layer, or scores that are not finite.
        ConvscopeError: the reason why the first part is left out, where none is there.
    """
    found = Learned(
        network=given.name,
        source=given.name if given.run is None or given.spec is None else f"{given.run} ({given.spec.name})",
        data=given.data,
        images=len(given.images),
        notes=given.notes,
        not_asked=tuple(name for name in PARTS if name not in {part.name for part in parts}),
    )
    run = given.replays.on(some_inputs(given, given.images))
    if options.layer is not None:
        run.find(options.layer)  # raises where there is no such layer
    require_finite(run)
    found = replace(found, notes=(*found.notes, *output_notes(run.graph)))
    refused: ConvscopeError | None = None
    missing = [part.name for part in parts]
    with noted_interrupts() as interrupts:
        for part in parts:
            try:
                with progress_of(progress) as report:
                    images = given.some(options.images or part.images)
                    result: Documented | str = part.compute(given, images, options, interrupts.noting(report))
            except ConvscopeError as error:
                refused = refused or error
                result = f"{part.name} left out: {error}"
            except KeyboardInterrupt:
                return replace(found, interrupted=True, missing=tuple(missing))
            found = found.with_part(part, result)
            missing.remove(part.name)
            try:
                if on_part is not None and not isinstance(result, str):
                    with changes_undone():
                        on_part(part.title, result)
            except KeyboardInterrupt:
                interrupts.came = True
            if interrupts.came:
                return replace(found, interrupted=True, missing=tuple(missing))
    if refused is not None and not found.parts:
        raise refused
    return found
