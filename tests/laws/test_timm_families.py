"""Every convolutional family of timm is captured, with nothing unknown; the table is docs/timm-sweep.md."""

import importlib.util
import sys
from collections import defaultdict
from pathlib import Path

import pytest

from torchvision_oracle import timm_or_skip


@pytest.mark.long  # minutes: some two hundred families
@pytest.mark.filterwarnings("ignore")  # timm's and torch's own, of models that are only built here
def test_every_family():
    timm = timm_or_skip()
    script = Path(__file__).parents[2] / "bench" / "timm_sweep.py"
    spec = importlib.util.spec_from_file_location("timm_sweep", script)
    sweep = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = sweep  # its dataclass looks itself up there
    spec.loader.exec_module(sweep)
    families = defaultdict(list)
    for name in timm.list_models():
        families[sweep.family(name)].append(name)
    rows = [sweep.examine(*found) for names in families.values() if (found := sweep.smallest(names)) is not None]
    assert len(rows) >= 150
    assert [row.name for row in rows if row.error is not None] == []
    assert [row.name for row in rows if not row.same_parameters] == []
    assert {row.name: row.unknown for row in rows if row.unknown} == {}
    assert [row.name for row in rows if row.counted_elsewhere not in (None, row.macs)] == []
