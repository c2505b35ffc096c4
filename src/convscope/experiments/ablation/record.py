"""What an ablation came to, as a record that shows itself: in the terminal, in a notebook, as JSON."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from convscope.experiments.ablation.findings import Expectation, Finding, ordered
from convscope.experiments.ablation.plan import AblationPlan
from convscope.experiments.ablation.trial import Trial
from convscope.recipe.recipe import Recipe
from convscope.runs.run_directory import Run


@dataclass(frozen=True, kw_only=True)
class Ablation:
    """What came out: the directory, how it ended ("done" or "stopped"), the plan, every training, what was found.

    `trouble` says why nothing could be found, and what to do; it is empty where something was.
    """

    run: Run
    recipe: Recipe
    ending: str
    exit_code: int
    plan: AblationPlan
    trials: tuple[Trial, ...]
    measured_on: str
    findings: tuple[Finding, ...]
    claims: tuple[Expectation, ...]
    trouble: str = ""

    @property
    def report(self) -> Path:
        """The page."""
        return self.run.report

    @property
    def order(self) -> list[Finding]:
        """The findings, the most accurate first."""
        return ordered(self.findings)

    def to_dict(self) -> dict[str, Any]:
        """The ablation as JSON can hold it."""
        return {
            "run": str(self.run),
            "ending": self.ending,
            "trouble": self.trouble,
            "model": self.recipe.model,
            "data": self.recipe.data,
            "epochs": self.recipe.epochs,
            "seeds": list(self.plan.seeds),
            "measured_on": self.measured_on,
            "findings": [found.to_dict() for found in self.findings],
            "order": [found.variant.name for found in self.order],
            "notes": [{"claim": claim.text, "found": claim.verdict} for claim in self.claims],
            "report": str(self.report),
        }

    def __str__(self) -> str:
        from convscope.experiments.ablation.text import ablation_text

        return ablation_text(self)

    def _repr_html_(self) -> str:
        from convscope.experiments.ablation.page import ablation_fragment

        return ablation_fragment(self)
