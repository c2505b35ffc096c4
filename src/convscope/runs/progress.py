"""How far a checkpoint's training had come: the fields of its state.json, each of its type and in its range."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from convscope.files.fields import Fields
from convscope.runs.events import EpochRow

MOST_STEPS = 2**53


@dataclass(frozen=True, kw_only=True)
class RunProgress:
    """What a state.json says beside its format.

    Args:
        epoch: epochs that are complete.
        step: steps of them all.
        seconds: of training, interruptions left out.
        best: epoch, accuracy and loss of the best weights.
        rows: one for each epoch.
        data: the hash of which image is in which split.
        bits_depend_on: what a result's last digits depend on.
        plan: of the steps, as `StepPlan.to_dict` makes it; None in a checkpoint of before there were plans.
    """

    epoch: int
    step: int
    seconds: float
    best: Mapping[str, Any]
    rows: tuple[EpochRow, ...]
    data: str
    bits_depend_on: Mapping[str, Any]
    plan: Mapping[str, Any] | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the progress as JSON can hold it."""
        return {**vars(self), "rows": [asdict(row) for row in self.rows]}

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> RunProgress:
        """Return what the values of a state.json say; raises UnreadableError where one is missing or does not fit."""
        fields = Fields(values)
        return cls(
            epoch=fields.integer("epoch", at_least=0, at_most=MOST_STEPS),
            step=fields.integer("step", at_least=0, at_most=MOST_STEPS),
            seconds=fields.number("seconds", at_least=0),
            best=measures(fields.object("best")),
            rows=tuple(EpochRow.from_fields(row) for row in fields.objects("rows")),
            data=fields.text("data"),
            bits_depend_on=fields.object("bits_depend_on").values,
            plan=fields.object("plan").values if fields.values.get("plan") is not None else None,
        )


def measures(fields: Fields) -> dict[str, float | int | None]:
    """Return the epoch, accuracy and loss of the best weights; raises UnreadableError where they are something else."""
    fields.require_only("epoch", "accuracy", "loss")
    return {
        "epoch": fields.integer("epoch", at_least=0, at_most=MOST_STEPS),
        "accuracy": fields.optional_number("accuracy"),
        "loss": fields.optional_number("loss"),
    }
