"""A model, a run, an image and data are taken in every form, and the form changes no bit of the result."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from torch.utils.data import TensorDataset

import convscope
from convscope.data.sources.digits import load_digits
from convscope.errors import ArgumentError, CaptureError, DataError, RunError
from convscope.runs.predictor import Predictor
from hostile_files import untrained_run

RECIPE = convscope.Recipe(model="lenet5", epochs=1)
BATCH = convscope.Recipe(batch_size=7)
PIXELS, LABELS = (array[:200] for array in load_digits())


@pytest.fixture(scope="module")
def in_memory(tmp_path_factory: pytest.TempPathFactory) -> convscope.Outcome:
    return convscope.train((PIXELS, LABELS), RECIPE, runs_directory=tmp_path_factory.mktemp("runs"))


def weights(outcome: Any) -> dict[str, torch.Tensor]:
    read: dict[str, torch.Tensor] = outcome.run.read_weights()
    return read


def test_the_same_pixels_train_to_the_same_bits(in_memory: convscope.Outcome, tmp_path: Path) -> None:
    for row, (image, label) in enumerate(zip(PIXELS, LABELS, strict=True)):
        folder = tmp_path / "digits" / str(label)
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image[:, :, 0]).save(folder / f"{row:03}.png")
    paths = [(tmp_path / "digits" / str(label) / f"{row:03}.png", int(label)) for row, label in enumerate(LABELS)]
    tensors = torch.from_numpy(PIXELS).permute(0, 3, 1, 2) / 255
    by_folder = np.argsort(LABELS, kind="stable")
    pairs = [
        (in_memory, TensorDataset(tensors, torch.from_numpy(LABELS))),
        (in_memory, paths),
        (tmp_path / "digits", (PIXELS[by_folder], LABELS[by_folder])),
    ]
    where = {"runs_directory": tmp_path / "runs", "cache_directory": tmp_path / "cache"}
    for first, second in pairs:
        one = first if isinstance(first, convscope.Outcome) else convscope.train(first, RECIPE, **where)
        other = convscope.train(second, RECIPE, **where)
        assert all(torch.equal(tensor, weights(other)[name]) for name, tensor in weights(one).items())


def test_a_run_on_images_in_memory_is_resumed_and_measured_with_them(in_memory: convscope.Outcome) -> None:
    run = in_memory.run
    assert run.path.name == "memory-lenet5"
    own = convscope.evaluate(in_memory, (PIXELS / 255, LABELS))
    assert in_memory.scores is not None and own.scores.to_dict() == in_memory.scores.to_dict()
    assert convscope.evaluate(run.path, (PIXELS[:50], LABELS[:50])).scores.images == 50
    assert convscope.evaluate(convscope.load(run), {"test": (PIXELS[:9], LABELS[:9])}).scores.split == "test"
    for call, said in (
        (lambda: convscope.evaluate(run), "of which no copy is kept: give them, or others"),
        (lambda: convscope.train(resume=run), "of which no copy is kept: give them again"),
        (lambda: convscope.train("digits", resume=run), "trained on images in memory, and not on digits"),
        (lambda: convscope.train((PIXELS[:99], LABELS[:99]), resume=run), "these are not the images"),
        (lambda: convscope.train((PIXELS, LABELS), BATCH, resume=run), "can't change"),
        (lambda: convscope.train(resume=run, name="x"), "leave name out"),
        (lambda: convscope.train(resume=run, classes=["a", "b"]), "data is not given"),
        (lambda: convscope.train(), "nothing to train on"),
        (lambda: convscope.train("digits", classes=["a", "b"]), "digits names its own"),
        (lambda: convscope.train((PIXELS, LABELS), convscope.Recipe(layout="classes")), "lie in no folders"),
        (lambda: convscope.train_ensemble("digits"), "say how many networks"),
        (lambda: convscope.train_ensemble(resume=run, recipe=RECIPE), "leave recipe out"),
        (lambda: convscope.ablate((PIXELS, LABELS), jobs=2), "by one process alone"),
    ):  # fmt: skip
        with pytest.raises((DataError, RunError)) as refused:
            call()
        assert said in str(refused.value) and "\n" not in str(refused.value)


def test_a_resumed_run_equals_an_unbroken_one(in_memory: convscope.Outcome, tmp_path: Path) -> None:
    two = RECIPE.changed({"epochs": 2})

    def stop(row: convscope.EpochRow) -> None:
        raise convscope.StopTraining

    whole = convscope.train((PIXELS, LABELS), two, runs_directory=tmp_path)
    begun = convscope.train((PIXELS, LABELS), two, runs_directory=tmp_path, on_epoch=stop)
    assert begun.epochs == 1 and begun.ending == "stopped"
    resumed = convscope.train((PIXELS, LABELS), resume=begun)
    assert resumed.run.path == begun.run.path and resumed.epochs == 2
    assert all(torch.equal(tensor, weights(resumed)[name]) for name, tensor in weights(whole).items())


def test_every_experiment_takes_images_in_memory(tmp_path: Path) -> None:
    data, names = (PIXELS, LABELS), [f"digit {number}" for number in range(10)]
    ensemble = convscope.train_ensemble(data, RECIPE, members=2, classes=names, runs_directory=tmp_path)
    assert ensemble.run.spec().classes == tuple(names)
    assert len(convscope.train_ensemble(data, members=3, resume=ensemble).members) == 3
    found = convscope.ablate(data, RECIPE, without=["augmentation"], seeds=1, runs_directory=tmp_path)
    assert len(convscope.ablate(data, resume=found, seeds=2).trials) == 4
    assert convscope.lr_find(data, RECIPE, steps=20).model == "lenet5"


@pytest.fixture(scope="module")
def predictor(tmp_path_factory: pytest.TempPathFactory) -> Predictor:
    return convscope.load(untrained_run(tmp_path_factory.mktemp("runs") / "run", "digits", tuple("abc")))


def test_an_image_in_every_form_is_predicted_and_explained_alike(predictor: Predictor, tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)
    path = tmp_path / "x.png"
    Image.fromarray(pixels).save(path)
    np.save(tmp_path / "x.npy", pixels)
    forms = [path, str(path), path.read_bytes(), Image.fromarray(pixels), pixels, pixels.transpose(2, 0, 1),
             pixels / 255, np.float32(pixels / 255), torch.from_numpy(pixels), torch.from_numpy(pixels / 255)[None],
             torch.from_numpy(pixels.transpose(2, 0, 1) / 255)]  # fmt: skip
    expected = predictor(path)
    run = predictor.run
    assert run is not None
    cell = convscope.explain(run, path, layer="c3", at=(3, 3))
    error = convscope.audit(run, path).layers[0].own
    for given in (*forms, io.BytesIO(path.read_bytes())):
        assert predictor(given).top == expected.top
    for given in (*forms, tmp_path / "x.npy", io.BytesIO(path.read_bytes())):
        found = convscope.explain(predictor, given, layer="c3", at=(3, 3))
        assert (found.value, found.torch_value) == (cell.value, cell.torch_value)
    for given in forms[3:5]:
        assert convscope.audit(predictor, given).layers[0].own == error
    assert predictor("digits/7").top == predictor(load_digits()[0][7]).top
    assert (
        convscope.explain(run, "digits/7", layer="c3", at=(1, 1)).value
        == convscope.explain(run, load_digits()[0][7], layer="c3", at=(1, 1)).value
    )


def test_numbers_that_are_no_image_are_named_alike(predictor: Predictor) -> None:
    for given, said in (
        (np.full((8, 8), 16.0), "an image's are 0"),
        (np.zeros((5, 8, 8), np.uint8), "give .H, W."),
        (np.zeros((8, 8), np.int64), "give uint8"),
        (np.full((8, 8), np.nan), "NaN"),
        ("digits/1797", "digits/0 to digits/1796"),
        (io.StringIO("x"), "mode 'rb'"),
        (7, "give a path, bytes"),
        (None, "give a path, bytes"),
        (b"no image", "."),
        (PIXELS[:2], "several images"),
        (torch.zeros(1, 8, 8, device="meta"), "can't be read"),
        (torch.zeros(1, 8, 8).to_sparse(), "can't be read"),
    ):
        models = (predictor, predictor.network) if isinstance(given, torch.Tensor) else (predictor,)
        for model in (None, *models):
            with pytest.raises(DataError, match=said) as refused:
                predictor(given) if model is None else convscope.explain(model, given, layer="c3", at=(1, 1))
            assert "\n" not in str(refused.value)


def test_a_module_takes_its_own_numbers_and_a_run_an_images(predictor: Predictor) -> None:
    numbers = torch.linspace(-3, 3, 32 * 32 * 3).reshape(3, 32, 32)
    convscope.explain(predictor.network, numbers, layer="c3", at=(1, 1))
    with pytest.raises(DataError, match=r"an image's are 0 \(black\)"):
        convscope.explain(predictor, numbers, layer="c3", at=(1, 1))


def test_a_model_in_every_form_is_inspected_alike(predictor: Predictor) -> None:
    run = predictor.run
    assert run is not None
    forms: list[Any] = [run, run.path, str(run.path), predictor, (lambda: predictor.network, (3, 32, 32)),
                        (predictor.network, (3, 32, 32))]  # fmt: skip
    figures = convscope.compare(*forms).figures
    assert len({figure.parameters for figure in figures}) == len({figure.macs for figure in figures}) == 1
    fields = {convscope.field(model, "c3", (2, 2)).spans for model in forms[:4]}
    memory = {convscope.training_memory(model).at(4).saved for model in forms[:4]}
    assert len(fields) == len(memory) == 1
    assert convscope.inspect("lenet5").parameters == convscope.compare("lenet5", "m5").figures[0].parameters


def test_a_predictor_is_measured_on_its_runs_images(tmp_path: Path) -> None:
    run = untrained_run(tmp_path / "run", "digits", tuple("0123456789"))
    of_run, of_predictor = (convscope.calibration(given).to_dict() for given in (run, convscope.load(run)))
    assert of_predictor | {"network": "run"} == of_run  # a predictor is named by its network
    assert convscope.effective_fields(convscope.load(run), layers=["c1"], seeds=1).images == 32


def test_what_is_no_model_is_named(tmp_path: Path) -> None:
    inspection = convscope.inspect("lenet5")
    for call, said in (
        (lambda: convscope.inspect(nn.Conv2d(1, 1, 3)), "give it, such as input_shape="),
        (lambda: convscope.inspect("resnet81"), "Did you mean resnet"),
        (lambda: convscope.inspect(tmp_path), "not a run directory"),
        (lambda: convscope.inspect(7), "model is 7"),
        (lambda: convscope.inspect(nn.Conv2d), "model is the class Conv2d"),
        (lambda: convscope.inspect(lambda: 7, (1, 8, 8)), "must return a torch.nn.Module"),
        (lambda: convscope.field(inspection, "c3", input_shape=(1, 8, 8)), "has its own"),
        (lambda: convscope.compare("lenet5"), "two models or more"),
        (lambda: convscope.compare("lenet5", ("lenet5", (3, 8, 8))), "lenet5: "),
        (lambda: convscope.compare("lenet5", ("lenet5",)), ""),
    ):
        with pytest.raises((ArgumentError, CaptureError, RunError)) as refused:
            call()
        assert said in str(refused.value) and "\n" not in str(refused.value)


def test_a_predictor_of_no_run_is_named(predictor: Predictor) -> None:
    alone = Predictor(predictor.network, predictor.spec)
    with pytest.raises(RunError, match="of no run"):
        convscope.evaluate(alone)
    with pytest.raises(RunError, match="is no run"):
        convscope.load(alone)  # type: ignore[arg-type]
    assert convscope.predict(alone, [PIXELS[0]])[0].top == alone(PIXELS[0]).top
