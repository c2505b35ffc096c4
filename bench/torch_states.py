"""Every public function in every state of torch that a caller may be in: same to the bit, the caller's state left.

The calls and the states are those of the tests (`tests/public_verbs.py`); the ones that train take minutes in all.
Needs no data. `python bench/torch_states.py [VERB ...]` tries some of them only.
"""

from __future__ import annotations

import sys
import tempfile
import textwrap
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from convscope.report.table import Column, Table, print_table
from public_verbs import STATES, all_at_once, found_by, network, state_now, state_of, trained, verbs


def main() -> None:
    """Print a row for each state: what is the same, what differs, and what is left changed."""
    torch.manual_seed(3)
    model = network().train()
    with tempfile.TemporaryDirectory() as folder:
        calls = verbs(Path(folder), model, trained(Path(folder)).run.path)
        calls = {verb: calls[verb] for verb in sys.argv[1:] or calls}
        expected = {verb: found_by(call) for verb, call in calls.items()}
        rows = []
        for name, enter in {**STATES, "all at once": all_at_once}.items():
            other, left = [], []
            for verb, call in calls.items():
                with enter():
                    before = state_now(), state_of(model)
                    other += [verb] if found_by(call) != expected[verb] else []
                    left += [verb] if (state_now(), state_of(model)) != before else []
            same = f"{len(calls) - len(other)} of {len(calls)}"
            rows.append([name, same, ", ".join(other) or "-", ", ".join(left) or "-"])
            print(name, file=sys.stderr, flush=True)
    print(textwrap.fill(f"called: {', '.join(calls)}", 110), end="\n\n")
    columns = ("state of the caller", "same to the bit", "another result", "state left changed")
    print_table(Table.of(map(Column, columns), rows))


if __name__ == "__main__":
    main()
