"""What the page may open: keys of models and images, and what a command line may name."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from convscope.errors import ConvscopeError
from convscope.studio.images import SAMPLES, Uploads, image_source, list_images
from convscope.studio.models import Openable, list_models, model_source, require_openable, run_folders
from convscope.studio.protocol import StudioError


def opened(folder: Path, **given: object) -> Openable:
    return Openable(runs=folder / "runs", **given)  # type: ignore[arg-type]


def make_run(folder: Path, name: str, *steps: str) -> None:
    run = folder / "runs" / name
    run.mkdir(parents=True)
    (run / "model.json").write_text("{}")
    for step in steps:
        (run / "checkpoint" / step).mkdir(parents=True)


def test_a_run_that_is_closed_to_this_user_hides_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("open", "closed", "other"):
        make_run(tmp_path, name)
    is_file = Path.is_file

    def refused(path: Path) -> bool:
        if path.parent.name == "closed":
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return is_file(path)

    monkeypatch.setattr(Path, "is_file", refused)
    assert set(run_folders(tmp_path / "runs")) == {"open", "other"}


def test_every_key_of_the_list_is_found(tmp_path: Path) -> None:
    runs = ("digits-lenet5", "a@b <i>", "a", "a@best", "a@step-000000042", "a@", "a@best@best")
    for name in runs:
        make_run(tmp_path, name, "step-000000042")
    openable = opened(tmp_path, given="net.py:make", image="digits/7")
    models, images = list_models(openable), list_images(openable)
    assert [model.key for model in models[:1]] == ["given"]
    assert {"run:digits-lenet5", "run:a@b <i>", "resnet18", "lenet5"} <= {model.key for model in models}
    assert all(model_source(model.key, openable) == model for model in models)
    assert {Path(model.load).name for model in models if model.kind == "run"} == set(runs)
    for name in runs:
        path = tmp_path / "runs" / name
        assert model_source(f"run:{name}@best", openable).load == str(path)
        checkpoint = model_source(f"run:{name}@step-000000042", openable).load
        assert checkpoint == str(path / "checkpoint" / "step-000000042")
    assert all(image_source(image.key, openable) == image for image in images)
    assert len(images) == len(SAMPLES) + 1
    for source in (*models, *images):
        assert "load" not in source.to_dict()
    assert Openable.from_dict(openable.to_dict()) == openable


@pytest.mark.parametrize(("given", "weights"), [
    ("resnet18", "random"), ("timm/resnet18", "random"), ("net.py:make", "own"), ("package.net:make", "own"),
    ("net.ONNX", "own"), ("runs/mine", "trained"), ("runs/mine/checkpoint/step-42", "trained"),
])  # fmt: skip
def test_only_a_runs_weights_are_called_trained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: str, weights: str
) -> None:
    make_run(tmp_path, "mine", "step-42")
    monkeypatch.chdir(tmp_path)
    openable = opened(tmp_path, given=given)
    assert model_source("given", openable).to_dict()["weights"] == weights
    assert {model.weights for model in list_models(openable) if model.kind == "run"} == {"trained"}
    assert {model.weights for model in list_models(openable) if model.kind == "catalogue"} == {"random"}


def test_a_checkpoint_of_a_run_is_found(tmp_path: Path) -> None:
    make_run(tmp_path, "one", "step-000000042")
    openable = opened(tmp_path)
    assert model_source("run:one@best", openable).load == str(tmp_path / "runs" / "one")
    found = model_source("run:one@step-000000042", openable)
    assert found.load == str(tmp_path / "runs" / "one" / "checkpoint" / "step-000000042")
    for key in ("run:one@step-7", "run:one@../..", "run:one@step-000000042/..", "run:one@", "run:two@best"):
        if key != "run:one@":
            with pytest.raises(StudioError) as gone:
                model_source(key, openable)
            assert gone.value.kind == "gone"


def test_the_nearest_key_is_named(tmp_path: Path) -> None:
    make_run(tmp_path, "digits-lenet5")
    with pytest.raises(StudioError, match="Did you mean resnet18"):
        model_source("resnet81", opened(tmp_path))
    with pytest.raises(StudioError, match="Did you mean digits-lenet5"):
        model_source("run:digits-lenet", opened(tmp_path))


NO_IMAGES = (
    "", "sample:", "sample:-1", "sample:99", "sample:１", "upload:x", "upload:" + "g" * 16, "given", "run:a", "run:a/x",
    "/a.png", "digits/7",
)  # fmt: skip


@pytest.mark.parametrize("key", NO_IMAGES)
def test_other_keys_name_no_image(tmp_path: Path, key: str) -> None:
    with pytest.raises(StudioError):
        image_source(key, opened(tmp_path))


def test_an_image_of_a_run_is_named_by_its_number(tmp_path: Path) -> None:
    make_run(tmp_path, "one")
    found = image_source("run:one/007", opened(tmp_path))
    assert (found.run, found.load) == ("one", "7")


def test_an_upload_is_named_by_its_content() -> None:
    uploads = Uploads()
    key = uploads.add(b"abc")
    assert key == uploads.add(b"abc") == "upload:ba7816bf8f01cfea"
    assert uploads.content(key) == b"abc" and uploads.content("sample:0") == b""
    uploads.forget(key)
    with pytest.raises(StudioError, match="send it again") as gone:
        uploads.content(key)
    assert gone.value.kind == "gone"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"given": "resnet81"}, "Did you mean resnet18"),
        ({"given": "nothing.py:make"}, "nothing.py: there is no such file|nothing.py: no such file"),
        ({"given": "nothing.onnx"}, "nothing.onnx: "),
        ({"given": "runs/none/checkpoint/step-000000001"}, "no run"),
        ({"image": "nothing.png"}, "nothing.png: "),
        ({"image": "."}, "folder"),
    ],
)
def test_what_a_command_names_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: dict[str, str], said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConvscopeError, match=said) as error:
        require_openable(opened(tmp_path, **given))
    assert "\n" not in str(error.value)


def test_a_file_needs_the_name_of_what_makes_the_model(tmp_path: Path) -> None:
    file = tmp_path / "net.py"
    file.write_text("def make():\n    pass\n")
    with pytest.raises(ConvscopeError, match="make"):
        require_openable(opened(tmp_path, given=str(file)))
    require_openable(opened(tmp_path, given=f"{file}:make", image="digits/3"))
    require_openable(opened(tmp_path))
