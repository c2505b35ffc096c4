"""`convscope.check`: a data set looked at before a training."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from convscope.api.public import public
from convscope.data.assemble import image_set
from convscope.data.memory.source import InMemory
from convscope.data.near_duplicates import find_near_duplicates
from convscope.data.partition import split_rows
from convscope.data.records import Dataset
from convscope.errors import DataError, RunError
from convscope.experiments.check.findings import DataFinding, find
from convscope.experiments.check.label_errors import FOLDS, LabelErrors, find_label_errors
from convscope.experiments.check.record import DataCheck
from convscope.experiments.check.survey import Survey, survey
from convscope.recipe.recipe import Recipe
from convscope.report.progress import Progress, ProgressOption, progress_of


@public
def check(
    data: str | os.PathLike[str] | InMemory,
    recipe: Recipe | None = None,
    *,
    near_duplicates: bool = False,
    label_errors: bool = False,
    classes: Sequence[str] | None = None,
    cache_directory: str | Path | None = None,
    progress: ProgressOption = False,
) -> DataCheck:
    """Look at a data set as a training would, and return everything that is likely wrong with it.

    Decoded images are kept in the cache, where the training finds them. Nothing else is written.

    Args:
        data: as `convscope.train` takes it; a folder of images without class folders is looked at too.
        recipe: settings that say how the data are read; what is left out follows from the data.
        near_duplicates: also find re-encoded, resized and mirrored copies, by a perceptual hash.
        label_errors: also train a small network on one half of the images and judge the labels of the other, and the
            other way round. It takes minutes.
        classes: as `convscope.train` takes them.
        cache_directory: where decoded images are kept.
        progress: True shows a bar; a function is called as `progress(done, total, what)`.

    Raises:
        ConvscopeError: there are no images, a setting can't be used, or the cache can't be written.

    >>> found = check("digits")
    >>> found.errors, found.images["train"], len(found.classes)
    (0, 1439, 10)
    """
    with progress_of(progress) as show:
        cache = None if cache_directory is None else Path(cache_directory)
        looked = survey(data, recipe, classes=classes, cache_directory=cache, progress=show)
        near = None
        if near_duplicates:
            copies = [row for row, _ in looked.decoded.outcome.same]
            near = tuple(find_near_duplicates(looked.decoded.pixels, np.setdiff1d(looked.rows, copies), progress=show))
        errors, why_not = _label_errors(looked, recipe or Recipe(), cache, show) if label_errors else (None, ())
        findings = find(looked, near or (), errors, why_not)
        return DataCheck(findings=findings, _survey=looked, near_duplicates=near, label_errors=errors)


def _label_errors(
    looked: Survey, recipe: Recipe, cache_directory: Path | None, progress: Progress
) -> tuple[LabelErrors | None, tuple[DataFinding, ...]]:
    """Return the images by how likely their label is wrong; None, and a finding, where that can't be computed."""
    if looked.resolved is None:
        return None, (
            DataFinding("labels", "note", "label errors: nothing can be trained here, so none were looked for"),
        )
    listing, rows = looked.listing, looked.rows
    dataset = Dataset(
        source=listing.source,
        kind=listing.kind,
        classes=listing.classes,
        decoding=looked.decoding,
        train=image_set(listing, looked.decoded.pixels, rows),
        val=None,
        test=None,
    )
    same = looked.decoded.outcome.same
    fold = np.zeros(len(listing.labels), np.int64)
    try:
        for number, part in enumerate(split_rows(listing, rows, (1 / FOLDS,) * (FOLDS - 1), seed=0, same=same)):
            fold[part] = number
        found = find_label_errors(
            looked.found, recipe, dataset, fold=fold[rows], progress=progress, cache_directory=cache_directory
        )
    except (DataError, RunError) as error:
        return None, (DataFinding("labels", "note", str(error)),)
    likely = tuple(replace(error, row=int(rows[error.row])) for error in found.likely)
    return replace(found, ranked=rows[found.ranked], likely=likely), ()
