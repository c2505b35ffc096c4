"""The group of commands: each is imported only when it is named, so that `--help` starts in 0.1 s."""

from __future__ import annotations

import atexit
import errno
import importlib
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import click

from convscope import __version__
from convscope.aliases import name_of_ours
from convscope.cli.command_process import CommandProcess
from convscope.cli.deadline import EXIT_INTERRUPTED, EXIT_USER_ERROR, tell_end
from convscope.cli.output import finish_output, guard_output
from convscope.errors import ArgumentError, ConvscopeError, PeerError, did_you_mean
from convscope.report.printable import printable
from convscope.report.usage import as_options, option_name

# group -> command -> (its module in convscope.cli, the line that `--help` shows).
GROUPS: dict[str, dict[str, tuple[str, str]]] = {
    "Train": {
        "check": ("check", "Look at a data set: what train would find in it, and what is wrong."),
        "train": ("train", "Train a network on a folder of images, or on a data set by name."),
        "evaluate": ("evaluate", "Measure a run: accuracy, per class, confusion matrix, calibration."),
        "predict": ("predict", "Predict the classes of images with a run."),
        "lr-find": ("lr_find", "Learning-rate range test: 100 steps at growing learning rates."),
        "ablate": ("ablate", "Ablation study: remove one part of a training at a time."),
    },
    "Understand": {
        "inspect": ("inspect", "List every layer: shape, parameters, MACs, receptive field; warn."),
        "compare": ("compare", "Compare two or more models side by side."),
        "field": ("field", "Show the exact receptive field of one cell of a layer."),
        "look": ("look", "See what a network computes of an image and what its prediction depends on."),
        "explain": ("explain", "Work out one number of a network, down to the pixels."),
        "studio": ("studio", "Open a local page: maps, fields, worked numbers and trainings of any network."),
        "audit": ("audit", "Measure each layer's numerical error in fp32 and bf16."),
    },
    "Learn": {
        "demo": ("demo", "Train LeNet-5 on the built-in digits, and show the result."),
        "size": ("size", "Work out one layer: output size, parameters, MACs."),
        "models": ("models", "List the networks: year, paper, parameters, published error."),
        "notes": ("notes", "Check the figures of the lecture notes against computed ones."),
        "exercise": ("exercise", "Ask an exercise with fresh numbers, and mark the answer."),
    },
    "Ship": {
        "shard": ("shard", "Write a data set as WebDataset shards."),
    },
    "Machine": {
        "doctor": ("doctor", "Measure this machine's peak, and what training reaches of it."),
    },
}
COMMANDS = {name: command for group in GROUPS.values() for name, command in group.items()}

EXIT_TERMINATED = 143

# What these make lies in a directory, whatever became of the lines that they print.
LEAVE_A_RUN = (["demo"], ["train"], ["ablate"])
# What the machine lacks, not the program: room on the disk, the right to write.
UNWRITABLE = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG)
# What is wrong with the name of a file: no file can have it, or it lies in a folder that may not be entered.
UNREACHABLE = (errno.ENAMETOOLONG, errno.EACCES, errno.EPERM)
LONGEST_NAME = 100  # the last characters of a name in a message


class LazyGroup(click.Group):
    """A group of commands that are imported on use; the table holds their names and one-line helps."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the commands in the table's order."""
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
        """Find a command; the error for an unknown name suggests the nearest one."""
        name = args[0]
        if name not in COMMANDS and not name.startswith("-"):
            raise click.UsageError(f"No such command {name!r}.{did_you_mean(name, COMMANDS)}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the one-line helps from the table, importing nothing."""
        width = max(map(len, COMMANDS))
        for title, commands in GROUPS.items():
            with formatter.section(title):
                formatter.write_dl([(name.ljust(width), line) for name, (_, line) in commands.items()])


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="convscope")
def cli() -> None:
    """See through convolutional networks: exact sizes, costs and receptive fields; training on any machine."""
    click.get_current_context().with_resource(as_options())
    try:
        Path.cwd()
    except OSError as error:
        # Whatever resolves a path would fail, and be taken for what it happened in.
        reason = f"the current folder can't be used ({error.strerror}): change to one that is there"
        raise ConvscopeError(reason) from None


def _with_options(error: ConvscopeError) -> str:
    """Return an error's message, with the option in place of the function's argument."""
    if isinstance(error, ArgumentError) and error.argument:
        return option_name(error.argument) + str(error).removeprefix(f"{error.function}: {error.argument}")
    return str(error)


def in_one_line(error: click.ClickException) -> str:
    """Return click's usage error in one line, with the command to read on; click itself prints three lines."""
    if isinstance(error, click.NoSuchOption) and error.ctx is not None:
        options = [name for parameter in error.ctx.command.params for name in parameter.opts]
        if ours := name_of_ours(error.option_name, options):
            error = click.UsageError(f"{error.message} Did you mean '{ours}'?", error.ctx)
    said = error.format_message().strip()
    if not isinstance(error, click.UsageError) or error.ctx is None:
        return f"convscope: {said}"
    path = error.ctx.command_path
    return f"{path}: {said}{'' if said[-1] in '.?!)' else '.'} For all that it takes: {path} --help"


def main(arguments: list[str] | None = None, *, began: float | None = None, own_process: bool = False) -> None:
    """Run the command line: exit 0 done, 1 our failure, 2 the user's input, 130 interrupted.

    The time that a command is given is counted from `began`, on the monotonic clock, or from now.

    Output that can't be written does not end the command. If a file was left incomplete, stderr and the exit code
    state it; the exit code of a training does not change, as its results are in its directory. In a process of its
    own, a command may fork.
    """
    words = sys.argv[1:] if arguments is None else arguments
    stdout = guard_output()
    with _ended_by_hang_up():
        code = _exit_code(
            arguments, CommandProcess(began=time.monotonic() if began is None else began, own=own_process)
        )
    if (loss := finish_output(stdout)) is not None:
        click.echo(f"convscope: the output can't be written: {loss.strerror}", err=True)
        if words[:1] not in LEAVE_A_RUN or "--json" in words:
            code = code or EXIT_USER_ERROR
    sys.exit(code)


def run() -> None:
    """Run the command line as a process of its own, which ends with it.

    Where torch was imported, taking the interpreter apart is a good part of a short command's time. So
    the process ends as soon as what is registered to run at exit has run and both streams are flushed.
    """
    try:
        main(began=process_began(), own_process=True)
    except SystemExit as ended:
        if isinstance(ended.code, int) and tell_end(ended.code):
            # Threads and processes that a user's model has started are not waited for.
            os._exit(ended.code)
        if "torch" not in sys.modules or not isinstance(ended.code, int) or threading.active_count() > 1:
            raise
        atexit._run_exitfuncs()
        finish_output(None)
        os._exit(ended.code)


def process_began() -> float:
    """Return when this process began, on the monotonic clock; where the system does not report it, it began now."""
    now = time.monotonic()
    try:
        # The 22nd field; the second, the program's name in brackets, may hold blanks.
        ticks = int(Path("/proc/self/stat").read_bytes().rpartition(b")")[2].split()[19])
        age = time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")
    except (AttributeError, OSError, ValueError, IndexError):
        return now
    return now - max(0.0, age)


@contextmanager
def _ended_by_hang_up() -> Iterator[None]:
    """While inside, let SIGHUP end a command with exit code 143, as SIGTERM does, its temporary files removed.

    Nothing changes where the signal is ignored, as under nohup, or where the system has none.
    """
    hang_up = getattr(signal, "SIGHUP", None)
    in_main_thread = threading.current_thread() is threading.main_thread()
    if hang_up is None or not in_main_thread or signal.getsignal(hang_up) is not signal.SIG_DFL:
        yield
        return

    def end(number: int, frame: FrameType | None) -> None:
        raise SystemExit(EXIT_TERMINATED)

    signal.signal(hang_up, end)
    try:
        yield
    finally:
        signal.signal(hang_up, signal.SIG_DFL)


def _exit_code(arguments: list[str] | None, process: CommandProcess) -> int:
    """Run a command; an error becomes one line on stderr."""
    try:
        code = cli.main(args=arguments, prog_name="convscope", standalone_mode=False, obj=process)
    except PeerError:
        return EXIT_USER_ERROR
    except ConvscopeError as error:
        click.echo(f"convscope: {printable(_with_options(error))}", err=True)
        return EXIT_USER_ERROR
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        return error.exit_code
    except click.ClickException as error:
        click.echo(printable(in_one_line(error)), err=True)
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        click.echo("convscope: interrupted", err=True)
        return EXIT_INTERRUPTED
    except OSError as error:
        if error.errno in UNREACHABLE and error.filename is not None:
            name, reason = str(error.filename)[-LONGEST_NAME:], str(error.strerror).lower()
            click.echo(f"convscope: {printable(name)}: {reason}", err=True)
            return EXIT_USER_ERROR
        if error.errno not in UNWRITABLE:
            raise
        name = printable(str(error.filename or "the output"))
        click.echo(f"convscope: {name} can't be written: {error.strerror}", err=True)
        return EXIT_USER_ERROR
    except Exception as error:
        own = sys.modules.get("convscope.nets.own_imports")  # loaded where a network of the user's own is
        if own is None or not (failure := own.failure_in_own_code(error)):
            raise
        click.echo(f"convscope: {printable(failure)} (from Python, convscope shows the whole traceback)", err=True)
        return EXIT_USER_ERROR
    return code if isinstance(code, int) else 0
