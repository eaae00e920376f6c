"""One video of `extract`, wherever a worker does it: held? copied? else decoded, embedded and written to a shard.

A worker gets a path and what the catalogue knows of it, writes its own shard, and sends back an outcome and the entry
for the catalogue, which is the coordinator's alone.
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from vad_pipeline.extract.errors import ConfigError, DamagedShard, GoneFromStore, NvdecFailed, VideoOpenError
from vad_pipeline.extract.extractor import ExtractConfig, Extractor
from vad_pipeline.extract.files import SourceFile, content_of
from vad_pipeline.extract.records import VideoEmbeddings
from vad_pipeline.extract.store.entry import Entry
from vad_pipeline.extract.store.stored import intact_datasets, read_entry, write_copy, write_video

from .outcomes import Stopwatch, VideoOutcome, absolute
from .selection import Source

if TYPE_CHECKING:
    from vad_pipeline.extract.decode.reader import Reader


@dataclass(frozen=True, slots=True)
class ExtractTask:
    """A video to work on, and what the catalogue knows that may make it needless."""

    source: Source
    file: SourceFile
    own: Entry | None = None
    """Features of this id and recipe, perhaps of this very file."""
    twins: tuple[Entry, ...] = ()
    """Features of files as long, perhaps of the same content, with all the crops asked for."""
    later_than: int = 0
    """`written_ns` of what is held of this id and recipe."""


@dataclass(frozen=True, slots=True)
class Extracted:
    """What a worker sends back."""

    outcome: VideoOutcome
    entry: Entry | None = None
    """Written, to be indexed."""
    touched: tuple[Entry, int] | None = None
    """Found unchanged but for its time, which is now this (ns)."""


@dataclass(frozen=True, slots=True)
class ExtractWork:
    """The work of one run, to be sent to workers."""

    config: ExtractConfig
    recipe_id: str
    shards: Path
    """Where shards are written: the same folder for every worker."""

    def begin(self) -> Extractor:
        """Make this process ready; the same extractor however often it is asked for.

        Raises:
            ConfigError: an option is wrong here, or the weights are not those of the coordinator.
        """
        extractor = _extractor(self.config, self.recipe_id, self.shards.parent)
        if extractor.recipe.recipe_id != self.recipe_id:
            raise ConfigError(
                f"--pretrained {self.config.pretrained}: on {socket.gethostname()} these are other weights or another "
                f"model (recipe {extractor.recipe.recipe_id} instead of {self.recipe_id}); give all hosts the same file"
            )
        return extractor

    def do(self, task: ExtractTask) -> Extracted:
        """See `extract_video`."""
        return extract_video(task, self.begin(), self.shards)


@lru_cache(maxsize=1)
def _extractor(config: ExtractConfig, recipe_id: str, store: Path) -> Extractor:
    """Kept by recipe too: a worker that lives long may find other weights in the same place."""
    extractor = Extractor(config, store=store)
    _ = extractor.encoder  # what cannot be loaded is told before any video's time runs
    return extractor


def extract_video(task: ExtractTask, extractor: Extractor, shards: Path) -> Extracted:
    """One video, on one screen.

    Raises:
        VideoError: it cannot be used.
        StoreError: the store cannot be written.
    """
    source, file = task.source, task.file
    outcome = VideoOutcome(source.video_id, absolute(source.path), recipe_id=extractor.recipe.recipe_id)
    outcome.host = socket.gethostname()
    own = task.own if task.own and _same_content(task.own, task) else None
    if own and set(extractor.crops) <= set(own.crop_numbers) and not extractor.config.force:
        outcome.status, outcome.n_frames = "cached", own.n_frames
        return Extracted(outcome, touched=(own, file.mtime_ns))
    for twin in () if own else task.twins:
        copied = _copied(twin, task, shards)
        if copied:
            outcome.n_frames = twin.n_frames
            outcome.warnings.append(f"same content as {twin.video}: its features were copied")
            return Extracted(outcome, copied)
    video, content = _embed(task, extractor, shards, own)
    if stat_source(source) != file:
        raise VideoOpenError(source.path, "unreadable", "changed while it was read; run again when it is complete")
    with Stopwatch() as writing:
        entry = write_video(
            shards,
            video,
            source=file,
            content=content,
            precision=extractor.encoder.precision,
            runtime=extractor.encoder.runtime,
            later_than=task.later_than,
        )
    outcome.n_frames, outcome.route, outcome.still_share = video.n_frames, video.info.route, video.still_share
    outcome.warnings += video.info.warnings
    outcome.seconds = {**video.stage_seconds, "write": writing.seconds}
    return Extracted(outcome, entry)


def stat_source(source: Source) -> SourceFile:
    """The file as it lies there now.

    Raises:
        VideoOpenError: `unreadable`.
    """
    with _reading(source):
        return SourceFile.of(absolute(source.path))


@contextlib.contextmanager
def _reading(source: Source) -> Iterator[None]:
    """A file that cannot be read is that video's failure."""
    try:
        yield
    except OSError as error:
        reason = f"cannot be read ({error.strerror or error}); see that it is there and give rights"
        raise VideoOpenError(source.path, "unreadable", reason) from error


def _same_content(entry: Entry, task: ExtractTask) -> bool:
    """Whether features were made from what the file is now: by size and time, else by its hash."""
    if entry.size != task.file.size:
        return False
    if task.own is entry and entry.mtime_ns == task.file.mtime_ns:
        return True
    with _reading(task.source):
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
    """Embed the crops asked for and those already held, and hash the file while it is read.

    Crops held are taken over where they were made in the same way, else made again: none is lost. What a GPU gives up
    half-way is begun again in software, so that no frame is counted by two decoders.
    """
    from vad_pipeline.extract.decode.decoders import open_in_software
    from vad_pipeline.extract.embed.embed_video import embed_video

    crops = sorted({*extractor.crops, *(own.crop_numbers if own else ())})
    held = _held_crops(own, extractor, shards)
    with ThreadPoolExecutor(1) as pool:
        hashing = None

        def opened(open_reader: Callable[[str], Reader]) -> Reader:
            nonlocal hashing
            reader = open_reader(task.source.path)  # what is no video is not worth hashing
            hashing = hashing or pool.submit(content_of, task.file)
            return reader

        def embedded(open_reader: Callable[[str], Reader]) -> VideoEmbeddings:
            return embed_video(
                partial(opened, open_reader),
                video_id=task.source.video_id,
                recipe=extractor.recipe,
                crops=[crop for crop in crops if crop not in held],
                encoder=extractor.encoder,
            )

        try:
            video = embedded(extractor.open_for_encoder)
        except NvdecFailed as failed:
            if extractor.config.decoder != "auto":
                raise
            video = embedded(partial(open_in_software, why=failed))
    with _reading(task.source):
        content = hashing.result()
    if held:
        rows = held | dict(zip(video.crops, video.embeddings, strict=True))
        video = replace(video, crops=tuple(crops), embeddings=np.stack([rows[crop] for crop in crops]))
    return video, content


def _held_crops(own: Entry | None, extractor: Extractor, shards: Path) -> dict[int, np.ndarray]:
    """Rows of this very file by crop, where they were made in the same way and can be read."""
    made = (extractor.encoder.precision, extractor.encoder.runtime)
    if own is None or (own.precision, own.runtime) != made or extractor.config.force:
        return {}
    try:
        held = read_entry(shards, own, partial(intact_datasets, own))
        return dict(zip(own.crop_numbers, held["features"], strict=True))
    except (DamagedShard, GoneFromStore):
        return {}
