"""Open a data source: a folder, a CSV table, IDX files, CIFAR binaries or `digits` become a Dataset."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from convscope.data.groups import grouped
from convscope.data.layout import AUTO, NONE, Layout
from convscope.data.listing import Listing, is_in_memory
from convscope.data.listing_part import with_fewer
from convscope.data.memory.source import InMemory, list_memory
from convscope.data.open_cached import open_cached
from convscope.data.open_streamed import open_streamed
from convscope.data.pixels.cache_budget import cache_directory as default_cache_directory
from convscope.data.records import Dataset, Decoding
from convscope.data.shards.shard_names import find_shards, names_shards
from convscope.data.shards.shards import list_shards
from convscope.data.source_options import AS_FOUND, SourceOptions
from convscope.data.sources.beside_folders import table_beside, tables_of_images
from convscope.data.sources.cifar import find_cifar, list_cifar
from convscope.data.sources.digits import ALWAYS_DIGITS, list_digits
from convscope.data.sources.folder import list_folder
from convscope.data.sources.hints import OTHER_TABLES, notes_on_lists
from convscope.data.sources.idx import find_idx, list_idx
from convscope.data.sources.reading import LAYOUT
from convscope.data.sources.recognize import has_class_folders
from convscope.data.sources.split_folders import unwrapped
from convscope.data.sources.table import KIND as TABLE
from convscope.data.sources.table import find_tables, is_table, list_table
from convscope.data.sources.tree import Branch
from convscope.data.value_range import AUTO as ANY_VALUES
from convscope.errors import DataError, did_you_mean
from convscope.files.regular import explain_os_error, is_folder, is_there
from convscope.report.progress import Progress, no_progress

BUILT_IN = ("digits",)
# Names that people type for data that has to be on the disk: what to give instead.
_TO_FETCH = {
    "mnist": "the folder that holds train-images-idx3-ubyte.gz and its three companions",
    "fashion-mnist": "the folder that holds train-images-idx3-ubyte.gz and its three companions",
    "cifar10": "the folder that holds data_batch_1.bin (the binary version, unpacked)",
    "cifar100": "the folder that holds train.bin and test.bin (the binary version, unpacked)",
    "imagenet": "its folder of train/ and val/",
}
# What may be given, in a few words.
SOURCES = "a folder of images or of shards, a CSV file, or digits"
LARGEST_DEFAULT_SIDE = 224


@dataclass(frozen=True)
class Probe:
    """The content of a source, found without decoding it: enough to choose a model and the decoding.

    Give it to `open_dataset` in the source's place, and the files are not listed a second time.
    """

    listing: Listing = field(repr=False)

    @property
    def source(self) -> str:
        """The source, as given."""
        return self.listing.source

    @property
    def kind(self) -> str:
        """folder, shards, idx, cifar10, cifar100, table, digits or memory."""
        return self.listing.kind

    @property
    def multi_label(self) -> bool:
        """Whether an image may have several labels, or none."""
        return self.listing.targets is not None

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes' names, in the order of their labels."""
        return self.listing.classes

    @property
    def counts(self) -> dict[str, int]:
        """The number of files or rows by split, unreadable ones included; "all" if the source has no splits."""
        return dict(self.listing.parts)

    @property
    def layout(self) -> str:
        """The setting that reads the same class folders again, or "none" if the source has none."""
        return self.listing.layout

    @property
    def image_size(self) -> tuple[int, int]:
        """The typical (height, width)."""
        return self.listing.image_size

    @property
    def channels(self) -> int:
        """1 when the images looked at are all grey, else 3."""
        return self.listing.channels

    def with_fewer(self, most: int, *, test_fraction: float, seed: int) -> Probe:
        """Return the source with at most `most` training images; see `data.listing_part.with_fewer`."""
        return Probe(with_fewer(self.listing, most, test_fraction=test_fraction, seed=seed))

    def default_decoding(self) -> Decoding:
        """Return the default decoding: the typical size, sides of at most 224 pixels, and the images' own channels."""
        height, width = (min(side, LARGEST_DEFAULT_SIDE) for side in self.image_size)
        return Decoding(size=(height, width), channels=self.channels)


def probe(
    source: str,
    *,
    layout: str = AUTO,
    options: SourceOptions = AS_FOUND,
    to_learn: bool = True,
    earlier: tuple[str, ...] = (),
    of_run: bool = False,
) -> Probe:
    """Return the kind, classes, counts, typical size and channels of a source, without decoding it.

    `source` is a folder of images, of WebDataset shards, of IDX files or of CIFAR's binary files, a CSV table or a
    folder that holds one, a pattern of shards like train-{000..099}.tar, or the name `digits`. `layout` says what the
    folders of a folder of images are, as `Layout.parse` reads it, `options` what a table's columns are, and which
    images no split parts. Where nothing is to be learned from it, one class
    alone will do. `earlier` are the classes of a run, in whose order they are listed where they are the same. A folder
    goes before what is built in, but not where the source is as a run keeps it (`of_run`): there `digits` is no folder;
    `built-in:digits` never is one.
    Raises DataError with what was found, what is needed and what to do.

    >>> found = probe("digits")
    >>> found.counts, found.image_size, found.channels
    ({'all': 1797}, (8, 8), 1)
    """
    if is_in_memory(source):
        raise DataError("the images were in memory, and no copy of them is kept: give them again, as data, from Python")
    if not source:  # of a shell's variable that is not set; as a path it would be the current folder
        raise DataError(f"the name of the data is empty: give {SOURCES}, which is built in; . is the current folder")
    laid_out = Layout.parse(layout)
    try:
        if of_run and source in BUILT_IN:
            listing = list_digits()
        else:
            listing = _listed(source, laid_out, options, to_learn=to_learn, earlier=earlier)
    except OSError as error:  # a name that is too long, a folder that may not be listed
        raise DataError(f"{error.filename or source} can't be read: {explain_os_error(error)}") from None
    if listing.kind != TABLE:
        options.require_no_table(source)
    return Probe(grouped(listing, options))


def _listed(
    source: str, laid_out: Layout, options: SourceOptions, *, to_learn: bool, earlier: tuple[str, ...]
) -> Listing:
    """Return the listing of a source, which its name and then what it holds decide; raises DataError."""
    path = Path(source)
    by_layout = laid_out.word not in (AUTO, NONE)
    built_in = source == ALWAYS_DIGITS or (source in BUILT_IN and not path.is_dir())
    if by_layout and (built_in or (not is_folder(path) and (names_shards(source) or path.exists()))):
        raise DataError(f"layout {laid_out}: {source} is no folder, and only folders of images have a layout")
    if by_layout and (given := options.of_table()):
        raise DataError(f"layout {laid_out} and {given}: a table has no layout: leave one of them out")
    if built_in:
        return list_digits()
    if is_table(path) and path.exists():
        return list_table(source, options=options, to_learn=to_learn, earlier=earlier)
    if names_shards(source) and not is_folder(path):
        return list_shards(source, find_shards(source), to_learn=to_learn, earlier=earlier)
    _check_folder(path, source)
    # The same folder with and without a slash at its end is one source.
    source = str(path)
    if by_layout:
        return list_folder(Branch(source), layout=laid_out, to_learn=to_learn, earlier=earlier)
    return _of_folder(source, laid_out, options, to_learn=to_learn, earlier=earlier)


def _of_folder(
    source: str, laid_out: Layout, options: SourceOptions, *, to_learn: bool, earlier: tuple[str, ...]
) -> Listing:
    """Return the listing of a folder by what lies in it; raises DataError."""
    path, root = Path(source), Branch(source)
    idx = find_idx(path)
    cifar = find_cifar(path)
    tables = [] if idx or cifar is not None else _labelling_tables(path)
    if not tables and (inner := unwrapped(root)) is not root and (tables := _labelling_tables(Path(inner.path))):
        root = inner
    # Who names a column means the table.
    of_table = bool(tables and options.of_table())
    by_folders = laid_out.word == AUTO and not idx and cifar is None and not of_table and has_class_folders(root)
    # An archive that lies beside class folders is a backup of them.
    shards = [] if idx or cifar is not None or by_folders or of_table else find_shards(source)
    if idx:
        return list_idx(source, idx, to_learn=to_learn)
    if cifar is not None:
        return list_cifar(source, cifar)
    if shards:
        return list_shards(source, shards, to_learn=to_learn, earlier=earlier)
    named = table_beside(root, tables, options) if tables and by_folders else None
    if tables and not by_folders:
        named = _only_table(root.path, tables, options)
    if named is not None:
        return list_table(str(named), options=options, to_learn=to_learn, earlier=earlier)
    if laid_out.word == NONE:
        raise DataError(f"layout none: {source} holds no table and no shards: leave the layout at auto")
    listing = list_folder(root, to_learn=to_learn, earlier=earlier)
    notes = list(notes_on_lists(path))
    if tables:
        names = ", ".join(table.name for table in tables)
        notes.append(f"{names}: not read; name the file to train by it")
    return replace(listing, notes=(*listing.notes, *notes)) if notes else listing


def probe_given(
    data: str | os.PathLike[str] | InMemory,
    *,
    layout: str = AUTO,
    options: SourceOptions = AS_FOUND,
    classes: Sequence[str] | None = None,
    to_learn: bool = True,
    earlier: tuple[str, ...] = (),
    value_range: str = ANY_VALUES,
) -> Probe:
    """Return the probe of a path or of images in memory; arguments as for `probe` and `list_memory`.

    Raises:
        DataError: as these; or classes beside a path, or a layout beside images in memory, which have none.
    """
    if isinstance(data, (str, os.PathLike)):
        if classes is not None:
            raise DataError(f"classes: they name labels of images in memory, and {data} names its own: leave them out")
        return probe(os.fsdecode(data), layout=layout, options=options, to_learn=to_learn, earlier=earlier)
    if layout != AUTO:
        raise DataError(f"layout {layout}: images in memory lie in no folders: leave it out")
    options.require_none("images in memory")
    listing = list_memory(data, classes=classes, to_learn=to_learn, earlier=earlier, value_range=value_range)
    return Probe(listing if listing.groups is None else grouped(listing, AS_FOUND))


def _labelling_tables(folder: Path) -> list[Path]:
    """Return the tables in a folder, sorted, without a competition's form for answers."""
    return [table for table in find_tables(folder) if "submission" not in table.stem.casefold()]


def _only_table(source: str, tables: list[Path], options: SourceOptions) -> Path:
    """Return the only table of a folder without class folders that lists images; raises DataError if several do."""
    tables = [table for table in tables if not table.stem.casefold().startswith("sample")] or tables
    if len(tables) > 1:
        labelled = [table.path for table in tables_of_images(tables, options) if not table.trouble]
        tables = labelled if len(labelled) == 1 else tables
    if len(tables) > 1:
        names = ", ".join(table.name for table in tables[:5])
        raise DataError(f"{source} holds {len(tables)} tables ({names}) and no class folders: name the one")
    return tables[0]


def _check_folder(path: Path, source: str) -> None:
    """Raise DataError unless the path is a folder; OSError where that can't be found out."""
    if path.is_dir():
        return
    if is_there(path) and path.suffix.lower() in OTHER_TABLES:
        raise DataError(f"{source}: labels are read from .csv and .tsv: write one with the columns image and label")
    if is_there(path):
        raise DataError(
            f"{source} is a file; what is needed is a folder: {LAYOUT} (unpack others first), or a .csv or .tar"
        )
    wanted = _TO_FETCH.get(source.casefold().replace("_", "-")) or _TO_FETCH.get(source.casefold().replace("-", ""))
    if wanted:
        raise DataError(f"there is no folder {source} here, and nothing is downloaded: give {wanted}, or use digits")
    near = ""
    if is_table(path):
        others = [other.name for other in find_tables(path.parent)] if path.parent.is_dir() else []
        raise DataError(f"there is no file {source}.{did_you_mean(path.name, others)}")
    if path.parent.is_dir():
        near = did_you_mean(path.name, [*BUILT_IN, *(other.name for other in path.parent.iterdir() if other.is_dir())])
    raise DataError(f"there is no folder {source}: give {SOURCES}, which is built in.{near}")


def open_dataset(
    source: str | Probe,
    *,
    decoding: Decoding | None = None,
    validation_fraction: float = 0.1,
    test_fraction: float = 0.1,
    seed: int = 0,
    strict: bool = False,
    cache_directory: Path | None = None,
    progress: Progress = no_progress,
    stream: bool = False,
    processes: int = 1,
    verify: bool = False,
) -> Dataset:
    """Open a source as splits of uint8 images (N, H, W, C), decoded once and kept in the cache.

    A source without splits is cut into train, val and test in memory; one without val gets it from train. Both are
    stratified by class and decided by `seed`. Images that can't be read are skipped and listed in `problems`; with
    `strict` the first of them raises. Raises DataError for anything that can't be trained on.

    Where images are found decoded, a few files are read again and compared, with `verify` all of them: a file whose
    content has changed, though its size and time have not, has them all decoded anew, and is noted.

    With `stream` the training images are decoded whenever they are asked for and kept nowhere; `processes` of this
    machine do so at once. What can't be read among them is found on the way.

    >>> open_dataset("digits").counts
    {'train': 1439, 'val': 179, 'test': 179}
    """
    if seed < 0:
        raise DataError(f"seed {seed} must be 0 or more")
    found = source if isinstance(source, Probe) else probe(source)
    listing = found.listing
    decoding = decoding or found.default_decoding()
    directory = cache_directory or default_cache_directory()
    if stream:
        return open_streamed(
            listing,
            decoding,
            validation_fraction=validation_fraction,
            test_fraction=test_fraction,
            seed=seed,
            strict=strict,
            directory=directory,
            progress=progress,
            processes=processes,
            verify=verify,
        )
    return open_cached(
        listing,
        decoding,
        validation_fraction=validation_fraction,
        test_fraction=test_fraction,
        seed=seed,
        strict=strict,
        directory=directory,
        progress=progress,
        verify=verify,
    )
