"""A state of the page as Python that computes its number, and as commands that show it. No torch.

Neither holds a path of this machine that the command line did not name: models and images go by their keys.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from convscope.report.printable import shell_quote
from convscope.runs.runs_in_folder import CHECKPOINTS
from convscope.studio.images import UPLOAD_PREFIX
from convscope.studio.intervention_text import Intervention, for_other_network
from convscope.studio.models import BEST, GIVEN, RUN_PREFIX, Openable, run_and_checkpoint, run_folders
from convscope.studio.state import PageState, format_state

DEFAULT_RUNS = "runs"


def as_python(state: PageState, openable: Openable) -> str:
    """Return a script that computes what a state of Explore shows: the prediction, the map, the selected number.

    >>> from pathlib import Path
    >>> state = PageState(model="lenet5", image="sample:8", value="c1", channel=2, at=(3, 4))
    >>> print(as_python(state, Openable(runs=Path("runs"))))
    from convscope.studio.from_python import Studio
    <BLANKLINE>
    studio = Studio()
    run = studio.run("lenet5", "sample:8")
    print(run.prediction)
    print(run.number("c1", channel=2, at=(3, 4)))
    """
    if state.room != "explore" or not state.model or not state.image:
        return "from convscope.studio.from_python import Studio\n\nstudio = Studio()"
    lines = ["from convscope.studio.from_python import Studio", "", f"studio = Studio({_arguments(openable)})"]
    image = _text(state.image)
    if state.image.startswith(UPLOAD_PREFIX):
        lines.append('image = studio.add_image("FILE")  # the file that was uploaded')
        image = "image"
    lines += _changes("changes", state.interventions)
    changes = ", changes" if state.interventions else ""
    lines.append(f"run = studio.run({_text(state.model)}, {image}{changes})")
    lines.append("print(run.prediction)")
    if state.value:
        channel = state.channel or 0
        if state.at is None:
            lines.append(f"print(run.map({_text(state.value)}, channel={channel}))")
        else:
            lines.append(f"print(run.number({_text(state.value)}, channel={channel}, at={state.at!r}))")
    if state.other:
        others = for_other_network(state.interventions)
        if others != list(state.interventions):
            lines += _changes("other_changes", others)
            changes = ", other_changes" if others else ""
        lines.append(f"other = studio.run({_text(state.other)}, {image}{changes})")
        lines.append("print(other.prediction)")
    return "\n".join(lines)


def _changes(name: str, changes: Sequence[Intervention]) -> list[str]:
    """Return the lines that give changes a name; none where there are none."""
    return [f"{name} = [", *(f"    {change!r}," for change in changes), "]"] if changes else []


def as_command(state: PageState, openable: Openable) -> str:
    """Return commands, one a line: the studio at this state; without a page, what other commands show of it.

    >>> from pathlib import Path
    >>> openable = Openable(runs=Path("runs"), given="resnet18", image="photo.jpg")
    >>> print(as_command(PageState(model="given", image="given", value="layer1", channel=2, at=(3, 4)), openable))
    convscope studio resnet18 --image photo.jpg --state '#/explore?v=1&m=given&i=given&l=layer1&c=2&at=3,4'
    convscope explain resnet18 photo.jpg --layer layer1 --channel 2 --at 3,4
    convscope field resnet18 --layer layer1 --channel 2 --at 3,4
    """
    # An upload is another file's content tomorrow: the file itself is named.
    uploaded = state.image.startswith(UPLOAD_PREFIX)
    named = replace(state, image=GIVEN) if uploaded else state
    image = "FILE" if uploaded else openable.image
    words = ["studio", *([openable.given] if openable.given else [])]
    words += ["--image", image] if image else []
    words += _options(openable)
    words += ["--runs", str(openable.runs)] if _has_own_runs(openable) else []
    commands = [[*words, "--state", format_state(named)]]
    model = _command_model(state.model, openable)
    if state.room == "explore" and model:
        commands += _without_page(state, openable, model, image if state.image == GIVEN or uploaded else "")
    return "\n".join(shell_quote("convscope", *command) for command in commands)


def _without_page(state: PageState, openable: Openable, model: str, image: str) -> list[list[str]]:
    """Return the commands that show the same of an unchanged network and image."""
    options = _options(openable) if state.model == GIVEN else []
    place = ["--layer", state.value, "--channel", str(state.channel or 0)]
    at = ["--at", "{},{}".format(*state.at)] if state.at is not None else []
    commands = []
    if image and not state.interventions:
        if state.value and at:
            commands.append(["explain", model, image, *options, *place, *at])
        if state.attribution:
            target = ["--class", str(state.target)] if state.target is not None else []
            commands.append(["look", model, image, *options, "--methods", state.attribution, *target])
    if state.value and at:
        commands.append(["field", model, *options, *place, *at])
    return commands


def _command_model(key: str, openable: Openable) -> str:
    """Return how a command names a model, or "" where there is none."""
    if key == GIVEN:
        return openable.given
    if not key.startswith(RUN_PREFIX):
        return key
    folder = openable.runs if _has_own_runs(openable) else DEFAULT_RUNS
    name, checkpoint = run_and_checkpoint(key, run_folders(openable.runs))
    return f"{folder}/{name}" if checkpoint in ("", BEST) else f"{folder}/{name}/{CHECKPOINTS}/{checkpoint}"


def _has_own_runs(openable: Openable) -> bool:
    return openable.runs.absolute() != Path(DEFAULT_RUNS).absolute()


def _options(openable: Openable) -> list[str]:
    words = ["--input", openable.input_text] if openable.input_text else []
    words += ["--model", openable.code] if openable.code else []
    return [*words, "--trust-code"] if openable.trust_code else words


def _arguments(openable: Openable) -> str:
    """Return the arguments of `Studio` that a command line comes to."""
    found = [_text(openable.given)] if openable.given else []
    found += [
        f"{name}={_text(value)}"
        for name, value in (
            ("image", openable.image),
            ("code", openable.code),
            ("input_text", openable.input_text),
            ("runs", str(openable.runs) if _has_own_runs(openable) else ""),
        )
        if value
    ]
    return ", ".join([*found, "trust_code=True"] if openable.trust_code else found)


def _text(text: str) -> str:
    """Return a text as Python's code writes it, in double quotes.

    >>> print(_text('a"b'), _text("it's"))
    'a"b' "it's"
    """
    written = repr(text)
    return f'"{written[1:-1]}"' if written[0] == "'" and '"' not in written else written
