"""What an ablation trains, how its trainings share the machine, and its files.

ablation.json   what is removed, the seeds, what each variant costs, which images
recipe.toml     the baseline: every setting
results.csv     a row a training, written after each
epochs.csv      a row an epoch of each
live/           the norms of the layers of each
report.html  log.txt
"""

from __future__ import annotations

import copy
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass

import torch
from torch import nn

from convscope.api.annotations import SEEDS
from convscope.capture.capture import capture
from convscope.errors import RunError
from convscope.experiments.ablation.trial import Trial
from convscope.experiments.ablation.variants import EVERYTHING, Variant, find_variant
from convscope.files.checked import read_json
from convscope.files.fields import Fields
from convscope.files.regular import UnreadableError
from convscope.hardware.machine import available_memory, this_machine
from convscope.nets.source_file import SourceFile
from convscope.recipe.setting import AUTO, Auto
from convscope.report.short_repr import ShortRepr
from convscope.report.usage import settings_text
from convscope.runs.atomic_files import write_file
from convscope.runs.run_directory import Run
from convscope.runs.runs_in_folder import ABLATION_PLAN
from convscope.training.resolve.memory import Surgery, most_at_once, no_memory, step_bytes
from convscope.training.resolve.resolved_recipe import Notice, ResolvedRecipe

FORMAT = 2


@dataclass(frozen=True, kw_only=True, repr=False)
class VariantCost(ShortRepr):
    """What a variant's network costs: parameters, and multiply-adds for one image (None where not all are known)."""

    parameters: int
    macs: int | None


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class AblationPlan(ShortRepr):
    """Which variants are trained with which seeds, the baseline first, and what their networks cost."""

    variants: tuple[Variant, ...]
    seeds: tuple[int, ...]
    costs: Mapping[str, VariantCost]
    data_hash: str = ""
    source: SourceFile | None = None  # of own code, the files; their copies are beside the plan

    @property
    def surgeries(self) -> list[Surgery]:
        """What makes each variant's network of the baseline's, in place."""
        return [_without_images(variant) for variant in self.variants]

    def pending(self, done: Iterable[Trial]) -> list[tuple[Variant, int]]:
        """Return the trainings still to do: all variants of a seed before the next seed, for early pairs."""
        there = {(trial.variant, trial.seed) for trial in done}
        return [(v, seed) for seed in self.seeds for v in self.variants if (v.name, seed) not in there]

    def to_json(self) -> str:
        """Return the plan as a file holds it."""
        values = {
            "format": FORMAT,
            "variants": [variant.name for variant in self.variants],
            "seeds": list(self.seeds),
            "costs": {name: asdict(cost) for name, cost in self.costs.items()},
            "data": self.data_hash,
            **({"source": self.source.to_dict()} if self.source else {}),
        }
        return json.dumps(values, indent=2) + "\n"

    @classmethod
    def of(cls, fields: Fields) -> AblationPlan:
        """Return the plan that `to_json` wrote; raises UnreadableError or RunError where it is none."""
        fields.require_format(FORMAT, remedy="ablate again")
        costs = fields.object("costs")
        return cls(
            variants=tuple(find_variant(name) for name in fields.texts("variants")),
            seeds=fields.integers("seeds", at_least=0, at_most=SEEDS - 1),
            costs={name: _cost_of(costs.object(name)) for name in costs.values},
            data_hash=fields.text("data"),
            source=SourceFile.of(fields.object("source")) if "source" in fields else None,
        )


def _cost_of(fields: Fields) -> VariantCost:
    macs = None if fields.value("macs") is None else fields.integer("macs", at_least=0)
    return VariantCost(parameters=fields.integer("parameters", at_least=0), macs=macs)


def _without_images(variant: Variant) -> Surgery:
    return lambda network: variant.surgery(network, None)


def make_plan(resolved: ResolvedRecipe, variants: Sequence[Variant], seeds: Sequence[int]) -> AblationPlan:
    """Return the baseline and the variants with their costs.

    Raises:
        RunError: a part that surgery can't reach, because the network does not hold it as a module.
    """
    architecture = resolved.architecture
    whole = architecture.on_meta()
    every = (EVERYTHING, *variants)
    costs = {variant.name: _cost(variant, whole, architecture.input_shape) for variant in every}
    return AblationPlan(variants=every, seeds=tuple(seeds), costs=costs)


def _cost(variant: Variant, whole: nn.Module, input_shape: tuple[int, ...]) -> VariantCost:
    network = copy.deepcopy(whole)
    with torch.device("meta"):
        variant.surgery(network, None)
    graph = capture(network, input_shape)
    if graph.error is not None:
        return VariantCost(parameters=sum(weight.numel() for weight in network.parameters()), macs=None)
    if left := sum(node.op == variant.gone for node in graph.nodes):
        raise RunError(
            f"{variant.name} can't be removed: {left} of this network's {variant.gone} operations are not modules "
            "that can be replaced"
        )
    known = all(node.macs is not None for node in graph.nodes)
    return VariantCost(parameters=graph.parameter_count, macs=graph.macs if known else None)


def write_plan(run: Run, plan: AblationPlan) -> None:
    """Write ablation.json."""
    write_file(run.path / ABLATION_PLAN, plan.to_json())


def read_plan(run: Run) -> AblationPlan:
    """Return the plan of an ablation's directory; raises RunError where it is none."""
    path = run.path / ABLATION_PLAN
    if not os.path.lexists(path):
        raise RunError(f"{run} is not the directory of an ablation: it has no {ABLATION_PLAN}")
    try:
        return AblationPlan.of(read_json(path))
    except (UnreadableError, RunError) as error:
        raise RunError(
            f"{path} can't be used: {error}; start a new ablation with {settings_text(recipe=run.recipe_path)}"
        ) from None


def shared_out(
    jobs: int | Auto, threads: int | Auto, plan: AblationPlan, resolved: ResolvedRecipe
) -> tuple[int, int | Auto]:
    """Return `share_out` of a plan's trainings.

    Raises:
        RunError: no job at all.
    """
    if isinstance(jobs, int) and jobs < 1:
        raise RunError(f"{jobs} jobs: give at least 1, or auto")
    runs = len(plan.variants) * len(plan.seeds)
    counted = jobs == AUTO and resolved.device == "cpu"
    needed = step_bytes(resolved, surgeries=plan.surgeries) if counted else None
    return share_out(jobs, threads, runs=runs, device=resolved.device, step_bytes=needed)


def share_out(
    jobs: int | Auto, threads: int | Auto, *, runs: int, device: str, step_bytes: int | None
) -> tuple[int, int | Auto]:
    """Return how many trainings run at once, and the threads of each ("auto": as one training alone would take).

    `step_bytes` is the memory of one training step: on auto, all of them together stay below half of what is free.

    >>> share_out(1, "auto", runs=15, device="cpu", step_bytes=None)
    (1, 'auto')
    >>> share_out("auto", "auto", runs=15, device="cuda", step_bytes=None)
    (1, 'auto')
    """
    if device != "cpu" or jobs == 1:
        return 1, threads
    cores = this_machine().cores
    if isinstance(jobs, int):
        wanted = jobs
    else:
        wanted = cores if isinstance(threads, str) else cores // threads
        free = available_memory()
        if step_bytes and free:
            wanted = min(wanted, free // 2 // step_bytes)
    wanted = max(1, min(wanted, runs))
    return wanted, max(1, cores // wanted) if isinstance(threads, str) and wanted > 1 else threads


def jobs_that_fit(jobs: int, plan: AblationPlan, resolved: ResolvedRecipe) -> tuple[int, tuple[Notice, ...]]:
    """Return as many of the jobs as the memory holds with a batch that can't change, and what there is to say of it.

    Raises:
        RunError: it does not hold one.
    """
    batch = resolved.batch_size
    most = most_at_once(resolved, surgeries=plan.surgeries)
    if most is None or jobs <= most:
        return jobs, ()
    if most:
        message = f"{most} trainings at once, not {jobs}: it holds no more at batch size {batch}"
        return most, (Notice(topic="memory", message=message, level="warning"),)
    raise no_memory(resolved, remedy="the complete trainings had this batch; free memory, or start a new ablation")
