"""Work on an existing Dask cluster: as many items in flight as it has worker processes."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

from vad_pipeline.extract.errors import ConfigError

from .executors import Attempt, ExecutorConfig, ExecutorUnavailable, Work, WorkerDied, with_second_chance
from .remote import do_remotely

Item = TypeVar("Item")
CONNECT_SECONDS = 20
LOOK_SECONDS = 2  # between looks at a cluster on which nothing ends
WORKERLESS_SECONDS = 60  # a cluster may be without workers, for example while they restart


def run_on_dask(config: ExecutorConfig, work: Work, items: Iterable[Item]) -> Iterator[tuple[Item, Attempt]]:
    """See `executors.run`.

    Raises:
        ConfigError: `distributed` is not installed.
        ExecutorUnavailable: no scheduler there, or no workers for a minute.
    """
    try:
        from distributed import Client
    except ImportError as error:
        raise ConfigError("--backend dask: not installed; pip install 'vad-pipeline[dask]'") from error
    try:
        client = Client(config.address, timeout=CONNECT_SECONDS)
    except (OSError, ValueError) as error:  # also its timeouts
        raise ExecutorUnavailable(f"--address {config.address}: no Dask scheduler answers ({error})") from error
    with client:
        room = config.workers or max(1, _n_workers(client))
        yield from with_second_chance(lambda some, n: _run_pass(client, config, work, some, n), items, room)


def _n_workers(client) -> int:
    return len(client.scheduler_info(n_workers=-1)["workers"])


def _run_pass(client, config: ExecutorConfig, work: Work, items: Iterable[Item], room: int):
    from distributed import wait

    waiting, at_work = iter(items), {}
    seen_alive = time.monotonic()
    try:
        while True:
            while len(at_work) < room and (item := next(waiting, _END)) is not _END:
                future = client.submit(do_remotely, work, item, config.video_timeout, pure=False)
                at_work[future] = item
            if not at_work:
                return
            try:
                done = wait(list(at_work), timeout=LOOK_SECONDS, return_when="FIRST_COMPLETED").done
            except TimeoutError:
                done = set()
            if done or _n_workers(client):
                seen_alive = time.monotonic()
            elif time.monotonic() - seen_alive > WORKERLESS_SECONDS:
                raise ExecutorUnavailable(
                    f"--address {config.address}: has had no workers for {WORKERLESS_SECONDS} s; start some, then run "
                    "the same command again"
                )
            for future in done:
                yield at_work.pop(future), _result(future, config)
    finally:
        client.cancel(list(at_work))


def _result(future, config: ExecutorConfig) -> Attempt:
    from distributed import KilledWorker

    if future.status == "finished":
        return future.result()
    if future.status in ("cancelled", "lost"):
        raise ExecutorUnavailable(f"--address {config.address}: the Dask cluster is gone; run the same command again")
    error = future.exception()
    if isinstance(error, KilledWorker):  # several of them: Dask has tried it on others
        return Attempt(error=WorkerDied(f"{config.address}: Dask workers died with it"))
    return Attempt(error=error)


_END = object()
