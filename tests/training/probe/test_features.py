"""Features are the network's own activations, computed once: cached equals fresh, whatever becomes of the cache."""

from __future__ import annotations

import errno
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from convscope.data.batches import to_floats
from convscope.data.preprocessing import Normalization, Preprocessing
from convscope.data.records import Decoding, ImageSet
from convscope.nets.build import build
from convscope.runs.model_spec import ModelSpec
from convscope.training.probe import feature_store
from convscope.training.probe.backbone import cached_share
from convscope.training.probe.features import Backbone, StoppedError, compute_features
from convscope.training.probe.linear_head import find_head

CLASSES = ("a", "b", "c")


def images(count: int = 9, *, seed: int = 0) -> ImageSet:
    draw = np.random.default_rng(seed)
    pixels = draw.integers(0, 256, (count, 8, 8, 3), dtype=np.uint8)
    return ImageSet(pixels, np.arange(count) % 3, [f"{row}.png" for row in range(count)])


def backbone(cache: Path | None, *, seed: int = 0) -> Backbone:
    torch.manual_seed(seed)
    network = build("resnet20", num_classes=3)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_()
    preprocessing = Preprocessing(
        decoding=Decoding(size=(8, 8)), normalization=Normalization((0.4,) * 3, (0.2,) * 3), classes=CLASSES
    )
    spec = ModelSpec(name="resnet20", options={}, preprocessing=preprocessing, loss="softmax", tta="one")
    head = find_head(network, torch.rand(2, 3, 8, 8), classes=3)
    return Backbone(
        network=network, head=head, forward=network, spec=spec, device="cpu", arithmetic="fp32", cache=cache
    )


def test_features_are_the_networks_own_in_evaluation_mode(tmp_path: Path) -> None:
    of, some = backbone(tmp_path), images()
    before = {name: value.clone() for name, value in of.network.state_dict().items()}
    found = compute_features(of, some)
    assert of.network.training and found.rows.tolist() == list(range(9)) and found.computed == 9
    network = of.network.eval()
    with torch.inference_mode():
        scores = network(to_floats(some.images, of.spec.normalization))
        torch.testing.assert_close(of.head.scores(found.views[0]), scores)
    assert all(torch.equal(before[name], value) for name, value in of.network.state_dict().items())
    assert torch.equal(found.answers(some), torch.tensor(some.labels))


def test_cached_equals_fresh_in_any_order_and_split(tmp_path: Path) -> None:
    of, some = backbone(tmp_path), images()
    fresh = compute_features(of, some, views="flip")
    again = compute_features(of, some, views="flip")
    assert len(fresh.views) == 2 and (fresh.computed, again.computed) == (18, 0)
    assert all(torch.equal(one, two) for one, two in zip(fresh.views, again.views, strict=True))
    assert compute_features(of, some).computed == 0  # the first view of any kind is the image itself
    mirrored = replace(some, images=some.images[:, :, ::-1])
    torch.testing.assert_close(compute_features(backbone(None), mirrored).views[0], fresh.views[1])
    part = ImageSet(some.images[[5, 2]], some.labels[[5, 2]], ["5.png", "2.png"])
    assert torch.equal(compute_features(of, part, views="flip").views[0], fresh.views[0][[5, 2]])
    more = images(12)  # the same nine, and three others
    assert np.array_equal(more.images[:9], some.images)
    found = compute_features(of, more, views="flip")
    assert found.computed == 6 and torch.equal(found.views[0][:9], fresh.views[0])


def test_the_share_in_the_cache_counts_images_and_views(tmp_path: Path) -> None:
    of, some = backbone(tmp_path), images(12)
    assert cached_share(of, some, views="flip") == 0
    compute_features(of, images(9))  # the first nine
    assert cached_share(of, some, views="one") == 0.75 and cached_share(of, some, views="flip") == 0.375
    compute_features(of, some, views="flip")
    assert cached_share(of, some, views="flip") == 1
    assert cached_share(backbone(None), some, views="flip") == cached_share(
        backbone(tmp_path, seed=1), some, views="one"
    )
    assert cached_share(backbone(None), some, views="flip") == 0


def test_more_views_are_added_to_the_plain_one(tmp_path: Path) -> None:
    of, some = backbone(tmp_path), images()
    assert [compute_features(of, some, views=views).computed for views in ("one", "flip", "flip")] == [9, 9, 0]


def test_a_full_disk_costs_the_cache_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    of, some = backbone(tmp_path), images()

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(feature_store, "write_file", full)
    found = compute_features(of, some)
    assert "No space left on device" in found.problem and len(found.views[0]) == 9
    monkeypatch.undo()
    assert compute_features(of, some).computed == 9 and compute_features(of, some).computed == 0


def test_other_weights_or_another_arithmetic_are_other_features(tmp_path: Path) -> None:
    some = images()
    compute_features(backbone(tmp_path), some)
    assert compute_features(backbone(tmp_path, seed=1), some).computed == 9
    assert compute_features(replace(backbone(tmp_path), arithmetic="bf16"), some).computed == 9
    other = backbone(tmp_path)
    with torch.no_grad():  # the head is no part of the features
        other.head.layer.weight.zero_()
    assert compute_features(other, some).computed == 0


def test_a_damaged_part_is_computed_again(tmp_path: Path) -> None:
    of, some = backbone(tmp_path), images()
    fresh = compute_features(of, some)
    (part,) = tmp_path.glob("*/part-*.safetensors")
    content = bytearray(part.read_bytes())
    content[-9] ^= 1
    part.write_bytes(content)
    again = compute_features(of, some)
    assert again.computed == 9 and torch.equal(again.views[0], fresh.views[0]) and not part.exists()
    assert compute_features(of, some).computed == 0


def test_two_processes_at_once_add_parts(tmp_path: Path) -> None:
    one, two = backbone(tmp_path), backbone(tmp_path)
    first, second = (of.store(0, "one", width=64) for of in (one, two))
    assert first is not None and second is not None
    digests = np.arange(32, dtype=np.uint8).reshape(2, 16)
    for store, row in ((first, 0), (second, 1)):
        store.add(digests[row : row + 1], np.full((1, 64), row, np.float32))
        store.flush()
    found = one.store(0, "one", width=64)
    assert found is not None and [row[0] for row in found.find(digests) if row is not None] == [0.0, 1.0]


def test_the_cache_is_bounded_and_may_be_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    some = images()
    compute_features(backbone(tmp_path), some)
    monkeypatch.setenv("CONVSCOPE_CACHE_GIB", str(4000 / 2**30))  # of two entries of 9 x 64 x 4 bytes only one fits
    assert compute_features(backbone(tmp_path, seed=1), some).problem == ""
    assert len(list(tmp_path.glob("*/entry.json"))) == 1
    monkeypatch.setenv("CONVSCOPE_CACHE_GIB", "0")
    found = compute_features(backbone(tmp_path, seed=2), some)
    assert "more than the 0 B that the cache may take" in found.problem and len(found.rows) == 9
    assert compute_features(backbone(tmp_path / "file", seed=2), some).problem


def test_a_stop_keeps_what_was_computed(tmp_path: Path) -> None:
    some, asked = images(600), iter([False, False, True])
    with pytest.raises(StoppedError):
        compute_features(backbone(tmp_path), some, stop=lambda: next(asked))
    assert compute_features(backbone(tmp_path), some).computed == 600 - 512
