"""What all backends share: the work that is sent to workers, what becomes of an item, the options that say where
workers are, and how items are handed out. `dispatch.py` picks the backend.
"""

from __future__ import annotations

import pickle
import traceback
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

from vad_pipeline.extract.errors import ConfigError, RunStopped

Item = TypeVar("Item")
BACKENDS = ("loky", "dask", "ray")
LONGEST_TIMEOUT_SECONDS = 30 * 86400


class ExecutorUnavailable(RunStopped):
    """The workers cannot be had: the cluster is not there, or processes die before they begin."""


class WorkerDied(Exception):
    """The process that worked on an item ended: `str()` says how, for example SIGSEGV."""


class TimedOut(Exception):
    """The item took longer than it may; `args[0]` in seconds."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """What became of one item: a value or an error."""

    value: Any = None
    error: BaseException | None = None
    trace: str = ""
    """Of the error, where it was raised."""


@dataclass(frozen=True, slots=True)
class Work:
    """What workers do: sent to them with every item, so both must be small and picklable.

    `begin` makes a worker ready (loads weights) and is not held against any item's time; `do` does one item.
    """

    begin: Callable[[], object]
    do: Callable[[Any], Any]

    def get_ready(self, _: object = None) -> None:
        """`begin`, whose product stays where the worker is."""
        self.begin()


@dataclass(frozen=True, slots=True)
class ExecutorConfig:
    """How work is spread.

    Raises:
        ConfigError: options that contradict each other.
    """

    workers: int | None = None
    """Processes of this machine, or items in flight on a cluster; None: this process, or as many as the cluster has."""
    backend: str = "loky"
    address: str | None = None
    """Of the cluster; None: the Ray cluster of this machine, Dask needs one."""
    gpu: bool = False
    """Whether every worker needs a GPU of its own; Ray alone has to be told."""
    video_timeout: float | None = None
    """Seconds an item may take."""

    def __post_init__(self):
        if self.backend not in BACKENDS:
            raise ConfigError(f"--backend must be {', '.join(BACKENDS)}, got {self.backend!r}")
        if self.workers is not None and self.workers < 1:
            raise ConfigError(f"--workers must be at least 1, got {self.workers}")
        if self.video_timeout is not None and not 0 < self.video_timeout <= LONGEST_TIMEOUT_SECONDS:
            raise ConfigError(
                f"--video-timeout must be above 0 and at most 30 days in seconds, got {self.video_timeout:g}"
            )
        if self.backend == "loky" and self.address is not None:
            raise ConfigError("--address names a cluster: give --backend dask or ray with it")
        if self.backend == "dask" and self.address is None:
            raise ConfigError("--backend dask needs the scheduler: --address tcp://HOST:8786")

    @property
    def in_process(self) -> bool:
        """Whether work is done in this very process."""
        return self.backend == "loky" and self.workers is None and self.video_timeout is None


def attempt(do: Callable[[Item], Any], item: Item) -> Attempt:
    """Do one item wherever this runs; its error travels home as a value."""
    try:
        return Attempt(do(item))
    except Exception as error:
        return Attempt(error=_portable(error), trace=traceback.format_exc())


def _portable(error: Exception) -> Exception:
    """The error, or where it would not survive the way home, its words."""
    try:
        pickle.loads(pickle.dumps(error))
        return error
    except Exception:
        return RuntimeError(f"{type(error).__name__}: {error}")


def fill(at_work: dict[Any, Item], room: int, waiting: Iterator[Item], submit: Callable[[Item], Any]) -> bool:
    """Submit waiting items until `room` of them are at work; False once nothing is at work and nothing waits.

    Args:
        at_work: what `submit` returned for each item at work; new ones are added.
        room: how many may be at work at once.
        waiting: drawn from only where there is room.
        submit: sends an item off, and returns what its result is known by.
    """
    while len(at_work) < room:
        for item in waiting:
            at_work[submit(item)] = item
            break
        else:
            break
    return bool(at_work)


def with_second_chance(
    run_pass: Callable[[Iterable[Item], int], Iterator[tuple[Item, Attempt]]], items: Iterable[Item], room: int
) -> Iterator[tuple[Item, Attempt]]:
    """All items, `room` at a time; those whose worker died once more at the end, one at a time.

    They may have been victims of another's memory or of somebody's `kill`. Dying alone makes an item the culprit.
    """
    suspects: list[Item] = []
    for item, result in run_pass(items, room):
        if isinstance(result.error, WorkerDied):
            suspects.append(item)
        else:
            yield item, result
    yield from run_pass(suspects, 1)
