"""The room's verb, a video file -> its features in a store: held already? copied? else decoded, embedded and written.

`extract_video` does all of it. Over an archive its parts are done in different places: `task_for` (task.py) where the
catalogue is, `extract_task` wherever a worker is, `Extracted.taken_into` where the catalogue is again.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

import numpy as np

from .errors import DamagedShard, GoneFromStore, NvdecFailed, VideoOpenError, readable
from .extractor import Extractor
from .files import Source, absolute, content_of, reading, stat_source
from .gaps import spans
from .names import strip_suffix
from .records import VideoEmbeddings
from .stopwatch import Stopwatch
from .store.embedding_store import EmbeddingStore
from .store.entry import Entry
from .store.stored import Origin, intact_datasets, read_entry, write_copy, write_video
from .task import ExtractTask, task_for

if TYPE_CHECKING:
    from .decode.reader import Reader


@dataclass(frozen=True, slots=True)
class Extracted:
    """What became of a task."""

    n_frames: int
    entry: Entry | None = None
    """Written, to be indexed; None: nothing had to be done."""
    touched: tuple[Entry, int] | None = None
    """Held, and found unchanged but for its time, which is now this (ns)."""
    warnings: tuple[str, ...] = ()
    route: str | None = None
    """Decoder and device."""
    still_share: float | None = None
    """Of its sampled frames, those that were not embedded; None without a still bound."""
    gaps: tuple[tuple[float, float], ...] = ()
    """From and to, seconds, where it has no footage."""
    seconds: dict[str, float] = field(default_factory=dict)
    """Wall time by stage."""

    def taken_into(self, store: EmbeddingStore) -> Entry:
        """Index what was written, or found unchanged; the entry that the store holds now."""
        if self.entry:
            store.take_in(self.entry)
            return self.entry
        store.touch(*self.touched)
        return self.touched[0]


def extract_video(
    path: str | os.PathLike, extractor: Extractor, store: EmbeddingStore, *, video_id: str | None = None
) -> Entry:
    """Extract one video into a store, unless the store holds its features already.

    Args:
        path: the video file.
        extractor: how; it may be used for many videos.
        store: open.
        video_id: what it is called; None: the file's name without its suffix.

    Returns:
        What the store holds of it: `store.get(entry)` reads it.

    Raises:
        VideoError: it cannot be used.
        StoreError: the store cannot be read or written.
    """
    source = Source(video_id or strip_suffix(readable(PurePath(path).name)), absolute(path))
    decided = task_for(source, stat_source(source), extractor, store)
    if isinstance(decided, Entry):
        return decided
    return extract_task(decided, extractor, store.shards).taken_into(store)


def extract_task(task: ExtractTask, extractor: Extractor, shards: Path) -> Extracted:
    """Extract one video, unless a look into the file shows that its features are there.

    Raises:
        VideoError: it cannot be used.
        StoreError: the store cannot be written.
    """
    own = task.own if task.own and _same_content(task.own, task) else None
    if own and own.has_crops(extractor.crops) and not extractor.config.force:
        held = _held(own, task, shards)
        if held:
            return held
        own = None  # it is damaged, or of other frames than the file gives today
    for twin in () if own else task.twins:
        copied = _copied(twin, task, shards)
        if copied:
            told = f"same content as {twin.video}: its features were copied"
            return Extracted(twin.n_frames, copied, warnings=(told,))
    video, content = _embed(task, extractor, shards, own)
    if stat_source(task.source) != task.file:
        raise VideoOpenError(task.source.path, "unreadable", "changed while it was read; run again when it is complete")
    with Stopwatch() as writing:
        origin = Origin(task.file, content, extractor.encoder.precision, extractor.encoder.runtime)
        entry = write_video(shards, video, origin, later_than=task.later_than)
    return Extracted(
        video.n_frames,
        entry,
        warnings=video.info.warnings,
        route=video.info.route,
        still_share=video.still_share,
        gaps=tuple(spans(video.info.gaps)),
        seconds={**video.stage_seconds, "write": writing.seconds},
    )


def _held(own: Entry, task: ExtractTask, shards: Path) -> Extracted | None:
    """Features of this very file: nothing to do but to remember its time, or to bring their frame times up to date."""
    if own.is_timed:
        return Extracted(own.n_frames, touched=(own, task.file.mtime_ns))
    from .retiming import timed_anew

    done = timed_anew(own, task, shards)
    return done and Extracted(own.n_frames, done.entry, warnings=done.warnings, gaps=done.gaps)


def _same_content(entry: Entry, task: ExtractTask) -> bool:
    """Whether features were made from what the file is now: by size and time, else by its hash."""
    if entry.size != task.file.size:
        return False
    if task.own is entry and entry.mtime_ns == task.file.mtime_ns:
        return True
    with reading(task.source):
        return entry.fingerprint == content_of(task.file)


def _copied(twin: Entry, task: ExtractTask, shards: Path) -> Entry | None:
    """The features of the same content under this id; None where it is not the same, or its features are damaged."""
    if not _same_content(twin, task):
        return None
    try:
        return write_copy(shards, twin, task.source.video_id, task.file, later_than=task.later_than)
    except (DamagedShard, GoneFromStore):
        return None


def _embed(task: ExtractTask, extractor: Extractor, shards: Path, own: Entry | None) -> tuple[VideoEmbeddings, str]:
    """Embed the crops asked for and those of `own`; and the SHA-256 of the file, which is hashed meanwhile.

    Crops of `own` are taken over where they were made in the same way, else made again: none is lost.
    """
    from .device import stopping_where_the_device_fails

    crops = sorted({*extractor.crops, *(own.crop_numbers if own else ())})
    kept = _kept_crops(own, extractor, shards)
    with stopping_where_the_device_fails():
        reader = extractor.open_for_encoder(task.source.path)  # what is no video is not worth hashing
    with ThreadPoolExecutor(1) as pool:
        hashing = pool.submit(content_of, task.file)
        video = _embed_crops([crop for crop in crops if crop not in kept], reader, task, extractor)
    with reading(task.source):
        content = hashing.result()
    if kept:
        rows = kept | dict(zip(video.crops, video.embeddings, strict=True))
        video = replace(video, crops=tuple(crops), embeddings=np.stack([rows[crop] for crop in crops]))
    return video, content


def _embed_crops(crops: list[int], reader: Reader, task: ExtractTask, extractor: Extractor) -> VideoEmbeddings:
    """What a GPU gives up half-way is begun again in software: no frame is counted by two decoders."""
    from .decode.decoders import open_in_software
    from .embed.embed_video import embed_video

    how = {
        "video_id": task.source.video_id,
        "recipe": extractor.recipe,
        "crops": crops,
        "encoder": extractor.encoder,
    }
    try:
        return embed_video(reader, **how)
    except NvdecFailed as failed:
        if extractor.config.decoder != "auto":
            raise
        return embed_video(open_in_software(task.source.path, why=failed), **how)


def _kept_crops(own: Entry | None, extractor: Extractor, shards: Path) -> dict[int, np.ndarray]:
    """Rows of this very file by crop, where they were made in the same way and can be read."""
    made = (extractor.encoder.precision, extractor.encoder.runtime)
    if own is None or (own.precision, own.runtime) != made or extractor.config.force:
        return {}
    try:
        read = read_entry(shards, own, partial(intact_datasets, own))
        return dict(zip(own.crop_numbers, read["features"], strict=True))
    except (DamagedShard, GoneFromStore):
        return {}
