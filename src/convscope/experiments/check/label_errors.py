"""Likely label errors: images whose label a network contradicts that was trained on other images.

The images are parted into folds; a small network is trained on all but one, in a few epochs, and asked for the class
probabilities of that one. So none of them has seen the label that it is compared with. Images are ranked by the
normalized margin, the probability of the given class less that of the likeliest other one; an error is likely where
another class is at least as probable as it is, on average, for its own images (confident learning: Northcutt, Jiang and
Chuang 2021, sections 3.1 and 3.2). With several labels each class is a question of its own, and the margin is that of
the class that is contradicted most (Thyagarajan et al. 2022).
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from convscope.arrays import Booleans, Floats
from convscope.data.open import Probe
from convscope.data.pixels.decode import fit as fitted_to
from convscope.data.pixels.decode import from_array
from convscope.data.records import Dataset, Decoding, ImageSet, Labels, Rows, Targets
from convscope.errors import RunError
from convscope.nets import catalogue
from convscope.recipe.presets import table
from convscope.recipe.recipe import Recipe
from convscope.recipe.setting import SettingValue
from convscope.report.progress import Progress
from convscope.report.short_repr import ShortRepr
from convscope.report.units import percent, plural
from convscope.runs.events import EpochRow, Silent, StepProgress
from convscope.scoring.answer import answer
from convscope.scoring.test_time_augmentation import ONE
from convscope.training.loop.loop import fit
from convscope.training.loop.nonfinite import DivergedError
from convscope.training.loop.state import loop_settings, new_state
from convscope.training.opening import Opening
from convscope.training.resolve.resolved_recipe import ResolvedRecipe
from convscope.training.session import Session, prepare

FOLDS = 2
WHAT = "looking for label errors"
# Of a class with fewer images nothing can be learned that another fold confirms.
FEWEST = 10
# How far its accuracy must lie above that of the most frequent answer, on the way to 1.
LEARNED = 0.2
# Images that a fold is trained on in all, and the limits of its epochs.
IMAGES_IN_ALL, EPOCHS = 90_000, (3, 16)
# Pictures larger than LARGEST are reduced to SIDE, and trained on with this network.
LARGEST, SIDE, NETWORK = 48, 40, "cifarnet"


@dataclass(frozen=True, kw_only=True, repr=False)
class LabelError(ShortRepr):
    """An image whose label is likely wrong: its row, the class that it has and the one that the network gives it.

    `margin` is the probability of the given class less that of the other one. With several labels one of the two is a
    class and the other its absence: "cat", "not cat".
    """

    row: int
    given: str
    other: str
    margin: float


@dataclass(frozen=True, kw_only=True, repr=False)
class LabelErrors(ShortRepr):
    """Every image ranked, the likeliest error first.

    Args:
        ranked: the rows, int64 (n,).
        likely: those that confident learning takes for errors, in the same order.
        accuracy: of the out-of-fold predictions against the labels as given.
        seconds: what it took.
    """

    ranked: Labels
    likely: tuple[LabelError, ...]
    accuracy: float
    seconds: float


class FoldProgress(Silent):
    """Shows the training of all folds as one piece of work."""

    def __init__(self, progress: Progress, fold: int) -> None:
        self._progress, self._fold = progress, fold

    def stepped(self, step: StepProgress) -> None:
        """Show the steps that are done, of all folds."""
        self._progress(self._fold * step.steps + step.step, FOLDS * step.steps, WHAT)

    def epoch_ended(self, row: EpochRow) -> None:
        """Show nothing: the next step does."""


def find_label_errors(
    found: Probe,
    recipe: Recipe,
    dataset: Dataset,
    *,
    fold: Labels,
    progress: Progress,
    cache_directory: Path | None,
) -> LabelErrors:
    """Return all images of `dataset.train`, ranked by how surely their label is wrong.

    Args:
        found: the source as it was probed.
        recipe: the user's settings; the network, the budget and the augmentation are chosen here.
        dataset: its `train` holds all images, whatever split they are in.
        fold: the fold of each image, int64 (n,), 0 to FOLDS - 1; copies of a picture must be in one fold.
        progress: is called with the share that is done.
        cache_directory: where the compute mode that was measured is kept.

    Raises:
        RunError: fewer than FEWEST images of a class, or copies of so few pictures that a class has none in a fold; or
            the network did not learn.
    """
    began = time.perf_counter()
    images = dataset.train
    assert images is not None
    require_enough(images, dataset.classes)
    _require_whole_folds(images, fold, dataset.classes)
    session = _session(found, recipe, dataset, cache_directory)
    probabilities = np.empty((len(images), len(dataset.classes)))
    for number in range(FOLDS):
        learned, held = np.flatnonzero(fold != number), np.flatnonzero(fold == number)
        probabilities[held] = _out_of_fold(
            session, _rows(session.train, learned), _rows(session.train, held), FoldProgress(progress, number)
        )
    given = images.labels if images.targets is None else images.targets
    margins, other = _margins(probabilities, given)
    accuracy = float((margins > 0).all(1).mean())
    _require_learned(accuracy, given)
    flagged = _confidently_other(probabilities, given)
    ranked = np.argsort(margins.min(1), kind="stable")
    likely = [_error_of(int(row), margins, other, images, dataset.classes) for row in ranked.tolist() if flagged[row]]
    return LabelErrors(ranked=ranked, likely=tuple(likely), accuracy=accuracy, seconds=time.perf_counter() - began)


def require_enough(images: ImageSet, classes: Sequence[str]) -> None:
    """Raise RunError if a class has too few images for a network to learn it from half of them."""
    counts = _class_counts(images, np.ones(len(images), bool), classes)
    least = int(np.argmin(counts))
    if counts[least] < FEWEST:
        raise RunError(
            f"label errors: {classes[least]!r} has {plural(int(counts[least]), 'image')}, and {FEWEST} are needed: "
            "a network learns from half of them and judges the others"
        )


def _class_counts(images: ImageSet, rows: Booleans, classes: Sequence[str]) -> Labels:
    """Return how many of some images show each class, int64 (classes,)."""
    if images.targets is not None:
        return np.asarray(images.targets[rows].sum(0, dtype=np.int64))
    return np.asarray(np.bincount(images.labels[rows], minlength=len(classes)))


def _require_whole_folds(images: ImageSet, fold: Labels, classes: Sequence[str]) -> None:
    """Raise RunError where a fold has no image of a class, as when all images of it are copies of one picture."""
    for number in range(FOLDS):
        lacking = np.flatnonzero(_class_counts(images, fold == number, classes) == 0)
        if len(lacking):
            raise RunError(
                f"label errors: equal pictures and groups stay together, and so {classes[lacking[0]]!r} is in one half "
                "alone: a network learns from one half of the images and judges the other"
            )


def _require_learned(accuracy: float, given: Labels | Targets) -> None:
    """Raise RunError where the networks are hardly better than one that always gives the most frequent answer.

    >>> _require_learned(0.5, np.array([0, 0, 1, 1]))
    Traceback (most recent call last):
    ...
    convscope.errors.RunError: label errors: a network that was trained on half of the images is right on 50.0 % of \
the others, and always giving the most frequent answer on 50.0 %: it can't judge labels
    """
    _, counts = np.unique(given, axis=0, return_counts=True)
    usual = float(counts.max() / counts.sum())
    if accuracy < usual + LEARNED * (1 - usual):
        raise RunError(
            f"label errors: a network that was trained on half of the images is right on {percent(accuracy)} of the "
            f"others, and always giving the most frequent answer on {percent(usual)}: it can't judge labels"
        )


def _session(found: Probe, recipe: Recipe, dataset: Dataset, cache_directory: Path | None) -> Session:
    """Return the training of a fold, open on all images."""
    images = dataset.train
    assert images is not None
    height, width = dataset.decoding.size
    settings: dict[str, SettingValue] = {"data": found.source, "stream": "no", "seed": recipe.seed, "patience": 0}
    size = min(height, width)
    if size > LARGEST:
        settings |= {"model": NETWORK, "image_size": f"{SIDE}x{SIDE}", "random_resized_crop": False}
    of_fold = max(1, len(images) * (FOLDS - 1) // FOLDS)
    model = str(settings.get("model", catalogue.choose(size, channels=dataset.decoding.channels)))
    fewest, most = EPOCHS
    settings["epochs"] = min(most, max(fewest, round(IMAGES_IN_ALL / of_fold)))
    settings["batch_size"] = max(2, min(of_fold, table("fast", model).budget.batch_size_for(of_fold) // 2))
    quick = Recipe(layout=recipe.layout).changed(settings)

    def opened(resolved: ResolvedRecipe) -> Dataset:
        fitting = images if resolved.decoding.size == dataset.decoding.size else _resized(images, resolved.decoding)
        return replace(dataset, train=fitting, val=None, test=None, decoding=resolved.decoding)

    return prepare(quick, Opening(listener=Silent(), cache_directory=cache_directory, given=found, images=opened))


def _resized(images: ImageSet, decoding: Decoding) -> ImageSet:
    """Return the images at another size, in memory."""
    squashed = replace(decoding, resize_mode="squash", channels=images.images.shape[3])
    pixels = np.empty((len(images), *squashed.image_shape), np.uint8)
    for row in range(len(images)):
        pixels[row] = fitted_to(from_array(images.images[row]), squashed)
    return replace(images, images=pixels)


def _rows(images: ImageSet, rows: Labels) -> ImageSet:
    """Return some of the images, without a copy."""
    base = images.images
    of_rows = Rows(base.base, base.rows[rows]) if isinstance(base, Rows) else Rows(np.asarray(base), rows)
    names = [images.names[row] for row in rows.tolist()]
    targets = None if images.targets is None else images.targets[rows]
    return ImageSet(of_rows, images.labels[rows], names, targets)


def _out_of_fold(session: Session, learned: ImageSet, held: ImageSet, listener: FoldProgress) -> Floats:
    """Train on some images, and return the class probabilities (n, classes) of others."""
    session = replace(session, dataset=replace(session.dataset, train=learned))
    own = session.generators()
    with session.computing():
        network, _ = session.network(own)
        settings = loop_settings(session.resolved, session.spec, learned)
        state = new_state(network, session.resolved)
        try:
            fit(state, settings, learned, None, listener=listener, keep=lambda state: None, stop=lambda: False)
        except DivergedError as error:
            raise RunError(f"label errors: the network did not learn from these images: {error}") from None
        return answer(
            state.evaluated,
            held,
            settings.normalization,
            objective=settings.objective,
            device=session.resolved.device,
            # More views would cost more than the training.
            views="flip" if session.resolved.augmentation.flip else ONE,
            forward=replace(session.resolved.mode, compile="no").forward_of(state.evaluated),
        )


def _margins(probabilities: Floats, given: Labels | Targets) -> tuple[Floats, Labels]:
    """Return the normalized margins, (n, 1) with one label, (n, classes) with several; and the likeliest other class.

    >>> _margins(np.array([[0.1, 0.9], [0.6, 0.4]]), np.array([0, 0]))[0].round(3).tolist()
    [[-0.8], [0.2]]
    """
    if given.ndim == 2:
        own = np.where(given > 0, probabilities, 1 - probabilities)
        return 2 * own - 1, own.argmin(1)
    rows = np.arange(len(given))
    others = probabilities.copy()
    others[rows, given] = -1
    other = others.argmax(1)
    return (probabilities[rows, given] - others[rows, other])[:, None], other


def _confidently_other(probabilities: Floats, given: Labels | Targets) -> Booleans:
    """Return which images (n,) another class claims with at least its usual probability.

    >>> p = np.array([[0.9, 0.1], [0.8, 0.2], [0.1, 0.9], [0.2, 0.8], [0.05, 0.95]])
    >>> _confidently_other(p, np.array([0, 0, 1, 1, 0])).tolist()
    [False, False, False, False, True]
    """
    if given.ndim == 2:
        shown = given > 0
        found, absent = _mean_where(shown, probabilities), _mean_where(~shown, 1 - probabilities)
        against = np.where(shown, 1 - probabilities >= absent, probabilities >= found)
        return np.asarray((against & (np.where(shown, probabilities, 1 - probabilities) < 0.5)).any(1))
    classes = probabilities.shape[1]
    usual_of = np.array(
        [probabilities[given == label, label].mean() if (given == label).any() else 2.0 for label in range(classes)]
    )
    claims = np.where(probabilities >= usual_of, probabilities, -1)
    best = claims.argmax(1)
    rows = np.arange(len(given))
    return np.asarray((claims[rows, best] >= 0) & (best != given))


def _mean_where(there: Booleans, values: Floats) -> Floats:
    """Return the mean (classes,) of the values (n, classes) that are there; infinity where none of a class is."""
    counts = there.sum(0)
    return np.where(counts, (values * there).sum(0) / np.maximum(counts, 1), np.inf)


def _error_of(row: int, margins: Floats, other: Labels, images: ImageSet, classes: Sequence[str]) -> LabelError:
    margin = round(float(margins[row].min()), 4)
    if images.targets is None:
        return LabelError(row=row, given=classes[images.labels[row]], other=classes[other[row]], margin=margin)
    label = int(margins[row].argmin())
    has = images.targets[row, label] > 0
    name = classes[label]
    return LabelError(
        row=row, given=name if has else f"not {name}", other=f"not {name}" if has else name, margin=margin
    )
