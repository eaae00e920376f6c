"""Makes the clips of a results folder: each event as a file of its own, and a manifest of them all."""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path

from vad_pipeline.extract.errors import ConfigError, VideoError, readable
from vad_pipeline.extract.files import remove_partial
from vad_pipeline.extract.recipe import Zones, zones_of_camera
from vad_pipeline.model.categories import normal_form
from vad_pipeline.model.curve import AnomalyCurve

from ..media.blurring import Blur
from ..media.faces import FindFaces
from ..media.failures import as_its_failure
from ..media.footage import Footage, find_footage, open_footage
from ..media.roots import MediaRoots
from ..results.event_rows import HeldEvent
from ..results.event_rule import EventRule
from ..results.folder import Results
from ..results.run_settings import RunSettings, curve_behind, held_against, settings_of
from .clip_file import COPIED, Clip, copy_clip, encode_clip
from .contact_sheet import SHEET_SUFFIX, write_sheet
from .cutting import Roll, copy_cut, wanted_frames
from .manifest import Manifest, clip_name, clip_part, event_part, rolls_part, source_part

KEPT, FAILED = "kept", "failed"
AND = ", "  # in what the manifest says of how a clip was made
SLACK = 2  # a copied clip may begin this many pre-rolls before its event


@dataclass(frozen=True, slots=True)
class ClipsConfig:
    """Which events become clips, and how these are cut."""

    pre_seconds: float = 2.0
    post_seconds: float = 2.0
    min_score: float = 0.0
    top: int | None = None
    """Only so many events, those of the highest peaks; None: all."""
    category: str | None = None
    roots: MediaRoots = field(default_factory=MediaRoots)
    reencode: bool = False
    """Encode every clip, so that it begins and ends exactly with the rolls asked for."""
    sheet: bool = False
    force: bool = False
    """Make clips again that are there already."""
    blurred: Zones = ()
    """Zones of cameras' pictures that cannot be made out in clips, sheets and recap."""
    find_faces: FindFaces | None = None
    """What finds the faces that cannot be made out there either; None: they are shown."""

    def blur_of(self, video_id: str, rule: EventRule) -> Blur | None:
        """What is blurred in one video: zones of its camera, and of all, and faces; None where nothing is."""
        polygons = zones_of_camera(self.blurred, rule.camera_of(video_id))
        return Blur(polygons, self.find_faces) if polygons or self.find_faces else None

    def __post_init__(self):
        for option, seconds in (("--pre", self.pre_seconds), ("--post", self.post_seconds)):
            if not 0 <= seconds < math.inf:
                raise ConfigError(f"{option} must be seconds, 0 or more, got {seconds}")

    @property
    def roll(self) -> Roll:
        """The pre-roll and the post-roll."""
        return Roll(self.pre_seconds, self.post_seconds)


@dataclass(slots=True)
class ClipsMade:
    """What became of the events: counts, failures and notes."""

    counts: Counter = field(default_factory=Counter)
    """Number of events that were `copied`, `re-encoded`, `kept` or `failed`."""
    failures: list[str] = field(default_factory=list)
    """A sentence for each failure."""
    notes: list[str] = field(default_factory=list)
    """Sentences for the user that are no failures."""
    failed: set[str] = field(default_factory=set)
    """Ids of the events that failed."""


def choose_events(events: Iterable[HeldEvent], config: ClipsConfig, categories: Sequence[str]) -> list[HeldEvent]:
    """Choose events by score, category and number, keeping their order.

    Raises:
        ConfigError: the category asked for is not one of `categories`.
    """
    chosen = [held for held in events if held.event.peak_score >= config.min_score]
    if config.category is not None:
        wanted = normal_form(config.category)
        if wanted not in map(normal_form, categories):
            raise ConfigError(f"--category {config.category}: no such category; there are {', '.join(categories)}")
        chosen = [held for held in chosen if normal_form(held.event.category) == wanted]
    if config.top is not None:
        best = sorted(chosen, key=lambda held: -held.event.peak_score)[: config.top]
        taken = set(map(id, best))
        chosen = [held for held in chosen if id(held) in taken]
    return chosen


def make_clips(
    results: Results, events: Sequence[HeldEvent], config: ClipsConfig, out: Path, *, on_video: Callable[[str], None]
) -> ClipsMade:
    """Write the clips that are not there yet, and the manifest.

    One video's failure costs its own events only.

    Args:
        results: the results folder that the events are from.
        events: the chosen events, with those of one video next to each other.
        config: how clips are cut.
        out: the folder of the clips.
        on_video: called with each video id as its turn comes.

    Raises:
        StoreError: the folder cannot be written, or the results not read.
    """
    remove_partial(out)
    manifest = Manifest(out)
    cutting = _Cutting(results, settings_of(results), config, out, manifest)
    try:
        for video_id, group in groupby(events, key=lambda held: held.video):
            on_video(video_id)
            cutting.video(video_id, list(group))
    finally:  # also after an interrupt, so that finished clips are in the manifest
        manifest.write()
    return cutting.made


@dataclass(frozen=True, slots=True)
class _Cutting:
    """The state of one call of `make_clips`."""

    results: Results
    settings: RunSettings
    config: ClipsConfig
    out: Path
    manifest: Manifest
    made: ClipsMade = field(default_factory=ClipsMade)

    def video(self, video_id: str, events: list[HeldEvent]) -> None:
        """Make all clips of one video."""
        rolls = rolls_part(self.config.pre_seconds, self.config.post_seconds)
        try:
            curve = curve_behind(self.results, video_id, self.settings.recipe_id)
            try:
                file = find_footage(curve, self.config.roots)
            except VideoError as error:  # a recorder has written over it: clips made before are all the better kept
                same = {"source": readable(curve.source)} | rolls
                self._failed([held for held in events if not self._keeps(held, same)], error)
                return
            asked = source_part(file) | rolls
            events = [held for held in events if not self._keeps(held, asked)]
            with as_its_failure(file.path):
                blur = self.config.blur_of(video_id, self.settings.rule)
                footage = open_footage(curve, file, blur) if events else None
            if footage:
                self._note_other_content(footage, video_id)
        except VideoError as error:
            self._failed(events, error)
            return
        for held in events:
            try:
                with as_its_failure(footage.path):
                    self._event(held, footage, curve, asked)
            except VideoError as error:
                self._failed([held], error)

    def _keeps(self, held: HeldEvent, asked: dict[str, str]) -> bool:
        """Whether an event's clip is there already, made from the same file with the same options, as far as asked."""
        name = clip_name(held)
        row = self.manifest.rows.get(name)
        if self.config.force or row is None:
            return False
        if any(row[column] != value for column, value in {"event_id": held.event_id, **asked}.items()):
            return False
        if self.config.sheet and not (self.out / _sheet_name(name)).exists():
            return False
        if self.config.reencode and row["made"] == COPIED:
            return False
        if row["made"].partition(AND)[2] != _blurring(self.config.blur_of(held.video, self.settings.rule)):
            return False
        self.manifest.rows[name] = row | event_part(held, self.settings)
        self.made.counts[KEPT] += 1
        return True

    def _event(self, held: HeldEvent, footage: Footage, curve: AnomalyCurve, asked: dict[str, str]) -> None:
        held_against(curve, held)
        name = clip_name(held)
        sha256 = footage.sha256()
        clip = _cut(footage, curve, held, self.config, self.out / name)
        if self.config.sheet:
            write_sheet(self.out / _sheet_name(name), footage, curve, held, self.settings)
        event = event_part(held, self.settings)
        part = clip_part(clip, curve, sha256=sha256)
        part["made"] = AND.join(filter(None, (part["made"], _blurring(footage.blur))))
        self.manifest.put({"clip": name, **event, **asked, **part})
        self.made.counts[clip.how] += 1

    def _note_other_content(self, footage: Footage, video_id: str) -> None:
        held = self.results.held(video_id, self.settings.recipe_id)
        scored = held.source_sha256 if held else ""
        if scored and scored != footage.sha256():
            self.made.notes.append(
                f"{readable(footage.path)}: its content changed since it was scored, its frames and their times did not"
            )

    def _failed(self, events: list[HeldEvent], error: VideoError) -> None:
        if not events:
            return
        self.made.counts[FAILED] += len(events)
        self.made.failed.update(held.event_id for held in events)
        self.made.failures.append(f"{', '.join(readable(held.event_id) for held in events)}: {error}")


def _blurring(blur: Blur | None) -> str:
    """What the manifest says of what is blurred, which is another text for other zones; empty where nothing is."""
    if blur is None:
        return ""
    zones = [hashlib.sha256(repr(blur.polygons).encode()).hexdigest()[:8]] if blur.polygons else []
    return " ".join(["blurred", *zones, *(["faces"] if blur.find_faces else [])])


def _sheet_name(clip: str) -> str:
    return str(Path(clip).with_suffix(SHEET_SUFFIX))


def _cut(footage: Footage, curve: AnomalyCurve, held: HeldEvent, config: ClipsConfig, target: Path) -> Clip:
    seconds = curve.frame_seconds
    first, end = wanted_frames(seconds, held.event, config.roll)
    if footage.index and not config.reencode and not footage.blur:
        earliest, _ = wanted_frames(seconds, held.event, Roll(SLACK * config.pre_seconds, 0))
        start = held.event.start_frame
        cut = copy_cut(
            footage.index.shown, footage.index.is_key, earliest=earliest, first=first, event_start=start, end=end
        )
        clip = cut and copy_clip(footage, cut, target, curve)
        if clip:
            return clip
    return encode_clip(footage, first, end, target, curve)
