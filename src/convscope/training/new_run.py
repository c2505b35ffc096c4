"""A new run directory: made where its disk has room for it, locked, with the recipe, the network and the splits."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path

from convscope.data.records import Dataset
from convscope.errors import RunError
from convscope.files.free_space import free_space
from convscope.recipe.recipe_file import to_toml
from convscope.report.units import byte_size
from convscope.report.usage import setting_name
from convscope.runs.atomic_files import write_file
from convscope.runs.kept_code import write_code
from convscope.runs.model_spec import ModelSpec
from convscope.runs.run_directory import Run
from convscope.runs.run_names import create_run, run_name, short_name
from convscope.training.distributed.process_group import ProcessGroup
from convscope.training.forecasts import BYTES
from convscope.training.resolve.resolved_recipe import ResolvedRecipe
from convscope.training.session import Session

# Copies of the weights that every training writes at least: the best, and in a checkpoint the network's and the best.
LEAST_COPIES = 3


@contextmanager
def new_run(
    session: Session, *, runs_directory: Path, default_name: str = "{}", spec: ModelSpec | None, group: ProcessGroup
) -> Iterator[Run]:
    """Create the run directory of a session and hold its lock; one process writes the recipe, the spec and the split.

    `default_name` is a pattern for the name where none was given. Without a `spec` there is no network to describe.

    Raises:
        RunError: the disk has less room than the weights and one checkpoint need, or no directory can be made.
    """
    name = session.name or default_name.format(run_name(session.found.source, session.spec.name))

    def created() -> Path:
        if spec is not None:
            require_room(runs_directory, session.resolved)
        return create_run(runs_directory, name).path

    run = Run(group.decided(created), model=session.spec.code)
    with locked(run, group):
        if group.first:
            write_file(run.recipe_path, to_toml(session.recipe))
            if spec is not None:
                run.write_spec(spec)
                write_split(run, session.dataset)
            elif session.spec.source is not None:
                write_code(run.code_path, session.spec.source)
        yield run


def require_room(runs_directory: Path, resolved: ResolvedRecipe) -> None:
    """Raise RunError where the disk of the runs has no room for the weights of a training and for its checkpoint."""
    needed, free = BYTES * resolved.parameters * (LEAST_COPIES if resolved.epochs else 1), free_space(runs_directory)
    if free < needed:
        files = "the weights and one checkpoint" if resolved.epochs else "the weights"
        raise RunError(
            f"{runs_directory} is on a disk with {byte_size(free)} free, and {files} of this training take "
            f"{byte_size(needed)} at least: make room, or give a folder on another disk by "
            f"{setting_name('runs_directory')}"
        )


def locked(run: Run, group: ProcessGroup) -> AbstractContextManager[None]:
    """Return the run's lock, held by the process that writes."""
    return run.locked() if group.first else nullcontext()


def write_split(run: Run, dataset: Dataset) -> None:
    """Write split.csv, where the split was made here: each image's split, and its group where there are groups."""
    if not dataset.made_splits:
        return
    grouped = any(images.groups is not None for images in dataset.splits.values())
    rows = [
        (short_name(name, dataset), split, *([group] if grouped else []))
        for split, images in dataset.splits.items()
        for name, group in zip(images.names, images.groups or [""] * len(images), strict=True)
    ]
    run.write_table(run.split_path, ("image", "split", *(["group"] if grouped else [])), rows)
