"""What a network says of the image that is looked at, from the same run as its pictures."""

from __future__ import annotations

import numpy as np

from convscope.interpret.execution.torch_executor import as_array
from convscope.interpret.subject import Subject
from convscope.runs.predictions import ClassProbability, Prediction
from convscope.scoring.multi_label import THRESHOLD

TOP = 5


def image_prediction(subject: Subject) -> Prediction:
    """Return the probabilities of the classes for the image itself, without test-time augmentation.

    They are the loss's own at the run's temperature; of a network without a run what it gives itself, where it ends in
    a softmax or a sigmoid, else the softmax of its scores, or the sigmoid of a single one.

    >>> from torch import nn, ones
    >>> network = nn.Sequential(nn.Flatten(), nn.Linear(36, 4))
    >>> found = image_prediction(Subject(network=network, name="small", image_name="ones", tensor=ones(1, 1, 6, 6)))
    >>> len(found.top), found.classes[3]
    (4, 'class 3')
    """
    scores = as_array(subject.replay.class_scores[0].detach().double())
    spec = subject.spec
    probabilities = subject.objective.probabilities_of(scores[None])[0]
    classes = tuple(subject.class_name(number) for number in range(len(scores)))
    order = np.argsort(-scores, kind="stable").tolist()
    several = spec is not None and spec.multi_label
    shown = int((probabilities >= THRESHOLD).sum()) if several else 1
    ranked = tuple(ClassProbability(classes[place], float(probabilities[place])) for place in order[: max(TOP, shown)])
    rule = None if spec is None else spec.defect_rule
    defect = None if rule is None else float(rule.scores(probabilities[None], classes)[0])
    return Prediction(
        image=subject.image_name,
        top=ranked,
        labels=ranked[:shown],
        classes=classes,
        shares=probabilities,
        multi_label=several,
        defect_score=defect,
        verdict="" if rule is None or defect is None else rule.verdict(defect),
    )
