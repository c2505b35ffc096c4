"""The first lesson: edges."""

from __future__ import annotations

import numpy as np

from convscope.interpret.explanation.edges import edges_dict, edges_document
from convscope.reference.edges import VERTICAL, cosine_similarity, edge_images, learn_vertical_edges
from convscope.report.html import document_page
from convscope.report.terminal import document_text


def test_a_random_kernel_becomes_a_vertical_edge_detector() -> None:
    for seed in range(3):
        learned = learn_vertical_edges(seed=seed)
        assert abs(learned[0].cosine) < 0.6
        assert learned[-1].cosine > 0.995
        assert learned[-1].loss < learned[0].loss / 10


def test_nothing_in_the_training_data_knows_the_kernel() -> None:
    images, maps = edge_images(32, noise=0.0)
    level = np.array([np.ptp(image, axis=-1).max() == 0 for image in images[:, 0]])
    assert 0 < level.sum() < 32
    assert not maps[level].any()
    assert cosine_similarity(VERTICAL, VERTICAL.T) == 0


def test_the_lesson_has_three_forms() -> None:
    text, page, values = document_text(edges_document()), document_page(edges_document()), edges_dict()
    assert "0 30 30  0" in text and "−30 −30" in text and "cosine similarity to the vertical kernel" in text
    assert page.startswith("<!doctype html>") and "Sobel" in page and "Scharr" in page
    assert values["examples"][1]["map"] == [[0, 30, 30, 0]] * 4
    assert values["learned"][-1]["cosine"] > 0.995
