"""Every network of the catalogue is the same after an export to ONNX; the table is docs/onnx-catalogue.md."""

import importlib.util
import sys
from pathlib import Path

import pytest

from convscope.nets import catalogue


@pytest.mark.long  # minutes: each network is exported and read back, by both exporters
@pytest.mark.filterwarnings("ignore")  # of the exporters
@pytest.mark.parametrize("exporter", ["older", "new"])
@pytest.mark.parametrize("name", catalogue.names())
def test_network_is_the_same_in_its_file(name: str, exporter: str) -> None:
    pytest.importorskip("onnx")
    if exporter == "new":
        pytest.importorskip("onnxscript")
    script = Path(__file__).parents[2] / "bench" / "onnx_catalogue.py"
    spec = importlib.util.spec_from_file_location("onnx_catalogue", script)
    assert spec is not None and spec.loader is not None
    bench = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = bench  # its dataclass looks itself up there
    spec.loader.exec_module(bench)
    row = bench.measure(name, new=exporter == "new")
    assert row.equal, row
