"""Results as files: pictures that open, arrays that read back, nothing overwritten."""

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from convscope.errors import RunError
from convscope.interpret.features.feature_maps import feature_maps
from convscope.interpret.features.filters import LayerFilters, filters
from convscope.interpret.look.saved import require_new, save_page, save_results
from convscope.interpret.subject import Subject
from convscope.runs.atomic_files import WriteError, write_file


@pytest.fixture
def results():
    torch.manual_seed(0)
    image = Subject(network=nn.Conv2d(1, 4, 3), name="small", image_name="x", tensor=torch.randn(1, 1, 9, 9))
    return {"maps of a:conv#2": feature_maps(image), "filters": filters(image.replay)}


def test_pictures_open_and_arrays_read_back(tmp_path, results):
    files = save_results(tmp_path / "new" / "folder", results, scale=1)
    assert sorted(path.name for path in files) == [
        "filters.npz", "filters.png", "filters.svg", "maps-of-a-conv-2.npz", "maps-of-a-conv-2.png",
        "maps-of-a-conv-2.svg",
    ]  # fmt: skip
    with np.load(files[2]) as arrays:
        assert np.array_equal(arrays["maps"], results["maps of a:conv#2"].maps)
    with Image.open(files[1]) as picture:
        drawing = results["maps of a:conv#2"].figure()
        assert picture.size == (-(-drawing.width // 1), -(-drawing.height // 1))
    assert files[0].read_text().startswith("<?xml")
    assert sorted(path.name for path in files[0].parent.iterdir()) == sorted(path.name for path in files)


def test_a_figure_in_a_file_and_on_the_page_is_drawn_once(tmp_path, results, monkeypatch):
    drawn = []
    draw = LayerFilters.figure

    def counted(self):
        drawn.append(self)
        return draw(self)

    monkeypatch.setattr(LayerFilters, "figure", counted)
    save_page(tmp_path, results["filters"], {"filters": results["filters"]})
    assert len(drawn) == 1 and "<svg" in (tmp_path / "look.html").read_text(encoding="utf-8")


def test_the_same_arrays_are_the_same_bytes(tmp_path, results):
    first, second = (save_results(tmp_path / name, {"maps": results["filters"]}, scale=1) for name in "ab")
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]


def test_nothing_is_overwritten(tmp_path, results):
    save_results(tmp_path, results, scale=1)
    with pytest.raises(RunError, match="is there already"):
        save_results(tmp_path, results, scale=1)


def test_a_file_in_the_folders_place_is_one_line(tmp_path, results):
    (tmp_path / "file").write_text("")
    with pytest.raises((RunError, WriteError), match="can't be made"):
        save_results(tmp_path / "file", results, scale=1)


def test_two_results_of_one_name_are_refused(tmp_path, results):
    first = results["filters"]
    with pytest.raises(RunError, match="two results"):
        save_results(tmp_path, {"a b": first, "a:b": first}, scale=1)
    assert not list(tmp_path.iterdir())


def test_long_names_keep_both_ends_and_fit_any_file_system(tmp_path, results):
    long = {f"1 {'名' * 200} {what}": results["filters"] for what in ("grad-cam", "occlusion")}
    files = save_results(tmp_path, long, scale=1)
    assert len(files) == 6 and all(len(path.name.encode()) <= 130 and path.is_file() for path in files)
    assert {path.stem.rpartition("名-")[2] for path in files} == {"grad-cam", "occlusion"}


def test_a_save_that_was_interrupted_is_refused_before_the_next_look(tmp_path, results, monkeypatch):
    written = []

    def interrupted(path, content):
        if len(written) == 2:
            raise KeyboardInterrupt
        write_file(path, content)
        written.append(path)

    monkeypatch.setattr("convscope.interpret.look.saved.write_file", interrupted)
    with pytest.raises(KeyboardInterrupt):
        save_page(tmp_path, results["filters"], results)
    with pytest.raises(RunError, match=r"look\.html is there already"):
        require_new(tmp_path)
