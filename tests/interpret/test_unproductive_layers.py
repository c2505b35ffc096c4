"""Unproductive layers by the smallest field of their input, and linear probes beside them."""

import numpy as np
import pytest
import torch
from torch import nn

from convscope.data.batches import to_floats
from convscope.data.preprocessing import Normalization
from convscope.data.records import ImageSet
from convscope.errors import CaptureError, DataError
from convscope.interpret.effective_field.linear_probe import linear_probes
from convscope.interpret.effective_field.productivity import unproductive_layers
from convscope.interpret.replay.replays import Replays

PLAIN = Normalization((0.0,), (1.0,))


class Residual(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Conv2d(2, 2, 3, padding=1), nn.Conv2d(2, 2, 3, padding=1)

    def forward(self, x):
        return x + self.b(self.a(x))


def test_a_chain_is_unproductive_from_where_the_field_covers_the_image():
    deep = nn.Sequential(*(nn.Conv2d(1, 1, 3, padding=1) for _ in range(7)))
    found = unproductive_layers(deep, input_shape=(1, 9, 9), objects=5)
    assert found.unproductive == ("4", "5", "6")  # the field before them is 9, 11, 13
    assert found.beyond_object == ("2", "3", "4", "5", "6")
    assert "3 of 7 convolutions are unproductive: 4, 5, 6" in str(found)
    assert "object, 5" in found.figure().markup()
    assert found.to_dict()["convolutions"][4]["smallest"] == [9, 9]


def test_a_way_around_keeps_layers_productive():
    deep = nn.Sequential(nn.Conv2d(1, 2, 3, padding=1), *(Residual() for _ in range(4)))
    found = unproductive_layers(deep, input_shape=(1, 9, 9))
    last = found.convolutions[-1]
    assert last.before == (3 + 4 * 4 - 2,) * 2 and last.smallest == (5, 5) and not found.unproductive
    assert "none of 9 convolutions is unproductive" in found.headline()


def test_networks_without_windows_are_refused():
    with pytest.raises(CaptureError, match="no convolution with a kernel larger than 1"):
        unproductive_layers(nn.Conv2d(1, 1, 1), input_shape=(1, 9, 9))
    with pytest.raises(CaptureError, match="takes no images"):
        unproductive_layers(nn.Linear(9, 2), input_shape=(9,))


class TestProbes:
    """Two classes that differ in a texture: a convolution that looks for it makes them separable, the mean does not."""

    @staticmethod
    def images(count, seed):
        draw = np.random.default_rng(seed)
        labels = np.arange(count) % 2
        stripes = np.indices((12, 12)).sum(0) % 2 * 2 - 1
        pixels = 128 + 40 * stripes * labels[:, None, None] + draw.normal(0, 20, (count, 12, 12))
        return ImageSet(pixels.clip(0, 255).astype(np.uint8)[..., None], labels, [str(i) for i in range(count)])

    @staticmethod
    def network():
        torch.manual_seed(0)
        return nn.Sequential(nn.Conv2d(1, 2, 1), nn.Conv2d(2, 8, 3, padding=1), nn.ReLU(), nn.Flatten(),
                             nn.Linear(8 * 144, 2))  # fmt: skip

    def test_the_layer_that_sees_the_texture_makes_classes_separable(self):
        train, test = self.images(200, 0), self.images(80, 1)
        model = self.network()
        found = linear_probes(Replays(model), train, test, PLAIN, layers=("0", "2"), classes=2)
        assert found.accuracy["0"] < 0.75 and found.accuracy["2"] > 0.95
        assert (found.learned, found.measured, found.majority) == (200, 80, 0.5)
        shown = unproductive_layers(model, input_shape=(1, 12, 12), probes=found)
        assert shown.convolutions[0].accuracy is None  # "1" was not probed
        assert "Linear probes" in str(shown) and "linear probe" in shown.figure().markup()

    def test_it_is_scikit_learns_logistic_regression(self):
        from sklearn.linear_model import LogisticRegression
        from sklearn.preprocessing import StandardScaler

        train, test = self.images(150, 2), self.images(100, 3)
        model = self.network()
        found = linear_probes(Replays(model), train, test, PLAIN, layers=("2",), classes=2)
        with torch.no_grad():
            learned, measured = (
                model[:3](to_floats(part.images, PLAIN)).mean((2, 3)).numpy() for part in (train, test)
            )
        scaler = StandardScaler().fit(learned)
        theirs = LogisticRegression(C=1 / (0.01 * 150), tol=1e-8, max_iter=2000)
        theirs.fit(scaler.transform(learned), train.labels)
        # Of two classes theirs has one weight vector, ours one each: half the penalty for the same function.
        assert found.accuracy["2"] == pytest.approx(theirs.score(scaler.transform(measured), test.labels), abs=0.03)

    def test_without_images_there_is_no_probe(self):
        with pytest.raises(DataError, match="images to learn from"):
            linear_probes(
                Replays(self.network()), self.images(0, 0), self.images(4, 0), PLAIN, layers=("0",), classes=2
            )


def test_a_run_is_probed_and_measured_on_its_own_images(tmp_path):
    import convscope

    recipe = convscope.Recipe(model="lenet5", epochs=1, autotune="rules", threads=1)
    run = convscope.train("digits", recipe, runs_directory=tmp_path, cache_directory=tmp_path / "cache").run
    found = convscope.unproductive_layers(run, probes=True)
    assert found.probes is not None and found.probes.measured == 179
    assert all(each.accuracy > found.probes.majority for each in found.convolutions)
    health = convscope.health(run, "val")
    assert (health.images, health.data) == (179, "digits, val") and health.layers[0].op == "tanh"
    fields = convscope.effective_fields(run, seeds=1)
    assert fields.images == 32 and "The images are 32 of the run's test split." in fields.notes
    with pytest.raises(CaptureError, match="only a run has images"):
        convscope.unproductive_layers("lenet5", probes=True)
    with pytest.raises(convscope.RunError, match="lenet5 is no run"):
        convscope.health("lenet5")
