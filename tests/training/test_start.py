"""Fine-tuning from the command line: a run that starts from another's weights, and what is refused before it starts."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result
from safetensors.torch import load_file, save_file

from convscope.cli.main import cli
from convscope.data.augment import Augmentation
from convscope.data.batches import measure_normalization
from convscope.data.preprocessing import Normalization, Preprocessing
from convscope.data.records import Decoding, ImageSet
from convscope.errors import ConvscopeError, RunError
from convscope.nets.build import build
from convscope.runs.events import Silent
from convscope.runs.model_spec import ModelSpec, read_spec
from convscope.runs.run_directory import Run
from convscope.scoring.objective import Objective
from convscope.training.loop.loop import fit
from convscope.training.loop.state import Settings, new_state
from convscope.training.optim.optimizers import RATE_FACTOR, make_optimizer, set_rate
from convscope.training.start import (
    Start,
    architecture_of,
    network_options,
    read_start,
    starting_network,
    starts_trained,
)
from resolved_recipes import resolved_with
from torchvision_oracle import timm_or_skip


def train(folder: Path, *arguments: str) -> Result:
    settings = ["--model", "lenet5", "--epochs", "1", "--runs", str(folder / "runs")]
    return CliRunner().invoke(cli, ["train", "digits", *settings, *arguments])


@pytest.fixture(scope="module")
def of_three_classes(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("start")
    torch.manual_seed(7)
    save_file(build("lenet5", num_classes=3).state_dict(), folder / "three.safetensors")
    return folder


def test_a_frozen_backbone_is_kept_and_the_classifier_made_anew(of_three_classes):
    weights = of_three_classes / "three.safetensors"
    ended = train(of_three_classes, "--weights", str(weights), "--freeze", "backbone", "--name", "tuned")
    assert ended.exit_code == 0, ended.output
    assert "weights: 8 tensors taken from the file" in ended.output
    assert "2 made anew for this number of classes: output.bias (3 in the file, 10 in the network)" in ended.output
    assert "frozen: 4 parts, c1, c3, c5, f6" in ended.output
    start, tuned = load_file(weights), load_file(of_three_classes / "runs/tuned/weights.safetensors")
    assert [name for name in tuned if not torch.equal(tuned[name], start[name])] == ["output.bias", "output.weight"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--weights", "nowhere.pth"), "weights can't be read from"),
        (("--weights", "{}/three.safetensors", "--model", "resnet18"), "holds the weights of another network"),
        (("--freeze", "c2"), "the network has no part 'c2'. Did you mean"),
        (("--model", "unet"), "answers for every pixel"),
        (("--model", "c3d"), "pictures have 2"),
    ],
)
def test_a_start_that_cant_be_is_refused_before_a_run_is_made(of_three_classes, arguments, message):
    placed = [argument.replace("{}", str(of_three_classes)) for argument in arguments]
    ended = train(of_three_classes, *placed, "--name", "refused")
    assert isinstance(ended.exception, ConvscopeError) and message in str(ended.exception)
    assert not (of_three_classes / "runs" / "refused").exists()


def test_earlier_parts_learn_so_many_times_slower():
    network = build("lenet5")
    optimizer = make_optimizer("sgd", network, learning_rate=0.1, momentum=0.9, weight_decay=0.0, layer_lr_decay=0.5)
    set_rate(optimizer, lambda until: 0.2)
    rates = {id(p): group["lr"] for group in optimizer.param_groups for p in group["params"]}
    assert [rates[id(layer.weight)] for layer in (network.c1, network.c3, network.c5, network.f6, network.output)] == [
        0.0125, 0.025, 0.05, 0.1, 0.2,
    ]  # fmt: skip
    assert {group[RATE_FACTOR] for group in optimizer.param_groups} == {0.0625, 0.125, 0.25, 0.5, 1.0}


def test_fetched_weights_and_a_file_are_two_starts():
    with pytest.raises(RunError, match="two starts"):
        starts_trained("timm/resnet18", "pretrained=true", "weights.pth")
    assert (
        network_options("timm/resnet18", "pretrained=true") == {}
    )  # model.json must not make predicting fetch anything


def test_a_first_layer_that_the_weights_lack_is_fitted():
    images = np.random.default_rng(0).integers(0, 255, (8, 10, 10, 3), dtype=np.uint8)
    train = ImageSet(images, np.arange(8) % 2, [str(number) for number in range(8)])
    spec = ModelSpec(
        name="cifarnet",
        options={},
        preprocessing=Preprocessing(
            decoding=Decoding(size=(10, 10), channels=3),
            normalization=measure_normalization(train),
            classes=("cat", "dog"),
        ),
    )
    weights = spec.build().state_dict()
    given = weights.pop("whiten.weight")
    fresh, _ = starting_network(spec, train, seed=0)
    lacking, lines = starting_network(spec, train, seed=0, start=Start("x.pth", weights, lines=(), freeze=""))
    assert torch.equal(lacking.whiten.weight, fresh.whiten.weight) and "left fresh: whiten.weight" in lines[1]
    start = Start("x.pth", {**weights, "whiten.weight": given}, lines=(), freeze="")
    whole, _ = starting_network(spec, train, seed=0, start=start)
    assert torch.equal(whole.whiten.weight, given)


def test_a_classifier_of_other_classes_is_made_anew_though_it_would_fit(tmp_path: Path):
    images = np.random.default_rng(0).integers(0, 255, (4, 28, 28, 1), dtype=np.uint8)
    train = ImageSet(images, np.arange(4) % 2, [str(number) for number in range(4)])

    def spec(*classes: str) -> ModelSpec:
        decoding = Decoding(size=(28, 28), channels=1)
        normalization = Normalization((0.5,), (0.25,))
        preprocessing = Preprocessing(decoding=decoding, normalization=normalization, classes=classes)
        return ModelSpec(name="lenet5", options={}, preprocessing=preprocessing)

    run = Run(tmp_path)
    run.write_spec(spec("cat", "dog"))
    torch.manual_seed(3)
    learned = spec("cat", "dog").build().state_dict()
    run.write_weights(learned, {})
    save_file(learned, tmp_path / "beside.safetensors")

    def kept(start: Path, *classes: str) -> tuple[set[str], list[str]]:
        architecture = architecture_of("lenet5", "", classes=2, decoding=spec(*classes).decoding)
        begun = read_start(str(start), architecture, trained=True)
        network, lines = starting_network(spec(*classes), train, seed=0, start=begun)
        same = {name for name, value in network.state_dict().items() if torch.equal(value, learned.get(name))}
        return same, lines

    classifier = {"output.weight", "output.bias"}
    for start in (tmp_path, run.weights, tmp_path / "beside.safetensors"):
        assert kept(start, "cat", "dog") == (set(learned), ["weights: 10 tensors taken from the file"])
        same, lines = kept(start, "line", "disc")
        assert same == set(learned) - classifier
        assert lines == [
            "weights: 8 tensors taken from the file, which learned other classes: cat, dog",
            "weights: 2 made anew for these classes: output.weight, output.bias",
        ]
    run.spec_path.unlink()  # what it learned is not known
    assert kept(run.weights, "line", "disc")[0] == set(learned)


def test_auxiliary_heads_learn_beside_the_classifier():
    images = ImageSet(
        images=np.random.default_rng(0).integers(0, 255, (8, 32, 32, 3), dtype=np.uint8),
        labels=np.arange(8) % 2,
        names=[str(number) for number in range(8)],
    )
    resolved = resolved_with()
    settings = Settings(
        resolved=resolved,
        objective=Objective(),
        augmentation=Augmentation(),
        normalization=Normalization(mean=(0.5,) * 3, std=(0.25,) * 3),
    )
    network = build("googlenet", num_classes=2, image_size=32, options={"auxiliary": True})
    before = {name: weight.detach().clone() for name, weight in network.named_parameters()}
    state = new_state(network, resolved)
    ending = fit(state, settings, images, None, listener=Silent(), keep=lambda state: None, stop=lambda: False)
    assert ending == "done"
    assert all(not torch.equal(weight, before[name]) for name, weight in network.named_parameters() if "fc" in name)


def test_a_network_of_timms_is_trained_and_its_run_predicts_without_fetching(of_three_classes):
    timm_or_skip()
    ended = train(of_three_classes, "--model", "timm/lcnet_050", "--seed", "1", "--name", "timms")
    assert ended.exit_code == 0, ended.output
    spec = json.loads((of_three_classes / "runs/timms/model.json").read_text())["network"]
    assert spec["name"] == "timm/lcnet_050" and spec["options"] == {}
    assert CliRunner().invoke(cli, ["evaluate", str(of_three_classes / "runs/timms")]).exit_code == 0


@pytest.fixture(scope="module")
def of_large_images(tmp_path_factory) -> Path:
    """Weights of a network with the stem for large images, in a table and under a prefix."""
    path = tmp_path_factory.mktemp("large") / "large.pth"
    torch.manual_seed(3)
    network = build("resnet18", num_classes=5)
    torch.save({"state_dict": {f"module.{name}": value for name, value in network.state_dict().items()}}, path)
    return path


def begun(weights: Path, *, freeze: str, model_options: str = ""):
    decoding = Decoding(size=(30, 30), channels=3)
    architecture = architecture_of("resnet18", model_options, classes=10, decoding=decoding, freeze=freeze)
    return read_start(str(weights), architecture, trained=True)


def test_what_got_no_weights_is_never_frozen_and_what_would_fit_is_said(of_large_images):
    start = begun(of_large_images, freeze="backbone")
    assert start.freeze == "layer1,layer2,layer3,layer4"
    assert start.lines == (
        "conv1.weight is state_dict.module.conv1.weight in the file, and so on",
        "model_options='stem=imagenet' takes more of the file",
        "not frozen, for they got no weights that fit: conv1, bn1",
    )
    fitting = begun(of_large_images, freeze="backbone", model_options="stem=imagenet")
    assert fitting.freeze == "conv1,bn1,layer1,layer2,layer3,layer4" and len(fitting.lines) == 1


@pytest.mark.parametrize(("prefix", "model", "said"), [("", "resnet20", True), ("net.", "resnet20", True),
                                                      ("", "resnet32", False), ("", "resnet44", False)])  # fmt: skip
def test_a_file_of_a_deeper_network_is_named(prefix: str, model: str, said: bool, tmp_path: Path) -> None:
    deeper = build("resnet32", num_classes=7)
    torch.save({f"{prefix}{name}": value for name, value in deeper.state_dict().items()}, tmp_path / "deeper.pth")
    architecture = architecture_of(model, "", classes=10, decoding=Decoding(size=(32, 32), channels=3))
    start = read_start(str(tmp_path / "deeper.pth"), architecture, trained=True)
    line = "the file has the layers of resnet32, more than resnet20 takes: model='resnet32' takes them"
    assert (line in start.lines) is said and len(start.lines) == said + bool(prefix)


def test_a_named_part_that_got_no_weights_is_refused(of_large_images):
    with pytest.raises(RunError, match=r"freeze: conv1 got no weights that fit .*stem=imagenet.*, or leave them out"):
        begun(of_large_images, freeze="conv1,layer1")
    grey = Decoding(size=(28, 28), channels=1)
    architecture = architecture_of("lenet5", "", classes=2, decoding=grey, freeze="backbone")
    with pytest.raises(RunError, match="without trained weights these parts would stay random: give weights=FILE"):
        read_start("", architecture, trained=False)


def test_what_is_frozen_stands_in_the_recipe_so_that_a_resumed_run_freezes_the_same(of_three_classes):
    runs = of_three_classes / "runs"
    weights = load_file(of_three_classes / "three.safetensors")
    del weights["c3.weight"]
    save_file(weights, of_three_classes / "lacking.safetensors")
    lacking = str(of_three_classes / "lacking.safetensors")
    ended = train(of_three_classes, "--weights", lacking, "--freeze", "backbone", "--name", "partly")
    assert "weights: not frozen, for they got no weights that fit: c3" in ended.output
    assert Run(runs / "partly").recipe().freeze == "c1,c5,f6"
    first = load_file(runs / "partly/weights.safetensors")
    assert torch.equal(first["c1.weight"], weights["c1.weight"])
    resumed = CliRunner().invoke(cli, ["train", "--resume", str(runs / "partly"), "--epochs", "2"])
    assert resumed.exit_code == 0, resumed.output
    second = load_file(runs / "partly/weights.safetensors")
    assert [
        name for name in first if name.startswith(("c1", "c5", "f6")) and not torch.equal(first[name], second[name])
    ] == []


def test_finetuning_a_run_takes_its_network_and_another_is_refused(of_three_classes):
    runs = ["--runs", str(of_three_classes / "runs")]
    options = ["--model-options", "activation=relu,c1_maps=4", "--image-size", "20"]
    assert train(of_three_classes, *options, "--name", "relu").exit_code == 0
    weights = str(of_three_classes / "runs/relu")
    ended = CliRunner().invoke(
        cli, ["train", "digits", "--recipe", "finetune", "--weights", weights, "--epochs", "1", "--name", "on", *runs]
    )
    assert ended.exit_code == 0, ended.output
    assert f"model lenet5: the network of {weights}, with images at 20x20 pixels" in ended.output
    assert "weights: 10 tensors taken from the file" in ended.output
    spec = read_spec(of_three_classes / "runs/on/model.json")
    assert spec.options == {"activation": "relu", "c1_maps": 4} and spec.decoding.size == (20, 20)
    ended = train(of_three_classes, "--weights", weights, "--model", "alexnet-mini", "--name", "refused")
    assert "it is of lenet5, and --model is alexnet-mini: leave --model out" in str(ended.exception)
