"""The command line: options -> config -> one call -> echo. Errors become one sentence and an exit code here only."""

from __future__ import annotations

import contextlib
import errno
import importlib
import logging
import os
import select
import signal
import sys
import traceback
from collections.abc import Callable
from typing import IO

import click

from vad_pipeline.extract.errors import ConfigError, RunStopped, VadError, readable, shortened, shown

from .commands.sections import SuggestingGroup
from .stopping import never_dropped

EXIT_USAGE, EXIT_STOPPED, EXIT_BUG, EXIT_INTERRUPTED, EXIT_TERMINATED = 2, 3, 70, 130, 143

KEEPING_NOTHING = ("verify-features", "check", "plot", "doctor", "status")  # what they have done by half

COMMANDS = {  # command -> its module in commands/; its line in `--help`, which so loads no command
    "extract": ("extract", "Decode, sample, embed into the store."),
    "detect": ("detect", "Score: curves and events into a results folder."),
    "watch": ("watch", "Score cameras as they go, into a results folder."),
    "events": ("findings.events", "Events anew from curves, without scoring."),
    "train": ("train", "Train DSANet or another head from video-level labels."),
    "import-scores": ("methods.import_scores", "Scores made elsewhere into a results folder."),
    "adapt": ("methods.adapt", "A model that learned from marks, judged before."),
    "evaluate": ("methods.evaluate", "Figures of results against annotations."),
    "compare": ("methods.compare", "Methods over seeds: train, score, one table."),
    "report": ("findings.report", "A page to go through footage with."),
    "summary": ("findings.summary", "What happened, by camera and day."),
    "verdicts": ("findings.verdicts", "What reviewers said: taken in, listed, written out."),
    "clips": ("findings.clips", "Each event as a file of its own."),
    "plot": ("findings.plot", "Curves as a figure for print."),
    "convert": ("methods.convert", "A published checkpoint into our format."),
    "store": ("features.store", "Look at, check and exchange cached features."),
    "search": ("features.search", "Moments most like a text or another moment."),
    "verify-features": ("features.verify_features", "Why released features differ from one's own."),
    "check": ("features.check", "What is in an archive, and what will fail."),
    "status": ("status", "What past runs did, and what still fails."),
    "doctor": ("doctor", "What this machine has, and what is in the way."),
    "demo": ("demo", "All of it on a small rendered archive."),
}


class Terminated(BaseException):
    """Raised when SIGTERM arrives, so that `with` and `finally` blocks leave everything in order."""


class LazyGroup(SuggestingGroup):
    """A group of commands that imports a command's module only when that command is used, so that `--help` is quick."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The commands' names, in the order in which one uses them."""
        return list(COMMANDS)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write name and purpose of each command without importing its module."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, purpose) for name, (_, purpose) in COMMANDS.items()])

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return the command of that name; None where there is none."""
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"vad_pipeline.pipeline.commands.{COMMANDS[cmd_name][0]}")
        return getattr(module, cmd_name.replace("-", "_"))


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["--help", "-h"], "max_content_width": 100, "show_default": True},
)
@click.version_option(package_name="vad-pipeline")
@click.option("--debug", is_flag=True, help="Show tracebacks and what happens inside.")
def cli(debug: bool) -> None:
    """From raw footage to a per-frame anomaly curve.

    \b
    vad-pipeline extract raw_videos/ --store features
    vad-pipeline detect --store features --checkpoint model_ucf.pth --out results
    """
    logging.basicConfig(format="%(levelname)s: %(message)s", stream=sys.stderr, level=logging.WARNING)
    logging.getLogger("vad_pipeline").setLevel(logging.DEBUG if debug else logging.WARNING)
    try:
        os.getcwd()
    except OSError as error:  # torch's libraries would end the process without a word of why
        raise ConfigError("the folder that this was started in is gone; change into one that is there") from error


def main() -> None:
    """Run the command line and exit with a code that says how it ended (docs/reference.md lists them)."""
    signal.signal(signal.SIGTERM, _terminate)
    for stream in (sys.stdout, sys.stderr):  # a file name may hold characters that the terminal cannot show
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    debug = "--debug" in sys.argv
    if debug:  # --debug may also stand after the command's name
        sys.argv = [sys.argv[0], "--debug", *(a for a in sys.argv[1:] if a != "--debug")]
    with never_dropped({KeyboardInterrupt: signal.SIGINT, Terminated: signal.SIGTERM}):
        sys.exit(_run(debug))


def _run(debug: bool) -> int:
    stdout, stderr = sys.stdout, sys.stderr
    try:
        code = cli(standalone_mode=False, prog_name="vad-pipeline") or 0
        if stdout is not None:
            stdout.flush()  # here, where a full disk is told
        return code
    except click.ClickException as error:
        _tell(error.show)
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        _tell(f"interrupted: {_what_stays()}")
        return EXIT_INTERRUPTED
    except Terminated:
        _tell(f"terminated: {_what_stays()}")
        return EXIT_TERMINATED
    except SystemExit:
        if sys.stdout is stdout:
            raise
        sys.stdout, sys.stderr = stdout, stderr  # click's answer to a closed pipe: others in their place, and exit 1
        return _told_of(BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE)), stdout, debug)
    except (VadError, OSError, MemoryError) as error:
        return _told_of(error, stdout, debug)
    except Exception as error:
        if debug:
            traceback.print_exc()
        _tell(
            f"Error: a bug ({type(error).__name__}: {shortened(str(error))}); what is finished is kept. Run again with "
            "--debug and report what it prints"
        )
        return EXIT_BUG


def _told_of(error: Exception, stdout: IO | None, debug: bool) -> int:
    """Tell of an error that is no bug; gives the exit code."""
    is_unread = stdout is not None and _is_unread(stdout)
    if stdout is not None and (is_unread or _is_lost(stdout)):
        with contextlib.suppress(OSError):  # Python itself writes at its end what is still in the buffer
            os.dup2(os.open(os.devnull, os.O_WRONLY), stdout.fileno())
    if is_unread and isinstance(error, BrokenPipeError):
        return 0
    if debug:
        traceback.print_exception(error)
    if isinstance(error, VadError):
        _tell(f"Error: {error}")
        return EXIT_STOPPED if isinstance(error, RunStopped) else EXIT_USAGE
    if isinstance(error, OSError):  # of a kind that nothing nearer to the file expects
        where = f"{readable(error.filename)}: " if error.filename else ""
        what = f"{where}{error.strerror or type(error).__name__}"
    else:
        what = f"out of memory{f' ({shown(str(error))})' if str(error) else ''}"
    _tell(f"Error: {what}; mend that, {_how_to_go_on()}: what is finished is kept")
    return EXIT_STOPPED


def _is_unread(stdout: IO) -> bool:
    """Whether the reader of what we print has ended, as in `| head -1`."""
    look = select.poll()
    try:
        look.register(stdout.fileno(), select.POLLOUT)
        return any(event & (select.POLLERR | select.POLLHUP) for _, event in look.poll(0))
    except (OSError, ValueError):
        return False


def _is_lost(stdout: IO) -> bool:
    """Whether what we have printed cannot be written."""
    try:
        stdout.flush()
    except (OSError, ValueError):
        return True
    return False


def _tell(message: str | Callable[[], None]) -> None:
    """Show a message; where not even that can be written, the exit code still says how it ended."""
    with contextlib.suppress(OSError):
        message() if callable(message) else click.echo(message, err=True)


def _what_stays() -> str:
    if _command() in KEEPING_NOTHING:
        return "nothing is kept, the same command begins anew"
    return f"what is finished is kept, {_how_to_go_on()}"


def _how_to_go_on() -> str:
    return "`train --resume RUN` goes on" if _command() == "train" else "the same command goes on"


def _command() -> str:
    return next((word for word in sys.argv[1:] if not word.startswith("-")), "")


def _terminate(signum: int, frame: object) -> None:
    raise Terminated
