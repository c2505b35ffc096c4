"""Laws of streams: every image once an epoch, decided by the seed, in bounded memory, whoever reads which part."""

from __future__ import annotations

import json
import tarfile
import threading
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import data_makers as made
from convscope.data import streamed as stream_module
from convscope.data.batches import Batches
from convscope.data.open import open_dataset, probe
from convscope.data.records import Dataset, Decoding, ImageSet
from convscope.data.shards.write_shards import write_shards
from convscope.data.streamed import AHEAD, Streamed, draw_epoch_order
from convscope.errors import DataError
from convscope.files.regular import UnreadableError
from convscope.hardware.rank import Rank
from convscope.recipe.recipe import Recipe
from convscope.runs.events import EpochRow, Silent
from convscope.training.distributed.process_group import ProcessGroup
from convscope.training.loop import step as training_step
from convscope.training.train import train
from convscope.training.train_run import train_on
from trainings import Lines, StopAfter, train_watched

SMALL = Decoding(size=(8, 8))
WINDOW = 20


@given(
    st.lists(st.integers(1, 9), min_size=1, max_size=12),
    st.integers(1, 40),
    st.integers(0, 3),
    st.integers(0, 3),
)
def test_a_course_holds_every_row_once_and_moves_none_by_a_window(
    lengths: list[int], window: int, seed: int, epoch: int
) -> None:
    archives = np.repeat(np.arange(len(lengths)), lengths)
    epoch_order = draw_epoch_order(archives, window, seed=seed, epoch=epoch)
    rows = np.arange(len(archives))
    assert np.array_equal(np.sort(epoch_order.reading), rows) and np.array_equal(np.sort(epoch_order.learning), rows)
    if len(rows) > window:
        read_at, learned_at = np.argsort(epoch_order.reading), np.argsort(epoch_order.learning)
        assert np.abs(read_at - learned_at).max() < window
        # An archive is read from its beginning to its end, and no other meanwhile.
        for archive in range(len(lengths)):
            assert (np.diff(read_at[archives == archive]) == 1).all()
    again = draw_epoch_order(archives, window, seed=seed, epoch=epoch)
    assert np.array_equal(again.learning, epoch_order.learning)


def test_archives_and_images_are_shuffled_anew_in_each_epoch_and_by_each_seed() -> None:
    archives = np.repeat(np.arange(30), 40)
    courses = [draw_epoch_order(archives, 100, seed=seed, epoch=epoch) for seed in (0, 1) for epoch in (0, 1)]
    assert len({epoch_order.reading.tobytes() for epoch_order in courses}) == 4
    for epoch_order in courses:
        drawn = archives[epoch_order.learning]
        # Neighbours are seldom neighbours still, and several archives meet in every stretch.
        assert (np.diff(epoch_order.learning) == 1).mean() < 0.1
        assert min(len(set(drawn[start : start + 60])) for start in range(0, 1200, 60)) >= 3


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """96 training images of two classes in 12 archives, and 12 to validate."""
    folder = tmp_path_factory.mktemp("shards")
    seed = made.fill(folder / "photos" / "train", {"cat": 48, "dog": 48})
    made.fill(folder / "photos" / "val", {"cat": 6, "dog": 6}, first_seed=seed)
    write_shards(probe(str(folder / "photos")).listing, folder / "out", shard_images=8)
    return folder / "out"


@pytest.fixture
def small_window(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream_module, "WINDOW_IMAGES", WINDOW)


def opened(source: Path, **settings: bool) -> tuple[Dataset, ImageSet]:
    dataset = open_dataset(str(source), decoding=SMALL, stream=True, **settings)
    assert dataset.train is not None and isinstance(dataset.train.images, Streamed)
    return dataset, dataset.train


@pytest.mark.usefixtures("small_window")
@pytest.mark.parametrize("processes", [1, 3])
def test_every_image_comes_once_an_epoch_with_its_own_label_whoever_reads_it(shards: Path, processes: int) -> None:
    _, streamed = opened(shards)
    kept = open_dataset(str(shards), decoding=SMALL).train
    assert kept is not None and kept.names == streamed.names
    one = Batches(streamed, batch_size=10, shuffle=True, seed=5, epoch=2)
    seen: list[list[int]] = [[] for _ in range(len(one))]
    for rank in range(processes):
        group = ProcessGroup(Rank(rank=rank, size=processes, local_rank=rank, local_size=processes))
        batches = replace(one, share=group.rows)
        assert len(list(batches)) == len(one) == 10
        for batch, (pixels, labels, rows) in enumerate(batches):
            seen[batch] += rows.tolist()
            assert labels.tolist() == kept.labels[rows.numpy()].tolist()
            levels = (pixels * 255).round().permute(0, 2, 3, 1).numpy()
            assert np.array_equal(levels, kept.images[rows.numpy()])
    # Several processes together have each batch of one.
    assert [sorted(batch) for batch in seen] == [sorted(rows.tolist()) for _, _, rows in one]
    assert sorted(row for batch in seen for row in batch) == list(range(96))


@pytest.mark.usefixtures("small_window")
def test_no_more_is_held_than_the_window_and_the_batches_ahead(shards: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, streamed = opened(shards)
    images = streamed.images
    assert isinstance(images, Streamed)
    decoded, lock, read = [0], threading.Lock(), images.listing.read

    def counted(row: int, decoding: Decoding) -> object:
        with lock:
            decoded[0] += 1
        return read(row, decoding)

    images = replace(images, listing=replace(images.listing, read=counted))
    images.__dict__["_threads"] = 2  # timing would decode some, too
    monkeypatch.setattr(stream_module, "rows_of_a_task", lambda decoding: 2)
    taken, most = 0, 0
    for _, _, rows in Batches(replace(streamed, images=images), batch_size=6, shuffle=True):
        most = max(most, decoded[0] - taken)
        taken += len(rows)
    assert taken == decoded[0] == 96
    assert most <= WINDOW + (AHEAD + 1) * 6 + 2


RECIPE = Recipe(
    model="alexnet-mini", image_size="8", epochs=3, batch_size=16, threads=1, autotune="rules", stream="yes"
)


@pytest.mark.usefixtures("small_window")
def test_a_resumed_stream_is_the_unbroken_one(shards: Path, tmp_path: Path) -> None:
    whole = train(str(shards), RECIPE, runs_directory=tmp_path / "whole")
    stopped = train_watched(str(shards), RECIPE, runs_directory=tmp_path, listener=StopAfter(1))
    assert (stopped.ending, stopped.epochs) == ("interrupted", 1)
    resumed = train_on(stopped.run.path, {}, listener=Silent(), cache_directory=None)
    assert (resumed.ending, resumed.epochs) == ("done", 3)
    assert resumed.run.weights.read_bytes() == whole.run.weights.read_bytes()


@pytest.mark.parametrize("kind", ["shards", "folder"])
def test_a_stream_that_fits_into_the_window_trains_as_decoded_images_do(
    shards: Path, tmp_path: Path, kind: str
) -> None:
    source = str(shards if kind == "shards" else shards.parent / "photos")
    one = train(source, RECIPE, runs_directory=tmp_path)
    other = train(source, RECIPE.changed({"stream": "no"}), runs_directory=tmp_path)
    assert one.run.weights.read_bytes() == other.run.weights.read_bytes()


@pytest.mark.usefixtures("small_window")
def test_files_that_lie_apart_need_no_window_and_are_shuffled_as_decoded_images_are(shards: Path) -> None:
    source = shards.parent / "photos"
    _, streamed = opened(source)
    kept = open_dataset(str(source), decoding=SMALL).train
    assert kept is not None and isinstance(streamed.images, Streamed) and len(kept) > WINDOW
    one, other = (Batches(images, batch_size=10, shuffle=True, seed=5, epoch=2).order() for images in (streamed, kept))
    assert np.array_equal(one, other)
    assert np.array_equal(streamed.images.epoch_order(5, 2).reading, one)


def test_no_thread_outlives_a_run_that_fails(shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class WrongError(Exception):
        """Of no kind that a run knows."""

    def step(*given: object, **settings: object) -> None:
        decoding.extend(thread for thread in threading.enumerate() if thread.name.startswith("convscope-stream"))
        raise WrongError

    decoding: list[threading.Thread] = []
    monkeypatch.setattr(training_step, "differentiate", step)
    with pytest.raises(WrongError) as failed:
        train(str(shards), RECIPE, runs_directory=tmp_path)
    # The error is still at hand, and with it all that it holds.
    assert failed.tb is not None and decoding and not any(thread.is_alive() for thread in decoding)


def test_filters_of_warnings_that_are_set_between_batches_stay(shards: Path) -> None:
    _, streamed = opened(shards)
    with warnings.catch_warnings():
        before = list(warnings.filters)
        batches = iter(Batches(streamed, batch_size=10))
        next(batches)
        warnings.filterwarnings("ignore", message="set meanwhile")
        assert len(list(batches)) == 9
        assert [kept[1].pattern for kept in warnings.filters if kept not in before] == ["set meanwhile"]


def torn(shards: Path, folder: Path, count: int) -> list[str]:
    """A copy of the shards in which the first images of some archives are torn; returns the torn names."""
    names = []
    folder.mkdir()
    for path in sorted(shards.iterdir()):
        content = bytearray(path.read_bytes())
        if path.suffix == ".tar" and len(names) < count:
            with tarfile.open(path) as archive:
                first = next(entry for entry in archive if entry.name.endswith(".png"))
            content[first.offset_data + 60 : first.offset_data + first.size] = bytes(first.size - 60)
            names.append(f"{folder / path.name}:{first.name}")
        (folder / path.name).write_bytes(content)
    return names


@pytest.mark.usefixtures("small_window")
def test_another_image_of_the_batch_stands_in_for_one_that_can_not_be_read(shards: Path, tmp_path: Path) -> None:
    names = torn(shards, tmp_path / "torn", 3)
    dataset, streamed = opened(tmp_path / "torn")
    lost = {row for row, name in enumerate(streamed.names) if name in names}
    assert len(lost) == 3
    shown: list[int] = []
    for _, labels, rows in Batches(streamed, batch_size=10, shuffle=True):
        shown += rows.tolist()
        assert labels.tolist() == streamed.labels[rows.numpy()].tolist()
    assert len(shown) == 96 and set(shown) == set(range(96)) - lost
    assert isinstance(streamed.images, Streamed)
    assert {problem.path for problem in streamed.images.problems} == set(names)
    assert dataset.problems == ()
    _, strict = opened(tmp_path / "torn", strict=True)
    with pytest.raises(DataError, match=r"\(strict\): .*png"):
        list(Batches(strict, batch_size=10))


def test_unreadable_images_are_all_in_the_log_and_a_few_on_the_screen(shards: Path, tmp_path: Path) -> None:
    names = torn(shards, tmp_path / "torn", 6)
    heard = Lines()
    outcome = train_watched(str(tmp_path / "torn"), RECIPE, runs_directory=tmp_path, listener=heard)
    log, page = outcome.run.path.joinpath("log.txt").read_text(), outcome.run.report.read_text()
    assert all(log.count(f"{name}: ") == 1 and name in page for name in names)
    (line,) = [line for line in heard.lines if "can't be read" in line]
    assert line.startswith("6 images can't be read: ") and line.endswith("; and 3 more")
    assert sum(name in line for name in names) == 3


def test_a_disk_that_goes_away_ends_small_batches_too(shards: Path) -> None:
    _, streamed = opened(shards)
    images = streamed.images
    assert isinstance(images, Streamed)
    there, read = set(images.rows[:6].tolist()), images.listing.read

    def until_it_goes(row: int, decoding: Decoding) -> object:
        if row not in there:
            raise UnreadableError("the disk is gone")
        return read(row, decoding)

    images = replace(images, listing=replace(images.listing, read=until_it_goes))
    shown: list[int] = []

    def learn() -> None:
        for _, _, rows in Batches(replace(streamed, images=images), batch_size=2):
            shown.extend(rows.tolist())

    with pytest.raises(DataError, match=r"none of 6 images in a row can be read; the first is .*: the disk is gone"):
        learn()
    # Four that are lost may be an accident.
    assert shown == [0, 1, 2, 3, 4, 5, 5, 5, 5, 5]


class _TakesTheDiskAway(Silent):
    """Removes the archives at the end of the second epoch, and keeps the weights that were written before."""

    def __init__(self, folder: Path, weights: Path) -> None:
        self._folder, self._weights = folder, weights
        self.first = b""

    def epoch_ended(self, row: EpochRow) -> None:
        if row.epoch == 2:
            self.first = self._weights.read_bytes()
            for path in self._folder.glob("*.tar"):
                path.unlink()


def test_a_run_whose_images_go_away_keeps_what_it_reached(shards: Path, tmp_path: Path) -> None:
    torn(shards, tmp_path / "gone", 0)
    for path in (tmp_path / "gone").glob("val-*.tar"):
        path.unlink()
    spec = tmp_path / "gone" / "dataset.json"
    described = json.loads(spec.read_text())
    del described["splits"]["val"]  # or they would be missed
    spec.write_text(json.dumps(described))
    weights = tmp_path / "run" / "weights.safetensors"
    disk = _TakesTheDiskAway(tmp_path / "gone", weights)
    # Where nothing validates, the last weights are the best.
    recipe = RECIPE.changed({"validation_fraction": 0.0})
    with pytest.raises(DataError, match=r"no such file.*; the weights of epoch 2, the best, are kept in") as ended:
        train_watched(str(tmp_path / "gone"), recipe, runs_directory=tmp_path, name="run", listener=disk)
    assert disk.first and weights.read_bytes() != disk.first
    assert (tmp_path / "run" / "log.txt").read_text().endswith(f"{ended.value}\n")
    assert len((tmp_path / "run" / "metrics.csv").read_text().splitlines()) == 3


def test_archives_that_are_gone_end_the_epoch_in_one_line(shards: Path, tmp_path: Path) -> None:
    torn(shards, tmp_path / "gone", 0)
    _, streamed = opened(tmp_path / "gone")
    for path in (tmp_path / "gone").glob("*.tar"):
        path.unlink()
    with pytest.raises(DataError, match=r"none of 10 images in a row can be read; the first is .*no such file"):
        list(Batches(streamed, batch_size=10, shuffle=True))
