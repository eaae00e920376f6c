"""Extracts a video: finds its features in the store, or copies them from an equal file's, or makes and writes them.

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
    """The result of an `ExtractTask`. Either `entry` or `touched` is set."""

    n_frames: int
    entry: Entry | None = None
    """The features that were written and are to be indexed; None where stored ones can stay."""
    touched: tuple[Entry, int] | None = None
    """The stored features that can stay, as only the file's time has changed, and that time (ns)."""
    warnings: tuple[str, ...] = ()
    """What a user must know of the video, one sentence each."""
    route: str | None = None
    """Library and device that decoded the frames; None where nothing was decoded."""
    still_share: float | None = None
    """Share of the sampled frames that were not embedded; None where the recipe skips none."""
    gaps: tuple[tuple[float, float], ...] = ()
    """Start and end in seconds of each stretch without footage."""
    seconds: dict[str, float] = field(default_factory=dict)
    """Wall time of each stage (`decode`, `encode`, `write`) in seconds."""

    def taken_into(self, store: EmbeddingStore) -> Entry:
        """Bring the store's catalogue up to date with this result; give the entry that the store holds now."""
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
        extractor: how to extract; it may be used for many videos.
        store: an open store.
        video_id: the video's id; None: the file's name without its suffix.

    Returns:
        The entry of the video's features; `store.get(entry)` reads them.

    Raises:
        VideoError: the video cannot be used.
        StoreError: the store cannot be read or written.
    """
    source = Source(video_id or strip_suffix(readable(PurePath(path).name)), absolute(path))
    decided = task_for(source, stat_source(source), extractor, store)
    if isinstance(decided, Entry):
        return decided
    return extract_task(decided, extractor, store.shards).taken_into(store)


def extract_task(task: ExtractTask, extractor: Extractor, shards: Path) -> Extracted:
    """Extract one video, unless its file's content is that of features in the store: those stay or are copied.

    Args:
        task: the video.
        extractor: how to extract.
        shards: the store's folder of shards.

    Raises:
        VideoError: the video cannot be used.
        StoreError: the store cannot be written.
    """
    own = task.own if task.own and _same_content(task.own, task) else None
    may_stay = own and own.has_crops(extractor.crops) and extractor.answers(own.precision)
    if may_stay and not extractor.config.force:
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
        encoder, stream = extractor.encoder, task.source.stream or 1
        origin = Origin(task.file, content, encoder.precision, encoder.runtime, stream=stream)
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
    """Whether features were made from the content that the file has now, by its size and time or else its hash."""
    if entry.size != task.file.size:
        return False
    if task.own is entry and entry.mtime_ns == task.file.mtime_ns:
        return True
    with reading(task.source):
        return entry.fingerprint == content_of(task.file)


def _copied(twin: Entry, task: ExtractTask, shards: Path) -> Entry | None:
    """Copy the features of an equal file to this id; None where the file is not equal, or the features are damaged."""
    if not _same_content(twin, task):
        return None
    try:
        return write_copy(shards, twin, task.source.video_id, task.file, later_than=task.later_than)
    except (DamagedShard, GoneFromStore):
        return None


def _embed(task: ExtractTask, extractor: Extractor, shards: Path, own: Entry | None) -> tuple[VideoEmbeddings, str]:
    """Embed the crops asked for and those of `own`, and hash the file meanwhile.

    Crops of `own` are taken over where they were made in the same way, else made again: none is lost.

    Returns:
        The embeddings, and the file's SHA-256 (hex).
    """
    from .device import stopping_where_the_device_fails

    crops = sorted({*extractor.crops, *(own.crop_numbers if own else ())})
    kept = _kept_crops(own, extractor, shards)
    with stopping_where_the_device_fails():
        reader = extractor.open_for_encoder(task.source)  # first: a file that is no video need not be hashed
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
    """Embed crops. A file on which the GPU's decoder fails half-way is decoded again from its start in software."""
    from .decode.decoders import open_in_software
    from .embed.embed_video import embed_video

    how = {
        "video_id": task.source.video_id,
        "recipe": extractor.recipe,
        "crops": crops,
        "load_encoder": lambda: extractor.encoder,
    }
    try:
        return embed_video(reader, **how)
    except NvdecFailed as failed:
        if extractor.config.decoder != "auto":
            raise
        return embed_video(open_in_software(task.source.path, why=failed, stream=task.source.stream), **how)


def _kept_crops(own: Entry | None, extractor: Extractor, shards: Path) -> dict[int, np.ndarray]:
    """Stored features (n, D) by crop that can be taken over: made in the same way, and readable."""
    if own is None or extractor.config.force:
        return {}
    if (own.precision, own.runtime) != (extractor.encoder.precision, extractor.encoder.runtime):
        return {}
    try:
        read = read_entry(shards, own, partial(intact_datasets, own))
        return dict(zip(own.crop_numbers, read["features"], strict=True))
    except (DamagedShard, GoneFromStore):
        return {}
