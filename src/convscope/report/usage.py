"""How a message writes a setting or a call: as Python takes it; inside the command line, as its options.

>>> settings_text(flip=True), settings_text(layer="c1", at=(2, 3)), call_text("train", resume="runs/first")
('flip=True', "layer='c1', at=(2, 3)", "convscope.train(resume='runs/first')")
>>> with as_options():
...     settings_text(flip=True), settings_text(layer="c1", at=(2, 3)), call_text("train", resume="runs/first")
('--flip yes', '--layer c1 --at 2,3', 'convscope train --resume runs/first')
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from convscope.report.printable import shell_quote

# Arguments whose option has another name; of all others the option is the name with dashes.
OPTIONS = {
    "cache_directory": "cache",
    "input_shape": "input",
    "members": "ensemble",
    "ranking": "rank",
    "runs_directory": "runs",
    "target": "class",
}
# Options without a value, with a --no- form; of all others that are True or False the value is yes or no.
SWITCHES = frozenset({"calibrate", "strict", "sync_batchnorm", "trivial_augment", "verify"})
# Of the process, not of a context: an error in a thread is written as the command that started it was.
_written_as_options = False


class Placeholder(str):
    """A word that stands for a value, such as DATA; it is written without quotes."""

    __slots__ = ()


@contextmanager
def as_options(on: bool = True) -> Iterator[None]:
    """While inside, messages write settings as options and calls as commands; the command line enters this."""
    before = _written_as_options
    write_as_options(on)
    try:
        yield
    finally:
        write_as_options(before)


def write_as_options(on: bool) -> None:
    """Write settings as options from now on, or as Python takes them: for a process that works for another."""
    global _written_as_options
    _written_as_options = on


def are_options() -> bool:
    """Return whether settings are written as options: whether this process is a command."""
    return _written_as_options


def option_name(name: str) -> str:
    """Return the option of an argument or a recipe's setting.

    >>> option_name("batch_size"), option_name("input_shape")
    ('--batch-size', '--input')
    """
    return "--" + OPTIONS.get(name, name).replace("_", "-")


def setting_name(name: str) -> str:
    """Return how a setting is called: `batch_size`, or `--batch-size`."""
    return option_name(name) if _written_as_options else name


def settings_text(**settings: object) -> str:
    """Return settings with their values; those of a recipe are given as `recipe={"epochs": 3}`.

    >>> settings_text(recipe={"epochs": 3}, weights=Placeholder("FILE"))
    'recipe=convscope.Recipe(epochs=3), weights=FILE'
    >>> settings_text(recipe="recipe.toml")
    "recipe=convscope.load_recipe('recipe.toml')"
    """
    if _written_as_options:
        return shell_quote(*(word for name, value in settings.items() for word in option_words(name, value)))
    return ", ".join(f"{name}={_code(value, name)}" for name, value in settings.items())


def call_text(command: str, *given: object, **settings: object) -> str:
    """Return the call of a public function, or the command of its name; without arguments, only the name.

    >>> call_text("evaluate", "runs/first", Placeholder("DATA")), call_text("lr_find")
    ("convscope.evaluate('runs/first', DATA)", 'convscope.lr_find')
    """
    if _written_as_options:
        return " ".join(
            filter(None, (shell_quote("convscope", command.replace("_", "-"), *given), settings_text(**settings)))
        )
    inside = ", ".join(filter(None, (*map(_code, given), settings_text(**settings))))
    return f"convscope.{command}({inside})" if inside else f"convscope.{command}"


def option_words(name: str, value: object) -> Iterator[str]:
    """Return the words of an option with its value.

    >>> list(option_words("verify", False)), list(option_words("input_shape", (3, 32, 32)))
    (['--no-verify'], ['--input', '3x32x32'])
    >>> list(option_words("input_shape", {"image": (3, 32, 32)}))
    ['--input', 'image=3x32x32']
    """
    option = option_name(name)
    if isinstance(value, Mapping) and name == "input_shape":
        for label, shape in value.items():
            yield from (option, f"{label}={'x'.join(map(str, shape))}")
    elif isinstance(value, Mapping):
        for setting, its_value in value.items():
            yield from option_words(setting, its_value)
    elif name in SWITCHES:
        yield option if value else f"--no-{option[2:]}"
    elif isinstance(value, bool):
        yield from (option, "yes" if value else "no")
    elif isinstance(value, Sequence) and not isinstance(value, str):
        yield from (option, ("x" if name == "input_shape" else ",").join(map(str, value)))
    else:
        yield from (option, str(value))


def _code(value: object, name: str = "") -> str:
    """Return a value as Python code; what is no number and no tuple is written as its text, such as a path."""
    if isinstance(value, Placeholder):
        return str(value)
    if isinstance(value, Mapping) and name == "input_shape":
        return repr(dict(value))
    if isinstance(value, Mapping):
        return f"convscope.Recipe({', '.join(f'{setting}={_code(one)}' for setting, one in value.items())})"
    code = repr(value) if isinstance(value, (bool, int, float, tuple)) else repr(str(value))
    return f"convscope.load_recipe({code})" if name == "recipe" else code
