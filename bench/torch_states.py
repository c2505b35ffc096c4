"""Every public function in every state of torch that a caller may be in: same to the bit, the caller's state left.

The calls and the states are those of the tests (`tests/public_verbs.py`); the ones that train take minutes in all.
Needs no data. `python bench/torch_states.py [VERB ...]` tries some of them only.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from convscope.report.table import Column, Table, print_table
from public_verbs import STATES, found_by, network, state_now, state_of, verbs


def main() -> None:
    """Print a row for each state, with what differs by function."""
    torch.manual_seed(3)
    model = network().train()
    with tempfile.TemporaryDirectory() as folder:
        calls = verbs(Path(folder), model)
        calls = {verb: calls[verb] for verb in sys.argv[1:] or calls}
        expected = {verb: found_by(call) for verb, call in calls.items()}
        rows = []
        for name, enter in STATES.items():
            row = [name]
            for verb, call in calls.items():
                with enter():
                    before = state_now(), state_of(model)
                    same = found_by(call) == expected[verb]
                    left = (state_now(), state_of(model)) == before
                row.append("same" if same and left else "left changed" if same else "other result")
            rows.append(row)
    print_table(Table.of([Column("state"), *map(Column, calls)], rows))


if __name__ == "__main__":
    main()
