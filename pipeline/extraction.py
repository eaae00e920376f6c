"""`extract`: sources -> features in the store, skipping what is held."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property
from importlib.util import find_spec
from typing import TYPE_CHECKING

import numpy as np

from vad_pipeline.extract.catalogue import Entry
from vad_pipeline.extract.errors import ConfigError, VideoError, VideoOpenError
from vad_pipeline.extract.recipe import CROPS, NAMED_RECIPES, Recipe
from vad_pipeline.extract.records import VideoEmbeddings
from vad_pipeline.extract.source import SourceFile, content_of
from vad_pipeline.extract.store import IMPORTED_SIZE, EmbeddingStore

from .outcomes import REMEMBERED, OutcomeLog, RememberedFailure, Stopwatch, VideoOutcome, absolute, remembered_failures
from .run import Report, RunSummary, process_archive, record
from .selection import Selection, Source

if TYPE_CHECKING:
    from vad_pipeline.extract.encoder import ClipEncoder
    from vad_pipeline.extract.reader import Reader

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ExtractConfig:
    """extract's options: a named recipe, single changes on top of it (None: as named), and how to run."""

    like: str = "vadclip"
    geometry: str | None = None
    frames_per_snippet: int | None = None
    tail: str | None = None
    crops: tuple[int, ...] | None = None
    model: str | None = None
    pretrained: str = "openai"
    """Outside the recipe: where the weights come from; the recipe holds what they are."""
    decoder: str = "auto"
    device: str = "auto"
    precision: str = "auto"
    force: bool = False
    retry_failed: bool = False
    fail_fast: bool = False

    def __post_init__(self):
        for crop in self.crop_numbers:
            if crop not in CROPS:
                raise ConfigError(f"--crops: crops are numbered 0 to {CROPS[-1]}, got {crop}")

    @property
    def crop_numbers(self) -> tuple[int, ...]:
        """Crops asked for, in ascending order."""
        return tuple(sorted(set(self.crops or NAMED_RECIPES[self.like].crops)))


class Extractor:
    """What one run of extract needs: the recipe at once, the encoder only when something has to be embedded.

    Raises:
        ConfigError: an option is wrong, or the weights cannot be had.
    """

    def __init__(self, config: ExtractConfig):
        from vad_pipeline.extract.decoders import READERS, decoder_family
        from vad_pipeline.extract.encoder import (
            EncoderConfig,
            load_weights,
            model_identity,
            resolve_device,
            weight_warnings,
        )
        from vad_pipeline.extract.geometry import GEOMETRIES

        if config.geometry and config.geometry not in GEOMETRIES:
            raise ConfigError(f"--geometry must be one of {', '.join(GEOMETRIES)}, got {config.geometry!r}")
        if config.decoder == "nvdec":
            resolve_device("cuda")  # raises where there is none
        if config.decoder == "decord" and find_spec("decord") is None:
            raise ConfigError("--decoder decord: not installed here; pip install decord, or use --decoder pyav")
        self.config = config
        self.crops = config.crop_numbers
        self.open_reader = READERS[config.decoder]
        named = NAMED_RECIPES[config.like].recipe
        model = named.model if config.model is None else config.model
        self.encoder_config = EncoderConfig(model, config.pretrained, config.device, config.precision)
        self._weights = load_weights(config.pretrained, model)
        changes = {
            name: getattr(config, name)
            for name in ("geometry", "frames_per_snippet", "tail")
            if getattr(config, name) is not None
        }
        self.recipe: Recipe = replace(
            named,
            model=model_identity(model),
            weights=self._weights.identity,
            decoder=decoder_family(config.decoder),
            **changes,
        )
        self.warnings = weight_warnings(self.encoder_config, self._weights)

    @cached_property
    def encoder(self) -> ClipEncoder:
        """The loaded tower."""
        from vad_pipeline.extract.encoder import ClipEncoder

        return ClipEncoder(self.encoder_config, self._weights)


@dataclass(slots=True)
class _Job:
    extractor: Extractor
    store: EmbeddingStore
    failures: dict[str, RememberedFailure]


def extract_archive(selection: Selection, extractor: Extractor, store: EmbeddingStore, *, report: Report) -> RunSummary:
    """Extract all that the store lacks; then join small shards.

    Raises:
        StoreError: the run cannot go on; what is finished is kept.
    """
    recipe_id = extractor.recipe.recipe_id
    log = OutcomeLog(store.outcomes)
    summary = RunSummary()
    for video_id, error in selection.failures:
        outcome = VideoOutcome.failure(video_id, absolute(error.path), error, recipe_id)
        record(outcome, log=log, report=report, summary=summary)
        if extractor.config.fail_fast:
            summary.stopped_early = True
            return summary
    job = _job(extractor, store)
    process_archive(
        selection.sources,
        lambda source: extract_video(source, job),
        identify=lambda source: (source.video_id, absolute(source.path)),
        log=log,
        report=report,
        summary=summary,
        recipe_id=recipe_id,
        fail_fast=extractor.config.fail_fast,
    )
    store.merge()
    return summary


def missing_sources(selection: Selection, extractor: Extractor, store: EmbeddingStore) -> list[Source]:
    """What would have to be decoded: neither held nor known to fail. For --dry-run and the estimate."""
    job = _job(extractor, store)

    def is_missing(source: Source) -> bool:
        try:
            return held_already(source, _stat(source), job) is None
        except VideoError:
            return False

    return [source for source in selection.sources if is_missing(source)]


def held_already(source: Source, file: SourceFile, job: _Job) -> Entry | None:
    """The entry that makes work on `source` needless.

    Raises:
        VideoError: the file failed before and has not changed, or its content cannot be read.
    """
    if job.extractor.config.force:
        return None
    recipe_id = job.extractor.recipe.recipe_id
    with _reading(source):
        hit = job.store.hit(source.video_id, recipe_id, job.extractor.crops, file)
    failure = job.failures.get(absolute(source.path))
    if hit is None and failure and failure.holds(file):
        raise VideoError(source.path, failure.code, f"{failure.reason} {REMEMBERED}")
    return hit


def extract_video(source: Source, job: _Job) -> VideoOutcome:
    """One video, on one screen: held? copied? else decode, embed and put.

    Raises:
        VideoError: it cannot be used.
        StoreError: the store cannot be written.
    """
    extractor, store = job.extractor, job.store
    outcome = VideoOutcome(source.video_id, absolute(source.path), recipe_id=extractor.recipe.recipe_id)
    file = _stat(source)
    hit = held_already(source, file, job)
    if hit:
        outcome.status, outcome.n_frames = "cached", hit.n_frames
        return outcome
    own = _own_entry(source, file, job)
    twin = None if own or extractor.config.force else _twin(source, file, job)
    if twin:
        store.copy_as(twin, source.video_id, file)
        outcome.n_frames = twin.n_frames
        outcome.warnings.append(f"same content as {twin.video}: its features were copied")
        return outcome
    video, content = _embed(source, file, job, own)
    if _stat(source) != file:
        raise VideoOpenError(source.path, "unreadable", "changed while it was read; run again when it is complete")
    with Stopwatch() as writing:
        store.put(
            video,
            source=file,
            content=content,
            precision=extractor.encoder.precision,
            runtime=extractor.encoder.runtime,
        )
    outcome.n_frames, outcome.route = video.n_frames, video.info.route
    outcome.warnings += video.info.warnings
    outcome.seconds = {**video.stage_seconds, "write": writing.seconds}
    return outcome


def _job(extractor: Extractor, store: EmbeddingStore) -> _Job:
    remember = not (extractor.config.retry_failed or extractor.config.force)
    failures = remembered_failures(store.outcomes, extractor.recipe.recipe_id) if remember else {}
    return _Job(extractor, store, failures)


@contextlib.contextmanager
def _reading(source: Source) -> Iterator[None]:
    """A file that cannot be read is that video's failure."""
    try:
        yield
    except OSError as error:
        reason = f"cannot be read ({error.strerror or error})"
        raise VideoOpenError(source.path, "unreadable", reason) from error


def _stat(source: Source) -> SourceFile:
    with _reading(source):
        return SourceFile.of(absolute(source.path))


def _own_entry(source: Source, file: SourceFile, job: _Job) -> Entry | None:
    """Features held of this very file, which lack crops or are to be made anew.

    Raises:
        VideoError: the id holds features that were imported; they are not to be lost silently.
    """
    entry = job.store.entry(source.video_id, job.extractor.recipe.recipe_id)
    if entry is None:
        return None
    if entry.size == IMPORTED_SIZE and not job.extractor.config.force:
        reason = f"its id holds features imported from {entry.source}; --force replaces them, or give another --store"
        raise VideoOpenError(source.path, "id_clash", reason)
    with _reading(source):
        return entry if job.store.unchanged(entry, file) else None


def _twin(source: Source, file: SourceFile, job: _Job) -> Entry | None:
    with _reading(source):
        return job.store.same_content(job.extractor.recipe.recipe_id, job.extractor.crops, file)


def _embed(source: Source, file: SourceFile, job: _Job, own: Entry | None) -> tuple[VideoEmbeddings, str]:
    """Embed the crops asked for and those already held, and hash the file while it is read.

    Crops held are taken over where they were made in the same way, else made again: none is lost.
    """
    from vad_pipeline.extract.embed import embed_video

    extractor = job.extractor
    crops = sorted({*extractor.crops, *(own.crop_numbers if own else ())})
    same_way = own and (own.precision, own.runtime) == (extractor.encoder.precision, extractor.encoder.runtime)
    reused = own.crop_numbers if same_way and not extractor.config.force else ()
    with ThreadPoolExecutor(1) as pool:
        hashing = None

        def open_reader() -> Reader:
            nonlocal hashing
            reader = extractor.open_reader(source.path)  # what is no video is not worth hashing
            hashing = pool.submit(content_of, file)
            return reader

        video = embed_video(
            open_reader,
            video_id=source.video_id,
            recipe=extractor.recipe,
            crops=[crop for crop in crops if crop not in reused],
            encoder=extractor.encoder,
        )
    with _reading(source):
        content = hashing.result()
    if reused:
        rows = dict(zip(own.crop_numbers, job.store.get(own).features, strict=True))
        rows.update(zip(video.crops, video.embeddings, strict=True))
        video = replace(video, crops=tuple(crops), embeddings=np.stack([rows[crop] for crop in crops]))
    return video, content
