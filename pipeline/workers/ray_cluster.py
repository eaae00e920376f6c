"""Work on an existing Ray cluster: each task takes one CPU, and one GPU where workers need one."""

from __future__ import annotations

import functools
import logging
import socket
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

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

Item = TypeVar("Item")
MAX_RETRIES = 2
LOOK_SECONDS = 2  # how often to look whether the head is there
GONE_SECONDS = 30  # how long it may be gone, for example while it restarts


def run_on_ray(config: ExecutorConfig, work: Work, items: Iterable[Item]) -> Iterator[tuple[Item, Attempt]]:
    """Work on all items on a Ray cluster; the backend `ray` of `dispatch.run`.

    Raises:
        ConfigError: the package `ray` is not installed.
        ExecutorUnavailable: no cluster answers, or it lacks the CPUs or GPUs needed.
    """
    try:
        import ray
    except ImportError as error:
        raise ConfigError(f"--backend ray: not installed; {how_to_add('ray')}") from error
    ours = not ray.is_initialized()
    if ours:
        try:
            ray.init(config.address or "auto", logging_level=logging.ERROR, log_to_driver=False)
        except (ConnectionError, OSError, ValueError, RuntimeError) as error:
            where = f"--address {config.address}" if config.address else "--backend ray"
            raise ExecutorUnavailable(
                f"{where}: no Ray cluster answers ({error}); `ray start --head` begins one"
            ) from error
    try:
        needed = "GPU" if config.gpu else "CPU"
        available = int(ray.cluster_resources().get(needed, 0))
        if not available:
            raise ExecutorUnavailable(f"the Ray cluster has no {needed}: add a node that has, or change --device")
        run_pass = functools.partial(_run_pass, config, work)
        yield from with_second_chance(run_pass, items, config.workers or available)
    except ConnectionError as error:  # of a client (ray://)
        raise _gone(error) from error
    finally:
        if ours:
            ray.shutdown()


def _run_pass(config: ExecutorConfig, work: Work, items: Iterable[Item], room: int) -> Iterator[tuple[Item, Attempt]]:
    import ray

    # Ray itself tries these again: a process that ends takes along the task that it was given last
    remote = ray.remote(num_cpus=1, num_gpus=int(config.gpu), max_retries=MAX_RETRIES)(do_remotely)

    def submit(item: Item) -> ray.ObjectRef:
        return remote.remote(work, item, config.video_timeout)

    waiting, at_work = iter(items), {}
    cluster = _Cluster(ray.get_runtime_context().gcs_address, "GPU" if config.gpu else "CPU")
    try:
        while fill(at_work, room, waiting, submit):
            done, _ = ray.wait(list(at_work), num_returns=1, timeout=LOOK_SECONDS)
            for reference in done:
                yield at_work.pop(reference), _result(reference)
            cluster.look()
    finally:
        for reference in at_work:
            ray.cancel(reference, force=True)


def _result(reference) -> Attempt:
    import ray
    from ray.exceptions import NodeDiedError, OutOfMemoryError, RayError, RayTaskError, WorkerCrashedError

    try:
        return ray.get(reference)
    except (WorkerCrashedError, OutOfMemoryError, NodeDiedError) as error:
        return Attempt(error=WorkerDied(f"Ray: {type(error).__name__}"))
    except RayTaskError as error:
        return Attempt(error=error)
    except RayError as error:
        raise _gone(error) from error


def _gone(why: object) -> ExecutorUnavailable:
    return ExecutorUnavailable(f"the Ray cluster is gone ({why}); run the same command again")


class _Cluster:
    """Whether it still is one: a driver whose head is gone for a minute is ended by Ray itself, without a word, and one
    whose nodes are all gone waits for ever."""

    def __init__(self, address: str, needed: str):
        host, _, port = address.rpartition(":")
        self._head = host.strip("[]"), int(port)
        self._needed = needed
        self._looked = self._head_seen = self._node_seen = time.monotonic()

    def look(self) -> None:
        """See whether the head answers and any node could work, every few seconds.

        Raises:
            ExecutorUnavailable: one of them has not been there for a while.
        """
        import ray

        now = time.monotonic()
        if now - self._looked < LOOK_SECONDS:
            return
        self._looked = now
        try:
            socket.create_connection(self._head, LOOK_SECONDS).close()
            self._head_seen = now
        except OSError as error:
            if now - self._head_seen > GONE_SECONDS:
                raise _gone(f"its head does not answer: {error}") from error
            return
        if ray.cluster_resources().get(self._needed, 0):
            self._node_seen = now
        elif now - self._node_seen > WORKERLESS_SECONDS:
            lacks = f"the Ray cluster has had no {self._needed} for {WORKERLESS_SECONDS} s"
            raise ExecutorUnavailable(f"{lacks}; add a node that has, then run the same command again")
