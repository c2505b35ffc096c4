"""A user's program: `make check` runs mypy --strict on it, so every public name of convscope must have its real type.

Nothing here is executed. A name that is Any for type checkers fails `assert_type`.
"""

from typing import assert_type

from torch import nn

import convscope
from convscope.experiments.ablation.record import Ablation
from convscope.experiments.ensemble.train import EnsembleOutcome
from convscope.experiments.learning_rate_range import LearningRateRangeTest
from convscope.graph.memory import TrainingMemory
from convscope.interpret.audit import Audit
from convscope.interpret.explanation.record import Explanation
from convscope.interpret.inspection.comparison import Comparison
from convscope.interpret.inspection.record import Inspection
from convscope.interpret.receptive_field import CellField
from convscope.runs.evaluate import Evaluation
from convscope.runs.predictions import Predictions
from convscope.runs.predictor import Predictor
from convscope.training.outcome import Outcome


def look(network: nn.Module) -> None:
    """Inspect and explain a network."""
    inspection = convscope.inspect(network, (3, 32, 32))
    assert_type(inspection, Inspection)
    assert_type(convscope.compare(inspection, inspection), Comparison)
    assert_type(convscope.field(inspection, "layer1"), CellField)
    assert_type(convscope.audit("lenet5"), Audit)
    assert_type(convscope.explain(network, "cat.png", layer="conv1"), Explanation)
    assert_type(convscope.training_memory(network, (3, 32, 32)), TrainingMemory)


def learn() -> None:
    """Train, and use what was trained."""
    recipe = convscope.Recipe(model="lenet5", data="digits", epochs=1)
    assert_type(recipe, convscope.Recipe)
    assert_type(convscope.train("digits", recipe), Outcome)
    assert_type(convscope.train_ensemble("digits", recipe, members=2), EnsembleOutcome)
    assert_type(convscope.ablate("digits", recipe, seeds=1), Ablation)
    assert_type(convscope.lr_find(recipe), LearningRateRangeTest)
    assert_type(convscope.predict("runs/first", "cat.png"), Predictions)
    assert_type(convscope.load("runs/first"), Predictor)
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
