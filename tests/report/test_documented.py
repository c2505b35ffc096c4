"""Every public record of results: JSON's types, a terminal, a notebook and a page form, and no name steers them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import convscope
from convscope.data.records import ImageSet
from convscope.experiments.ablation.findings import find
from convscope.experiments.ablation.plan import AblationPlan, VariantCost
from convscope.experiments.ablation.record import Ablation
from convscope.experiments.ablation.variants import find_variant
from convscope.experiments.ensemble.train import EnsembleOutcome
from convscope.experiments.learning_rate_range import RateTest
from convscope.graph.memory import TrainingMemory
from convscope.interpret.audit import Audit
from convscope.interpret.explanation.record import Explanation
from convscope.interpret.inspection.comparison import Comparison
from convscope.interpret.inspection.record import Inspection
from convscope.interpret.receptive_field import CellField, field
from convscope.recipe.recipe import Recipe
from convscope.report.documented import Documented
from convscope.report.terminal import document_text
from convscope.runs.evaluate import Evaluation
from convscope.runs.predictor import ClassProbability, Prediction
from convscope.runs.run_directory import Run
from convscope.scoring.measured import measure
from convscope.scoring.objective import Objective
from convscope.training.finish import Outcome

NASTY = "<b>a\x1b[2J"
RUN = Run(Path(NASTY))
CLASSES = (ClassProbability(NASTY, 1.0),)


def network() -> nn.Module:
    """Return a small network."""
    return nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU())


def inspected() -> Inspection:
    """Return it inspected."""
    found: Inspection = convscope.inspect(network, (1, 6, 6), name=NASTY)
    return found


def explained() -> Explanation:
    """Return one of its numbers explained."""
    found: Explanation = convscope.explain(network(), torch.ones(1, 6, 6), layer="0", at=(1, 1))
    return found


def evaluated() -> Evaluation:
    """Return scores on two images."""
    images = ImageSet(np.zeros((2, 4, 4, 1), np.uint8), np.array([0, 1]), [NASTY, "b"])
    scores = measure(1 - np.eye(2), images, classes=(NASTY, "b"), split="test", objective=Objective())
    return Evaluation(run=RUN, data=NASTY, scores=scores, skipped=1, notes=(NASTY,))


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


RECORDS: dict[type[Documented], Callable[[], Documented]] = {
    Inspection: inspected,
    Comparison: lambda: convscope.compare(inspected(), inspected()),
    TrainingMemory: lambda: convscope.training_memory(network, (1, 6, 6), name=NASTY),
    Explanation: explained,
    CellField: lambda: field(inspected(), "0"),
    Audit: lambda: convscope.audit(network(), input_shape=(1, 6, 6)),
    Prediction: lambda: Prediction(image=NASTY, top=CLASSES, labels=CLASSES),
    Evaluation: evaluated,
    Outcome: lambda: Outcome(
        run=RUN, ending="done", exit_code=0, best=None, epochs=1, seconds=1.0, scores=None, cautions=(NASTY,)
    ),
    RateTest: lambda: RateTest(
        model=NASTY,
        optimizer="sgd",
        batch_size=1,
        taken=0.1,
        rates=(0.1, 1.0),
        losses=(2.0, 1.0),
        smoothed=(2.0, 1.0),
        exploded=False,
    ),
    Ablation: ablated,
    EnsembleOutcome: lambda: EnsembleOutcome(
        run=RUN, ending="stopped", exit_code=130, members=(), planned=2, scores=None
    ),
}


@pytest.mark.parametrize("kind", RECORDS, ids=lambda kind: kind.__name__)
def test_a_record_has_all_forms(kind: type[Documented]) -> None:
    record = RECORDS[kind]()
    assert type(record) is kind
    json.dumps(dict(record.to_dict()), allow_nan=False)
    json.dumps(record.document().to_dict(), allow_nan=False)
    assert str(record) == document_text(record.document())
    for text in (str(record), record._repr_html_(), record.to_html()):
        assert "\x1b" not in text and len(text) > 10
    for page in (record._repr_html_(), record.to_html()):
        assert "<b>a" not in page


def test_every_record_of_results_is_listed() -> None:
    listed = {kind for kind in Documented.__subclasses__() if kind.__module__.startswith("convscope.")}
    assert listed == set(RECORDS)
