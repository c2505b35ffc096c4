"""The report's parts on several labels: bars, figures, and both kinds of mistakes."""

from __future__ import annotations

import numpy as np

from convscope.data.records import SEVERAL, ImageSet
from convscope.report.html import Html, block_html
from convscope.scoring.label_scores import LabelScores, mistakes_table
from convscope.scoring.measured import measure, one_measure
from convscope.scoring.objective import Objective
from convscope.training.report import scored_labels

CLASSES = ("<cat>", "dog", "never")
TARGETS = np.array([[1, 0, 0], [0, 0, 0], [1, 1, 0]], np.uint8)
PROBABILITIES = np.array([[0.05, 0.99, 0.1], [0.2, 0.7, 0.6], [0.9, 0.3, 0.2]])


def images() -> ImageSet:
    """Three pictures that may show several classes."""
    pixels = np.random.default_rng(0).integers(0, 256, (3, 8, 8, 3), dtype=np.uint8)
    return ImageSet(pixels, np.full(3, SEVERAL), ["x.png", "y.png", "z.png"], TARGETS)


def scores(probabilities: np.ndarray = PROBABILITIES) -> LabelScores:
    """Their measures."""
    objective = Objective(loss="multi-label")
    sure = np.clip(probabilities, 1e-9, 1 - 1e-9)
    logits = np.log(sure / (1 - sure))
    found = measure(logits, images(), classes=CLASSES, split="val", objective=objective)
    assert isinstance(found, LabelScores) and found.measure == one_measure(probabilities, images())
    return found


def pictures(page: Html, title: str) -> int:
    """How many pictures stand under a heading."""
    return page.split(f"<h3>{title}</h3>")[1].split("<h3>")[0].count("<img")


def test_both_kinds_of_mistakes_are_shown_with_their_pictures() -> None:
    page = block_html(scored_labels.mistakes(scores(), images()))
    assert "5 classes of 3 images were predicted wrongly" in page
    assert (pictures(page, "False positives"), pictures(page, "False negatives")) == (3, 2)
    assert 'title="x.png"' in page and "&lt;cat&gt;: 5.0 %" in page and "<cat>" not in page


def test_no_mistakes() -> None:
    page = block_html(scored_labels.mistakes(scores(TARGETS.astype(np.float64)), images()))
    assert "None: every class of every image was predicted correctly" in page
    assert mistakes_table(scores(TARGETS.astype(np.float64))) is None


def test_a_class_without_images_has_no_bar_and_is_named() -> None:
    page = block_html(scored_labels.classes(scores()))
    drawing = page.split("<svg")[1].split("</svg>")[0]
    assert "dog" in drawing and "never" not in drawing
    assert "Not in the means, for no image shows them: never." in page
    facts = {fact.name: fact.detail or fact.text for fact in scores().facts()}
    assert facts["no images of"] == "never"
    assert facts["mAP"].endswith("(mean over 2 classes)")
