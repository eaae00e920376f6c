"""Reads shards in a process of its own, with bounds on time and memory: what a stranger, or a flipped bit, has put into
an HDF5 file can crash its library, keep it busy for ever or ask for all memory. It then costs that process alone.

The process is a new Python, not a fork: the library and torch hold locks and threads that a fork would copy half. It is
begun when it is first needed (some tenths of a second) and reads one shard after the other until this process ends.
"""

from __future__ import annotations

import atexit
import contextlib
import faulthandler
import os
import pickle
import resource
import signal
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, TypeVar

from ..errors import DamagedShard, StoreError

Read = TypeVar("Read")
LENGTH = struct.Struct("<Q")
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
MORE_BYTES, BYTES_PER_BYTE = 200 << 20, 4  # memory that reading may take: so much, and so much for each byte read
ANSWER_BYTES = 64 << 20  # and what is found in a shard, likewise
SECONDS, BYTES_PER_SECOND = 3, 1 << 20  # of the processor: so many, and one more for so many bytes
BYTES_PER_SECOND_AT_ONCE = 16 << 20  # the same, from one group to the next: small groups take long, large ones do not
KILLED = (signal.SIGKILL, signal.SIGTERM)  # by somebody, not by what it read


_allowed: tuple[int, int] | None = None
"""In the process that reads: the second of its processor by which all must be read, and how many it has for a group."""


class OwnProcess:
    """The process that reads for this one; made anew after it has come to an end."""

    def __init__(self):
        self._process: subprocess.Popen | None = None
        self._lock = threading.Lock()

    def read(self, paths: list[Path], function: Callable[..., Read], *given: object) -> Read:
        """What `function(*given)` gives.

        Args:
            paths: the shards that it reads, all of them; they say how much time and memory it may take.
            function: of a module; what it is given, gives and raises is pickled.

        Raises:
            DamagedShard: reading them crashes, does not end, or takes far more memory than they are large.
            StoreError: the process was killed, or cannot be begun.
        """
        with self._lock:
            if self._process is None:
                self._process = _begun()
            try:
                _send(self._process.stdin, (_here(), sum(map(_size, paths)), function, given))
                worked, found = _receive(self._process.stdout)
            except (EOFError, BrokenPipeError):
                raise _told(paths, self._ended()) from None
            except BaseException:  # interrupted in the middle of an answer
                self._process.kill()
                self._ended()
                raise
        if worked:
            return found
        if isinstance(found, MemoryError):
            raise DamagedShard(f"{_names(paths)}: damaged, asks for far more memory than it is large; it is not read")
        raise found

    def _ended(self) -> int:
        process, self._process = self._process, None
        with contextlib.suppress(BrokenPipeError):
            process.stdin.close()  # it ends where nobody asks any more
        process.stdout.close()
        return process.wait()

    def stop(self) -> None:
        """End it."""
        with self._lock:
            if self._process is not None:
                self._ended()

    def forget(self) -> None:
        """In a fork of this process: the process that reads is the other one's."""
        self.__init__()


_own = OwnProcess()
atexit.register(_own.stop)
os.register_at_fork(after_in_child=_own.forget)


def read_apart(paths: list[Path], function: Callable[..., Read], *given: object) -> Read:
    """`OwnProcess.read` in the one that reads for this process."""
    return _own.read(paths, function, *given)


def _begun() -> subprocess.Popen:
    """A process that is ready to read; -P: it imports nothing from the folder that one happens to be in."""
    begin = f"from {serve.__module__} import {serve.__name__} as serve; serve()"
    command = [sys.executable, "-P", "-c", begin]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    try:
        process = subprocess.Popen(command, **pipes, env=os.environ | ONE_THREAD)
    except OSError as error:
        raise StoreError(f"no further process can be begun ({error.strerror}); end others, then go on") from error
    try:
        _receive(process.stdout)
    except EOFError:
        raise StoreError(f"the process that reads shards does not begin (exit code {process.wait()})") from None
    except BaseException:
        process.kill()
        process.wait()
        raise
    return process


def _told(paths: list[Path], code: int) -> StoreError:
    if -code in KILLED:
        return StoreError(f"{_names(paths)}: the process that read it was killed; run the same command again")
    if code >= 0:  # it has ended by itself, as where our own files were replaced meanwhile: no word of the shard
        return StoreError(
            f"{_names(paths)}: the process that reads ended (exit code {code}); run the same command again"
        )
    how = "does not end" if -code == signal.SIGXCPU else f"ends the process ({signal.Signals(-code).name})"
    return DamagedShard(f"{_names(paths)}: damaged, reading it {how}; run `vad-pipeline store verify`")


def _names(paths: list[Path]) -> str:
    return ", ".join(map(str, paths))


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:  # whoever opens it is told
        return 0


def _here() -> str:
    """The working folder; empty where it is gone."""
    try:
        return os.getcwd()
    except FileNotFoundError:
        return ""


def serve() -> None:
    """The process: reads what it is asked for until nobody asks any more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # of the whole group: the parent decides
    faulthandler.disable()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    asked, answered = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    import h5py  # noqa: F401  # before memory is bounded

    _send(answered, "ready")
    while True:
        try:
            folder, size, function, given = _receive(asked)
        except EOFError:
            return
        _bound(size)
        try:
            if folder:
                os.chdir(folder)  # paths may be relative, and whoever asks may have gone elsewhere
            answer = _pickled((True, function(*given)))
            if len(answer) > ANSWER_BYTES + BYTES_PER_BYTE * size:
                raise MemoryError
        except Exception as error:
            answer = _pickled((False, error))
        _write(answered, answer)


def next_group() -> None:
    """Say that another group is read next: in the process that reads, each has some seconds of its own."""
    if _allowed is not None:
        end, at_once = _allowed
        seconds = min(end, int(time.process_time()) + at_once)
        resource.setrlimit(resource.RLIMIT_CPU, (seconds, resource.getrlimit(resource.RLIMIT_CPU)[1]))


def _bound(size: int) -> None:
    """Bound memory and time for what is read next, of so many bytes."""
    global _allowed
    end = int(time.process_time()) + SECONDS + size // BYTES_PER_SECOND
    _allowed = end, SECONDS + size // BYTES_PER_SECOND_AT_ONCE
    next_group()
    with contextlib.suppress(OSError, ValueError):  # a system that does not tell what is held
        held = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        limit = held + MORE_BYTES + BYTES_PER_BYTE * size
        resource.setrlimit(resource.RLIMIT_AS, (limit, resource.getrlimit(resource.RLIMIT_AS)[1]))


def _pickled(value: object) -> bytes:
    return pickle.dumps(value, pickle.HIGHEST_PROTOCOL)


def _send(pipe: BinaryIO, value: object) -> None:
    _write(pipe, _pickled(value))


def _write(pipe: BinaryIO, data: bytes) -> None:
    pipe.write(LENGTH.pack(len(data)))
    pipe.write(data)
    pipe.flush()


def _receive(pipe: BinaryIO) -> object:
    (length,) = LENGTH.unpack(_exactly(pipe, LENGTH.size))
    return pickle.loads(_exactly(pipe, length))


def _exactly(pipe: BinaryIO, length: int) -> bytes:
    data = pipe.read(length)
    if len(data) < length:
        raise EOFError
    return data
