"""Replays a store's features as streams, at several delays, and compares each with the truth."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

from vad_pipeline.eval.annotations import TruthFile
from vad_pipeline.eval.delay_cost import FALSE_ALARMS_PER_HOUR, DelayCost, delay_cost, normal_hours
from vad_pipeline.eval.truth import PROTOCOLS, Matched, match_annotations
from vad_pipeline.extract.errors import ConfigError
from vad_pipeline.extract.files import write_bytes
from vad_pipeline.extract.store.embedding_store import EmbeddingStore
from vad_pipeline.extract.store.entry import Entry
from vad_pipeline.extract.store.stored import read_entry, stored_video
from vad_pipeline.model.curve import AnomalyCurve

from ..archive.detect_run import choose_entries
from ..archive.detect_video import curve_of
from ..archive.scoring_plan import ScoringPlan
from ..progress import report_left_out

DELAY_SCHEMA = 1
DATA_NAME, FIGURE_NAME = "delay.json", "delay.png"


@dataclass(frozen=True, slots=True)
class ReplayConfig:
    """What is replayed, and what it is compared with."""

    delays: tuple[int, ...]
    """In snippets."""
    truth: TruthFile
    protocol: str = PROTOCOLS[0]


@dataclass(frozen=True, slots=True)
class Replayed:
    """The figures of every delay."""

    costs: tuple[DelayCost, ...]
    """One for each delay, ascending, then that of whole videos."""
    n_videos: int
    normal_hours: float
    """Hours of normal videos, on which the thresholds stand."""
    matched: Matched
    """Which annotation was compared with which video."""

    def notes(self) -> list[str]:
        """What a reader of the figures must know, a sentence each."""
        if not self.normal_hours:
            return ["no annotated video is normal: no threshold can be chosen, so that no time to an alarm is known"]
        notes = ["each delay's threshold is chosen on the normal videos that are compared here"]
        if self.normal_hours < 3 / FALSE_ALARMS_PER_HOUR:
            behind = f"{self.normal_hours:.3g} h of normal videos"
            notes.append(f"only {behind} stand behind {FALSE_ALARMS_PER_HOUR:g} false alarm an hour")
        return notes


def replay(
    store: EmbeddingStore, plan: ScoringPlan, config: ReplayConfig, *, on_video: Callable[[str], None]
) -> Replayed:
    """Score the annotated videos of a store at each delay, and whole, and compare all with the truth.

    Args:
        store: where the features are.
        plan: what scores them.
        config: the delays and the truth.
        on_video: called with each id that has been scored.

    Raises:
        ConfigError: a delay is longer than the network's windows, or no annotated video is held.
        StoreError: the store or its features cannot be read.
    """
    from vad_pipeline.model.live import check_delays, replayed
    from vad_pipeline.model.scoring import EmbeddingsError, Scorer

    delays = sorted(set(config.delays))
    check_delays(delays, window_len=plan.judge.config.window_len)
    annotations = config.truth.read()
    entries, matched = _annotated(store, plan, config.truth)
    scorer = Scorer(plan.judge, device=plan.config.device)
    curves: dict[int | None, list[AnomalyCurve]] = {delay: [] for delay in (*delays, None)}
    for entry in entries:
        video = read_entry(store.shards, entry, partial(stored_video, entry, crop=plan.crop))
        features = video.features[0]
        try:
            scored = (*replayed(scorer, features, delays), scorer.score(features))
        except EmbeddingsError as error:
            raise ConfigError(f"{entry.video}: its features cannot be scored: {error}") from error
        for delay, scores in zip(curves, scored, strict=True):
            curves[delay].append(curve_of(entry, video, scores))
        on_video(entry.video)
    costs = [delay_cost(each, annotations, delay=delay, protocol=config.protocol) for delay, each in curves.items()]
    return Replayed(tuple(costs), len(entries), normal_hours(curves[None], annotations), matched)


def _annotated(store: EmbeddingStore, plan: ScoringPlan, truth: TruthFile) -> tuple[Sequence[Entry], Matched]:
    """The features of the annotated videos that the plan can score."""
    every = choose_entries(store, plan)
    usable = [entry for entry in every if plan.crop in entry.crop_numbers]
    report_left_out(len(every) - len(usable), plan.crop)
    matched = match_annotations(truth.read(), [entry.video for entry in usable])
    wanted = {video_id for _, video_id in matched.pairs}
    if not wanted:
        raise ConfigError(f"{truth.path}: names no video that {store.path} holds; --store says where features are")
    return [entry for entry in usable if entry.video in wanted], matched


def write_replayed(found: Replayed, plan: ScoringPlan, config: ReplayConfig, out: Path) -> None:
    """Write delay.json and delay.png into a folder.

    Raises:
        StoreError: it cannot be written.
    """
    from vad_pipeline.eval.delay_figure import write_delay_figure

    row = {
        "schema": DELAY_SCHEMA,
        "protocol": config.protocol,
        "checkpoint": str(plan.judge.path),
        "checkpoint_sha256": plan.judge.sha256,
        "crop": plan.crop,
        "annotations": str(config.truth.path),
        "format": config.truth.format,
        "n_videos": found.n_videos,
        "false_alarms_per_hour": FALSE_ALARMS_PER_HOUR,
        "normal_hours": found.normal_hours,
        "delays": [asdict(cost) for cost in found.costs],
        "notes": found.notes(),
    }
    out.mkdir(parents=True, exist_ok=True)
    write_bytes(out / DATA_NAME, json.dumps(row, indent=2, allow_nan=False).encode())
    write_delay_figure(found.costs, out / FIGURE_NAME)
