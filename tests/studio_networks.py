"""Networks that strangers bring to the studio, as Python files and ONNX files: odd, hostile, slow, broken."""

from __future__ import annotations

from pathlib import Path

HOSTILE = "<img src=x onerror=alert(1)>"
HOSTILE_RUN = "a <b>run @ 50% #1"

# A network as people write them: a module called twice, functions instead of modules, an in-place rectifier, a dilated
# convolution that leaves holes, a grouped one, a concatenation and a sum; names that are markup.
STRANGER = f'''
"""A stranger's network."""
import torch
from torch import nn
from torch.nn import functional as F

class Mixer(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.left = nn.Conv2d(channels, channels, 3, padding=2, dilation=2, groups=2)
        self.right = nn.Conv2d(channels, channels, 1)
        self.act = nn.ReLU(inplace=True)

    def forward(self, x):
        return self.act(self.left(x)) + self.act(self.right(x))

class Stranger(nn.Module):
    def __init__(self, classes=5):
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, stride=2, padding=1)
        self.add_module("{HOSTILE}", Mixer(8))
        self.again = nn.Conv2d(8, 8, 3, padding=1)
        self.last = nn.Linear(16, classes)

    def forward(self, x):
        x = F.relu(self.stem(x), inplace=True)
        x = getattr(self, "{HOSTILE}")(x)
        y = torch.sigmoid(self.again(self.again(x)))
        x = F.max_pool2d(torch.cat([x, y], 1), 2)
        return self.last(x.mean((2, 3)))

def make():
    torch.manual_seed(0)
    return Stranger()
'''

# What a forward pass may do wrong.
BROKEN = """
import time
from torch import nn

class Raises(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)

    def forward(self, x):
        raise ValueError("the <b>batch</b> is not what this network takes")

class Hangs(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)

    def forward(self, x):
        while True:
            try:
                time.sleep(0.1)
            except Exception:
                pass

class Ends(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)

    def forward(self, x):
        import os
        os._exit(3)

class NaN(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.last = nn.Linear(4, 3)

    def forward(self, x):
        x = self.conv(x)
        return self.last((x / (x - x)).mean((2, 3)))

def never():
    while True:
        time.sleep(0.1)
"""

# What the page must draw, whatever its shape.
ODD = '''
import torch
from torch import nn

class Flat(nn.Module):
    """No map at all."""
    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Flatten(), nn.Linear(3 * 12 * 12, 16), nn.ReLU(), nn.Linear(16, 4))
    def forward(self, x):
        return self.layers(x)

class Squeezed(Flat):
    """Scores of one image without an axis of images."""
    def forward(self, x):
        return super().forward(x).squeeze(0)

class Wide(nn.Module):
    """Two channels in, four times as wide as high, 130 channels, no classes: a picture out."""
    def __init__(self):
        super().__init__()
        self.down = nn.Conv2d(2, 130, (3, 5), stride=(1, 2), padding=(1, 2))
        self.up = nn.ConvTranspose2d(130, 2, (2, 4), stride=(1, 2), padding=(0, 1))
    def forward(self, x):
        return self.up(torch.relu(self.down(x)))

class Deep(nn.Module):
    """1,000 layers in one file, no two folded together."""
    def __init__(self, layers=500):
        super().__init__()
        self.body = nn.ModuleList(nn.Conv2d(3 + i % 3, 3 + (i + 1) % 3, 3, padding=1) for i in range(layers))
        self.last = nn.Linear(3 + layers % 3, 2)
    def forward(self, x):
        for layer in self.body:
            x = torch.relu(layer(x))
        return self.last(x.mean((2, 3)))

class Thick(nn.Module):
    """2,048 channels in one layer."""
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 2048, 3, padding=1)
        self.last = nn.Linear(2048, 1000)
    def forward(self, x):
        return self.last(torch.relu(self.conv(x)).mean((2, 3)))

class OnePixel(nn.Module):
    """A stride larger than the kernel: pixels that nothing reads."""
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 1, stride=3)
        self.last = nn.Linear(4, 2)
    def forward(self, x):
        return self.last(torch.relu(self.conv(x)).mean((2, 3)))

class Pair(nn.Module):
    """Two results in a dictionary."""
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, padding=1)
        self.head = nn.Linear(4, 3)
        self.box = nn.Linear(4, 4)
    def forward(self, x):
        x = torch.relu(self.conv(x)).mean((2, 3))
        return {"classes": self.head(x), "boxes": self.box(x)}
'''


def stranger_file(folder: Path) -> str:
    """Write the stranger's network, and return its name for the command line."""
    (folder / "stranger.py").write_text(STRANGER, encoding="utf-8")
    return "stranger.py:make"


def broken_file(folder: Path, factory: str) -> str:
    """Write networks that fail, and return the name of one of them."""
    (folder / "broken.py").write_text(BROKEN, encoding="utf-8")
    return f"broken.py:{factory}"


def odd_file(folder: Path, factory: str) -> str:
    """Write networks of unusual shapes, and return the name of one of them."""
    (folder / "odd.py").write_text(ODD, encoding="utf-8")
    return f"odd.py:{factory}"


def onnx_file(folder: Path) -> str:
    """Export the stranger's network as an ONNX file, and return the file's name."""
    from onnx_files import exported

    namespace: dict[str, object] = {"__name__": "stranger"}
    exec(compile(STRANGER, "stranger.py", "exec"), namespace)
    make = namespace["make"]
    assert callable(make)
    exported(make(), (3, 32, 32), folder / "stranger.onnx")
    return "stranger.onnx"
