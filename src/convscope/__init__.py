"""convscope sees through convolutional networks.

The verbs of the command line are functions here, and load what they need when they are first used:

>>> import convscope
>>> convscope.__version__
'0.1.0'
"""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.1.0"

# verb -> the module that defines it; torch is imported only when a verb that needs it is used.
_VERBS: dict[str, str] = {
    "ConvscopeError": "convscope.errors",
    "Recipe": "convscope.recipe.recipe",
    "ablate": "convscope.experiments.ablation.ablate",
    "audit": "convscope.interpret.replay.audit",
    "receptive_field": "convscope.interpret.receptive_field",
    "compare": "convscope.interpret.inspection.comparison",
    "evaluate": "convscope.runs.evaluate",
    "explain": "convscope.interpret.explanation.explain",
    "find_learning_rate": "convscope.experiments.learning_rate_range",
    "inspect": "convscope.interpret.inspection.record",
    "predict": "convscope.runs.predictor",
    "train": "convscope.training.train",
    "train_ensemble": "convscope.experiments.ensemble.train",
    "training_memory": "convscope.capture.training",
}

__all__ = ["__version__", *_VERBS]


def __getattr__(name: str) -> Any:
    """Load a verb on first use (PEP 562)."""
    if name not in _VERBS:
        raise AttributeError(f"module 'convscope' has no attribute {name!r}")
    return getattr(importlib.import_module(_VERBS[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_VERBS})
