"""A user's program: `make check` runs mypy --strict on it, so every public name of convscope must have its real type.

Nothing here is executed. A name that is Any for type checkers fails `assert_type`.
"""

from pathlib import Path
from typing import assert_type

from torch import nn

import convscope
from convscope import (
    Ablation,
    Audit,
    CellField,
    Comparison,
    EnsembleOutcome,
    Evaluation,
    Explanation,
    Inspection,
    Layer,
    LearningRateRangeTest,
    Outcome,
    Prediction,
    Predictions,
    Predictor,
    Run,
    TrainingBytes,
    TrainingMemory,
)


def look(network: nn.Module) -> None:
    """Inspect and explain a network."""
    inspection = convscope.inspect(network, (3, 32, 32))
    assert_type(inspection, Inspection)
    assert_type(convscope.compare(inspection, inspection), Comparison)
    assert_type(convscope.field(inspection, "layer1"), CellField)
    assert_type(convscope.audit("lenet5"), Audit)
    assert_type(convscope.explain(network, "cat.png", layer="conv1"), Explanation)
    memory = convscope.training_memory(network, (3, 32, 32))
    assert_type(memory, TrainingMemory)
    assert_type(memory.at(32, optimizer="adam"), TrainingBytes)
    assert_type(inspection.layers[0], Layer)
    assert_type(inspection.figure().save("network.svg"), Path)
    assert_type(inspection.svg, str)


def learn() -> None:
    """Train, and use what was trained."""
    recipe = convscope.Recipe(model="lenet5", data="digits", epochs=1)
    assert_type(recipe, convscope.Recipe)
    outcome = convscope.train("digits", recipe)
    assert_type(outcome, Outcome)
    assert_type(outcome.run, Run)
    assert_type(convscope.train_ensemble("digits", recipe, members=2), EnsembleOutcome)
    assert_type(convscope.ablate("digits", recipe, seeds=1), Ablation)
    assert_type(convscope.lr_find(recipe), LearningRateRangeTest)
    found = convscope.predict(outcome, "cat.png")
    assert_type(found, Predictions)
    assert_type(found[0], Prediction)
    assert_type(found[:2], Predictions)
    assert_type([prediction.label for prediction in found], list[str])
    predictor = convscope.load("runs/first")
    assert_type(predictor, Predictor)
    assert_type(predictor("cat.png"), Prediction)
    assert_type(convscope.evaluate("runs/first"), Evaluation)
    assert_type(convscope.__version__, str)


def main() -> int:
    """Handle an error as a user does."""
    try:
        learn()
    except convscope.ConvscopeError as error:
        assert_type(error, convscope.ConvscopeError)
        return 2
    return 0
