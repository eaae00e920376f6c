"""What all backends share: `Work` sent to workers, the `Attempt` at an item, the options, and how items are given out.

`dispatch.py` picks the backend.
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
WORKERLESS_SECONDS = 60  # how long a cluster may be without workers, for example while they restart
LONGEST_TIMEOUT_SECONDS = 30 * 86400


class ExecutorUnavailable(RunStopped):
    """No worker can be used: the cluster does not answer, or worker processes die before they begin."""


class WorkerDied(Exception):
    """The process that worked on an item ended unexpectedly; `str()` says how, for example SIGSEGV."""


class TimedOut(Exception):
    """An item took longer than the limit, which is `args[0]` in seconds."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """The result of one try at an item: a value, or the error that was raised."""

    value: Any = None
    error: BaseException | None = None
    trace: str = ""
    """Traceback of the error, as text from the process that raised it."""


@dataclass(frozen=True, slots=True)
class Work:
    """What workers do with items. It is sent along with every item, so both functions must be small and picklable.

    `begin` makes a worker ready (loads weights); its time counts towards no item's limit. `do` works on one item.
    """

    begin: Callable[[], object]
    do: Callable[[Any], Any]

    def get_ready(self, _: object = None) -> None:
        """Call `begin` and drop what it returns, so that nothing large is sent back from the worker."""
        self.begin()


@dataclass(frozen=True, slots=True)
class ExecutorConfig:
    """Where work is done, and how many items at a time.

    Raises:
        ConfigError: an option is out of range, or two contradict each other.
    """

    workers: int | None = None
    """Processes on this machine, or items at work at once on a cluster. None: in this process, or one item for each
    worker of the cluster."""
    backend: str = "loky"
    address: str | None = None
    """Address of the cluster. None: the Ray cluster of this machine; Dask needs an address."""
    gpu: bool = False
    """Whether every worker needs a GPU of its own; only Ray uses this."""
    video_timeout: float | None = None
    """Seconds that an item may take; None: no limit."""

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
        """Whether work is done in this process, without any workers."""
        return self.backend == "loky" and self.workers is None and self.video_timeout is None


def attempt(do: Callable[[Item], Any], item: Item) -> Attempt:
    """Call `do` on one item; an error is returned as a value, so that it can be sent back from another process."""
    try:
        return Attempt(do(item))
    except Exception as error:
        return Attempt(error=_portable(error), trace=traceback.format_exc())


def _portable(error: Exception) -> Exception:
    """The error itself where it can be pickled, else a RuntimeError with its text."""
    try:
        pickle.loads(pickle.dumps(error))
        return error
    except Exception:
        return RuntimeError(f"{type(error).__name__}: {error}")


def fill(at_work: dict[Any, Item], room: int, waiting: Iterator[Item], submit: Callable[[Item], Any]) -> bool:
    """Submit waiting items until `room` of them are at work.

    Args:
        at_work: future -> item, for all items at work; new ones are added.
        room: how many items may be at work at once.
        waiting: the items still to be submitted; taken from only while there is room.
        submit: sends an item to a worker and returns the future of its result.

    Returns:
        False once nothing is at work and nothing is waiting.
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
    """Work on all items, then once more, one at a time, on those whose worker died.

    A worker may die through no fault of its item: another item used up the memory, or somebody killed the process. If
    it dies again while its item is the only one at work, the item is to blame.

    Args:
        run_pass: works on items, at most so many at once, and yields each with its result.
        items: what to work on.
        room: how many items may be at work at once in the first pass.
    """
    suspects: list[Item] = []
    for item, result in run_pass(items, room):
        if isinstance(result.error, WorkerDied):
            suspects.append(item)
        else:
            yield item, result
    yield from run_pass(suspects, 1)
