"""How a run's network behaves over its own images: one public function for each question.

In the examples `run` is LeNet-5 after an epoch on the built-in digits:
`convscope.train("digits", convscope.Recipe(model="lenet5", epochs=1))`.
"""

from __future__ import annotations

from collections.abc import Sequence

from convscope.api.annotations import Positive, Seed
from convscope.api.public import public
from convscope.capture.load import ModelLike
from convscope.interpret.behaviour.confused_classes import confused_classes
from convscope.interpret.behaviour.confusion_record import ConfusedClasses
from convscope.interpret.behaviour.failure_search import failure_search
from convscope.interpret.behaviour.feature_visualization import STEPS, feature_visualization
from convscope.interpret.behaviour.knock_out import channel_knock_out
from convscope.interpret.behaviour.knock_out_record import KnockOut
from convscope.interpret.behaviour.layer_similarity import layer_similarity
from convscope.interpret.behaviour.other_network import other_network
from convscope.interpret.behaviour.reliability import Reliability, reliability
from convscope.interpret.behaviour.robustness_profile import RobustnessProfile
from convscope.interpret.behaviour.similarity_record import LayerSimilarity
from convscope.interpret.behaviour.visualization_record import FeatureVisualization
from convscope.interpret.opened_run import opened_run
from convscope.report.progress import ProgressOption
from convscope.runs.predictor import Predictor
from convscope.runs.run_like import RunLike


@public
def knock_out(
    run: RunLike | Predictor,
    layer: str,
    *,
    channels: Sequence[int] = (),
    together: bool = False,
    split: str | None = None,
    progress: ProgressOption = False,
) -> KnockOut:
    """Measure what a run's accuracy loses, class by class, without channels of a layer.

    Each channel is replaced by its mean over the images, and by zero.

    Args:
        run: its directory, what `convscope.train` returned, or a predictor of it.
        layer: a layer or operation as `inspect` prints it; of a convolution the output before its normalization.
        channels: by number; all in turn unless given.
        together: knock them out at once; without `channels`, the whole layer.
        split: test, val or train; test, or else val, unless given.
        progress: True shows a bar; a function is called as `progress(done, total, what)`.

    Raises:
        RunError: no such run.
        DataError: its images can't be read, or have several labels each.
        CaptureError: no such layer, or one without channels.
        GeometryError: no such channel.

    >>> found = knock_out(run, "act1", channels=[0, 1])
    >>> found.right_mean.shape, len(found.knocked)  # right predictions by channel and class
    ((2, 10), 2)
    """
    with opened_run(run, split, progress) as found:
        return channel_knock_out(
            found.replays, found.images, found.normalization, layer=layer, channels=channels, together=together,
            data=found.data, classes=found.spec.classes, progress=found.progress,
        )  # fmt: skip


@public
def robustness(
    run: RunLike | Predictor, split: str | None = None, *, progress: ProgressOption = False
) -> RobustnessProfile:
    """Find for each image of a run the smallest shift, rotation, blur, brightness and crop that changes its prediction.

    Args:
        run: as of `knock_out`.
        split: as of `knock_out`.
        progress: as of `knock_out`.

    Raises:
        RunError: no such run.
        DataError: its images can't be read.

    >>> found = robustness(run, progress=False)
    >>> [failure.distortion.name for failure in found.failures]
    ['shift', 'rotation', 'blur', 'brightness', 'crop']
    """
    with opened_run(run, split, progress) as found:
        return failure_search(
            found.replays, found.images, found.normalization, data=found.data, classes=found.spec.classes,
            progress=found.progress,
        )  # fmt: skip


@public
def similarity(
    run: RunLike | Predictor,
    other: ModelLike,
    *,
    layers: Sequence[str] = (),
    other_layers: Sequence[str] | None = None,
    split: str | None = None,
    progress: ProgressOption = False,
) -> LayerSimilarity:
    """Compare every layer of a run's network with every layer of another one by linear CKA, on the run's images.

    Args:
        run: as of `knock_out`.
        other: another run, such as that of another seed, or a network in any form that `explain` takes.
        layers: names in the run's network; the outputs of all its layers with weights unless given.
        other_layers: names in the other one; as `layers` unless given.
        split: as of `knock_out`.
        progress: as of `knock_out`.

    Raises:
        RunError: no such run.
        DataError: its images can't be read, are fewer than 4, or the other network takes another size.
        CaptureError: no such layer, or the other network does not take the run's images.

    >>> found = similarity(run, "lenet5", layers=["c1", "c3"], other_layers=["c1"])
    >>> found.similarity.shape, found.data
    ((2, 1), 'digits, test')
    """
    second = other_network(other)
    with opened_run(run, split, progress) as found:
        second.require_size(found.images, data=found.data)
        return layer_similarity(
            found.replays, second.replays, found.images, found.normalization,
            second_normalization=second.normalization, layers=layers, second_layers=other_layers, data=found.data,
            progress=found.progress,
        )  # fmt: skip


@public
def confusions(
    run: RunLike | Predictor,
    *,
    pairs: Positive = 3,
    layer: str | None = None,
    split: str | None = None,
    progress: ProgressOption = False,
) -> ConfusedClasses:
    """Find what separates the classes that a run's network confuses most: channels of its last map, mistaken images.

    Args:
        run: as of `knock_out`.
        pairs: how many pairs of classes.
        layer: whose channels; the last layer with a map unless given.
        split: as of `knock_out`.
        progress: as of `knock_out`.

    Raises:
        RunError: no such run.
        DataError: its images can't be read, or have several labels each.
        CaptureError: no such layer, or no layer with a map.

    >>> found = confusions(run, pairs=1)
    >>> len(found.pairs), len(found.classes)
    (1, 10)
    """
    with opened_run(run, split, progress) as found:
        return confused_classes(
            found.replays, found.images, found.normalization, pairs=pairs, layer=layer, data=found.data,
            classes=found.spec.classes, progress=found.progress,
        )  # fmt: skip


@public
def calibration(run: RunLike | Predictor, split: str | None = None, *, progress: ProgressOption = False) -> Reliability:
    """Measure how often predictions of each confidence are right, before and at the run's temperature.

    Args:
        run: as of `knock_out`.
        split: as of `knock_out`.
        progress: as of `knock_out`.

    Raises:
        RunError: no such run.
        DataError: its images can't be read, or have several labels each.

    >>> found = calibration(run)
    >>> found.images
    179
    """
    with opened_run(run, split, progress) as found:
        return reliability(
            found.replays, found.images, found.normalization, objective=found.spec.objective,
            temperature=found.spec.temperature, data=found.data, progress=found.progress,
        )  # fmt: skip


@public
def visualize(
    run: RunLike | Predictor,
    layer: str,
    *,
    channels: Sequence[int] = (),
    steps: Positive = STEPS,
    split: str | None = None,
    seed: Seed = 0,
    progress: ProgressOption = False,
) -> FeatureVisualization:
    """Make pictures that excite channels of a layer of a run's network, beside the images that excite them most.

    Args:
        run: as of `knock_out`.
        layer: a layer or operation as `inspect` prints it.
        channels: by number; the first four unless given.
        steps: of gradient ascent at most; it stops when the activations stop growing.
        split: of the images that are compared with, as of `knock_out`.
        seed: of the start.
        progress: as of `knock_out`.

    Raises:
        RunError: no such run.
        DataError: its images can't be read.
        CaptureError: no such layer, or one without channels.
        GeometryError: no such channel.

    >>> found = visualize(run, "act1", channels=[2], steps=8)
    >>> found.pictures.shape, found.channels
    ((1, 32, 32, 1), (2,))
    """
    with opened_run(run, split, progress) as found:
        return feature_visualization(
            found.replays, found.images, found.normalization, layer=layer, channels=channels, steps=steps,
            data=found.data, seed=seed, progress=found.progress,
        )  # fmt: skip
