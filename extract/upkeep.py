"""Upkeep of a store: small shards joined, damage found and moved aside, videos removed."""

from __future__ import annotations

import logging
import time
from collections.abc import Collection, Iterator
from pathlib import Path

from .catalogue import Entry
from .errors import StoreError
from .shards import build_copy, merge_shards, new_path, opened, remove_partial, shard_paths, write_bytes
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
    store.catalogue.sync()
    versions = store.catalogue.versions()  # one reading: another run may be writing
    newest = {name: shard for name, shard, _ in sorted(versions, key=lambda v: (v[2], v[1]))}
    keep: dict[str, list[str]] = {shard: [] for _, shard, _ in versions}
    superseded: set[str] = set()
    for name, shard, _ in versions:
        if newest[name] == shard:
            keep[shard].append(name)
        else:
            superseded.add(shard)
    sizes = {shard: size for shard, size in store.catalogue.shards().items() if shard in keep}
    merged = merge_shards(store.shards, sizes=sizes, keep=keep, superseded=superseded, everything=everything)
    store.catalogue.sync()
    return merged


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
    for path in shard_paths(store.shards):
        whole, problems = _examined(path)
        if not problems:
            continue
        if whole:
            write_bytes(new_path(store.shards), build_copy([(path, whole)]))
        aside = store.path / DAMAGED_FOLDER / path.name
        try:
            aside.parent.mkdir(exist_ok=True)
            path.replace(aside)
        except OSError as error:
            raise StoreError(f"{path}: cannot be moved to {aside} ({error.strerror}); give rights") from error
        for problem in problems:
            yield path.name, problem
    store.catalogue.sync()


def remove(store: EmbeddingStore, entries: Collection[Entry]) -> None:
    """Drop videos: the shards that hold them, older versions too, are written anew without them.

    Raises:
        StoreError: the store cannot be written.
    """
    store.flush()
    names = {entry.name for entry in entries}
    touched: dict[str, list[str]] = {}
    for name, shard, _ in store.catalogue.versions():
        if name in names:
            touched.setdefault(shard, [])
    for name, shard, _ in store.catalogue.versions():
        if shard in touched and name not in names:
            touched[shard].append(name)
    for shard, left in touched.items():
        path = store.shards / shard
        try:
            if left:
                write_bytes(new_path(store.shards), build_copy([(path, left)]))
            path.unlink(missing_ok=True)
        except FileNotFoundError as error:  # another run is merging
            raise StoreError(f"{path}: gone while it was in use; run the same command again") from error
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
