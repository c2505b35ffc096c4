"""Inspect, explain and train convolutional networks.

Every command of the command line but `studio` is a function here, of the same name: `convscope lr-find` is
`convscope.lr_find`. The module of each is imported on first use, and so are `convscope.nets` and `convscope.reference`:

>>> import convscope
>>> convscope.__version__
'0.1.0'
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from convscope.api.lazy import submodule

__version__ = "0.1.0"

# Public name -> the module that defines it; torch is imported only when a name that needs it is used.
_MODULES: dict[str, str] = {
    "ArgumentError": "convscope.errors",
    "CaptureError": "convscope.errors",
    "ConvscopeError": "convscope.errors",
    "DataError": "convscope.errors",
    "GeometryError": "convscope.errors",
    "RunError": "convscope.errors",
    "Recipe": "convscope.recipe.recipe",
    "StopTraining": "convscope.training.interrupt",
    "ablate": "convscope.experiments.ablation.ablate",
    "antialiased": "convscope.interpret.equivariance.antialiased",
    "audit": "convscope.interpret.audit",
    "check": "convscope.experiments.check.check",
    "compare": "convscope.interpret.inspection.comparison",
    "compare_looks": "convscope.interpret.look.compare_looks",
    "consistency": "convscope.interpret.equivariance.crop_pairs",
    "demo": "convscope.training.demo",
    "doctor": "convscope.experiments.doctor.checkup",
    "effective_fields": "convscope.interpret.effective_field.effective_fields",
    "equivariance": "convscope.interpret.equivariance.meter",
    "evaluate": "convscope.runs.evaluate",
    "exercise": "convscope.exercises.exercise",
    "explain": "convscope.interpret.explanation.explain",
    "field": "convscope.interpret.receptive_field",
    "health": "convscope.interpret.health.network_health",
    "inspect": "convscope.interpret.inspection.record",
    "learned": "convscope.interpret.learned.learned",
    "load": "convscope.runs.predictor",
    "load_recipe": "convscope.recipe.recipe_file",
    "look": "convscope.interpret.look.look",
    "lr_find": "convscope.experiments.learning_rate_range",
    "models": "convscope.nets.models",
    "notes": "convscope.claims.notes",
    "predict": "convscope.runs.predictor",
    "shard": "convscope.data.shard",
    "size": "convscope.interpret.layer_size",
    "train": "convscope.training.train",
    "training_events": "convscope.training.train",
    "train_ensemble": "convscope.experiments.ensemble.train",
    "training_memory": "convscope.capture.capture",
    "unproductive_layers": "convscope.interpret.effective_field.productivity",
    "knock_out": "convscope.interpret.behaviour.of_run",
    "robustness": "convscope.interpret.behaviour.of_run",
    "similarity": "convscope.interpret.behaviour.of_run",
    "confusions": "convscope.interpret.behaviour.of_run",
    "calibration": "convscope.interpret.behaviour.of_run",
    "visualize": "convscope.interpret.behaviour.of_run",
    # What they return.
    "Ablation": "convscope.experiments.ablation.record",
    "AntialiasedNetwork": "convscope.interpret.equivariance.antialiased",
    "Attribution": "convscope.interpret.attribution.record",
    "AttributionChecks": "convscope.interpret.attribution.checks.record",
    "Audit": "convscope.interpret.audit",
    "CellField": "convscope.interpret.cell_field",
    "ChannelsAt": "convscope.interpret.features.channels_at",
    "Checkup": "convscope.experiments.doctor.record",
    "Comparison": "convscope.interpret.inspection.comparison",
    "ConfusedClasses": "convscope.interpret.behaviour.confusion_record",
    "DataCheck": "convscope.experiments.check.record",
    "EffectiveFields": "convscope.interpret.effective_field.record",
    "EnsembleOutcome": "convscope.experiments.ensemble.outcome",
    "EnsembleScores": "convscope.experiments.ensemble.scores",
    "EpochRow": "convscope.runs.events",
    "Equivariance": "convscope.interpret.equivariance.record",
    "Evaluation": "convscope.runs.evaluate",
    "Exercise": "convscope.exercises.record",
    "ExplainedImages": "convscope.interpret.learned.explained_images",
    "Explanation": "convscope.interpret.explanation.record",
    "FeatureMaps": "convscope.interpret.features.feature_maps_record",
    "FeatureVisualization": "convscope.interpret.behaviour.visualization_record",
    "Graph": "convscope.graph.records",
    "ImageRobustness": "convscope.interpret.behaviour.image_robustness",
    "Inspection": "convscope.interpret.inspection.record",
    "KnockOut": "convscope.interpret.behaviour.knock_out_record",
    "LabelScores": "convscope.scoring.label_scores",
    "Layer": "convscope.graph.summary",
    "LayerFilters": "convscope.interpret.features.filters",
    "LayerPatches": "convscope.interpret.features.layer_patches",
    "LayerSimilarity": "convscope.interpret.behaviour.similarity_record",
    "LayerSize": "convscope.interpret.layer_size",
    "Learned": "convscope.interpret.learned.record",
    "LearningRateRangeTest": "convscope.experiments.learning_rate_range",
    "Look": "convscope.interpret.look.record",
    "LookComparison": "convscope.interpret.look.comparison",
    "Marked": "convscope.exercises.record",
    "Message": "convscope.runs.events",
    "Models": "convscope.nets.models",
    "NetworkHealth": "convscope.interpret.health.layer_health",
    "Notes": "convscope.claims.notes",
    "Outcome": "convscope.training.outcome",
    "Prediction": "convscope.runs.predictions",
    "PredictionConsistency": "convscope.interpret.equivariance.prediction_consistency",
    "Predictions": "convscope.runs.predictions",
    "Predictor": "convscope.runs.predictor",
    "Reliability": "convscope.interpret.behaviour.reliability",
    "ResolvedRecipe": "convscope.training.resolve.resolved_recipe",
    "RobustnessProfile": "convscope.interpret.behaviour.robustness_profile",
    "Run": "convscope.runs.run_directory",
    "Scores": "convscope.scoring.scores",
    "Sharded": "convscope.data.shards.write_shards",
    "Status": "convscope.runs.events",
    "TopPatches": "convscope.interpret.features.top_patches",
    "TrainingBytes": "convscope.graph.training_bytes",
    "TrainingEvents": "convscope.training.training_events",
    "TrainingNorms": "convscope.interpret.learned.training_norms",
    "TrainingMemory": "convscope.graph.memory",
    "UnproductiveLayers": "convscope.interpret.effective_field.productivity",
}

# Packages that are meant to be used by themselves; all others are found too.
_PACKAGES = ("nets", "reference")
__all__ = ["__version__", *_MODULES]

# Type checkers read the names here, and a wrong name is an error for them; the interpreter uses `__getattr__`.
if TYPE_CHECKING:
    from convscope import nets as nets
    from convscope import reference as reference
    from convscope.capture.capture import training_memory as training_memory
    from convscope.claims.notes import Notes as Notes
    from convscope.claims.notes import notes as notes
    from convscope.data.shard import shard as shard
    from convscope.data.shards.write_shards import Sharded as Sharded
    from convscope.errors import ArgumentError as ArgumentError
    from convscope.errors import CaptureError as CaptureError
    from convscope.errors import ConvscopeError as ConvscopeError
    from convscope.errors import DataError as DataError
    from convscope.errors import GeometryError as GeometryError
    from convscope.errors import RunError as RunError
    from convscope.exercises.exercise import exercise as exercise
    from convscope.exercises.record import Exercise as Exercise
    from convscope.exercises.record import Marked as Marked
    from convscope.experiments.ablation.ablate import ablate as ablate
    from convscope.experiments.ablation.record import Ablation as Ablation
    from convscope.experiments.check.check import check as check
    from convscope.experiments.check.record import DataCheck as DataCheck
    from convscope.experiments.doctor.checkup import doctor as doctor
    from convscope.experiments.doctor.record import Checkup as Checkup
    from convscope.experiments.ensemble.outcome import EnsembleOutcome as EnsembleOutcome
    from convscope.experiments.ensemble.scores import EnsembleScores as EnsembleScores
    from convscope.experiments.ensemble.train import train_ensemble as train_ensemble
    from convscope.experiments.learning_rate_range import LearningRateRangeTest as LearningRateRangeTest
    from convscope.experiments.learning_rate_range import lr_find as lr_find
    from convscope.graph.memory import TrainingMemory as TrainingMemory
    from convscope.graph.records import Graph as Graph
    from convscope.graph.summary import Layer as Layer
    from convscope.graph.training_bytes import TrainingBytes as TrainingBytes
    from convscope.interpret.attribution.checks.record import AttributionChecks as AttributionChecks
    from convscope.interpret.attribution.record import Attribution as Attribution
    from convscope.interpret.audit import Audit as Audit
    from convscope.interpret.audit import audit as audit
    from convscope.interpret.behaviour.confusion_record import ConfusedClasses as ConfusedClasses
    from convscope.interpret.behaviour.image_robustness import ImageRobustness as ImageRobustness
    from convscope.interpret.behaviour.knock_out_record import KnockOut as KnockOut
    from convscope.interpret.behaviour.of_run import calibration as calibration
    from convscope.interpret.behaviour.of_run import confusions as confusions
    from convscope.interpret.behaviour.of_run import knock_out as knock_out
    from convscope.interpret.behaviour.of_run import robustness as robustness
    from convscope.interpret.behaviour.of_run import similarity as similarity
    from convscope.interpret.behaviour.of_run import visualize as visualize
    from convscope.interpret.behaviour.reliability import Reliability as Reliability
    from convscope.interpret.behaviour.robustness_profile import RobustnessProfile as RobustnessProfile
    from convscope.interpret.behaviour.similarity_record import LayerSimilarity as LayerSimilarity
    from convscope.interpret.behaviour.visualization_record import FeatureVisualization as FeatureVisualization
    from convscope.interpret.cell_field import CellField as CellField
    from convscope.interpret.effective_field.effective_fields import effective_fields as effective_fields
    from convscope.interpret.effective_field.productivity import UnproductiveLayers as UnproductiveLayers
    from convscope.interpret.effective_field.productivity import unproductive_layers as unproductive_layers
    from convscope.interpret.effective_field.record import EffectiveFields as EffectiveFields
    from convscope.interpret.equivariance.antialiased import AntialiasedNetwork as AntialiasedNetwork
    from convscope.interpret.equivariance.antialiased import antialiased as antialiased
    from convscope.interpret.equivariance.crop_pairs import consistency as consistency
    from convscope.interpret.equivariance.meter import equivariance as equivariance
    from convscope.interpret.equivariance.prediction_consistency import PredictionConsistency as PredictionConsistency
    from convscope.interpret.equivariance.record import Equivariance as Equivariance
    from convscope.interpret.explanation.explain import explain as explain
    from convscope.interpret.explanation.record import Explanation as Explanation
    from convscope.interpret.features.channels_at import ChannelsAt as ChannelsAt
    from convscope.interpret.features.feature_maps_record import FeatureMaps as FeatureMaps
    from convscope.interpret.features.filters import LayerFilters as LayerFilters
    from convscope.interpret.features.layer_patches import LayerPatches as LayerPatches
    from convscope.interpret.features.top_patches import TopPatches as TopPatches
    from convscope.interpret.health.layer_health import NetworkHealth as NetworkHealth
    from convscope.interpret.health.network_health import health as health
    from convscope.interpret.inspection.comparison import Comparison as Comparison
    from convscope.interpret.inspection.comparison import compare as compare
    from convscope.interpret.inspection.record import Inspection as Inspection
    from convscope.interpret.inspection.record import inspect as inspect
    from convscope.interpret.layer_size import LayerSize as LayerSize
    from convscope.interpret.layer_size import size as size
    from convscope.interpret.learned.explained_images import ExplainedImages as ExplainedImages
    from convscope.interpret.learned.learned import learned as learned
    from convscope.interpret.learned.record import Learned as Learned
    from convscope.interpret.learned.training_norms import TrainingNorms as TrainingNorms
    from convscope.interpret.look.compare_looks import compare_looks as compare_looks
    from convscope.interpret.look.comparison import LookComparison as LookComparison
    from convscope.interpret.look.look import look as look
    from convscope.interpret.look.record import Look as Look
    from convscope.interpret.receptive_field import field as field
    from convscope.nets.models import Models as Models
    from convscope.nets.models import models as models
    from convscope.recipe.recipe import Recipe as Recipe
    from convscope.recipe.recipe_file import load_recipe as load_recipe
    from convscope.runs.evaluate import Evaluation as Evaluation
    from convscope.runs.evaluate import evaluate as evaluate
    from convscope.runs.events import EpochRow as EpochRow
    from convscope.runs.events import Message as Message
    from convscope.runs.events import Status as Status
    from convscope.runs.predictions import Prediction as Prediction
    from convscope.runs.predictions import Predictions as Predictions
    from convscope.runs.predictor import Predictor as Predictor
    from convscope.runs.predictor import load as load
    from convscope.runs.predictor import predict as predict
    from convscope.runs.run_directory import Run as Run
    from convscope.scoring.label_scores import LabelScores as LabelScores
    from convscope.scoring.scores import Scores as Scores
    from convscope.training.demo import demo as demo
    from convscope.training.interrupt import StopTraining as StopTraining
    from convscope.training.outcome import Outcome as Outcome
    from convscope.training.resolve.resolved_recipe import ResolvedRecipe as ResolvedRecipe
    from convscope.training.train import train as train
    from convscope.training.train import training_events as training_events
    from convscope.training.training_events import TrainingEvents as TrainingEvents
else:

    def __getattr__(name: str) -> Any:
        """Import a public name or a package on first use (PEP 562)."""
        if name in _MODULES:
            return getattr(importlib.import_module(_MODULES[name]), name)
        return submodule(__name__, __path__, name, known=__dir__())


def __dir__() -> list[str]:
    return sorted([*__all__, *_PACKAGES, "__doc__", "__file__", "__name__", "__path__"])
