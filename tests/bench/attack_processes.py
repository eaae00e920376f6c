"""Commands of `attack.py`, each in a fork of a process that has imported all of it already: thousands fit into an hour
that starting Python would take alone."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import importlib
import json
import os
import resource
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from vad_pipeline.extract.store import own_process
from vad_pipeline.pipeline import cli

HANG_SECONDS = 600  # by the clock of a machine that has other things to do
CALLS = ("open", "read", "write", "fsync", "rename", "unlink", "link")  # in the order of failing_calls.c
DOCUMENTED = (0, 1, 2, 3, 130, 143)
Fault = tuple[Path, str, int, int]
"""Folder attacked, one of CALLS, which call of that kind fails (0: none), errno."""


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command ended."""

    code: int
    """Exit code; below 0: the signal that ended it."""
    errors: str
    """What it printed on stderr."""
    seconds: float
    cpu_seconds: float
    peak_mb: float
    fired: bool = False
    """Whether the fault asked for happened."""
    counts: tuple[int, ...] = ()
    """How often each of CALLS was called below the folder attacked."""
    imported: tuple[str, ...] = ()
    """Names of all modules that it had imported in the end."""

    def complaint(self) -> str | None:
        """What is wrong with how it ended, or None."""
        if self.code == -signal.SIGALRM:
            return f"hangs for over {HANG_SECONDS} s"
        if self.code not in DOCUMENTED or "Traceback" in self.errors or "a bug" in self.errors:
            return f"exit {self.code}: {self.errors[-400:]}"
        if self.code in (2, 3) and not self.errors.strip():
            return f"exit {self.code} without a word"
        return None


class ForkedReader:
    """Stands for the process that reads shards (`own_process`): a fork, made while this process has one thread only."""

    def __init__(self):
        asked, self._asked = os.pipe()
        self._answered, answered = os.pipe()
        self._child = os.fork()
        if not self._child:
            os.dup2(asked, 0), os.dup2(answered, 1)
            for descriptor in (asked, self._asked, self._answered, answered):
                os.close(descriptor)
            with contextlib.suppress(BaseException):
                own_process.serve()
            os._exit(0)
        os.close(asked), os.close(answered)
        self.stdin, self.stdout = os.fdopen(self._asked, "wb"), os.fdopen(self._answered, "rb")

    def begun(self) -> ForkedReader:
        """In place of `own_process._begun`, once: the next one is begun as always."""
        own_process._begun = _begun_as_always
        own_process._receive(self.stdout)
        return self

    def kill(self) -> None:
        """As Popen has it."""
        os.kill(self._child, signal.SIGKILL)

    def wait(self) -> int:
        """As Popen has it."""
        return os.waitstatus_to_exitcode(os.waitpid(self._child, 0)[1])


_begun_as_always = own_process._begun


def with_forked_reader() -> None:
    """Have shards read in a fork, in this process from now on."""
    own_process._begun = ForkedReader().begun


def forked(work: Callable[[], object]) -> object:
    """What `work` gives, done in a child, so that nothing of it stays here; an exception comes back as a text."""
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        os.close(reader)
        with_forked_reader()
        try:
            answer = {"is": work()}
        except BaseException as error:  # told to the parent
            answer = {"error": f"{type(error).__name__}: {error}"}
        with os.fdopen(writer, "w") as pipe:
            json.dump(answer, pipe)
        own_process._own.stop()
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as pipe:
        text = pipe.read()
    os.waitpid(child, 0)
    answer = json.loads(text or '{"error": "died"}')
    return answer.get("is", answer.get("error"))


def begin(arguments: list, report: Path, fault: Fault | None = None) -> int:
    """Start a command in a forked child; what it prints goes into files beside `report`. Returns its process id."""
    child = os.fork()
    if child:
        with contextlib.suppress(OSError):  # it has done so itself, or ended
            os.setpgid(child, child)
        return child
    code = [99]
    try:
        _run_here(arguments, report, fault, code)
    finally:  # whenever a signal comes, this child never goes back to what its parent has still to do
        os._exit(code[0])


def _run_here(arguments: list, report: Path, fault: Fault | None, code: list[int]) -> None:
    """Be the command; `code` holds what it ends with, as soon as it has ended."""
    os.setpgid(0, 0)
    for descriptor, name in ((1, "out"), (2, "err")):
        os.dup2(os.open(f"{report}.{name}", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), descriptor)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.alarm(HANG_SECONDS)
    sys.argv = ["vad-pipeline", *map(str, arguments)]
    library = ctypes.CDLL(None) if fault else None
    if fault:
        folder, call, number, error = fault
        library.failing_count.restype = library.failing_fired.restype = ctypes.c_long
        library.failing_arm(os.fsencode(folder), CALLS.index(call), ctypes.c_long(number), error)
    with_forked_reader()
    Path(f"{report}.begun").touch()
    try:
        cli.main()
    except SystemExit as stop:
        code[0] = stop.code or 0
    except BaseException as error:
        print(f"Traceback: {error!r}", file=sys.stderr)
    if fault:
        counts = [library.failing_count(kind) for kind in range(len(CALLS))]
        fired = bool(library.failing_fired())
        library.failing_disarm()
        Path(f"{report}.json").write_text(json.dumps([fired, counts, list(sys.modules)]))
    with contextlib.suppress(Exception):
        sys.stdout.flush(), sys.stderr.flush(), own_process._own.stop()


def ended(child: int, report: Path, started: float) -> Ended:
    """Wait for a child of `begin`."""
    _, status, use = os.wait4(child, 0)
    told = Path(f"{report}.json")
    fired, counts, imported = json.loads(told.read_text()) if told.exists() else (False, (), ())
    told.unlink(missing_ok=True)
    errors = Path(f"{report}.err").read_text(errors="replace")
    code, cpu = os.waitstatus_to_exitcode(status), use.ru_utime + use.ru_stime
    seconds, peak_mb = time.monotonic() - started, use.ru_maxrss / 1024
    return Ended(code, errors, seconds, cpu, peak_mb, fired, tuple(counts), tuple(imported))


def run(arguments: list, fault: Fault | None = None) -> Ended:
    """Run a command in a forked child to its end."""
    with tempfile.TemporaryDirectory() as folder:
        started = time.monotonic()
        return ended(begin(arguments, Path(folder) / "r", fault), Path(folder) / "r", started)


def preload(names: Iterable[str]) -> None:
    """Import what a command has imported, so that the next ones need not.

    Raises:
        SystemExit: a module begins threads, which forks would lack.
    """
    for name in names:
        if name not in sys.modules:
            with contextlib.suppress(Exception):  # made by others as they were imported
                importlib.import_module(name)
    gc.freeze()  # a fork that looks for garbage would copy all memory
    if len(os.listdir("/proc/self/task")) > 1:
        raise SystemExit("an imported module has begun threads")
