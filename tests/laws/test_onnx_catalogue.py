"""Every network of the catalogue is the same after an export to ONNX; the table is docs/onnx-catalogue.md."""

import pytest

from convscope.nets import catalogue
from program_files import program


@pytest.mark.long  # minutes: each network is exported and read back, by both exporters
@pytest.mark.filterwarnings("ignore")  # of the exporters
@pytest.mark.parametrize("exporter", ["older", "new"])
@pytest.mark.parametrize("name", catalogue.names())
def test_network_is_the_same_in_its_file(name: str, exporter: str) -> None:
    pytest.importorskip("onnx")
    if exporter == "new":
        pytest.importorskip("onnxscript")
    row = program("bench/onnx_catalogue.py").measure(name, new=exporter == "new")
    assert row.equal, row
