"""Sends work to where the options say: this process, worker processes of this machine, a Dask or a Ray cluster.

Every backend is a function of the same shape, `run(config, work, items) -> iterator of (item, Attempt)`: items are
drawn only as there is room for them, results come as they are ready, and whatever becomes of one item is its Attempt.
What cannot go on at all (no cluster, no worker that starts) is raised.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from .base import Attempt, ExecutorConfig, Item, Work, attempt


def run(config: ExecutorConfig, work: Work, items: Iterable[Item]) -> Iterator[tuple[Item, Attempt]]:
    """Do all items as the config says; close the iterator to stop at once.

    Raises:
        ConfigError: a backend that is not installed.
        ExecutorUnavailable: workers that cannot be had.
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
