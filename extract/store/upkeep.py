"""Upkeep of a store: small shards joined, damage found and moved aside, videos removed."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path

from ..errors import DamagedShard, StoreError
from ..files import remove_partial, write_bytes
from .attributes import copied
from .embedding_store import EmbeddingStore
from .entry import Entry, entry_of
from .merge_lock import merging
from .own_process import read_apart
from .shards import (
    OF_HDF5,
    Group,
    build,
    build_copy,
    each_shard,
    group_in,
    merge_shards,
    names_below,
    names_in,
    new_path,
    opened,
    refuse_unreadable,
    unlink,
)
from .stored import group_problem

DAMAGED_FOLDER = "damaged"
OnShards = Callable[[int], None]  # told how many shards are begun


def merge(store: EmbeddingStore, *, everything: bool = False, on_shards: OnShards = lambda n: None) -> int | None:
    """Join small shards into larger ones, without the groups that newer ones have superseded.

    Args:
        store: the store.
        everything: whether to rewrite large shards with superseded groups too (`store compact`).
        on_shards: called with how many shards are begun.

    Returns:
        How many shards were replaced; None where another run is joining shards now.
    """
    remove_partial(store.shards)
    store.flush()
    with merging(store.shards) as alone:
        if not alone:  # what this run wrote is joined next time
            return None
        store.catalogue.sync()
        merged = merge_shards(
            store.shards,
            sizes=store.catalogue.shards(),
            versions_in=store.catalogue.versions_in,
            rewrite=store.catalogue.superseded_shards() if everything else (),
            on_shards=on_shards,
        )
    store.catalogue.sync()
    return merged


@contextlib.contextmanager
def _alone(store: EmbeddingStore) -> Iterator[None]:
    with merging(store.shards) as alone:
        if not alone:
            raise StoreError(f"{store.path}: another run is joining its shards; run the same command again later")
        yield


def verify(store: EmbeddingStore, *, on_shards: OnShards = lambda n: None) -> Iterator[tuple[str, str]]:
    """Read every data set of every shard and compare checksums.

    Yields:
        For each damage the shard's name and what is wrong.
    """
    store.catalogue.check()
    for path in each_shard(store.shards):
        on_shards(1)
        _, problems = _examined(path)
        for problem in problems:
            yield path.name, problem


def repair(store: EmbeddingStore, *, on_shards: OnShards = lambda n: None) -> Iterator[tuple[str, str]]:
    """`verify`, and move every shard with damage in it to STORE/damaged once its whole videos are in a new one.

    Yields:
        Name of a shard, what is wrong with it.

    Raises:
        StoreError: the store cannot be written.
    """
    with _alone(store):
        store.catalogue.check()
        for path in each_shard(store.shards):
            on_shards(1)
            whole, problems = _examined(path)
            if not problems:
                continue
            if whole:
                write_bytes(new_path(store.shards), read_apart([path], _written_anew, path, whole))
            _move(path, store.path / DAMAGED_FOLDER)
            for problem in problems:
                yield path.name, problem
    store.catalogue.sync()


def _written_anew(path: Path, names: list[str]) -> bytes:
    """The bytes of a shard with these groups of a damaged one: of what was read of them, as HDF5's own copy would trip
    over what is wrong in between."""
    with opened(path) as root:
        nodes = ((name, group_in(root, name)) for name in names)
        return build(Group(name, copied(node), {key: node[key][()] for key in node}) for name, node in nodes)


def _move(path: Path, folder: Path) -> None:
    try:
        folder.mkdir(exist_ok=True)
        path.replace(folder / path.name)
    except OSError as error:
        raise StoreError(f"{path}: cannot be moved to {folder} ({error.strerror}); give rights") from error


def restore(store: EmbeddingStore, *, on_shards: OnShards = lambda n: None) -> tuple[int, list[tuple[str, str]]]:
    """Bring back what `repair` has moved to STORE/damaged, as far as it can be read: a shard that is whole goes back to
    its place; of others, what the store does not hold goes to a new shard, and they stay where they are.

    Returns:
        How many videos came back; name of a shard that stays, what is wrong with it.

    Raises:
        StoreError: a shard cannot be read, or the store not be written.
    """
    with _alone(store):
        store.catalogue.sync()
        n_back, stay = 0, []
        for path in each_shard(store.path / DAMAGED_FOLDER):
            on_shards(1)
            whole, problems = _examined(path)
            stay += [(path.name, problem) for problem in problems]
            missing = _not_held(store, read_apart([path], _versions, path, whole))
            if not problems:
                _move(path, store.shards)
            elif missing:
                write_bytes(new_path(store.shards), read_apart([path], _written_anew, path, missing))
            n_back += len(missing)
    store.catalogue.sync()
    return n_back, stay


def _not_held(store: EmbeddingStore, versions: Mapping[str, int]) -> list[str]:
    """The groups that count once they are back: the store holds none of their name, or older ones."""
    held = {name: store.catalogue.newest([name]).get(name) for name in versions}
    return [name for name, ns in versions.items() if held[name] is None or held[name].written_ns < ns]


def _versions(path: Path, names: list[str]) -> dict[str, int]:
    """When groups of a shard were written."""
    with opened(path) as root:
        return {name: entry_of(name, path.name, group_in(root, name)).written_ns for name in names}


def remove(store: EmbeddingStore, entries: Collection[Entry]) -> None:
    """Remove videos: shards that hold them, or older versions of them, are written anew without them.

    Raises:
        StoreError: the store cannot be written.
    """
    store.flush()
    with _alone(store):
        store.catalogue.sync()
        names = {entry.name for entry in entries}
        for shard in store.catalogue.shards_with(names):
            path = store.shards / shard
            left = read_apart([path], _without, path, names)
            if left is not None:
                write_bytes(new_path(store.shards), left)
            unlink(path)
    store.catalogue.sync()


def _without(path: Path, names: Collection[str]) -> bytes | None:
    """The bytes of a shard that has the groups of another but these; None where none is left."""
    try:
        left = sorted(names_in(path) - set(names))
        return build_copy([(path, left)]) if left else None
    except OF_HDF5 as error:
        raise StoreError(f"{path}: cannot be read ({error}); run `vad-pipeline store verify --repair` first") from error


def _examined(path: Path) -> tuple[list[str], list[str]]:
    """Check a shard: give the names of its undamaged groups, and what is wrong with the others or with the whole file.

    What looks damaged is checked once more with the whole file in memory: a read that failed is no damage.

    Raises:
        StoreError: the shard cannot be read, but not because it is damaged.
    """
    try:
        whole, problems = read_apart([path], _content, path, False)
        return read_apart([path], _content, path, True) if problems else (whole, problems)
    except DamagedShard as error:  # reading it crashes or does not end, and would again
        return [], [str(error)]
    except FileNotFoundError:  # another run has merged it away
        return [], []


def _content(path: Path, in_memory: bool) -> tuple[list[str], list[str]]:
    whole, problems = [], []
    try:
        with opened(path, in_memory=in_memory) as root:
            for name in names_below(root):
                problem = group_problem(name, path.name, root)
                if problem:
                    problems.append(problem)
                else:
                    whole.append(name)
    except FileNotFoundError:
        raise
    except (DamagedShard, OSError, RuntimeError) as error:
        refuse_unreadable(path, error)
        problems.append(str(error))
    return whole, problems
