"""What the compute process has imported before it is ready: all of other packages that its two lanes need."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

# A question of every operation, as a page asks them; then the modules that they brought. Each lane's first questions
# come when a page opens, at the same time; two threads that import modules which import each other find half of them.
ASKED = """
import sys
from pathlib import Path
from convscope.studio.compute.handlers import HANDLERS, open_session
from convscope.studio.models import Openable
from convscope.studio.protocol import OPERATIONS, Ask

session = open_session(Openable(runs=Path(sys.argv[1])))
before, asked = set(sys.modules), set()

def ask(operation, body=b"", **values):
    asked.add(operation)
    return HANDLERS[operation](session, Ask(operation, values, body))

file = ask("image_png", image="sample:1").body
ask("image", bytes(file), image="upload:0", title="a")
ask("graph", model="resnet20")
changes = [{"op": "blur", "sigma": 1.0}, {"op": "rotate", "degrees": 3}, {"op": "shift", "dy": 1, "dx": 1}]
for model, image in (("lenet5", "sample:8"), ("resnet20", "sample:3")):
    ask("image_png", image=image, model=model, interventions=changes)
    run = ask("run", model=model, image=image, interventions=changes).header["run"]
    value = {"lenet5": "c3", "resnet20": "layer1.0.conv1"}[model]
    ask("reach", model=model, value=value)
    ask("reach", model=model, value="input", direction="forward")
    for order in ("index", "energy", "contribution", "gradient"):
        ask("maps", run=run, value=value, order=order)
    ask("values", run=run, value=value, channel=1)
    ask("field", run=run, value=value, c=1, at=[2, 2])
    ask("cell", run=run, value=value, c=1, at=[2, 2])
    ask("kernel", run=run, module=value, out=1)
    for method in ("grad-cam", "integrated-gradients", "occlusion"):
        ask("attribution", run=run, method=method)
ask("export", state="#/explore?m=lenet5&i=sample:8&l=c3&c=1&at=2,2")
assert asked == set(OPERATIONS), set(OPERATIONS) - asked
ours = {"convscope", *sys.stdlib_module_names}
print(*sorted(name for name in set(sys.modules) - before if name.partition(".")[0] not in ours))
"""


@pytest.mark.long
def test_no_question_imports_another_package(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", ASKED, str(tmp_path)], capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == []
