"""timm without torchvision and beside one that does not fit torch, as fake packages; its options and sizes."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from convscope.capture.load import load
from convscope.errors import CaptureError, GeometryError
from convscope.nets.build import build, nearest_input, smallest_input
from convscope.nets.from_timm import import_timm, option_names
from torchvision_oracle import timm_or_skip

USES = "import torchvision"
BROKEN = 'raise RuntimeError("operator torchvision::nms does not exist")'


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """Make packages of these sources importable, and every real one of their names not."""

    def install(**sources: str) -> None:
        for name, source in sources.items():
            (tmp_path / name).mkdir()
            Path(tmp_path / name / "__init__.py").write_text(source)
        for module in [name for name in sys.modules if name.partition(".")[0] in ("timm", "torchvision")]:
            monkeypatch.delitem(sys.modules, module)
        if "torchvision" not in sources:
            monkeypatch.setitem(sys.modules, "torchvision", None)
        monkeypatch.syspath_prepend(str(tmp_path))

    yield install
    for module in ("timm", "torchvision"):
        sys.modules.pop(module, None)


@pytest.mark.parametrize(
    ("sources", "message"),
    [
        ({"timm": USES}, "timm is installed, and torchvision, which it imports, is not: pip install torchvision"),
        ({"timm": USES, "torchvision": BROKEN}, r"does not fit torch .*nms does not exist\): pip install"),
        ({"timm": "import no_such.part"}, "no_such, which it imports, is not: pip install no_such"),
        ({"timm": "raise ValueError('odd')"}, "timm is installed, and fails when it is imported .*odd.*: reinstall it"),
    ],
)  # fmt: skip
def test_what_timm_lacks_is_named_with_its_remedy(installed, sources, message):
    installed(**sources)
    for ask in (import_timm, lambda: load("timm/resnet18"), lambda: build("timm/resnet18")):
        with pytest.raises(CaptureError, match=message):
            ask()


def test_options_reach_timms_networks_and_unknown_ones_are_refused():
    timm_or_skip()
    network = build("timm/vit_tiny_patch16_224", num_classes=2, options={"img_size": 48, "drop_rate": 0.25})
    assert network.patch_embed.img_size == (48, 48) and network.head_drop.p == 0.25
    assert {"drop_rate", "drop_path_rate", "img_size"} <= set(option_names("timm/vit_tiny_patch16_224"))
    with pytest.raises(CaptureError, match=r"timm/resnet18 has no option 'drop_rte'.*Did you mean drop_rate"):
        build("timm/resnet18", options={"drop_rte": 0.1})
    with pytest.raises(CaptureError, match="timm can't make vit_tiny_patch16_224 with img_size=wide"):
        build("timm/vit_tiny_patch16_224", options={"img_size": "wide"})


@pytest.mark.parametrize(
    ("name", "asked", "works"),
    [("vit_tiny_patch16_224", 64, 224), ("mixer_s16_224", 300, 224), ("vgg11", 20, 32), ("lambda_resnet26t", 100, 128)],
)
def test_the_sizes_that_timms_networks_take_are_known(name, asked, works):
    timm_or_skip()
    with pytest.raises(GeometryError) as caught:
        build(f"timm/{name}", image_size=asked)
    fixed = f"it takes {works}x{works} only: leave the image size out, or give model_options='img_size="
    nearest = f"the nearest that works is {works}x{works}"
    assert (fixed if works == 224 else nearest) in str(caught.value)
    found = nearest_input(f"timm/{name}", (asked, asked))
    assert found == (None if asked > works else (works, works))
    assert max(smallest_input(f"timm/{name}")) <= works
