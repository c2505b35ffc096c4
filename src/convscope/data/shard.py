"""`shard`: a data set as WebDataset shards, a few large files that are read in order."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from convscope.api.annotations import Positive, Seed
from convscope.api.public import public
from convscope.data.memory.source import InMemory
from convscope.data.open import probe_given
from convscope.data.records import MEGAPIXELS
from convscope.data.shards.write_shards import Sharded, write_shards
from convscope.data.source_options import SourceOptions
from convscope.data.value_range import AUTO
from convscope.report.progress import ProgressOption, progress_of
from convscope.report.units import parse_byte_size


@public
def shard(
    data: str | Path | InMemory,
    folder: str | Path,
    *,
    shard_size: str | Positive = "256MB",
    layout: str = "auto",
    image_column: str = "",
    image_folder: str = "",
    image_ending: str = "",
    label_column: str = "",
    label_separator: str = "",
    group_column: str = "",
    group_by: str = "",
    value_range: str = AUTO,
    max_megapixels: Positive = MEGAPIXELS,
    classes: Sequence[str] | None = None,
    images: Positive | None = None,
    seed: Seed = 0,
    progress: ProgressOption = False,
) -> Sharded:
    """Write any source that `train` reads as shards into a new folder.

    Image files are copied byte for byte; those that can't be read are skipped and listed.

    Args:
        data: as `convscope.train` takes it.
        folder: where to; it must not exist.
        shard_size: limit of a shard in bytes, or as text such as "256MB".
        layout: what the folders of data are, as the recipe's setting.
        image_column: of a table, as the recipe's setting; found unless given, as are the next four.
        image_folder: as the recipe's setting.
        image_ending: as the recipe's setting.
        label_column: as the recipe's setting.
        label_separator: as the recipe's setting.
        group_column: of a table, as the recipe's setting: the shards keep the group of each image.
        group_by: the part of the files' names that is their group, as the recipe's setting.
        value_range: as the recipe's setting: what can't be read by it is left out, and numbers in memory are written as
            levels by it. Give it to the training too.
        max_megapixels: as the recipe's setting: larger images are left out.
        classes: as `convscope.train` takes them.
        images: limit of a shard in images.
        seed: of the order of the images.
        progress: True for a bar, or a function that is called as `progress(done, total, what)`.

    Raises:
        DataError: no images, a folder that exists or can't be written, or shards smaller than any archive.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     made = shard("digits", f"{folder}/shards")
    >>> [(split.split, split.images) for split in made.splits]
    [('all', 1797)]
    """
    size = parse_byte_size(shard_size) if isinstance(shard_size, str) else shard_size
    options = SourceOptions(
        image_column=image_column,
        image_folder=image_folder,
        image_ending=image_ending,
        label_column=label_column,
        label_separator=label_separator,
        group_column=group_column,
        group_by=group_by,
    )
    found = probe_given(data, layout=layout, options=options, classes=classes, value_range=value_range)
    with progress_of(progress) as reporting:
        return write_shards(
            found.listing,
            Path(folder),
            shard_bytes=size,
            shard_images=images,
            seed=seed,
            value_range=value_range,
            max_megapixels=max_megapixels,
            progress=reporting,
        )
