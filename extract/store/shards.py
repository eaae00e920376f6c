"""Shards: HDF5 files of groups, one group a video. The store and results folders consist of them.

A shard is built in memory, and its finished bytes are written whole or not at all. HDF5 itself never writes to the
disk: on a full one it would crash the process, whereas writing bytes raises OSError.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import io
import logging
import math
import os
import re
import uuid
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import h5py
import numpy as np

from ..errors import DamagedShard, StoreError
from ..files import write_bytes
from ..names import flat
from .own_process import next_group, read_apart
from .versions import Version, kept

logger = logging.getLogger(__name__)

ROOT_GROUP = "videos"
SHARD_BYTES = 128 << 20  # merged shards grow to about this
SMALL_BYTES = SHARD_BYTES // 2  # and are left alone from this size on
OF_HDF5 = (OSError, RuntimeError, KeyError)  # raised by h5py where the library cannot read
ASKED_WRONGLY = (errno.EINVAL, errno.EFAULT, errno.EOVERFLOW, errno.EFBIG)  # addresses and sizes that cannot be
LISTINGS = 50  # how often a folder is listed again while other runs merge shards in it
COMPRESSED = {"compression": "gzip", "compression_opts": 4, "shuffle": True}
COMPRESSED_FROM_BYTES = 1024  # chunking costs more than it saves below
OWN_FILTERS = frozenset({h5py.h5z.FILTER_DEFLATE, h5py.h5z.FILTER_SHUFFLE})
MAX_INFLATION = 1100  # times its bytes in the file; deflate itself ends at 1032


@dataclass(frozen=True, slots=True, eq=False)
class Group:
    """One video's group before it is written."""

    name: str
    attributes: Mapping[str, Any]
    datasets: Mapping[str, np.ndarray]
    """float64 data sets (times) are compressed, others stored as they are."""


def group_name(video_id: str, recipe_id: str) -> str:
    """Name of a video's group: the percent-encoded id, `@`, the recipe id. So the ids `a` and `a/b` do not nest."""
    return f"{flat(video_id)}@{recipe_id}"


def video_of(name: str) -> str:
    """The id in a group's name."""
    return unquote(name.rpartition("@")[0], errors="replace")


def checksum(datasets: Mapping[str, np.ndarray]) -> str:
    """SHA-256 over names, types, shapes and values of all data sets."""
    digest = hashlib.sha256()
    for name in sorted(datasets):
        values = np.ascontiguousarray(datasets[name])
        digest.update(f"{name} {values.dtype.str} {values.shape}".encode())
        digest.update(values.tobytes())
    return digest.hexdigest()


def build(groups: Iterable[Group]) -> bytes:
    """The bytes of a shard with these groups, each with its `checksum` attribute."""
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        root = file.create_group(ROOT_GROUP)
        for group in groups:
            node = root.create_group(group.name)
            for name, values in group.datasets.items():
                compress = values.dtype == np.float64 and values.nbytes >= COMPRESSED_FROM_BYTES
                node.create_dataset(name, data=values, **(COMPRESSED if compress else {}))
            for name, value in {**group.attributes, "checksum": checksum(group.datasets)}.items():
                node.attrs[name] = value
    return buffer.getvalue()


def build_copy(sources: Iterable[tuple[Path, list[str]]]) -> bytes:
    """The bytes of a shard with groups copied from other shards: (path, names of groups) of each."""
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        root = file.create_group(ROOT_GROUP)
        for path, names in sources:
            with opened(path) as source:
                for name in names:
                    source.copy(group_in(source, name), root, name)
    return buffer.getvalue()


def new_path(folder: Path) -> Path:
    """A path in `folder` that no other process will choose."""
    return folder / f"{uuid.uuid4().hex}.h5"


@contextlib.contextmanager
def opened(path: Path, *, in_memory: bool = False) -> Iterator[h5py.Group]:
    """Open a shard for reading, in a `with` block that gets the group with all videos' groups in it.

    Args:
        path: the shard.
        in_memory: whether to read the whole file first, so that what is found wrong later is no failed read.

    Raises:
        DamagedShard: the file is no shard, or is damaged.
        FileNotFoundError: there is no such file.
        StoreError: the file cannot be read, but not because it is damaged.
    """
    try:
        if path.exists() and not path.is_file():  # a pipe would be waited for without end
            raise DamagedShard(f"{path}: no regular file; run `vad-pipeline store verify`")
        how = {"driver": "core", "backing_store": False} if in_memory else {}
        file = h5py.File(path, "r", locking=False, **how)  # complete files never change, locks fail on network disks
    except OSError as error:
        refuse_unreadable(path, error)
        raise DamagedShard(f"{path}: no readable HDF5 file; run `vad-pipeline store verify`") from error
    with file:
        root = _root_of(file, path)
        try:
            yield root
        except OF_HDF5 as error:
            if getattr(error, "errno", None) is None:  # another one is of what is done with the shard
                refuse_unreadable(path, error)
            raise


def _root_of(file: h5py.File, path: Path) -> h5py.Group:
    try:
        root = file[ROOT_GROUP]  # not `get`, which takes a read that fails for absence
        if isinstance(root, h5py.Group):
            return root
        why = None
    except OF_HDF5 as error:
        refuse_unreadable(path, error)
        why = error
    raise DamagedShard(f"{path}: not written by vad-pipeline (no `{ROOT_GROUP}` group); move it elsewhere") from why


def names_in(path: Path) -> set[str]:
    """Names of all groups of a shard; raises what `opened` raises."""
    with opened(path) as root:
        try:
            return set(names_below(root))
        except OF_HDF5 as error:
            refuse_unreadable(path, error)
            raise DamagedShard(f"{path}: damaged ({error}); run `vad-pipeline store verify`") from error


def names_below(root: h5py.Group) -> Iterator[str]:
    """Names of the groups in a group. h5py gives one that is no UTF-8 as bytes: no group is found by its text, and it
    counts as damaged."""
    for name in root:
        yield name if isinstance(name, str) else name.decode("utf-8", "backslashreplace")


def group_in(root: h5py.Group, name: str) -> h5py.Group:
    """A group of a shard, once it is checked that reading it is safe.

    Raises:
        DamagedShard: the group has a link elsewhere, data outside the file, a filter that we do not use, or shapes
            larger than the file can hold.
    """
    next_group()
    problem = _why_not(root, name, h5py.Group)
    if problem is None:
        node = root[name]
        problem = next(filter(None, (_why_not(node, key, h5py.Dataset) for key in node)), None)
    if problem:
        raise DamagedShard(f"{root.file.filename}: {name}: {problem}; it is not read, run `vad-pipeline store verify`")
    return node


def _why_not(parent: h5py.Group, key: str, kind: type) -> str | None:
    """Why a member of a group is not safe to read; None where it is."""
    link = parent.id.links.get_info(key.encode("utf-8", "surrogateescape"))  # `get` takes a failed read for absence
    if link.type != h5py.h5l.TYPE_HARD:
        return f"{key} links to another place"
    node = parent[key]
    if not isinstance(node, kind):
        return f"{key} is no {kind.__name__.lower()}"
    if kind is h5py.Group:
        return None
    plan = node.id.get_create_plist()
    if node.is_virtual or node.external:
        return f"{key} is stored outside the file"
    if {plan.get_filter(i)[0] for i in range(plan.get_nfilters())} - OWN_FILTERS:
        return f"{key} is packed by a filter that vad-pipeline does not use"
    if node.dtype.kind not in "fiu":
        return f"{key} holds {node.dtype}, not numbers"
    if math.prod(node.shape) * node.dtype.itemsize > node.id.get_storage_size() * MAX_INFLATION:
        return f"{key} claims the shape {node.shape}, more than the file can hold"
    return None


def refuse_unreadable(path: Path, error: Exception) -> None:
    """Raise an error where a shard could not be read because of the disk or the rights, not because of its content.

    Args:
        path: the shard.
        error: what reading it raised.

    Raises:
        FileNotFoundError: the shard is gone.
        StoreError: the system gave any other reason.
    """
    number = getattr(error, "errno", None) or _errno_told(error)
    if number == errno.ENOENT or (number == errno.ESTALE and not os.path.lexists(path)):
        raise FileNotFoundError(number, os.strerror(number), str(path)) from error
    if number:
        raise StoreError(f"{path}: cannot be read ({os.strerror(number)}); mend that, then go on") from error


def _errno_told(error: Exception) -> int | None:
    """The system's number for a read that failed, which HDF5 has only in its text; None for what is asked of a disk
    because the content is wrong."""
    told = re.search(r"\berrno = (\d+)", str(error))
    number = int(told[1]) if told else 0
    return number if number not in (0, *ASKED_WRONGLY) else None


def each_shard(folder: Path) -> Iterator[Path]:
    """All shards of a folder, each once. If one goes while it is looked at, the shard it was merged into comes too."""
    seen: set[Path] = set()
    for _ in range(LISTINGS):
        gone = False
        for path in shard_paths(folder):
            if path not in seen:
                seen.add(path)
                yield path
                gone = gone or not path.exists()
        if not gone:
            return


def shard_paths(folder: Path) -> list[Path]:
    """The paths of all complete shards in a folder, sorted by name."""
    return sorted(p for p in folder.glob("*.h5") if not p.name.startswith("."))


def merge_shards(
    folder: Path,
    *,
    sizes: Mapping[str, int],
    versions_in: Callable[[str], Mapping[str, Collection[Version]]],
    rewrite: Collection[str] = (),
    on_shards: Callable[[int], None] = lambda n: None,
) -> int:
    """Join small shards into larger ones, without superseded groups. The caller has the folder's `merging` lock.

    A crash in between leaves equal groups in two shards; nothing is lost.

    Args:
        folder: the folder of shards.
        sizes: bytes of each shard, by file name.
        versions_in: file name of a shard -> its groups, each with all versions of it in any shard.
        rewrite: file names of large shards to write anew too.
        on_shards: called with how many shards are begun.

    Returns:
        How many shards were replaced.
    """
    settled = {shard for shard, size in sizes.items() if size >= SMALL_BYTES and shard not in rewrite}
    joined = {shard: size for shard, size in sizes.items() if shard not in settled}
    held, keep = {}, {}
    for shard in joined:
        versions = versions_in(shard)
        held[shard], keep[shard] = len(versions), kept(shard, versions, settled)
    merged = 0
    for batch in _batches(joined):
        on_shards(len(batch))
        if len(batch) == 1 and len(keep[batch[0]]) == held[batch[0]]:  # it would be written as it is
            continue
        sources = _each_once(folder, batch, keep)
        try:
            data = read_apart([folder / shard for shard in batch], build_copy, sources)
        except FileNotFoundError:  # another run is merging the same ones: leave them to it
            continue
        except (StoreError, *OF_HDF5) as error:
            logger.warning("%s: not merged, something in it cannot be read (%s)", ", ".join(batch), error)
            continue
        if sources:
            write_bytes(new_path(folder), data)
        for shard in batch:
            unlink(folder / shard)
        merged += len(batch)
    return merged


def _each_once(folder: Path, batch: list[str], keep: Mapping[str, list[str]]) -> list[tuple[Path, list[str]]]:
    """Which groups are copied from which shard of a batch; a group that several of them hold is copied once."""
    sources, taken = [], set()
    for shard in batch:
        names = [name for name in keep[shard] if name not in taken]
        taken.update(names)
        if names:
            sources.append((folder / shard, names))
    return sources


def unlink(path: Path) -> None:
    """Delete a shard; one that is gone already is no error.

    Raises:
        StoreError: the folder cannot be written.
    """
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise StoreError(f"{path}: cannot be removed ({error.strerror}); give rights") from error


def _batches(sizes: Mapping[str, int]) -> Iterator[list[str]]:
    """Split shards into batches that are about SHARD_BYTES large together."""
    batch: list[str] = []
    total = 0
    for shard in sizes:
        if batch and total + sizes[shard] > SHARD_BYTES:
            yield batch
            batch, total = [], 0
        batch.append(shard)
        total += sizes[shard]
    if batch:
        yield batch
