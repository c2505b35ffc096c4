"""How the cores and the memory of a machine are shared out among trainings that run at once."""

from __future__ import annotations

from convscope.errors import RunError
from convscope.experiments.ablation.plan import AblationPlan
from convscope.hardware.machine import available_memory, this_machine
from convscope.recipe.setting import AUTO, Auto
from convscope.training.resolve.memory import most_at_once, step_bytes
from convscope.training.resolve.resolved_recipe import Notice, ResolvedRecipe


def shared_out(
    jobs: int | Auto, threads: int | Auto, plan: AblationPlan, resolved: ResolvedRecipe
) -> tuple[int, int | Auto]:
    """`share_out` of a plan's trainings.

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
        return most, (Notice(topic="memory", message=message),)
    raise RunError(
        f"the memory does not hold a step of {batch} images, and the complete trainings had such steps: free memory, "
        "or start a new ablation"
    )
