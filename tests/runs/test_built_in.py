"""The trained networks that come with convscope: opened by name, as good as they say, small."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import convscope
from convscope.capture.load import load
from convscope.data.known_answer import known_answers
from convscope.data.sources.digits import load_digits
from convscope.errors import ConvscopeError
from convscope.runs.built_in import built_in_networks, find_built_in
from convscope.runs.run_directory import Run
from convscope.runs.run_like import run_of
from convscope.studio.models import Openable, list_models, model_source, require_openable

LARGEST = 300_000  # bytes of all files together
PARAMETERS = {"tinyvgg-shapes": 16_538, "lenet5-digits": 61_706}


def test_the_files_are_small() -> None:
    folders = {network.path.parent for network in built_in_networks().values()}
    assert sum(path.stat().st_size for folder in folders for path in folder.rglob("*") if path.is_file()) < LARGEST


def test_they_are_listed_without_torch() -> None:
    code = (
        "import sys; from pathlib import Path; from convscope.studio.models import Openable, list_models; "
        "names = [m.key for m in list_models(Openable(runs=Path('none')))][:2]; "
        "assert names == ['tinyvgg-shapes', 'lenet5-digits'], names; assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=300)


@pytest.mark.parametrize("name", PARAMETERS)
def test_a_name_opens_the_trained_network(name: str) -> None:
    loaded = load(name)
    network = loaded.build()
    assert sum(parameter.numel() for parameter in network.parameters()) == PARAMETERS[name]
    note = loaded.weights_note(0)
    assert note is not None and "held-out images" in note
    assert not loaded.has_random_weights and loaded.preprocessing is not None


def test_a_folder_of_the_same_name_is_the_users(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    opened = run_of("lenet5-digits")
    assert opened.path == find_built_in("lenet5-digits").path  # type: ignore[union-attr]
    assert str(opened) == "lenet5-digits"
    Path("lenet5-digits").mkdir()
    assert str(opened) == str(opened.path)
    with pytest.raises(ConvscopeError, match=r"no model\.json"):
        run_of("lenet5-digits")


def test_the_studio_offers_them_first(tmp_path: Path) -> None:
    openable = Openable(runs=tmp_path, given="lenet5-digits")
    require_openable(openable)
    listed = list_models(openable)
    assert [model.kind for model in listed[:4]] == ["given", "built-in", "built-in", "catalogue"]
    assert listed[0].weights == "trained" and listed[1].to_dict()["weights"] == "trained"
    assert model_source("tinyvgg-shapes", openable).load == str(find_built_in("tinyvgg-shapes").path)  # type: ignore[union-attr]


def test_drawn_shapes_are_recognised_as_well_as_stated() -> None:
    predictor = convscope.load("tinyvgg-shapes")
    stated = find_built_in("tinyvgg-shapes")
    assert stated is not None
    made = known_answers(150, classes=8, radii=(8 / 64, 22 / 64), noise=0.06, seed=77)
    found = [prediction.label for prediction in predictor.predict(list(made.images))]
    right = np.mean([label == made.classes[number] for label, number in zip(found, made.labels, strict=True)])
    assert stated.accuracy > 0.95 and right > stated.accuracy - 0.04


def test_digits_are_recognised_as_well_as_stated() -> None:
    images, labels = load_digits()
    predictor = convscope.load("lenet5-digits")
    found = [prediction.label for prediction in predictor.predict(list(images[:200]))]
    assert np.mean([label == str(number) for label, number in zip(found, labels[:200], strict=True)]) > 0.97


def test_weights_are_kept_with_half_precision_and_a_digest() -> None:
    for network in built_in_networks().values():
        weights = Run(network.path).read_weights()
        assert {str(tensor.dtype) for tensor in weights.values()} == {"torch.float16"}


def test_pictures_that_excite_channels_are_made_without_the_images_of_the_training() -> None:
    image = np.full((32, 32), 40, np.uint8)
    found = convscope.look("lenet5-digits", image, methods=(), checks=False, visualize="c1:0")
    assert found.visualization is not None and found.visualization.data.endswith("alone") and not found.left_out


def test_they_are_measured_on_other_images_and_say_what_they_learned() -> None:
    found = convscope.evaluate("lenet5-digits", "digits")
    assert found.scores.accuracy_top1 > 0.98 and "trained on 1,438 images" in found.notes[0]
    with pytest.raises(ConvscopeError, match="does not say what it was trained on: name images"):
        convscope.evaluate("lenet5-digits")
