"""Every result: a line, a terminal, a notebook and a page form, JSON's types, a picture, and no name steers them."""

from __future__ import annotations

import ast
import inspect as introspection
import io
import json
import re
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import is_dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import convscope
from convscope.claims.notes import Notes
from convscope.data.batches import to_floats
from convscope.data.preprocessing import Normalization, Preprocessing
from convscope.data.records import SEVERAL, ImageSet, Problem
from convscope.data.shards.write_shards import Sharded, Written
from convscope.errors import ConvscopeError
from convscope.exercises.record import Exercise, Marked
from convscope.experiments.ablation.findings import find
from convscope.experiments.ablation.plan import AblationPlan, VariantCost
from convscope.experiments.ablation.record import Ablation
from convscope.experiments.ablation.variants import find_variant
from convscope.experiments.check.record import DataCheck
from convscope.experiments.doctor.ceilings import Ceilings, Rate
from convscope.experiments.doctor.record import Checkup, Reached
from convscope.experiments.ensemble.outcome import EnsembleOutcome
from convscope.experiments.ensemble.scores import EnsembleScores, compare
from convscope.experiments.learning_rate_range import LearningRateRangeTest
from convscope.graph.figures import TrainingMacs
from convscope.graph.memory import TrainingMemory
from convscope.graph.training_bytes import TrainingBytes
from convscope.hardware.allocator import Allocation
from convscope.hardware.machine import Machine
from convscope.hardware.mode import ComputeMode
from convscope.interpret.attribution.checks.deletion_insertion import DeletionInsertion, Perturbation
from convscope.interpret.attribution.checks.randomized_weights import WeightRandomization
from convscope.interpret.attribution.checks.record import AttributionChecks
from convscope.interpret.attribution.methods import attribute
from convscope.interpret.attribution.record import Attribution
from convscope.interpret.audit import Audit, LayerError
from convscope.interpret.behaviour.confused_classes import confused_classes
from convscope.interpret.behaviour.confusion_record import ConfusedClasses
from convscope.interpret.behaviour.failure_search import failure_search
from convscope.interpret.behaviour.feature_visualization import feature_visualization
from convscope.interpret.behaviour.image_robustness import ImageRobustness, image_robustness
from convscope.interpret.behaviour.knock_out import channel_knock_out
from convscope.interpret.behaviour.knock_out_record import KnockOut
from convscope.interpret.behaviour.layer_similarity import layer_similarity
from convscope.interpret.behaviour.reliability import Reliability, reliability
from convscope.interpret.behaviour.robustness_profile import RobustnessProfile
from convscope.interpret.behaviour.similarity_record import LayerSimilarity
from convscope.interpret.behaviour.visualization_record import FeatureVisualization
from convscope.interpret.cell_field import CellField
from convscope.interpret.effective_field.productivity import UnproductiveLayers
from convscope.interpret.effective_field.record import EffectiveFields
from convscope.interpret.equivariance.antialiased import AntialiasedNetwork
from convscope.interpret.equivariance.crop_pairs import prediction_consistency
from convscope.interpret.equivariance.prediction_consistency import PredictionConsistency
from convscope.interpret.equivariance.record import Equivariance
from convscope.interpret.explanation.record import Explanation
from convscope.interpret.features.channels_at import ChannelsAt, channels_at
from convscope.interpret.features.feature_maps import feature_maps
from convscope.interpret.features.feature_maps_record import FeatureMaps
from convscope.interpret.features.filters import LayerFilters, filters
from convscope.interpret.features.layer_patches import LayerPatches
from convscope.interpret.features.top_patches import TopPatches, top_patches
from convscope.interpret.health.layer_health import NetworkHealth
from convscope.interpret.health.network_health import network_health
from convscope.interpret.inspection.comparison import Comparison
from convscope.interpret.inspection.record import Inspection
from convscope.interpret.layer_size import LayerSize
from convscope.interpret.learned.examples import explained_images
from convscope.interpret.learned.explained_images import ExplainedImages
from convscope.interpret.learned.record import Learned
from convscope.interpret.learned.training_norms import NormsOfRun, TrainingNorms
from convscope.interpret.look.compare_looks import compare_subjects
from convscope.interpret.look.comparison import LookComparison
from convscope.interpret.look.look import look_at
from convscope.interpret.look.options import LookOptions
from convscope.interpret.look.record import Look
from convscope.interpret.receptive_field import field
from convscope.interpret.replay.replays import Replays
from convscope.interpret.subject import Subject
from convscope.nets.models import Models
from convscope.recipe.recipe import Recipe, names
from convscope.report.documented import Documented, Pictured
from convscope.report.short_repr import LONGEST, ShortRepr
from convscope.report.svg import Drawing
from convscope.report.terminal import document_text
from convscope.runs.evaluate import Evaluation
from convscope.runs.events import EpochRow
from convscope.runs.layer_norms import NormSample
from convscope.runs.model_spec import ModelSpec
from convscope.runs.predictions import ClassProbability, Prediction, Predictions
from convscope.runs.predictor import Predictor
from convscope.runs.run_directory import Run
from convscope.scoring.label_scores import LabelScores
from convscope.scoring.measured import measure
from convscope.scoring.objective import Objective
from convscope.scoring.scores import Scores
from convscope.training.autotune.record import ModeTrial
from convscope.training.loop.state import Best
from convscope.training.outcome import Outcome
from convscope.training.resolve.resolved_recipe import Choice, ResolvedRecipe
from resolved_recipes import resolved_with

NASTY = "<b>a\x1b[2J"
RUN = Run(Path(NASTY))
CLASSES = (ClassProbability(NASTY, 0.9), ClassProbability("b", 0.1))
IMAGES = ImageSet(np.zeros((2, 4, 4, 1), np.uint8), np.array([0, 1]), [NASTY, "b"])
ROW = EpochRow(epoch=1, seconds=1.0, train_loss=float("nan"), train_accuracy=0.5, val_loss=1.0, val_accuracy=0.5,
               learning_rate=0.1, images_per_second=9.0, data_wait=0.1, best=True)  # fmt: skip


def network() -> nn.Module:
    """Return a small network."""
    return nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU())


def subject() -> Subject:
    """Return it with an image."""
    return Subject(network=network(), name=NASTY, image_name=NASTY, tensor=torch.ones(1, 1, 6, 6), notes=(NASTY,))


def pictured() -> Subject:
    """Return the network with an image of 8 bits."""
    pixels = np.random.default_rng(0).integers(0, 256, (6, 6, 1), np.uint8)
    tensor = to_floats(pixels[None], Normalization.default(1))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return replace(subject(), pixels=pixels, tensor=tensor, classes=(NASTY,) * 2)


def checks_of_a_map() -> AttributionChecks:
    """Return what was found about an attribution, with a stage at which the map was constant."""
    curve = Perturbation(deletion=np.linspace(0.9, 0.1, 20), insertion=np.linspace(0.1, 0.9, 20))
    return AttributionChecks(
        method=NASTY,
        class_name=NASTY,
        randomization=WeightRandomization(
            random_layers=(1, 2, 4),
            layers=(NASTY, "1", "0"),
            rank_correlations=(0.9, None, 0.7),
            signed_correlations=(0.9, None, 0.2),
            structural_similarities=(0.8, None, 0.5),
            cells=49,
        ),
        perturbation=DeletionInsertion(own=curve, random=curve, centre=curve),
        deterministic=False,
        completeness_gap=0.02,
    )


def patches() -> TopPatches:
    """Return what excites it most among images."""
    images = replace(IMAGES, images=np.zeros((2, 6, 6, 1), np.uint8))
    return top_patches(Replays(network(), name=NASTY), images, Preprocessing.default((1, 6, 6)).normalization,
                       data=NASTY, classes=(NASTY, "b"))  # fmt: skip


BEHAVED = (
    Replays(nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(32, 2)), name=NASTY),
    replace(IMAGES, images=np.arange(72, dtype=np.uint8).reshape(2, 6, 6, 1)),
    Preprocessing.default((1, 6, 6)).normalization,
)
NAMED = {"data": NASTY, "classes": (NASTY, "b")}


def healthy() -> NetworkHealth:
    """Return the health of its layers over images."""
    images = replace(IMAGES, images=np.zeros((2, 6, 6, 1), np.uint8))
    return network_health(
        Replays(network(), name=NASTY), images, Preprocessing.default((1, 6, 6)).normalization, data=NASTY
    )


def consistent() -> PredictionConsistency:
    """Return how consistent its predictions are over images, one of which changes."""
    images = replace(IMAGES, images=np.random.default_rng(0).integers(0, 256, (2, 6, 6, 1), np.uint8))
    found = prediction_consistency(
        Replays(network(), name=NASTY), images, Preprocessing.default((1, 6, 6)).normalization, data=NASTY
    )
    return replace(found, predicted=np.array([[0, 1], [1, 1]]))


def blurred() -> AntialiasedNetwork:
    """Return a network with blurs, and a layer that was kept."""
    return replace(convscope.antialiased(nn.Sequential(nn.MaxPool2d(2)), (1, 6, 6)), name=NASTY, kept=((NASTY, NASTY),))


def explained() -> ExplainedImages:
    """Return an image that is right and one that is wrong, under their maps."""
    return explained_images(*BEHAVED, np.eye(2)[[0, 0]], **NAMED)


def normed() -> TrainingNorms:
    """Return the norms of a training, one of which is not finite."""
    norms = {NASTY: 1e-6, "b": 1.0, "c": None}
    return TrainingNorms(
        runs=(NormsOfRun(name=NASTY, samples=(NormSample(step=0, epoch=0.0, outputs=norms, gradients=norms),)),)
    )


def inspected() -> Inspection:
    """Return it inspected."""
    return convscope.inspect(network, (1, 6, 6), name=NASTY)


def scores() -> Scores:
    """Return scores of one label for each of two images, one of them wrong."""
    found = measure(np.array([[1.0, 0], [1, 0]]), IMAGES, classes=(NASTY, "b"), split="test", objective=Objective())
    assert isinstance(found, Scores)
    return found


def label_scores() -> LabelScores:
    """Return scores of several labels."""
    images = replace(IMAGES, labels=np.full(2, SEVERAL), targets=np.array([[1, 0], [0, 0]], np.uint8))
    objective = Objective(loss="multi-label")
    found = measure(1 - np.eye(2), images, classes=(NASTY, "b"), split="val", objective=objective)
    assert isinstance(found, LabelScores)
    return found


def spec() -> ModelSpec:
    """Return LeNet-5 for two classes."""
    prepared = replace(Preprocessing.default((1, 32, 32)), classes=(NASTY, "b"))
    return ModelSpec(name="lenet5", options={}, preprocessing=prepared)


def ensemble_scores() -> EnsembleScores:
    """Return the scores of two members."""
    return compare([np.eye(2), 1 - np.eye(2)], IMAGES, spec=spec(), split="test")


def ablated() -> Ablation:
    """Return an ablation that was stopped before its first training."""
    plan = AblationPlan(
        variants=(find_variant("baseline"),), seeds=(0,), costs={"baseline": VariantCost(parameters=1, macs=1)}
    )
    return Ablation(
        run=RUN,
        recipe=Recipe(data=NASTY, epochs=1, batch_size=1, threads=1, learning_rate=0.1),
        ending="stopped",
        exit_code=130,
        plan=plan,
        trials=(),
        measured_on="test",
        findings=find(plan, []),
        claims=(),
    )


def trained() -> Outcome:
    """Return a training of one epoch whose loss was NaN."""
    weights = {"fc.weight": torch.zeros(100, 100)}
    return Outcome(
        run=RUN,
        ending="done",
        exit_code=0,
        best=Best(1, 0.5, 1.0, weights),
        epochs=1,
        seconds=1.0,
        scores=scores(),
        cautions=(NASTY,),
        rows=(ROW,),
    )


ALLOCATION = Allocation(kept=True, kept_because="", huge=True, huge_because="")


def checked() -> Checkup:
    """Return a check-up of no machine there is."""
    rate = Rate(per_second=1e9, spread=0.1)
    rates = {"fp32 contiguous": rate}
    ceilings = Ceilings(matmul={"fp32": rate}, convolution=rates, copy=rate, decode={NASTY: rate}, disk_write=1e6,
                        disk_read=None)  # fmt: skip
    trial = ModeTrial(mode=ComputeMode(precision="fp32", memory_format="contiguous", compile="no", threads=1), images=2,
                      images_per_second=9.0, spread=0.1, first_step=1.0, losses=(1.0,), dropped="")  # fmt: skip
    reached = Reached(model=NASTY, input_shape=(1, 8, 8), batch_size=2, macs=TrainingMacs(1, 2, 3, 0), plan=None,
                      trial=trial, share_of_peak=0.5, time_by_kind={NASTY: 1.0})  # fmt: skip
    machine = Machine(processor=NASTY, cores=1, memory=None, flags=())
    return Checkup(machine=machine, available=None, torch="2", gpu=NASTY,
                   capability="AVX2", backends={}, threads=1, allocation=ALLOCATION, huge_pages=None,
                   ceilings=ceilings, reached=reached, warnings=(NASTY,))  # fmt: skip


def looked_at() -> DataCheck:
    images = np.random.default_rng(0).integers(0, 256, (40, 8, 8, 3), np.uint8)
    images[1:4] = images[0]
    return convscope.check((images, np.arange(40) % 2), classes=[NASTY, "b"], near_duplicates=True)


RECORDS: dict[type[Documented], Callable[[], Documented]] = {
    Inspection: inspected,
    DataCheck: looked_at,
    Comparison: lambda: convscope.compare(inspected(), inspected()),
    TrainingMemory: lambda: convscope.training_memory(network, (1, 6, 6), name=NASTY),
    TrainingBytes: lambda: convscope.training_memory(network, (1, 6, 6)).at(32, optimizer="adam"),
    Explanation: lambda: convscope.explain(network(), torch.ones(1, 6, 6), layer="0", at=(1, 1)),
    CellField: lambda: field(inspected(), "0"),
    Look: lambda: look_at(
        pictured(),
        LookOptions(methods=("grad-cam", "gradient"), robustness=True, equivariance=True, visualize="1:0", seed=3),
    ),
    LookComparison: lambda: compare_subjects((subject(), subject()), LookOptions(methods=("grad-cam",))),
    ImageRobustness: lambda: image_robustness(pictured()),
    FeatureMaps: lambda: feature_maps(subject()),
    Attribution: lambda: attribute(subject(), "occlusion"),
    AttributionChecks: checks_of_a_map,
    LayerFilters: lambda: filters(subject().replay),
    ChannelsAt: lambda: channels_at(subject()),
    TopPatches: patches,
    EffectiveFields: lambda: convscope.effective_fields(network(), [torch.ones(1, 6, 6)], layers=["0"], seeds=1),
    UnproductiveLayers: lambda: convscope.unproductive_layers(inspected(), objects=3),
    NetworkHealth: healthy,
    Equivariance: lambda: replace(
        convscope.equivariance(network(), torch.ones(1, 6, 6)), left_out=(NASTY,), image=NASTY
    ),
    PredictionConsistency: consistent,
    AntialiasedNetwork: blurred,
    LayerPatches: lambda: patches().of_layer("1"),
    KnockOut: lambda: channel_knock_out(*BEHAVED, layer="1", **NAMED),
    RobustnessProfile: lambda: failure_search(*BEHAVED, **NAMED),
    LayerSimilarity: lambda: layer_similarity(
        BEHAVED[0],
        BEHAVED[0],
        replace(IMAGES, images=np.zeros((4, 6, 6, 1), np.uint8), labels=np.zeros(4, np.int64), names=[NASTY] * 4),
        BEHAVED[2],
        data=NASTY,
    ),
    ConfusedClasses: lambda: confused_classes(*BEHAVED, pairs=[(0, 1)], **NAMED),
    Reliability: lambda: reliability(*BEHAVED, data=NASTY),
    FeatureVisualization: lambda: feature_visualization(*BEHAVED, layer="1", steps=2, data=NASTY),
    ExplainedImages: explained,
    TrainingNorms: normed,
    Learned: lambda: Learned(
        network=NASTY,
        source=NASTY,
        data=NASTY,
        images=2,
        examples=explained(),
        patches=patches(),
        norms=normed(),
        health=healthy(),
        not_asked=(NASTY,),
        left_out=(NASTY,),
        notes=(NASTY,),
        interrupted=True,
    ),
    Audit: lambda: convscope.audit(network(), input_shape=(1, 6, 6)),
    Prediction: lambda: Prediction(image=NASTY, top=CLASSES, labels=CLASSES[:1], defect_score=0.3, verdict="good"),
    Predictions: lambda: Predictions(
        (Prediction(image=NASTY, top=CLASSES, labels=CLASSES[:1]), Prediction(image="b", problem=NASTY))
    ),
    Predictor: lambda: Predictor(spec().build(), spec()),
    Scores: scores,
    LabelScores: label_scores,
    Evaluation: lambda: Evaluation(run=RUN, data=NASTY, scores=scores(), skipped=1, notes=(NASTY,), one_view=0.5),
    Outcome: trained,
    LearningRateRangeTest: lambda: LearningRateRangeTest(
        model=NASTY,
        optimizer="sgd",
        batch_size=1,
        default=0.1,
        rates=(0.1, 1.0),
        losses=(2.0, float("inf")),
        smoothed=(2.0, 1.0),
        exploded=False,
    ),
    Ablation: ablated,
    EnsembleScores: ensemble_scores,
    EnsembleOutcome: lambda: EnsembleOutcome(
        run=RUN, ending="done", exit_code=0, members=(RUN,), planned=2, scores=ensemble_scores()
    ),
    LayerSize: lambda: convscope.size(8, 3, in_channels=1, out_channels=2),
    Models: convscope.models,
    Notes: lambda: convscope.notes("crops-of-256"),
    Exercise: lambda: convscope.exercise("2a", seed=1),
    Marked: lambda: convscope.exercise("2a", seed=1).mark("many = 0"),
    Sharded: lambda: Sharded(
        folder=Path(NASTY),
        splits=(Written(split=NASTY, shards=1, images=2, size=3),),
        problems=(Problem(NASTY, NASTY),),
        notes=(NASTY,),
    ),
    Checkup: checked,
    Recipe: lambda: Recipe(model="lenet5", data=NASTY, epochs=3),
    ResolvedRecipe: lambda: replace(
        resolved_with(data=NASTY), choices=(Choice(setting="epochs", value=1, reason=NASTY),)
    ),
}


class Printer:
    """IPython's printer, at a depth."""

    def __init__(self, depth: int) -> None:
        self.stack, self.text = list(range(depth)), self.written
        self.lines: list[str] = []

    def written(self, text: str) -> None:
        """Keep the text."""
        self.lines.append(text)


@pytest.mark.parametrize("kind", RECORDS, ids=lambda kind: kind.__name__)
def test_a_result_has_all_forms(kind: type[Documented]) -> None:
    record = RECORDS[kind]()
    assert type(record) is kind and kind.__repr__ is ShortRepr.__repr__
    assert repr(record).startswith(f"<{kind.__name__} ") and repr(record).endswith(">") and len(repr(record)) > 12
    assert repr(record).isprintable() and len(repr(record)) <= LONGEST
    json.dumps(record.document().to_dict(), allow_nan=False)
    assert str(record) == document_text(record.document())
    for text in (str(record), record._repr_html_(), record.to_html()):
        assert "\x1b" not in text and len(text) > 10
    for page in (record._repr_html_(), record.to_html()):
        assert "<b>a" not in page and "<script" not in page
    for depth, shown in ((1, str(record)), (2, repr(record))):
        printer = Printer(depth)
        record._repr_pretty_(printer, cycle=False)
        assert printer.lines == [shown]


def documented_keys(kind: type) -> set[str]:
    """Return the keys that the docstring of a class's to_dict lists."""
    listed = introspection.getdoc(kind.to_dict) or ""  # type: ignore[attr-defined]
    return set(re.findall(r"^    (\w+): ", listed.partition("Keys:")[2], re.M))


@pytest.mark.parametrize("kind", RECORDS, ids=lambda kind: kind.__name__)
def test_every_key_is_documented_and_every_value_is_one_of_json(kind: type[Documented]) -> None:
    record = RECORDS[kind]()
    values = record.to_dict()
    assert json.loads(json.dumps(values, allow_nan=False)) == values
    expected = set(names()) if kind is Recipe else documented_keys(kind)
    if isinstance(record, Evaluation):
        expected |= documented_keys(type(record.scores))
    if isinstance(record, EnsembleScores):
        expected |= documented_keys(Scores)
    assert set(values) == expected


MODES = ("fp32", "fp32 channels-last", "bf16")


def test_numbers_that_json_lacks_are_texts() -> None:
    history = RECORDS[Outcome]().to_dict()["history"]
    assert history[0]["train_loss"] == "nan"
    error = LayerError("fc", "linear", (1, 2), {m: float("nan") for m in MODES}, {m: float("inf") for m in MODES}, True)
    found = Audit("net", (1, 2), (error,), float("nan"), ()).to_dict()
    assert found["layers"][0]["own"]["bf16"] == found["agreement"] == "nan"
    json.dumps(found, allow_nan=False)


@pytest.mark.parametrize("number", [np.inf, np.nan], ids=str)
def test_a_network_of_infinities_is_shown(number: float) -> None:
    net = network()
    with torch.no_grad():
        net[0].weight[0, 0, 0, 0] = number
    found = (
        convscope.explain(net, torch.ones(1, 6, 6), layer="0", at=(1, 1)),
        convscope.audit(net, torch.ones(1, 1, 6, 6)),
    )
    for record in found:
        json.dumps(record.to_dict(), allow_nan=False)
        assert ET.fromstring(record.svg) is not None and str(record) and record._repr_html_()


@pytest.mark.parametrize(
    "kind", [kind for kind in RECORDS if issubclass(kind, Pictured)], ids=lambda kind: kind.__name__
)
def test_a_figure_is_shown_and_saved(kind: type[Pictured], tmp_path: Path) -> None:
    record = RECORDS[kind]()
    assert isinstance(record, Pictured)
    figure = record.figure()
    assert isinstance(figure, Drawing) and figure.width > 50 and figure.height > 50
    assert "\n" not in repr(figure) and len(repr(figure)) <= LONGEST
    saved = figure.save(tmp_path / "figure.svg").read_text()
    assert saved == record.svg
    # A notebook shows the same, no wider than its cell.
    assert figure._repr_svg_().replace(' style="max-width:100%;height:auto"', "") == saved != figure._repr_svg_()
    assert ET.fromstring(saved).tag.endswith("svg")


def test_a_figure_is_saved_as_svg_only(tmp_path: Path) -> None:
    figure = scores().figure()
    with pytest.raises(ConvscopeError, match=r"let the name end in \.svg"):
        figure.save(tmp_path / "figure.png")
    with pytest.raises(ConvscopeError, match="can't be written"):
        figure.save(tmp_path / "none" / "figure.svg")


def test_a_notebooks_styles_reach_its_own_results_alone() -> None:
    found = scores()._repr_html_()
    name = re.match(r'<div class="(cs-[0-9a-f]{8})">', found)
    assert name is not None
    style = re.sub(r"/\*.*?\*/", "", found.split("<style>")[1].split("</style>")[0], flags=re.S)
    selectors = [
        part for rule in re.findall(r"([^{}]+)\{", style) for part in re.sub(r"\([^)]*\)", "", rule).split(",")
    ]
    stray = [part for part in map(str.strip, selectors) if name[1] not in part and not part.startswith((".cs-", "@"))]
    assert len(selectors) > 80 and not stray


def _inside(value: Any, depth: int) -> Iterator[Any]:
    """Yield what can be reached from a result by its public attributes and items."""
    yield value
    if not depth:
        return
    if isinstance(value, Mapping):
        inner = list(value.values())[:3]
    elif isinstance(value, (list, tuple)):
        inner = list(value)[:3]
    elif type(value).__module__.startswith("convscope.") and not callable(value):
        properties = [name for name, item in introspection.getmembers(type(value)) if isinstance(item, property)]
        own = list(getattr(value, "__dataclass_fields__", ())) if is_dataclass(value) else []
        inner = []
        for name in (*own, *properties):
            with suppress(ConvscopeError):  # an image that can't be read has no class
                inner += [] if name.startswith("_") else [getattr(value, name)]
    else:
        return
    for item in inner:
        yield from _inside(item, depth - 1)


@pytest.mark.parametrize("kind", RECORDS, ids=lambda kind: kind.__name__)
def test_no_record_in_a_result_prints_what_it_holds(kind: type[Documented]) -> None:
    reached = list(_inside(RECORDS[kind](), 3))
    ours = [item for item in reached if type(item).__module__.startswith("convscope.") and not isinstance(item, tuple)]
    long = {type(item).__name__ for item in ours if len(repr(item)) > 160 or "\n" in repr(item)}
    assert len(ours) and not long


def test_every_result_is_listed() -> None:
    def below(kind: type) -> Iterator[type]:
        for inner in kind.__subclasses__():
            yield from (inner, *below(inner))

    listed = {kind.__name__ for kind in below(Documented) if kind.__module__.startswith("convscope.")}
    assert listed - {"Pictured", "Savable"} == {kind.__name__ for kind in RECORDS}


def test_every_result_is_on_the_page() -> None:
    page = (Path(__file__).parents[2] / "docs" / "results.md").read_text()
    rows = [line.split("|") for line in page.splitlines() if line.startswith("| `")]
    named = {name: "none" not in row[3] for row in rows if len(row) == 5 for name in re.findall(r"`(\w+)`", row[1])}
    assert named == {kind.__name__: issubclass(kind, Pictured) for kind in RECORDS}


def test_what_public_functions_return_is_public() -> None:
    unknown = {}
    for name in convscope._MODULES:
        function = getattr(convscope, name)
        if introspection.isfunction(function):
            returned = introspection.signature(function).return_annotation
            words = {item.id for item in ast.walk(ast.parse(returned)) if isinstance(item, ast.Name)}
            if strange := words - {*convscope._MODULES, "Path", "str", "int", "tuple", "list", "dict", "Iterator"}:
                unknown[name] = strange
    assert not unknown and {kind.__name__ for kind in RECORDS} <= set(convscope._MODULES)


@pytest.mark.parametrize("kind", RECORDS, ids=lambda kind: kind.__name__)
def test_results_are_compared_and_hashed(kind: type[Documented]) -> None:
    one, other = RECORDS[kind](), RECORDS[kind]()
    assert one == one and len({one, one}) == 1 and one != None  # noqa: E711 - the operators are tested
    # A result is equal to itself alone; what the caller writes is equal where its settings are.
    assert (one == other) is (kind in (Recipe, ResolvedRecipe))
    for inner, same in zip(_inside(one, 2), _inside(other, 2), strict=True):
        if isinstance(inner, ShortRepr):
            assert (inner == same) in (True, False) and isinstance(hash(inner), int), type(inner)


def test_a_long_repr_ends_with_a_whole_word() -> None:
    class Long(ShortRepr):
        def headline(self) -> str:
            return "word " * 60

    text = repr(Long())
    assert text.endswith("word…>") and 100 < len(text) <= 120


@pytest.mark.parametrize("kind", RECORDS, ids=lambda kind: kind.__name__)
def test_public_methods_refuse_what_they_do_not_take(kind: type[Documented], tmp_path: Path) -> None:
    record = RECORDS[kind]()
    for name, method in introspection.getmembers(kind, introspection.isfunction):
        if name.startswith("_") or not method.__module__.startswith("convscope."):
            continue
        places = len(introspection.signature(method).parameters)
        for arguments in ((3,) * places, (object(),) * max(1, places - 1)):
            with suppress(ConvscopeError):
                getattr(record, name)(*arguments)


def test_what_a_caller_makes_and_saves_is_checked(tmp_path: Path) -> None:
    figure = inspected().figure()
    wrong: tuple[Callable[[], Any], ...] = (
        *(lambda path=path: figure.save(path) for path in (None, 3, io.StringIO(), b"b.svg", "", "a\0.svg")),
        lambda: figure.save(),
        *(lambda path=path: convscope.Run(path) for path in (3, None, b"run", "a\0")),
        lambda: convscope.Predictor(network(), None),
        lambda: convscope.Predictor(None, spec()),
        lambda: convscope.Comparison(3),
        lambda: convscope.Comparison((inspected(), 3)),
        lambda: inspected().figure(3),
        lambda: inspected().to_html(3),
        lambda: inspected().layers[0].field_along("x"),
        lambda: convscope.Run(tmp_path).events(follow=3),
    )
    for call in wrong:
        with pytest.raises(ConvscopeError) as refused:
            call()
        assert "\n" not in str(refused.value)
    assert RECORDS[ResolvedRecipe]().changed(epochs=9).recipe.epochs == 9  # type: ignore[attr-defined]
