"""Work on an existing Dask cluster, with as many items at work at once as it has worker processes."""

from __future__ import annotations

import contextlib
import logging
import time
from asyncio import CancelledError as TaskCancelled
from collections.abc import Iterable, Iterator
from concurrent.futures import CancelledError as FutureCancelled
from typing import TYPE_CHECKING, TypeVar

from vad_pipeline.extract.errors import ConfigError, how_to_add

from .base import (
    WORKERLESS_SECONDS,
    Attempt,
    ExecutorConfig,
    ExecutorUnavailable,
    Work,
    WorkerDied,
    fill,
    with_second_chance,
)
from .remote import do_remotely

if TYPE_CHECKING:
    from distributed import Client, Future

Item = TypeVar("Item")
CONNECT_SECONDS = 20
LOOK_SECONDS = 2  # how often to count the workers while no item ends
ALL_WORKERS = 0  # as `room`: as many items at once as there are workers at the time
GONE = (TaskCancelled, FutureCancelled, OSError)  # what Dask raises where its scheduler has ended
# Dask logs under the name of whichever module an error went through, and gives some of these a level of their own
LOGGERS = ("distributed", "distributed.client", "distributed.gc", "tornado", "tornado.application", "asyncio")


def run_on_dask(config: ExecutorConfig, work: Work, items: Iterable[Item]) -> Iterator[tuple[Item, Attempt]]:
    """Work on all items on a Dask cluster; the backend `dask` of `dispatch.run`.

    Raises:
        ConfigError: the package `distributed` is not installed.
        ExecutorUnavailable: no scheduler answers, or the cluster has had no workers for a minute.
    """
    try:
        from distributed import Client
    except ImportError as error:
        raise ConfigError(f"--backend dask: not installed; {how_to_add('dask')}") from error
    for name in LOGGERS:
        logging.getLogger(name).setLevel(logging.CRITICAL)  # what matters is said by our own errors
    try:
        client = Client(config.address, timeout=CONNECT_SECONDS)
    except (OSError, ValueError) as error:  # a timeout is an OSError
        raise ExecutorUnavailable(f"--address {config.address}: no Dask scheduler answers ({error})") from error
    try:
        yield from with_second_chance(
            lambda some, alone: _run_pass(client, config, work, some, alone=alone == 1), items, ALL_WORKERS
        )
    except GONE as error:
        gone = f"--address {config.address}: the Dask cluster is gone; run the same command again"
        raise ExecutorUnavailable(gone) from error
    finally:
        with contextlib.suppress(*GONE):
            client.close()


def _run_pass(
    client: Client, config: ExecutorConfig, work: Work, items: Iterable[Item], *, alone: bool
) -> Iterator[tuple[Item, Attempt]]:
    from distributed import wait
    from distributed.client import ClosedClientError

    def submit(item: Item) -> Future:
        return client.submit(do_remotely, work, item, config.video_timeout, pure=False)

    waiting, at_work = iter(items), {}
    seen_alive = time.monotonic()
    try:
        while True:
            n_workers = len(client.scheduler_info(n_workers=-1)["workers"])  # they come and go
            if not fill(at_work, 1 if alone else config.workers or max(1, n_workers), waiting, submit):
                return
            try:
                done = wait(list(at_work), timeout=LOOK_SECONDS, return_when="FIRST_COMPLETED").done
            except TimeoutError:
                done = set()
            if done or n_workers:
                seen_alive = time.monotonic()
            elif time.monotonic() - seen_alive > WORKERLESS_SECONDS:
                raise ExecutorUnavailable(
                    f"--address {config.address}: has had no workers for {WORKERLESS_SECONDS} s; start some, then run "
                    "the same command again"
                )
            for future in done:
                if future.status != "lost":  # lost: its result died with its worker, and Dask is doing it again
                    yield at_work.pop(future), _result(future)
    finally:
        with contextlib.suppress(*GONE, ClosedClientError):
            client.cancel(list(at_work))


def _result(future: Future) -> Attempt:
    from distributed import KilledWorker

    if future.status == "finished":
        return future.result()
    error = future.exception()  # raises one of GONE where the scheduler has dropped the item
    if isinstance(error, KilledWorker):  # Dask has tried the item on several workers, and all died
        return Attempt(error=WorkerDied("Dask workers died with it"))
    return Attempt(error=error)
