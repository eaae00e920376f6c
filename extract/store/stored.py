"""Writes a video's features as a group in a shard, reads them and checks them. No catalogue is needed, so that workers
can do it too."""

from __future__ import annotations

import contextlib
import io
import itertools
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import TypeVar

import h5py
import numpy as np

from ..decode.timeline import TIMELINE
from ..errors import ConfigError, DamagedShard, GoneFromStore, VideoDecodeError, readable
from ..files import SourceFile, write_bytes
from ..records import VideoEmbeddings
from .attributes import copied, rate, whole
from .entry import DAMAGE, Entry, entry_of
from .shards import (
    ROOT_GROUP,
    Group,
    build,
    checksum,
    group_in,
    group_name,
    new_path,
    opened,
    refuse_unreadable,
    shard_paths,
)
from .versions import time_after

Read = TypeVar("Read")


@dataclass(frozen=True, slots=True, eq=False)
class StoredVideo:
    """One video's features as they lie in the store."""

    entry: Entry
    features: np.ndarray = field(repr=False)
    """(crops, n, D) float16."""
    snippet_seconds: np.ndarray = field(repr=False)
    """(n, 2) float64: start and end of each snippet."""
    frame_seconds: np.ndarray = field(repr=False)
    """(F,) float64: when each frame is shown."""
    fps: Fraction
    """Average frame rate, frames/s."""
    snippet_len: int
    """How many frames a snippet spans."""

    def __post_init__(self):
        crops, n = len(self.entry.crop_numbers), len(self.snippet_seconds)
        if self.features.shape[:2] != (crops, n) or not n or self.features.dtype.kind != "f":
            raise ValueError(f"expected features of {crops} crops and {n} snippets, got {self.features.shape}")
        seconds = self.frame_seconds
        if seconds.shape != (self.entry.n_frames,) or not np.isfinite(seconds).all() or (np.diff(seconds) <= 0).any():
            raise ValueError(f"expected {self.entry.n_frames} increasing frame times, got {seconds.shape}")
        if self.fps <= 0 or self.snippet_len < 1:
            raise ValueError(f"expected fps and snippet_len above 0, got {self.fps} and {self.snippet_len}")

    def crop(self, number: int) -> np.ndarray:
        """The features of one crop, (n, D) float32.

        Raises:
            ConfigError: the crop is not stored.
        """
        held = self.entry.crop_numbers
        if number not in held:
            raise ConfigError(
                f"{self.entry.video}: crop {number} is not in the store (held: {', '.join(map(str, held))}); "
                f"extract with --crops {number}"
            )
        return self.features[held.index(number)].astype(np.float32)


@dataclass(frozen=True, slots=True)
class Origin:
    """What embeddings were made from and how the encoder computed; stored with them, but no part of the recipe."""

    source: SourceFile
    """The video file as it was before reading began; its size is -1 for imported features."""
    content: str
    """The file's SHA-256, hex; empty where it is not known."""
    precision: str
    runtime: str
    label: str = ""
    """The category that imported features were listed with; else empty."""
    stream: int = 1
    """Which of the file's video streams, from 1."""


def write_video(shards: Path, video: VideoEmbeddings, origin: Origin, *, later_than: int = 0) -> Entry:
    """Write a video's features as a shard of its own; once this returns, they are on the disk.

    Args:
        shards: the folder of shards.
        video: the features; they are stored as float16.
        origin: what they were made from.
        later_than: `written_ns` of the features that these supersede; theirs is later, whatever the clock says.

    Raises:
        StoreError: the disk is full or cannot be written.
        VideoDecodeError: the embeddings are not finite.
    """
    if not np.isfinite(video.embeddings).all():
        raise VideoDecodeError(origin.source.path, "unexpected", "its embeddings are not finite; try --precision fp32")
    info = video.info
    attributes = {
        "video": video.video_id,
        "n_frames": video.n_frames,
        "fps": np.array([video.fps.numerator, video.fps.denominator], np.int64),
        "width": info.width if info else 0,
        "height": info.height if info else 0,
        "route": info.route if info else "imported",
        "snippet_len": video.recipe.snippet_len,
        "crops": np.array(video.crops, np.int64),
        "recipe": video.recipe.to_json(),
        "recipe_id": video.recipe.recipe_id,
        "precision": origin.precision,
        "runtime": origin.runtime,
        **_of_source(origin.source, later_than),
        "fingerprint": origin.content,
        "label": origin.label,
        "timeline": TIMELINE,
        "seconds_assumed": info is None,
    }
    if origin.stream > 1:
        attributes["stream"] = origin.stream
    if video.still_share is not None:
        attributes["still_share"] = video.still_share
    datasets = {
        "features": video.embeddings.astype(np.float16),
        "snippet_seconds": video.snippet_seconds.astype(np.float64),
        "frame_seconds": video.frame_seconds.astype(np.float64),
    }
    return _write(shards, Group(group_name(video.video_id, video.recipe.recipe_id), attributes, datasets))


def write_copy(shards: Path, entry: Entry, video_id: str, source: SourceFile, *, later_than: int = 0) -> Entry:
    """Hold the features of `entry` under another id too: the same content under another name; see `write_video`.

    Raises:
        DamagedShard: they are not what was written.
        StoreError: they cannot be read, or the copy not be written.
    """
    attributes, datasets = read_entry(shards, entry, lambda node: (copied(node), intact_datasets(entry, node)))
    attributes |= {"video": video_id, **_of_source(source, later_than)}
    return _write(shards, Group(group_name(video_id, entry.recipe_id), attributes, datasets))


def write_times(
    shards: Path,
    entry: Entry,
    times: tuple[np.ndarray, np.ndarray, Fraction],
    source: SourceFile,
    *,
    later_than: int = 0,
) -> Entry:
    """Write features anew with other times; see `write_video`.

    Args:
        shards: the folder.
        entry: whose features.
        times: `frame_seconds` (F,), `snippet_seconds` (n, 2) and the average rate.
        source: the file that they are of, as it is now.
        later_than: as `write_video` has it.

    Raises:
        DamagedShard: the features are not what was written.
        StoreError: they cannot be read or written.
    """
    attributes, datasets = read_entry(shards, entry, lambda node: (copied(node), intact_datasets(entry, node)))
    frame_seconds, snippet_seconds, fps = times
    attributes |= {"fps": np.array([fps.numerator, fps.denominator], np.int64), "timeline": TIMELINE}
    attributes |= _of_source(source, later_than)
    datasets |= {"frame_seconds": frame_seconds, "snippet_seconds": snippet_seconds}
    return _write(shards, Group(entry.name, attributes, datasets))


def _of_source(source: SourceFile, later_than: int) -> dict:
    written = {"source": readable(source.path), "size": source.size, "mtime_ns": source.mtime_ns}
    return {**written, "written_ns": time_after(later_than)}


def _write(shards: Path, group: Group) -> Entry:
    data = build([group])
    path = new_path(shards)
    with h5py.File(io.BytesIO(data)) as file:
        entry = entry_of(group.name, path.name, file[ROOT_GROUP][group.name])
    write_bytes(path, data)
    return entry


def read_entry(shards: Path, entry: Entry, read: Callable[[h5py.Group], Read]) -> Read:
    """What `read` makes of an entry's group; where another run has merged its shard away, wherever it lies by now.

    Raises:
        DamagedShard: it is not what was written.
        GoneFromStore: nobody holds it any more.
        StoreError: the disk cannot be read.
    """
    for shard in itertools.chain([shards / entry.shard], _newest_first(shards)):
        own = shard.name == entry.shard
        try:
            with opened(shard) as root:
                if own or entry.name in root:
                    return _read_from(root, shard, entry, read)
        except FileNotFoundError:
            continue
        except DamagedShard:
            if own:
                raise
    raise GoneFromStore(f"{shards / entry.shard}: gone while it was in use; run the same command again")


def _read_from(root: h5py.Group, shard: Path, entry: Entry, read: Callable[[h5py.Group], Read]) -> Read:
    try:
        return read(group_in(root, entry.name))
    except DAMAGE as error:
        refuse_unreadable(shard, error)
        raise DamagedShard(
            f"{shard}: {entry.video} cannot be read ({error}); run `vad-pipeline store verify --repair` and extract "
            "again"
        ) from error


def _newest_first(shards: Path) -> Iterator[Path]:
    """All shards, the newest first. They are listed only when first asked for, which is when a shard has gone."""
    stats = {}
    for path in shard_paths(shards):
        with contextlib.suppress(FileNotFoundError):
            stats[path] = path.stat().st_mtime_ns
    yield from sorted(stats, key=stats.get, reverse=True)


def intact_datasets(entry: Entry, node: h5py.Group) -> dict[str, np.ndarray]:
    """All of a group's data sets, for what is written anew from them: damage must not get a checksum of its own.

    Raises:
        One of DAMAGE: they are not what was written.
    """
    problem = _disagreement(entry.name, entry.shard, node)
    if problem:
        raise ValueError(problem)
    return {name: node[name][()] for name in node}


def stored_video(entry: Entry, node: h5py.Group, *, crop: int | None = None) -> StoredVideo:
    """Read the features in a group.

    Args:
        entry: the group's entry.
        node: the group.
        crop: the crop to read; the result then has no other one. None: all crops.

    Raises:
        One of DAMAGE: it is not what `write_video` writes.
    """
    which = slice(None)
    if crop is not None:
        index = entry.crop_numbers.index(crop)
        which, entry = slice(index, index + 1), replace(entry, crops=json.dumps([crop]))
    return StoredVideo(
        entry,
        node["features"][which],
        node["snippet_seconds"][()],
        node["frame_seconds"][()],
        rate(node),
        whole(node, "snippet_len", least=1),
    )


def stored_times(node: h5py.Group) -> tuple[np.ndarray, Fraction]:
    """When each frame of a group's video is shown, (F,) float64 seconds, and its average rate.

    Raises:
        One of DAMAGE: it is not what `write_video` writes.
    """
    return node["frame_seconds"][()], rate(node)


def group_problem(name: str, shard: str, root: h5py.Group) -> str | None:
    """What is wrong with a group of a shard, everything read and compared; None where nothing is."""
    try:
        return _disagreement(name, shard, group_in(root, name))
    except (DamagedShard, *DAMAGE) as error:
        refuse_unreadable(Path(root.file.filename), error)
        return f"{readable(name)}: cannot be read ({error})"


def _disagreement(name: str, shard: str, node: h5py.Group) -> str | None:
    entry = entry_of(name, shard, node)
    datasets = {key: node[key][()] for key in node}
    if checksum(datasets) != entry.checksum:
        return f"{entry.video}: checksum differs: the data are not what was written"
    stored_video(entry, node)  # raises where shapes, times or rate cannot be
    copied(node)  # those that nothing is chosen by, too
    return None
