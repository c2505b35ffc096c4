"""The predictor: whatever an image comes as, its prediction is the same, and one that can't be read harms no other."""

from __future__ import annotations

import gzip
import io
import re
import threading
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import convscope
from commands import run_command
from convscope.data.pixels.decode import decode_image
from convscope.data.records import Decoding
from convscope.errors import ArgumentError, ConvscopeError, DataError, GeometryError, RunError
from convscope.runs.model_spec import ModelSpec
from convscope.runs.predictions import Prediction
from convscope.runs.predictor import Predictor
from hostile_files import untrained_run
from hostile_images import png, png_chunk

LARGE = Decoding(size=(8, 8), max_megapixels=178)


@pytest.fixture(scope="module")
def predictor(tmp_path_factory: pytest.TempPathFactory) -> Predictor:
    return convscope.load(untrained_run(tmp_path_factory.mktemp("runs") / "run", "digits", tuple("abc")).path)


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photos")
    rng = np.random.default_rng(0)
    for number in range(4):
        Image.fromarray(rng.integers(0, 256, (40, 50, 3), np.uint8)).save(folder / f"{number}.png")
    return folder


def forms(path: Path) -> dict[str, Any]:
    """One image in every form that it can be given in."""
    with Image.open(path) as image:
        pixels, opened = np.asarray(image), image.copy()
    return {
        "path": path, "text": str(path), "bytes": path.read_bytes(), "bytearray": bytearray(path.read_bytes()),
        "memoryview": memoryview(path.read_bytes()), "file object": io.BytesIO(path.read_bytes()), "PIL": opened,
        "array": pixels, "channels first": pixels.transpose(2, 0, 1), "floats": pixels / 255,
        "halves": np.float16(pixels / 255), "tensor": torch.from_numpy(pixels.transpose(2, 0, 1).copy()),
        "batch of one": torch.from_numpy(pixels / 255)[None], "a list of one": [path],
        "pattern": str(path.parent / "0*"),
    }  # fmt: skip


def test_every_form_of_an_image_gives_the_same_prediction(predictor: Predictor, photos: Path) -> None:
    expected = predictor(photos / "0.png")
    assert [item.name for item in expected.top] == sorted("abc", key=lambda name: -dict(expected.top)[name])
    assert sum(item.probability for item in expected.top) == pytest.approx(1)
    for form, given in forms(photos / "0.png").items():
        found = predictor(given)
        assert found.top == expected.top and not found.problem, form


def test_grey_arrays_and_transparent_ones_are_prepared_as_their_files(predictor: Predictor, tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    for shape in ((30, 20), (30, 20, 1), (30, 20, 4)):
        pixels = rng.integers(0, 256, shape, np.uint8)
        Image.fromarray(pixels[:, :, 0] if shape[-1] == 1 else pixels).save(tmp_path / "x.png")
        assert predictor(pixels).top == predictor(tmp_path / "x.png").top


def test_a_pil_image_of_a_turned_camera_is_upright(predictor: Predictor, photos: Path, tmp_path: Path) -> None:
    with Image.open(photos / "0.png") as image:
        exif = image.getexif()
        exif[0x0112] = 6
        image.save(tmp_path / "turned.png", exif=exif)
    with Image.open(tmp_path / "turned.png") as turned:
        assert predictor(turned).top == predictor(tmp_path / "turned.png").top != predictor(photos / "0.png").top


def test_one_bad_item_harms_no_other_and_order_is_kept(predictor: Predictor, photos: Path, tmp_path: Path) -> None:
    torn = tmp_path / "torn.png"
    torn.write_bytes((photos / "0.png").read_bytes()[:300])
    with Image.open(torn) as half:
        items = [
            photos / "0.png", torn, b"no image", np.zeros((5, 8, 8), np.uint8), np.full((8, 8), 16.0), 7, None, half,
            io.StringIO("text"), str(tmp_path / "none*"), tmp_path / "none.jpg", photos, np.zeros((0, 8), np.uint8),
        ]  # fmt: skip
        found = list(predictor.predict(items, batch_size=3))
    good = [number for number, item in enumerate(found) if not item.problem]
    assert [Path(found[number].image).name for number in good] == ["0.png", "0.png", "1.png", "2.png", "3.png"]
    assert good == [0, 11, 12, 13, 14] and len(found) == 16
    for reason, part in zip(
        [item.problem for item in found if item.problem],
        ("", "", "an array of uint8 (5, 8, 8): give (H, W)", "numbers of 16 to 16: an image's are 0", "a int: give",
         "a NoneType: give", "", "open it with mode 'rb'", "no file matches", "no such file", "(0, 8)"),
        strict=True,
    ):  # fmt: skip
        assert part in reason and reason and "\n" not in reason
    assert found[2].image == "image 3" and found[2].to_dict()["problem"] == found[2].problem
    with pytest.raises(DataError, match="image 3: "):
        _ = found[2].label
    with pytest.raises(DataError, match=r"torn\.png: "):
        predictor(torn)
    with pytest.raises(DataError, match="several images, or none"):
        predictor(photos)


def test_patterns_and_names_that_no_file_can_have_are_problems(
    predictor: Predictor, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (photos / ".DS_Store").write_bytes(b"no image")
    (photos / ".trash").mkdir()
    (photos / ".trash" / "4.png").write_bytes((photos / "0.png").read_bytes())
    patterns = {"*": 4, "**/*": 4, "**/*.png": 4, f"../{photos.name}/*": 4, "*/*": 0}
    patterns |= {".*": 0, ".trash/*": 1, ".*/*.png": 1}
    for given, named in ((photos / pattern, named) for pattern, named in patterns.items()):
        assert len([found for found in predictor.predict(str(given)) if not found.problem]) == named
    assert not any(found.problem for found in predictor.predict(str(photos / "*")))
    for given, said in (
        (photos / "a**.png", "is the whole of a folder's name"),
        (photos / ("b" * 300) / "*.png", "file name too long|no file matches"),  # from Python 3.13 on the second
        ("c" * 100_000, "file name too long"),
        ("d\0e", "no file can have this name"),
    ):
        (found,) = predictor.predict(str(given))
        assert re.search(said, found.problem), given


def test_every_name_of_an_image_is_listed(predictor: Predictor, photos: Path, tmp_path: Path) -> None:
    for name, target in (("a.png", photos / "0.png"), ("b.png", photos / "0.png"), ("c.png", tmp_path / "a.png")):
        (tmp_path / name).symlink_to(target)
    found = list(predictor.predict(tmp_path))
    assert [Path(each.image).name for each in found] == ["a.png", "b.png", "c.png"]
    assert len({each.confidence for each in found}) == 1
    # Folders that are reached twice are read once, by their own names; those around the given one are not read.
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "d.png").write_bytes((photos / "1.png").read_bytes())
    for name, target in (("again", tmp_path / "more"), ("around", tmp_path), ("more/up", tmp_path.parent)):
        (tmp_path / name).symlink_to(target)
    found = list(predictor.predict(tmp_path))
    assert [(Path(each.image).name, each.problem) for each in found] == [(f"{name}.png", "") for name in "abcd"]


def test_an_endless_iterator_is_read_a_batch_at_a_time(predictor: Predictor) -> None:
    taken = 0

    def camera() -> Iterator[np.ndarray]:
        nonlocal taken
        buffer = np.zeros((32, 32, 3), np.uint8)  # one buffer for all pictures, as cameras have
        while True:
            buffer[:] = 50 * (taken % 5)
            taken += 1
            yield buffer

    for batch_size in (1, 4):
        taken = 0
        stream = predictor.predict(camera(), batch_size=batch_size)
        found = [next(stream) for _ in range(5)]
        assert taken == -(-5 // batch_size) * batch_size
        plain = [predictor(np.full((32, 32, 3), 50 * number, np.uint8)) for number in range(5)]
        assert [item.label for item in found] == [item.label for item in plain]
        for seen, alone in zip(found, plain, strict=True):
            assert np.allclose([p for _, p in seen.top], [p for _, p in alone.top], atol=1e-6)


def test_several_threads_share_a_predictor(predictor: Predictor, photos: Path) -> None:
    expected = [item.top for item in predictor.predict(photos, batch_size=2)]
    found: list[list[Any]] = []

    def work() -> None:
        found.extend([item.top for item in predictor.predict(photos, batch_size=2)] for _ in range(5))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 20 and all(item == expected for item in found)
    assert not predictor.network.training


def test_test_time_augmentation_is_the_runs_or_another_or_none(predictor: Predictor, photos: Path) -> None:
    flipped = Predictor(predictor.network, replace(predictor.spec, tta="flip"))
    path = photos / "0.png"
    assert flipped(path).top == flipped(path, tta=True).top == predictor(path, tta="flip").top != predictor(path).top
    assert flipped(path, tta=False).top == predictor(path).top
    with pytest.raises(RunError, match="Did you mean flip"):
        predictor.predict(path, tta="flop")


def test_several_labels_go_by_a_threshold(predictor: Predictor, photos: Path) -> None:
    several = Predictor(predictor.network, replace(predictor.spec, loss="multi-label"))
    path = photos / "0.png"
    shares = dict(several(path, top=3).top)
    # Of one label an image, JSON has every class too, however few are listed.
    one = predictor(path, top=1).to_dict()
    assert list(one["probabilities"].items()) == list(predictor(path, top=3).top) and len(one["top"]) == 1
    assert convscope.predict(predictor, b"?")[0].to_dict()["probabilities"] is None
    for threshold in (0.0, sorted(shares.values())[1], 1.0):
        found = several(path, threshold=threshold, top=1)
        assert {item.name for item in found.labels} == {name for name, share in shares.items() if share >= threshold}
        assert len(found.top) == 1 and found.to_dict()["labels"] == [item.name for item in found.labels]
        assert found.to_dict()["probabilities"] == shares
    with pytest.raises(RunError, match="it is for runs that give several labels"):
        predictor.predict(path, threshold=0.5)
    with pytest.raises(RunError, match="a probability is 0 to 1"):
        several.predict(path, threshold=1.5)
    with pytest.raises(ArgumentError, match="top is 0: give a whole number of 1 or more"):
        predictor.predict(path, top=0)


def test_a_size_that_the_network_does_not_take_is_named(predictor: Predictor) -> None:
    small = predictor.spec.preprocessing.resized((3, 4, 4))
    spec = ModelSpec(name="lenet5", options={}, preprocessing=small)
    with pytest.raises(GeometryError, match="can't take an input of 4x4"):
        Predictor(predictor.network, spec)(np.zeros((4, 4, 3), np.uint8))
    assert replace(spec, tta="flip") != spec


def test_explain_prepares_an_image_as_the_predictor_does(predictor: Predictor, photos: Path) -> None:
    from convscope.data.batches import to_floats
    from convscope.interpret.explanation.given import GivenNetwork, network_input

    spec = predictor.spec
    network = GivenNetwork("run", predictor.network, spec.preprocessing.input_shape, spec.preprocessing)
    pixels = decode_image(photos / "1.png", spec.decoding)
    assert torch.equal(
        network_input(photos / "1.png", network).tensor, to_floats(pixels[None], spec.normalization).contiguous()
    )


def test_the_verb_lists_every_prediction(predictor: Predictor, photos: Path, tmp_path: Path) -> None:
    run = untrained_run(tmp_path / "run", "digits", tuple("abc")).path
    done: list[tuple[int, int]] = []
    found = convscope.predict(run, [photos, b"?"], top=2, progress=lambda n, total, what: done.append((n, total)))
    assert done[-1] == (5, 5) and all(isinstance(item, Prediction) for item in found)
    assert [bool(item.problem) for item in found] == [False] * 4 + [True] and len(found[0].top) == 2


def test_an_image_without_pixels_harms_no_other(predictor: Predictor, photos: Path) -> None:
    good = photos / "0.png"
    for mode in ("L", "P", "RGB", "RGBA"):
        for size in ((0, 0), (0, 5), (5, 0)):
            first, empty, last = predictor.predict([good, Image.new(mode, size), good])
            assert "no pixels" in empty.problem and not first.problem and last.top == first.top
    assert "no pixels" in next(predictor.predict([np.zeros((0, 4, 3), np.uint8)])).problem


def test_a_file_object_with_errors_of_its_own_harms_no_other(
    predictor: Predictor, photos: Path, tmp_path: Path
) -> None:
    whole = gzip.compress((photos / "0.png").read_bytes())
    (tmp_path / "torn.gz").write_bytes(whole[: len(whole) // 2])
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("a.png", (photos / "0.png").read_bytes())
    damaged = bytearray(packed.getvalue())
    damaged[200] ^= 1
    with gzip.open(tmp_path / "torn.gz") as torn, zipfile.ZipFile(io.BytesIO(bytes(damaged))).open("a.png") as member:
        found = list(predictor.predict([torn, photos / "1.png", member]))
    assert [bool(item.problem) for item in found] == [True, False, True]


@pytest.mark.parametrize(
    ("hook", "message"),
    [
        (lambda module, given, found: (found, found), r"answers a tuple to 1 image: .* remove hooks"),
        (lambda module, given, found: {"scores": found}, r"answers a dict to 1 image: .* remove hooks"),
        (lambda module, given, found: found.sum(), r"answers \(\) to 1 image: .* remove hooks"),
        (lambda module, given, found: found[:, :2], "answers 2 scores an image, for 3 classes"),
        (lambda module, given, found: {}["key"], "failed in its forward: KeyError: 'key'"),
        (lambda module, given, found: torch.empty(2**48), r"asks for 1\.126 PB of memory, and less is free: take"),
    ],
)
def test_a_hook_that_spoils_the_scores_is_an_error_in_words(predictor: Predictor, hook: Any, message: str) -> None:
    handle = predictor.network.register_forward_hook(hook)
    try:
        with pytest.raises(RunError, match=message):
            predictor("digits/1")
    finally:
        handle.remove()
    assert predictor("digits/1").label in predictor.classes


def test_a_wrong_argument_is_the_only_one_named(predictor: Predictor) -> None:
    with pytest.raises(ArgumentError, match=r"batch_size is 0: give a whole number of 1 or more$"):
        predictor.predict("digits/1", batch_size=0)
    with pytest.raises(ArgumentError, match=r"no argument foo. It takes image, top, tta, threshold$"):
        predictor("digits/1", foo=1)  # type: ignore[call-arg]  # which is refused


def test_a_figure_is_no_folder(predictor: Predictor, tmp_path: Path) -> None:
    with pytest.raises(ConvscopeError, match=r"a.svg/: .* let the name end in .svg"):
        predictor("digits/1").figure().save(f"{tmp_path}/a.svg/")
    assert not list(tmp_path.iterdir())


def test_a_strangers_run_does_not_raise_the_readers_limit(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = tmp_path / "data"
    for name in ("a", "b"):
        (data / name).mkdir(parents=True)
        (data / name / "0.png").write_bytes((photos / "0.png").read_bytes())
    large = data / "a" / "large.png"
    large.write_bytes(png(12_000, 9_000, png_chunk(b"IDAT", b"x")))  # a header alone
    run = untrained_run(tmp_path / "run", str(data))
    run.write_spec(
        replace(run.spec(), preprocessing=replace(run.spec().preprocessing, decoding=replace(LARGE, size=(32, 32))))
    )
    assert run.spec().decoding.max_megapixels == 178 and convscope.load(run).spec.decoding.max_megapixels == 50
    refused = "12000x9000 is 108 megapixels; the limit is 50"
    assert convscope.predict(run, large)[0].problem == f"{refused}: max_megapixels=108 reads it"
    assert "megapixels" not in convscope.predict(run, large, max_megapixels=108)[0].problem  # it has no pixels
    with pytest.raises(DataError, match=f"{refused}$"):
        convscope.explain(run.path, large, layer="c1", at=(0, 0))
    with pytest.raises(DataError, match="run was trained on images of up to 178 megapixels, and the limit is 50 here"):
        convscope.evaluate(run, cache_directory=tmp_path / "cache")
    with pytest.raises(RunError, match="max_megapixels 60: the predictor has 50: leave it out"):
        convscope.predict(convscope.load(run), large, max_megapixels=60)
    with pytest.raises(DataError, match="max_megapixels is 179: it is 1 to 178"):
        convscope.load(run, max_megapixels=179)
    code, _, err = run_command(capsys, "predict", run.path, large)
    assert code == 2 and f"{refused}: --max-megapixels 108 reads it" in err
    code, _, err = run_command(capsys, "evaluate", run.path, "--cache", tmp_path / "cache")
    assert code == 2 and "--max-megapixels 178 reads them" in err
    code, _, err = run_command(capsys, "predict", run.path, large, "--max-megapixels", "108")
    assert code == 2 and "megapixels" not in err
    # A run's own limit can be lower.
    assert Decoding(size=(8, 8), max_megapixels=9).limited().max_megapixels == 9
