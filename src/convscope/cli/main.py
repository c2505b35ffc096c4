"""The group of commands: each is imported only when it is named, so that `--help` starts in a blink."""

from __future__ import annotations

import errno
import importlib
import os
import sys
from pathlib import Path

import click

from convscope import __version__
from convscope.errors import ConvscopeError, PeerError, did_you_mean
from convscope.report.printable import printable

# command -> (its module in convscope.cli, the line that `--help` shows); the order is that of a newcomer's day.
COMMANDS: dict[str, tuple[str, str]] = {
    "demo": ("demo", "Train LeNet-5 on the built-in digits and show what it made."),
    "train": ("train", "Train a network on a folder of images, or on data by name."),
    "shard": ("shard", "Write a data set as WebDataset shards, for what is too large for files or one disk."),
    "rates": ("rates", "Which learning rate a training would bear: a hundred steps at growing rates."),
    "evaluate": ("evaluate", "Measure a run: top-1, top-5, per class, confusion matrix, worst mistakes."),
    "predict": ("predict", "Name the class of images with a run."),
    "ablate": ("ablate", "What each part of a training is worth: remove one at a time, and compare."),
    "inspect": ("inspect", "Every layer of a model: shape, parameters, MACs, memory, receptive field; warnings."),
    "compare": ("compare", "Two or more models side by side."),
    "field": ("field", "Which pixels one cell of a layer sees, holes and all."),
    "size": ("size", "One layer's arithmetic, worked out."),
    "explain": ("explain", "Where one number in a network comes from, down to the pixels."),
    "audit": ("audit", "Each layer's numerical error in fp32, bf16 and channels-last."),
    "doctor": ("doctor", "What this machine can do, measured, and what training reaches of it."),
    "notes": ("notes", "The lecture notes' figures, each beside the computed one."),
    "models": ("models", "The history: year, paper, idea, parameters, published error."),
}

EXIT_USER_ERROR = 2
EXIT_INTERRUPTED = 130


# What the machine lacks, not the program: room on the disk, the right to write.
UNWRITABLE = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)


class LazyGroup(click.Group):
    """A group that knows its commands' names and one-line helps without importing them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The commands, in the table's order."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import one command: the module `convscope.cli.<module>` defines `command`."""
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"convscope.cli.{COMMANDS[cmd_name][0]}")
        command: click.Command = module.command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find a command; a wrong name is told the nearest right one."""
        name = args[0]
        if name not in COMMANDS and not name.startswith("-"):
            raise click.UsageError(f"No such command {name!r}.{did_you_mean(name, COMMANDS)}", ctx)
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: click.Context) -> object:
        """Run a command and write all that it said; click would call a closed pipe a failure."""
        try:
            code = super().invoke(ctx)
            sys.stdout.flush()
        except BrokenPipeError:
            _write_no_more()
            raise PipeClosedError from None
        return code

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the one-line helps from the table, importing nothing."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in COMMANDS.items()])


class PipeClosedError(Exception):
    """Who read the output has stopped reading."""


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="convscope")
def cli() -> None:
    """See through convolutional networks: exact sizes, costs and receptive fields; training on any machine."""


def _write_no_more() -> None:
    """Let what is still held back go nowhere, so that the interpreter's last flush does not fail again."""
    with Path(os.devnull).open("wb") as nowhere:
        os.dup2(nowhere.fileno(), sys.stdout.fileno())


def in_one_line(error: click.ClickException) -> str:
    """What click found wrong with a command line, and where to read on; click by itself takes three lines."""
    said = error.format_message().strip()
    if not isinstance(error, click.UsageError) or error.ctx is None:
        return f"convscope: {said}"
    path = error.ctx.command_path
    return f"{path}: {said}{'' if said[-1] in '.?!)' else '.'} For all that it takes: {path} --help"


def main(arguments: list[str] | None = None) -> None:
    """Run the command line: exit 0 done, 1 our failure, 2 the user's input, 130 interrupted."""
    try:
        code = cli.main(args=arguments, prog_name="convscope", standalone_mode=False)
    except PeerError:
        sys.exit(EXIT_USER_ERROR)
    except ConvscopeError as error:
        click.echo(f"convscope: {printable(str(error))}", err=True)
        sys.exit(EXIT_USER_ERROR)
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        sys.exit(error.exit_code)
    except click.ClickException as error:
        click.echo(printable(in_one_line(error)), err=True)
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        click.echo("convscope: interrupted", err=True)
        sys.exit(EXIT_INTERRUPTED)
    except PipeClosedError:
        # `convscope ... | head` closed the pipe: nothing left to say, and nothing wrong.
        sys.exit(0)
    except OSError as error:
        if error.errno not in UNWRITABLE:
            raise
        name = printable(str(error.filename or "the output"))
        click.echo(f"convscope: {name} can't be written: {error.strerror}", err=True)
        _write_no_more()
        sys.exit(EXIT_USER_ERROR)
    sys.exit(code if isinstance(code, int) else 0)
