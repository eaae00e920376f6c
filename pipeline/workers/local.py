"""Worker processes of this machine. Each lane is a loky pool of one process, so that it is known which item a process
was working on when it died or hung."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Future, wait
from typing import TypeVar

from joblib.externals.loky import process_executor
from joblib.externals.loky.process_executor import ProcessPoolExecutor

from vad_pipeline.extract.lane import LANE_VARIABLE

from .base import Attempt, ExecutorConfig, ExecutorUnavailable, TimedOut, Work, WorkerDied, attempt, with_second_chance

Item = TypeVar("Item")
PARENT_CHECK_SECONDS = 1.0
MAX_FAILED_STARTS = 3  # after so many in a row the run stops: no worker lives long enough to begin
HANDOVER_SECONDS = 1.0
NO_FAULT_DUMPS = {"PYTHONFAULTHANDLER": ""}  # a crash becomes an outcome of one sentence instead of a dump
THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


def run_in_processes(config: ExecutorConfig, work: Work, items: Iterable[Item]) -> Iterator[tuple[Item, Attempt]]:
    """Work on all items in processes of this machine; the backend `loky` of `dispatch.run`.

    Raises:
        ExecutorUnavailable: worker processes die before they begin.
    """
    n_workers = config.workers or 1
    threads = max(1, len(os.sched_getaffinity(0)) // n_workers)

    def run_pass(some: Iterable[Item], n_lanes: int) -> Iterator[tuple[Item, Attempt]]:
        return _run_lanes([_Lane(work, threads, number) for number in range(n_lanes)], some, config.video_timeout)

    yield from with_second_chance(run_pass, items, n_workers)


def _run_lanes(
    lanes: list[_Lane], items: Iterable[Item], video_timeout: float | None
) -> Iterator[tuple[Item, Attempt]]:
    waiting = iter(items)
    finished: list[tuple[Item, Attempt]] = []
    try:
        while True:
            for lane in lanes:  # before finished results are yielded, so that no worker idles meanwhile
                if lane.idle:
                    for item in waiting:
                        lane.take(item)
                        break
            yield from finished
            busy = [lane for lane in lanes if not lane.idle]
            if not busy:
                return
            wait([lane.next_event for lane in busy], _patience(busy, video_timeout), FIRST_COMPLETED)
            finished = [(lane.item, result) for lane in busy if (result := lane.result(video_timeout)) is not None]
    finally:
        for lane in lanes:
            lane.end()


def _patience(lanes: list[_Lane], video_timeout: float | None) -> float | None:
    """Seconds until the first item reaches the time limit; None without a limit, or while no item has begun."""
    started = [lane.started for lane in lanes if lane.started is not None]
    if video_timeout is None or not started:
        return None
    return max(0.0, min(started) + video_timeout - time.monotonic())


class _Lane:
    """One worker process and the item that it works on; a process that died is replaced by a new one."""

    def __init__(self, work: Work, threads: int, number: int):
        self._work = work
        self._variables = dict.fromkeys(THREAD_VARIABLES, str(threads)) | NO_FAULT_DUMPS | {LANE_VARIABLE: str(number)}
        self._pool: ProcessPoolExecutor | None = None
        self._ready: Future | None = None
        self._done: Future | None = None
        self._failed_starts = 0
        self.item: object = None
        self.started: float | None = None
        """When the item's time began to count (`time.monotonic`), which is once the worker was ready; else None."""

    @property
    def idle(self) -> bool:
        """Whether the lane has no item at work."""
        return self._done is None

    @property
    def next_event(self) -> Future:
        """The future to wait for: first that the worker is ready, then that the item is done."""
        return self._ready if self.started is None else self._done

    def take(self, item: object) -> None:
        """Send an item to the worker, starting a process if there is none."""
        self.item, self.started = item, None
        try:
            self._submit()
        except BrokenExecutor:  # the worker died while it was idle: nobody's fault
            self.end()
            self._submit()

    def _submit(self) -> None:
        if self._pool is None:
            try:
                self._start()
            except OSError as error:
                raise ExecutorUnavailable(
                    f"no worker process can be started ({error.strerror or error}): they need room in /dev/shm and the "
                    "folder for temporary files; make space or give rights there, or leave --workers away"
                ) from error
        self._done = self._pool.submit(attempt, self._work.do, self.item)

    def _start(self) -> None:
        self._pool = ProcessPoolExecutor(1, initializer=_come_alive, initargs=(os.getpid(),), env=self._variables)
        with _interrupts_held_back():
            self._ready = self._pool.submit(attempt, self._work.get_ready, None)

    def result(self, video_timeout: float | None) -> Attempt | None:
        """The item's result, or None while it is at work.

        Raises:
            ExecutorUnavailable: the worker died before it began, several times in a row.
            Exception: what `Work.begin` raised.
        """
        try:
            if self.started is None and self._ready.done():
                begun = self._ready.result()
                if begun.error is not None:
                    raise begun.error
                self.started, self._failed_starts = time.monotonic(), 0
            if self._done.done():
                return self._settled(self._done.result())
        except BrokenExecutor as death:
            return self._after(death)
        if video_timeout is not None and self.started and time.monotonic() - self.started >= video_timeout:
            self.end()
            return self._settled(Attempt(error=TimedOut(video_timeout)))
        return None

    def end(self) -> None:
        """Kill the worker process, whatever it is doing."""
        if self._pool is not None:
            if self._done is not None:
                _until_handed_over(self._done)
            self._pool.shutdown(wait=True, kill_workers=True)
            self._pool = None

    def _after(self, death: BrokenExecutor) -> Attempt | None:
        self.end()
        if self.started is not None:
            return self._settled(Attempt(error=WorkerDied(_manner(death))))
        self._failed_starts += 1
        if self._failed_starts == MAX_FAILED_STARTS:
            raise ExecutorUnavailable(
                f"worker processes die before they begin ({_manner(death)}, {MAX_FAILED_STARTS} times): too little "
                "memory? give fewer --workers, then run the same command again"
            ) from death
        self.take(self.item)
        return None

    def _settled(self, result: Attempt) -> Attempt:
        self._done = self.started = None
        return result


def _until_handed_over(future: Future) -> None:
    """Wait until loky has passed a task to its worker: its own thread fails if the pool is killed before that."""
    deadline = time.monotonic() + HANDOVER_SECONDS
    while not (future.running() or future.done()) and time.monotonic() < deadline:
        time.sleep(0.005)


def _manner(death: BrokenExecutor) -> str:
    """How a process ended: `SIGKILL`, `exit code 3`."""
    found = re.search(r"(SIG[A-Z0-9]+)\(-\d+\)|EXIT\((\d+)\)", str(death))
    if found is None:
        return "it vanished"
    return found[1] or f"exit code {found[2]}"


@contextlib.contextmanager
def _interrupts_held_back() -> Iterator[None]:
    """Block SIGINT while a worker starts. It inherits this until it ignores Ctrl-C, and so shows no traceback."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})


def _come_alive(parent: int) -> None:
    """Set up a new worker process: ignore Ctrl-C, which the parent answers, and end once the parent is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    # else loky would replace a worker whose memory has grown, and loading the encoder would count as an item's time
    process_executor._MAX_MEMORY_LEAK_SIZE = sys.maxsize

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(PARENT_CHECK_SECONDS)
        os.kill(os.getpid(), signal.SIGKILL)

    threading.Thread(target=watch, name="watch parent", daemon=True).start()
