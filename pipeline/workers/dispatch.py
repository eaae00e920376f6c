"""Sends work to where the options say: this process, worker processes of this machine, a Dask or a Ray cluster.

Every backend is a function with the same signature, `run(config, work, items) -> iterator of (item, Attempt)`. It takes
items only as there is room for them and yields results as they are ready. An error of one item is in its Attempt; an
error that stops everything (no cluster, no worker that starts) is raised.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from .base import Attempt, ExecutorConfig, Item, Work, attempt


def run(config: ExecutorConfig, work: Work, items: Iterable[Item]) -> Iterator[tuple[Item, Attempt]]:
    """Work on all items where the config says, and yield each with its result; close the iterator to stop at once.

    Raises:
        ConfigError: the backend's package is not installed.
        ExecutorUnavailable: no worker can be used.
    """
    if config.in_process:
        for item in items:
            yield item, attempt(work.do, item)
        return
    if config.backend == "loky":
        from .local import run_in_processes as backend
    elif config.backend == "dask":
        from .dask_cluster import run_on_dask as backend
    else:  # "ray": ExecutorConfig takes no other
        from .ray_cluster import run_on_ray as backend
    yield from backend(config, work, items)
