"""A user's program: `make check` runs mypy --strict on it, so every public name of convscope must have its real type.

Nothing here is executed. A name that is Any for type checkers fails `assert_type`.
"""

from pathlib import Path
from typing import assert_type

from torch import nn

import convscope


def look(network: nn.Module) -> None:
    """Inspect and explain a network."""
    inspection = convscope.inspect(network, (3, 32, 32))
    assert_type(inspection, convscope.Inspection)
    assert_type(convscope.compare(inspection, inspection), convscope.Comparison)
    assert_type(convscope.field(inspection, "layer1"), convscope.CellField)
    assert_type(convscope.audit("lenet5"), convscope.Audit)
    assert_type(convscope.explain(network, "cat.png", layer="conv1"), convscope.Explanation)
    memory = convscope.training_memory(network, (3, 32, 32))
    assert_type(memory, convscope.TrainingMemory)
    assert_type(memory.at(32, optimizer="adam"), convscope.TrainingBytes)
    assert_type(inspection.graph, convscope.Graph)
    assert_type(inspection.layers[0], convscope.Layer)
    assert_type(inspection.figure().save("network.svg"), Path)
    assert_type(inspection.svg, str)


def look_inside(network: nn.Module) -> None:
    """Look at what a network makes of an image, and keep it."""
    found = convscope.look(network, "cat.png", target="cat", on_part=print)
    assert_type(found, convscope.Look)
    assert_type(found.prediction, convscope.Prediction)
    assert_type(found.attributions, tuple[convscope.Attribution, ...])
    assert_type(found.save("cat"), tuple[Path, ...])
    compared = convscope.compare_looks(network, "runs/first", image="cat.png", methods=["grad-cam", "occlusion"])
    assert_type(compared, convscope.LookComparison)
    assert_type(compared.rank_correlations("grad-cam"), tuple[float | None, ...])


def distorted(found: convscope.ImageRobustness) -> str:
    """Return what it takes least of to change a prediction."""
    return "" if found.weakest is None else found.weakest.text


def attributions(found: convscope.Attribution) -> float:
    """Return the largest number of a map."""
    return float(found.map.max()) if found.has_evidence else found.score


def checks(found: convscope.AttributionChecks) -> bool:
    """Return whether nothing speaks against believing a map."""
    return not found.warnings


def features(maps: convscope.FeatureMaps, units: convscope.ChannelsAt, patches: convscope.TopPatches) -> None:
    """Save the pictures of a layer."""
    assert_type(maps.figure().save("maps.svg"), Path)
    assert_type(units.strongest, tuple[int, ...])
    assert_type(patches.of_layer("conv1"), convscope.LayerPatches)


def weights(filters: convscope.LayerFilters) -> int:
    """Return how many pages of filters there are."""
    return filters.pages


def fields(network: nn.Module, run: convscope.Run) -> None:
    """Measure how far layers see, and how they are."""
    assert_type(convscope.effective_fields(network, objects=40), convscope.EffectiveFields)
    assert_type(convscope.unproductive_layers(run, probes=True), convscope.UnproductiveLayers)
    assert_type(convscope.health(run), convscope.NetworkHealth)


def shifts(network: nn.Module, run: convscope.Run) -> nn.Module:
    """Measure how maps and predictions move with an image, and blur what breaks it."""
    assert_type(convscope.equivariance(network, "photo.jpg", shifts=(1, 2)), convscope.Equivariance)
    assert_type(convscope.consistency(run), convscope.PredictionConsistency)
    blurred = convscope.antialiased(network, (3, 64, 64))
    assert_type(blurred, convscope.AntialiasedNetwork)
    return blurred.network


def behaviour(run: convscope.Run) -> None:
    """Measure what a network does over a data set."""
    assert_type(convscope.knock_out(run, "conv1"), convscope.KnockOut)
    assert_type(convscope.robustness(run), convscope.RobustnessProfile)
    assert_type(convscope.similarity(run, run), convscope.LayerSimilarity)
    assert_type(convscope.confusions(run), convscope.ConfusedClasses)
    assert_type(convscope.calibration(run), convscope.Reliability)
    assert_type(convscope.visualize(run, "conv1"), convscope.FeatureVisualization)
    found = convscope.learned(run, parts=["norms", "health"], images=500, against="runs/second")
    assert_type(found, convscope.Learned)
    assert_type(found.examples, convscope.ExplainedImages | None)
    assert_type(found.norms, convscope.TrainingNorms | None)


def learn() -> None:
    """Train, and use what was trained."""
    recipe = convscope.Recipe(model="lenet5", data="digits", epochs=1)
    assert_type(recipe, convscope.Recipe)
    assert_type(convscope.load_recipe("runs/first/recipe.toml"), convscope.Recipe)
    outcome = convscope.train("digits", recipe, on_epoch=stop_early)
    assert_type(outcome, convscope.Outcome)
    assert_type(outcome.run, convscope.Run)
    assert_type(outcome.scores, convscope.Scores | convscope.LabelScores | None)
    assert_type(outcome.rows, tuple[convscope.EpochRow, ...])
    ensemble = convscope.train_ensemble("digits", recipe, members=2)
    assert_type(ensemble, convscope.EnsembleOutcome)
    assert_type(ensemble.scores, convscope.EnsembleScores | None)
    assert_type(convscope.ablate("digits", recipe, seeds=1), convscope.Ablation)
    assert_type(convscope.check("digits", recipe), convscope.DataCheck)
    assert_type(convscope.lr_find("digits", recipe), convscope.LearningRateRangeTest)
    found = convscope.predict(outcome, "cat.png")
    assert_type(found, convscope.Predictions)
    assert_type(found[0], convscope.Prediction)
    assert_type(found[:2], convscope.Predictions)
    assert_type([prediction.label for prediction in found], list[str])
    predictor = convscope.load("runs/first")
    assert_type(predictor, convscope.Predictor)
    assert_type(predictor("cat.png"), convscope.Prediction)
    assert_type(convscope.evaluate("runs/first"), convscope.Evaluation)
    assert_type(convscope.__version__, str)


def stop_early(row: convscope.EpochRow) -> None:
    """Stop a training from its callback."""
    if row.val_accuracy is not None and row.val_accuracy > 0.9:
        raise convscope.StopTraining


def text_of(event: convscope.Message | convscope.EpochRow | convscope.Status) -> str:
    """Tell events apart by their types."""
    return event.text if isinstance(event, convscope.Message) else str(event.epoch)


def settings_of(resolved: convscope.ResolvedRecipe) -> convscope.Recipe:
    """Read a recipe with nothing at auto."""
    assert_type(resolved.learning_rate, float)
    return resolved.recipe


def learn_more() -> None:
    """Work out layers, list networks, check figures, write shards, measure the machine."""
    assert_type(convscope.demo(), convscope.Outcome)
    assert_type(convscope.training_events("digits"), convscope.TrainingEvents)
    assert_type(convscope.size(224, 7, stride=2, padding=3), convscope.LayerSize)
    assert_type(convscope.models("resnet50"), convscope.Models)
    assert_type(convscope.notes("crops-of-256", verdicts=["wrong"]), convscope.Notes)
    assert_type(convscope.exercise("3a", seed=42), convscope.Exercise)
    assert_type(convscope.exercise("3a").mark("32x64x64"), convscope.Marked)
    assert_type(convscope.shard("digits", "shards"), convscope.Sharded)
    assert_type(convscope.doctor(batch_size=32), convscope.Checkup)
    assert_type(convscope.nets.build.build("lenet5"), nn.Module)


def main() -> int:
    """Handle an error as a user does."""
    try:
        learn()
    except (convscope.ArgumentError, convscope.RunError) as error:
        print(error)
        return 3
    except (convscope.CaptureError, convscope.DataError, convscope.GeometryError):
        return 4
    except convscope.ConvscopeError as error:
        assert_type(error, convscope.ConvscopeError)
        return 2
    return 0
