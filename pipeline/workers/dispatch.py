"""Work on videos sent to where the options say: this process, processes, a Dask or a Ray cluster."""

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
    else:
        from .ray_cluster import run_on_ray as backend
    yield from backend(config, work, items)
