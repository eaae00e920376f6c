"""Work on an existing Ray cluster: each task takes one CPU, and one GPU where workers need one."""

from __future__ import annotations

import functools
import logging
import socket
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

from vad_pipeline.extract.errors import ConfigError, how_to_add

from .base import Attempt, ExecutorConfig, ExecutorUnavailable, Work, WorkerDied, fill, with_second_chance
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

    waiting, at_work, head = iter(items), {}, _Head(ray.get_runtime_context().gcs_address)
    try:
        while fill(at_work, room, waiting, submit):
            done, _ = ray.wait(list(at_work), num_returns=1, timeout=LOOK_SECONDS)
            for reference in done:
                yield at_work.pop(reference), _result(reference)
            head.look()
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


class _Head:
    """The head of the cluster: a driver whose head is gone for a minute is ended by Ray itself, without a word."""

    def __init__(self, address: str):
        host, _, port = address.rpartition(":")
        self._address = host.strip("[]"), int(port)
        self._seen = time.monotonic()

    def look(self) -> None:
        """See whether it answers, every few seconds.

        Raises:
            ExecutorUnavailable: it has not answered for a while.
        """
        if time.monotonic() - self._seen < LOOK_SECONDS:
            return
        try:
            socket.create_connection(self._address, LOOK_SECONDS).close()
            self._seen = time.monotonic()
        except OSError as error:
            if time.monotonic() - self._seen > GONE_SECONDS:
                raise _gone(f"its head does not answer: {error}") from error
