"""The cache: decoded once, never half, never stale, never without bounds."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import data_makers as made
from convscope.data.open import open_dataset, probe
from convscope.data.pixels import build, cache
from convscope.data.pixels.cache_budget import CacheFullError, cache_directory, cache_limit, require_room
from convscope.data.records import Dataset, Decoding
from convscope.errors import DataError


@pytest.fixture
def data(tmp_path: Path) -> Path:
    made.fill(tmp_path / "data", {"a": 5, "b": 5})
    return tmp_path / "data"


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def opened(data: Path, store: Path, size: int = 16) -> Dataset:
    return open_dataset(str(data), decoding=Decoding(size=(size, size)), cache_directory=store)


def pixels(dataset: Dataset) -> dict[str, bytes]:
    return {
        name: split.images[row].tobytes() for split in dataset.splits.values() for row, name in enumerate(split.names)
    }


def test_the_second_run_decodes_nothing(data: Path, store: Path) -> None:
    first, second = opened(data, store), opened(data, store)
    assert (first.cache_hit, second.cache_hit) == (False, True)
    assert pixels(first) == pixels(second)
    assert not opened(data, store, size=8).cache_hit


def test_the_pixels_are_mapped_and_can_not_be_written(data: Path, store: Path) -> None:
    images = opened(data, store).splits["train"].images
    base = images if isinstance(images, np.ndarray) else images.base
    assert isinstance(base.base, np.memmap) and not base.flags.writeable


@pytest.mark.parametrize("change", ["touched", "rewritten", "added", "renamed", "removed"])
def test_a_change_of_the_files_decodes_again(change: str, data: Path, store: Path) -> None:
    opened(data, store)
    path = data / "a" / "000.png"
    match change:
        case "touched":
            os.utime(path, (1, 1))
        case "rewritten":
            made.image(77).save(path)
        case "added":
            made.image(77).save(data / "a" / "new.png")
        case "renamed":
            path.rename(data / "a" / "zzz.png")
        case "removed":
            path.unlink()
    again = opened(data, store)
    assert not again.cache_hit
    assert {Path(name).name for name in pixels(again) if "/a/" in name} == {p.name for p in (data / "a").iterdir()}
    # The entry that it replaces is gone.
    assert len(list(store.iterdir())) == 1


@pytest.mark.parametrize(
    "damage", ["flipped", "short", "no json", "half json", "other json", "no checksums", "no digests"]
)
def test_a_damaged_entry_is_made_again(damage: str, data: Path, store: Path) -> None:
    whole = pixels(opened(data, store))
    (entry,) = store.iterdir()
    file = entry / "pixels.bin"
    match damage:
        case "flipped":
            content = bytearray(file.read_bytes())
            content[1000] ^= 1
            file.write_bytes(content)
        case "short":
            os.truncate(file, 100)
        case "no json":
            (entry / "entry.json").unlink()
        case "half json":
            os.truncate(entry / "entry.json", 40)
        case "other json":
            (entry / "entry.json").write_text(json.dumps([1, 2]))
        case "no checksums":
            (entry / "checksums.bin").write_bytes(b"")
        case "no digests":
            (entry / "digests.bin").write_bytes(b"")
    again = opened(data, store)
    assert not again.cache_hit and pixels(again) == whole
    assert opened(data, store).cache_hit


def changed_in_secret(path: Path) -> None:
    """Write another image of the same size in bytes over a file, and give it back its time."""
    before = path.stat()
    other = made.image(501)
    other.save(path, "BMP")
    assert path.stat().st_size == before.st_size
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


@pytest.fixture
def bitmaps(tmp_path: Path) -> Path:
    made.fill(tmp_path / "bitmaps", {"a": 5, "b": 5}, ending="bmp")
    return tmp_path / "bitmaps"


def test_a_damaged_entry_is_out_of_the_way_where_a_file_of_it_stays(
    data: Path, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On NFS a file that another process has open stays in its folder."""
    opened(data, store)
    (entry,) = store.glob("[!.]*")
    (entry / "entry.json").write_text("{")
    monkeypatch.setattr(cache.shutil, "rmtree", lambda *_, **__: None)
    assert [opened(data, store).cache_hit for _ in range(2)] == [False, True]


@pytest.mark.parametrize("verify", [False, True])
def test_a_file_changed_with_size_and_time_kept_is_noticed(verify: bool, bitmaps: Path, store: Path) -> None:
    first = open_dataset(str(bitmaps), cache_directory=store, verify=verify)
    again = open_dataset(str(bitmaps), cache_directory=store, verify=verify)
    assert again.cache_hit and not any("had changed" in note for note in again.notes)
    changed_in_secret(bitmaps / "a" / "003.bmp")
    third = open_dataset(str(bitmaps), cache_directory=store, verify=verify)
    assert not third.cache_hit and pixels(third) != pixels(first)
    (note,) = [note for note in third.notes if "had changed" in note]
    assert note.startswith("1 of 10 files read again had changed") and "003.bmp" in note
    assert open_dataset(str(bitmaps), cache_directory=store, verify=verify).cache_hit


def test_of_many_files_a_sample_is_compared_and_verify_compares_all(
    bitmaps: Path, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build, "COMPARED_ROWS", 0)
    monkeypatch.setattr(build, "COMPARED_AT_ONCE", 3)
    open_dataset(str(bitmaps), cache_directory=store)
    changed_in_secret(bitmaps / "b" / "004.bmp")
    assert open_dataset(str(bitmaps), cache_directory=store).cache_hit
    assert not open_dataset(str(bitmaps), cache_directory=store, verify=True).cache_hit


def test_an_image_that_was_bad_and_is_mended_is_noticed_too(bitmaps: Path, store: Path) -> None:
    path = bitmaps / "a" / "001.bmp"
    whole, status = path.read_bytes(), path.stat()
    path.write_bytes(b"no image".ljust(len(whole), b"!"))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert len(open_dataset(str(bitmaps), cache_directory=store).problems) == 1
    assert open_dataset(str(bitmaps), cache_directory=store).cache_hit
    path.write_bytes(whole)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert not open_dataset(str(bitmaps), cache_directory=store).problems


def test_arrays_and_streams_are_verified_as_well(tmp_path: Path, store: Path, bitmaps: Path) -> None:
    made.mnist_folder(tmp_path / "mnist", zipped=False)
    source = tmp_path / "mnist" / "train-images-idx3-ubyte"
    for verify in (False, True):
        open_dataset(str(tmp_path / "mnist"), cache_directory=store, verify=verify)
    status, content = source.stat(), bytearray(source.read_bytes())
    content[-1] ^= 1
    source.write_bytes(content)
    os.utime(source, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert open_dataset(str(tmp_path / "mnist"), cache_directory=store).cache_hit
    assert not open_dataset(str(tmp_path / "mnist"), cache_directory=store, verify=True).cache_hit
    streamed = open_dataset(str(bitmaps), cache_directory=store, stream=True, verify=True, validation_fraction=0.4)
    held = streamed.splits["val"].names[0]
    changed_in_secret(Path(held))
    again = open_dataset(str(bitmaps), cache_directory=store, stream=True, verify=True, validation_fraction=0.4)
    assert any("had changed" in note for note in again.notes)


def test_an_interrupt_leaves_nothing_behind(data: Path, store: Path) -> None:
    def interrupt(done: int, total: int, what: str) -> None:
        if done:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        open_dataset(str(data), cache_directory=store, progress=interrupt)
    assert not list(store.iterdir())


SCRIPT = """
import sys
from pathlib import Path
from convscope.data.open import open_dataset
print(open_dataset(sys.argv[1], cache_directory=Path(sys.argv[2])).counts)
"""


def test_several_processes_at_once(data: Path, store: Path) -> None:
    command = [sys.executable, "-c", SCRIPT, str(data), str(store)]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(4)]
    answers = {process.communicate(timeout=300) for process in running}
    assert answers == {("{'train': 6, 'val': 2, 'test': 2}\n", "")}
    assert len(list(store.iterdir())) == 1


def test_an_entry_that_another_process_removes_at_once_is_used(
    data: Path, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = pixels(opened(data, store.with_name("other")))
    monkeypatch.setattr(cache, "keep_below_limit", lambda directory, key, limit: cache.remove_entry(directory / key))
    assert pixels(opened(data, store)) == expected and not list(store.iterdir())


def test_folders_in_other_roles_keep_their_entries(tmp_path: Path, store: Path) -> None:
    made.fill(tmp_path / "data" / "fold1", {"a": 3, "b": 3})
    made.fill(tmp_path / "data" / "fold2", {"a": 3, "b": 3}, first_seed=9)
    folds = [
        probe(str(tmp_path / "data"), layout=f"train={first},test={second}")
        for first, second in (("fold1", "fold2"), ("fold2", "fold1"))
    ]
    hits = [open_dataset(fold, cache_directory=store).cache_hit for fold in (*folds, *folds)]
    assert hits == [False, False, True, True]


def test_the_least_recently_used_entries_go_first(data: Path, store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for age, size in ((300, 16), (200, 17), (100, 18)):
        entry = opened(data, store, size=size).cache_path
        assert entry is not None
        os.utime(entry, (time.time() - age,) * 2)
    assert opened(data, store, size=16).cache_hit  # now the most recently used
    # Room for the new one and one more.
    monkeypatch.setenv("CONVSCOPE_CACHE_GIB", str(10 * 3 * (19**2 + 16**2 + 10) / 2**30))
    opened(data, store, size=19)
    assert [opened(data, store, size=size).cache_hit for size in (16, 19)] == [True, True]
    assert len(list(store.iterdir())) == 2


def test_what_a_killed_process_left_is_removed_after_a_day(data: Path, store: Path) -> None:
    two_days = 2 * 24 * 3600
    for name, age, written in (
        (".new-1-old", two_days, two_days),
        (".new-2-young", 60, 60),
        (".new-3-slow", two_days, 60),
    ):
        (store / name).mkdir(parents=True)
        (store / name / "pixels.bin").touch()
        os.utime(store / name / "pixels.bin", (time.time() - written,) * 2)
        os.utime(store / name, (time.time() - age,) * 2)
    opened(data, store)
    assert sorted(path.name for path in store.glob(".*")) == [".new-2-young", ".new-3-slow"]


def test_a_full_disk_is_said_before_work_begins(data: Path, store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Full:
        free = 1000

    monkeypatch.setattr("shutil.disk_usage", lambda _: Full)
    said = r"10 images .* 7.680 kB decoded, which needs 16.79 MB .*: make room, .* cache_directory or CONVSCOPE_CACHE"
    with pytest.raises(CacheFullError, match=said):
        opened(data, store)
    assert not store.exists()


def test_a_limit_that_is_too_low_is_said_before_an_image_is_decoded(
    data: Path, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build, "_decode_all", lambda *_: pytest.fail("decoded"))
    monkeypatch.setenv("CONVSCOPE_CACHE_GIB", "0.000001")
    said = (
        r"10 images would be 7.680 kB decoded, more than the 1.073 kB .* \(CONVSCOPE_CACHE_GIB=0.000001\): set a larger"
    )
    with pytest.raises(CacheFullError, match=said):
        opened(data, store)
    monkeypatch.delenv("CONVSCOPE_CACHE_GIB")
    with pytest.raises(
        CacheFullError, match=r"53.69 GB that the cache may take \(the default; CONVSCOPE_CACHE_GIB sets"
    ):
        require_room(store, (60_000, 1000, 1000, 3))
    assert not store.exists()


def test_a_limit_that_is_no_number_is_said_where_all_is_decoded_too(
    data: Path, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened(data, store)
    monkeypatch.setenv("CONVSCOPE_CACHE_GIB", "abc")
    with pytest.raises(DataError, match="CONVSCOPE_CACHE_GIB is 'abc'"):
        opened(data, store)


def test_a_cache_that_can_not_be_written_is_named(data: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    for place in (tmp_path / "file" / "cache", tmp_path / ("x" * 300)):
        with pytest.raises(
            DataError, match=r"can't be kept in .*: give a folder that can be written by cache_directory or CONV"
        ):
            opened(data, place)


@pytest.fixture
def no_settings(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in ("CONVSCOPE_CACHE", "CONVSCOPE_CACHE_GIB", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", "/home/someone")
    return monkeypatch


def test_where_the_cache_lies(no_settings: pytest.MonkeyPatch) -> None:
    no_settings.setattr(sys, "platform", "linux")
    assert cache_directory() == Path("/home/someone/.cache/convscope")
    no_settings.setattr(sys, "platform", "darwin")
    assert cache_directory() == Path("/home/someone/Library/Caches/convscope")
    no_settings.setattr(sys, "platform", "linux")
    no_settings.setenv("XDG_CACHE_HOME", "/big/cache")
    assert cache_directory() == Path("/big/cache/convscope")
    no_settings.setenv("CONVSCOPE_CACHE", "/mine")
    assert cache_directory() == Path("/mine")
    no_settings.setenv("CONVSCOPE_CACHE", "~no such user/mine")
    with pytest.raises(DataError, match=r"there is no home folder .*: set CONVSCOPE_CACHE to a folder"):
        cache_directory()


def test_the_limit(no_settings: pytest.MonkeyPatch) -> None:
    assert cache_limit() == 50 * 2**30
    for wrong in ("much", "-1", "nan", "inf"):
        no_settings.setenv("CONVSCOPE_CACHE_GIB", wrong)
        with pytest.raises(DataError, match="CONVSCOPE_CACHE_GIB"):
            cache_limit()
