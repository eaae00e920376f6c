"""`extract`: sources -> features in the store, skipping what is held."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import cached_property
from importlib.util import find_spec
from typing import TYPE_CHECKING

import numpy as np

from vad_pipeline.extract.catalogue import Entry
from vad_pipeline.extract.errors import ConfigError, VideoError, VideoOpenError
from vad_pipeline.extract.recipe import CROPS, NAMED_RECIPES, Recipe
from vad_pipeline.extract.records import VideoEmbeddings
from vad_pipeline.extract.source import SourceFile, fingerprint
from vad_pipeline.extract.store import EmbeddingStore

from .outcomes import REMEMBERED, OutcomeLog, RememberedFailure, Stopwatch, VideoOutcome, absolute, remembered_failures
from .run import Report, RunSummary, process_archive, record
from .selection import Selection, Source

if TYPE_CHECKING:
    from vad_pipeline.extract.encoder import ClipEncoder

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
        from vad_pipeline.extract.encoder import (
            EncoderConfig,
            load_weights,
            model_identity,
            resolve_device,
            weight_warnings,
        )
        from vad_pipeline.extract.geometry import GEOMETRIES
        from vad_pipeline.extract.reader import READERS, decoder_family

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
        model = config.model or named.model
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
    failures: dict[str, RememberedFailure] = field(default_factory=dict)


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
    remember = not (extractor.config.retry_failed or extractor.config.force)
    job = _Job(extractor, store, remembered_failures(store.outcomes, recipe_id) if remember else {})
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


def held_already(source: Source, file: SourceFile, job: _Job) -> Entry | None:
    """The entry that makes work on `source` needless.

    Raises:
        VideoError: the file failed before and has not changed.
    """
    if job.extractor.config.force:
        return None
    hit = job.store.hit(source.video_id, job.extractor.recipe.recipe_id, job.extractor.crops, file)
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
    recipe_id = extractor.recipe.recipe_id
    outcome = VideoOutcome(source.video_id, absolute(source.path), recipe_id=recipe_id)
    file = _stat(source)
    hit = held_already(source, file, job)
    if hit:
        outcome.status, outcome.n_frames = "cached", hit.n_frames
        return outcome
    same = None if extractor.config.force else store.same_content(recipe_id, extractor.crops, file)
    if same:
        store.copy_as(same, source.video_id, file)
        outcome.n_frames = same.n_frames
        outcome.warnings.append(f"same content as {same.video}: its features were copied")
        return outcome
    held = None if extractor.config.force else _extendable(source, job, file)
    with ThreadPoolExecutor(1) as hashing:
        content = hashing.submit(_fingerprint, source.path)
        video = _embed(source, extractor, crops=[c for c in extractor.crops if not held or c not in held.crop_numbers])
    if _stat(source) != file:
        raise VideoOpenError(source.path, "unreadable", "changed while it was read; run again when it is complete")
    if held:
        video = _with_held_crops(video, held, store)
    with Stopwatch() as writing:
        store.put(
            video,
            source=file,
            content=content.result(),
            precision=extractor.encoder.precision,
            runtime=extractor.encoder.runtime,
        )
    outcome.n_frames, outcome.route = video.n_frames, video.info.route
    outcome.warnings += video.info.warnings
    outcome.seconds = {**video.stage_seconds, "write": writing.seconds}
    return outcome


def _stat(source: Source) -> SourceFile:
    try:
        return SourceFile.of(absolute(source.path))
    except OSError as error:
        raise VideoOpenError(source.path, "unreadable", f"cannot be read ({error.strerror})") from error


def _embed(source: Source, extractor: Extractor, crops: Sequence[int]) -> VideoEmbeddings:
    from vad_pipeline.extract.embed import embed_video

    return embed_video(
        lambda: extractor.open_reader(source.path),
        video_id=source.video_id,
        recipe=extractor.recipe,
        crops=crops,
        encoder=extractor.encoder,
    )


def _fingerprint(path: str) -> str:
    try:
        return fingerprint(path)
    except OSError as error:
        raise VideoOpenError(path, "unreadable", f"cannot be read ({error.strerror})") from error


def _extendable(source: Source, job: _Job, file: SourceFile) -> Entry | None:
    """Features of this very file that only lack crops, made in the same way."""
    extractor = job.extractor
    entry = job.store.entry(source.video_id, extractor.recipe.recipe_id)
    if entry is None or not job.store.unchanged(entry, file):
        return None
    same_way = (entry.precision, entry.runtime) == (extractor.encoder.precision, extractor.encoder.runtime)
    return entry if same_way else None


def _with_held_crops(video: VideoEmbeddings, held: Entry, store: EmbeddingStore) -> VideoEmbeddings:
    """The new crops beside those already held."""
    rows = dict(zip(held.crop_numbers, store.get(held).features.astype(np.float32), strict=True))
    rows.update(zip(video.crops, video.embeddings, strict=True))
    crops = tuple(sorted(rows))
    return replace(video, crops=crops, embeddings=np.stack([rows[crop] for crop in crops]))


def missing_sources(selection: Selection, extractor: Extractor, store: EmbeddingStore) -> list[Source]:
    """What would have to be decoded: neither held nor known to fail. For --dry-run and the estimate."""
    config = extractor.config
    remember = not (config.retry_failed or config.force)
    failures = remembered_failures(store.outcomes, extractor.recipe.recipe_id) if remember else {}
    job = _Job(extractor, store, failures)

    def is_missing(source: Source) -> bool:
        try:
            return held_already(source, _stat(source), job) is None
        except VideoError:
            return False

    return [source for source in selection.sources if is_missing(source)]
