"""Commands in processes of their own that begin at once: forked from a process that has imported everything already.

A fresh Python takes seconds of a core to import torch and open_clip, which is most of a short run. The process that
they are forked from has computed nothing, so that no thread of it is lost by forking.
"""

from __future__ import annotations

import atexit
import contextlib
import multiprocessing
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from multiprocessing import forkserver
from pathlib import Path

FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(["everything"])


class Command:
    """A command line at work, in a session and process group of its own; what tests need of subprocess.Popen."""

    def __init__(self, arguments: Iterable[object], prepare: Callable[[], object] | None = None):
        """Begin it, with this process's environment and working directory.

        Args:
            arguments: the words after `vad-pipeline`.
            prepare: called there first; a function that a module has by its name.
        """
        self._said = tempfile.TemporaryDirectory()
        self._paths = tuple(Path(self._said.name) / name for name in ("out", "err"))
        given = (tuple(map(str, arguments)), prepare, self._paths, os.getcwd(), dict(os.environ))
        _begin_forks()
        self._process = FORKS.Process(target=_run, args=given)
        self._process.start()
        self.pid = self._process.pid
        with contextlib.suppress(ProcessLookupError):  # it has ended
            while self.poll() is None and os.getpgid(self.pid) != self.pid:
                time.sleep(0.001)

    @property
    def returncode(self) -> int | None:
        """As subprocess.Popen has it: minus the signal's number where one killed it."""
        return self._process.exitcode

    def poll(self) -> int | None:
        """The return code, or None while it runs."""
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        """Its return code, once it has ended."""
        self._process.join(timeout)
        if self._process.exitcode is None:
            raise subprocess.TimeoutExpired("vad-pipeline", timeout)
        return self._process.exitcode

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        """What it printed and what it said on standard error, once it has ended."""
        self.wait(timeout)
        return tuple(path.read_text() for path in self._paths)

    def send_signal(self, number: int) -> None:
        """Send it a signal."""
        os.kill(self.pid, number)

    def kill(self) -> None:
        """Kill it and all that it began."""
        os.killpg(self.pid, signal.SIGKILL)


def _begin_forks() -> None:
    """Begin the process that commands are forked from, where it is not there yet. Python before 3.13 gives it no
    `sys.path`, and it passes over in silence what it cannot import: it is told by PYTHONPATH where `everything` is."""
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (str(Path(__file__).parent), before)))
    try:
        forkserver.ensure_running()
    finally:
        if before is None:
            del os.environ["PYTHONPATH"]
        else:
            os.environ["PYTHONPATH"] = before


def _run(arguments, prepare, paths, folder, environment) -> None:
    os.setsid()
    assert "everything" in sys.modules, "forked from a process that has imported nothing"
    for number, path in enumerate(paths, 1):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT), number)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    sys.argv = ["vad-pipeline", *arguments]
    from vad_pipeline.pipeline.cli import main

    try:
        if prepare is not None:
            prepare()
        main()
    finally:
        atexit._run_exitfuncs()  # as a process ends that was not forked
        sys.stdout.flush()
