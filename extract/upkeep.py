"""Upkeep of a store: small shards joined, damage found and moved aside, videos removed."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Collection, Iterator
from pathlib import Path

from .catalogue import Entry
from .errors import StoreError
from .merge_lock import merging
from .shards import SMALL_BYTES, build_copy, merge_shards, new_path, opened, remove_partial, shard_paths, write_bytes
from .store import EmbeddingStore
from .stored import group_problem

logger = logging.getLogger(__name__)

STALE_SECONDS = 24 * 3600  # half-written files older than this belong to nobody
DAMAGED_FOLDER = "damaged"


def merge(store: EmbeddingStore, *, everything: bool = False) -> int:
    """Join small shards into larger ones and drop what is superseded in them.

    Args:
        everything: rewrite large shards too (`store compact`), not only small ones.

    Returns:
        How many shards were merged away.
    """
    remove_partial(store.shards, older_than_seconds=STALE_SECONDS, now=time.time())
    store.flush()
    with merging(store.shards) as alone:
        if not alone:  # another run is at it, and will take in what this one wrote next time
            return 0
        store.catalogue.sync()
        sizes = store.catalogue.shards()
        superseded = store.catalogue.superseded_shards() if everything else ()
        candidates = [shard for shard in sizes if sizes[shard] < SMALL_BYTES or shard in superseded]
        merged = merge_shards(
            store.shards,
            sizes={shard: sizes[shard] for shard in candidates},
            held={shard: store.catalogue.n_groups(shard) for shard in candidates},
            keep={shard: store.catalogue.newest_in(shard) for shard in candidates},
        )
    store.catalogue.sync()
    return merged


@contextlib.contextmanager
def _alone(store: EmbeddingStore) -> Iterator[None]:
    with merging(store.shards) as alone:
        if not alone:
            raise StoreError(f"{store.path}: another run is joining its shards; run the same command again later")
        yield


def verify(store: EmbeddingStore) -> Iterator[tuple[str, str]]:
    """Read every data set of every shard.

    Yields:
        Name of a shard, what is wrong with it.
    """
    for path in shard_paths(store.shards):
        _, problems = _examined(path)
        for problem in problems:
            yield path.name, problem


def repair(store: EmbeddingStore) -> Iterator[tuple[str, str]]:
    """`verify`, and move every shard with damage in it to STORE/damaged once its whole videos are in a new one.

    Yields:
        Name of a shard, what is wrong with it.

    Raises:
        StoreError: the store cannot be written.
    """
    with _alone(store):
        for path in shard_paths(store.shards):
            whole, problems = _examined(path)
            if not problems:
                continue
            if whole:
                write_bytes(new_path(store.shards), build_copy([(path, whole)]))
            _set_aside(path, store.path / DAMAGED_FOLDER)
            for problem in problems:
                yield path.name, problem
    store.catalogue.sync()


def _set_aside(path: Path, folder: Path) -> None:
    try:
        folder.mkdir(exist_ok=True)
        path.replace(folder / path.name)
    except OSError as error:
        raise StoreError(f"{path}: cannot be moved to {folder} ({error.strerror}); give rights") from error


def remove(store: EmbeddingStore, entries: Collection[Entry]) -> None:
    """Drop videos: the shards that hold them, older versions too, are written anew without them.

    Raises:
        StoreError: the store cannot be written.
    """
    store.flush()
    with _alone(store):
        store.catalogue.sync()
        for shard, left in store.catalogue.left_without({entry.name for entry in entries}).items():
            path = store.shards / shard
            if left:
                write_bytes(new_path(store.shards), build_copy([(path, left)]))
            try:
                path.unlink(missing_ok=True)
            except OSError as error:
                raise StoreError(f"{path}: cannot be removed ({error.strerror}); give rights") from error
    store.catalogue.sync()


def _examined(path: Path) -> tuple[list[str], list[str]]:
    """The whole groups of a shard, and what is wrong with the others or with all of it."""
    whole, problems = [], []
    try:
        with opened(path) as root:
            for name in root:
                problem = group_problem(name, path.name, root)
                if problem:
                    problems.append(problem)
                else:
                    whole.append(name)
    except FileNotFoundError:  # another run has merged it away
        return [], []
    except (StoreError, OSError, RuntimeError) as error:
        problems.append(str(error))
    return whole, problems
