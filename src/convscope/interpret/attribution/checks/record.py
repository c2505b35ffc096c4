"""What was found about one attribution: whether it can be believed, with the numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from convscope.interpret.attribution.checks.deletion_insertion import LEAST_GAIN, DeletionInsertion, Perturbation
from convscope.interpret.attribution.checks.randomized_weights import SIMILAR, WeightRandomization
from convscope.interpret.attribution.integrated_gradients import COMPLETE
from convscope.report.charts import Curve, line_chart
from convscope.report.document import Block, Callout, Document, Figure, Paragraph, sentence
from convscope.report.documented import Pictured
from convscope.report.json_values import json_dict
from convscope.report.svg import Drawing, beside
from convscope.report.table import Column, Table
from convscope.report.units import percent

_CHART = 300.0


@dataclass(frozen=True, kw_only=True, repr=False, eq=False)
class AttributionChecks(Pictured):
    """The checks of one attribution.

    Args:
        method: the method's name.
        class_name: of the class that is explained.
        randomization: how the map changes with random weights; None for a network without weights.
        perturbation: how well the map finds the pixels that count; None where the map is not on the image.
        deterministic: whether the same input gave the same map, bit for bit; None where it was not tried.
        completeness_gap: how far the map's sum is from the score's change, as a share of it; None for methods that do
            not promise it.
    """

    method: str
    class_name: str
    randomization: WeightRandomization | None = None
    perturbation: DeletionInsertion | None = None
    deterministic: bool | None = None
    completeness_gap: float | None = None

    @property
    def failed(self) -> tuple[str, ...]:
        """The checks that the map fails, by name."""
        return tuple(self._failures)

    @property
    def warnings(self) -> tuple[str, ...]:
        """The reasons to distrust the map, a sentence each."""
        return tuple(self._failures.values())

    @property
    def _failures(self) -> dict[str, str]:
        """The checks that the map fails, by name, with a sentence each."""
        found = {}
        if self.randomization is not None and self.randomization.fails:
            found["random weights"] = self.randomization.sentence
        if self.perturbation is not None and self.perturbation.blurring_matters and not self.perturbation.better:
            found["deletion and insertion"] = self.perturbation.sentence
        if self.deterministic is False:
            found["same map again"] = "The same input gave another map: the method or the network draws random numbers"
        if self.completeness_gap is not None and not self.completeness_gap <= COMPLETE:
            found["completeness"] = f"The map's sum misses the score's change by {percent(self.completeness_gap)} of it"
        return found

    @property
    def sentences(self) -> tuple[str, ...]:
        """What was found, a sentence each, warnings first."""
        found = list(self.warnings)
        if self.randomization is not None and not self.randomization.fails:
            found.append(self.randomization.sentence)
        if self.perturbation is not None and "deletion and insertion" not in self.failed:
            found.append(self.perturbation.sentence)
        return tuple(found)

    @property
    def verdict(self) -> str:
        """What the checks say in a few words: which the map fails, else which it passes in part, else passed."""
        if self.failed:
            return f"fails {', '.join(self.failed)}"
        if not self.sentences:
            return "not checked"
        if self.perturbation is None or len(self.perturbation.better) == 2:
            return "passed"
        if not self.perturbation.blurring_matters:
            return "passed; deletion and insertion are inconclusive"
        return f"passed; better than random order by {self.perturbation.better[0]} only"

    def headline(self) -> str:
        """Return the method and its verdict."""
        return f"checks of {self.method} for {self.class_name}: {self.verdict}"

    def document(self) -> Document:
        """Return the sentences, the charts and the numbers."""
        blocks: list[Block] = [Callout("warning", sentence(text)) for text in self.warnings]
        blocks += [Paragraph(sentence(text)) for text in self.sentences if text not in self.warnings]
        if self.randomization is not None or self.perturbation is not None:
            blocks.append(Figure(self.figure))
        blocks.append(self.table())
        return Document(f"Checks of {self.method}", tuple(blocks), lead=f"Explained: {self.class_name}.")

    def table(self) -> Table:
        """Return the numbers, a row a check."""
        rows: list[tuple[str, str, str, str]] = []
        if self.randomization is not None:
            found, needed = self.randomization, f"at most {SIMILAR}"
            rows.append(("rank correlation, all weights random", _number(found.all_random), needed, ""))
            rows.append(("rank correlation with signs, upper layers random", _number(found.upper_random), needed, ""))
            rows.append(("SSIM, all weights random", _number(found.structural_similarities[-1]), "", ""))
        if self.perturbation is not None:
            own, random, centre = self.perturbation.own, self.perturbation.random, self.perturbation.centre
            orders = own, random, centre
            for name, better, areas in (
                ("deletion area", "lower", [f"{found.deletion_area:.3f}" for found in orders]),
                ("insertion area", "higher", [f"{found.insertion_area:.3f}" for found in orders]),
            ):
                rows.append(
                    (name, areas[0], f"{LEAST_GAIN} {better} than random order's {areas[1]}", f"centre's {areas[2]}")
                )
        if self.completeness_gap is not None:
            gap = percent(self.completeness_gap, decimals=2)
            rows.append(("completeness gap", gap, f"at most {percent(COMPLETE, decimals=0)}", ""))
        if self.deterministic is not None:
            rows.append(("same map again", "yes" if self.deterministic else "no", "yes, bit for bit", ""))
        columns = [Column("check"), Column("found", numeric=True), Column("needed"), Column("")]
        return Table.of(columns, rows)

    def figure(self) -> Drawing:
        """Draw similarity over random layers, and the deletion and insertion curves."""
        charts = []
        if self.randomization is not None:
            charts.append(_randomization_chart(self.randomization))
        if self.perturbation is not None:
            charts += _perturbation_charts(self.perturbation)
        return beside(*charts, title=f"Checks of {self.method} for {self.class_name}")

    def to_dict(self) -> dict[str, Any]:
        """Return the values as JSON's types.

        Keys:
            method: its name.
            class_name: of the class that is explained.
            verdict: what the checks say, in a few words.
            failed: the checks that the map fails, by name.
            warnings: the reasons to distrust the map, a sentence each.
            sentences: what was found, a sentence each.
            deterministic: whether the same input gave the same map; None where it was not tried.
            completeness_gap: how far the map's sum is from the score's change, as a share of it; or None.
            randomization: None, or random_layers, layers, rank_correlations, signed_correlations,
                structural_similarities and fails.
            perturbation: None, or the gains over random order and over the centre map, and for own, random and centre
                each deletion, insertion and their areas.
        """
        found, perturbed = self.randomization, self.perturbation
        return json_dict(
            {
                "method": self.method,
                "class_name": self.class_name,
                "verdict": self.verdict,
                "failed": list(self.failed),
                "warnings": list(self.warnings),
                "sentences": list(self.sentences),
                "deterministic": self.deterministic,
                "completeness_gap": self.completeness_gap,
                "randomization": None
                if found is None
                else {
                    "random_layers": list(found.random_layers),
                    "layers": list(found.layers),
                    "rank_correlations": list(found.rank_correlations),
                    "signed_correlations": list(found.signed_correlations),
                    "structural_similarities": list(found.structural_similarities),
                    "fails": found.fails,
                },
                "perturbation": None
                if perturbed is None
                else {
                    "deletion_gain": perturbed.deletion_gain,
                    "insertion_gain": perturbed.insertion_gain,
                    "deletion_gain_over_centre": perturbed.deletion_gain_over_centre,
                    "insertion_gain_over_centre": perturbed.insertion_gain_over_centre,
                    "own": _curves(perturbed.own),
                    "random": _curves(perturbed.random),
                    "centre": _curves(perturbed.centre),
                },
            }
        )


def _curves(found: Perturbation) -> dict[str, Any]:
    return {
        "deletion": found.deletion.tolist(),
        "insertion": found.insertion.tolist(),
        "deletion_area": found.deletion_area,
        "insertion_area": found.insertion_area,
    }


def _randomization_chart(found: WeightRandomization) -> Drawing:
    curves = [
        Curve("rank correlation", found.random_layers, found.rank_correlations),
        Curve("with signs", found.random_layers, found.signed_correlations),
        Curve("SSIM", found.random_layers, found.structural_similarities),
        Curve(f"fails above {SIMILAR}", [found.random_layers[0], found.random_layers[-1]], [SIMILAR, SIMILAR]),
    ]
    values = [value for curve in curves for value in curve.y if value is not None]
    return line_chart(
        curves,
        title="Similar to the trained map",
        x_label="layers with random weights, last ones first",
        y_label="similarity",
        y_limits=(min(0.0, *values), 1.0),
        width=_CHART,
        height=220,
    )


def _perturbation_charts(found: DeletionInsertion) -> list[Drawing]:
    orders = (("this map", found.own), ("random order", found.random), ("centre first", found.centre))
    shares = np.linspace(0, 100, len(found.own.deletion)).tolist()
    charts = []
    for title, x_label, gain, curves in (
        ("Deletion", "pixels blurred, %", round(found.deletion_gain, 2), [(n, p.deletion) for n, p in orders]),
        ("Insertion", "pixels shown, %", round(found.insertion_gain, 2), [(n, p.insertion) for n, p in orders]),
    ):
        charts.append(
            line_chart(
                [Curve(name, shares, values.tolist()) for name, values in curves],
                title=f"{title}: {gain + 0.0:+.2f} against random",
                x_label=x_label,
                y_label="probability",
                y_limits=(0.0, 1.0),
                width=_CHART,
                height=220,
            )
        )
    return charts


def _number(value: float | None) -> str:
    return "constant map" if value is None else f"{value:.2f}"
