"""Runs `watch`: options -> encoder, scorer and results folder; brings what a killed run left into order first."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from zoneinfo import ZoneInfo

from vad_pipeline.extract.extractor import ExtractConfig, Extractor
from vad_pipeline.model.scoring import Scorer

from ..archive.metrics_file import HELP_OF_CAMERAS, MetricsFile
from ..archive.scoring_plan import ScoringPlan
from ..news.on_event import begin_telling
from ..results.curve_group import CurveOrigin, write_curve
from ..results.event_rows import put_events, rows_of
from ..results.event_rule import EventRule
from ..results.folder import Results
from ..results.run_record import begin_run, check_record
from .housekeeping import Housekeeping
from .journal import SUFFIX, recovered
from .only_watcher import only_watcher
from .part import Scoring
from .source import Source
from .watcher import Summary, Watcher, Watching

LIVE_FOLDER = "live"  # in the results folder: journals and the lock


@dataclass(frozen=True, slots=True)
class WatchConfig:
    """The options of `watch` beside those of scoring."""

    sources: Sequence[Source]
    out: Path
    zone: ZoneInfo
    """Of the dates in ids."""
    pretrained: str | None = None
    """CLIP weights; None: those of the checkpoint's recipe."""
    model: str | None = None
    """open_clip model; None: the recipe's."""
    runtime: str = "auto"
    precision: str = "auto"
    metrics: Path | None = None
    """File for Prometheus' textfile collector; None: none."""
    quiet: bool = False


def watch_cameras(plan: ScoringPlan, config: WatchConfig, tell: Callable[[str], None]) -> Summary:
    """Watch until all sources have ended or a signal arrives.

    Args:
        plan: what scores, with the delay in its options.
        config: the cameras, and where results go.
        tell: prints a line.

    Raises:
        ConfigError: the results are of something else, another `watch` writes into them, or the machine cannot keep up.
        StoreError: the results cannot be read or written.
    """
    chosen = {name: getattr(config, name) for name in ("model", "runtime", "precision")}
    options = ExtractConfig(device=plan.config.device, **chosen)
    live = config.out / LIVE_FOLDER
    extractor = Extractor(plan.extraction(options, config.pretrained), store=live)
    plan.refuse_other(extractor.recipe, f"{plan.judge.path}: cameras watched like this do not fit it")
    for warning in extractor.warnings:
        tell(f"note: {warning}")
    record = plan.record(extractor.recipe)
    check_record(config.out, record)
    with only_watcher(config.out, live) as beat:
        if plan.config.on_event:
            begin_telling(config.out, plan.config.chosen)
        rule = begin_run(config.out, record, plan.config.chosen)
        results = Results(config.out)
        results.merge()
        for path in sorted(live.glob(f"*{SUFFIX}")):
            tell(f"{_recover(path, results, rule)}: what a killed run had scored of it is kept")
        origin = CurveOrigin(
            recipe_id=extractor.recipe.recipe_id,
            made_from=f"watch/{plan.crop}/{plan.judge.sha256}/delay {plan.config.delay}",
            threshold=rule.threshold,
        )
        scorer = Scorer(plan.judge, device=plan.config.device, precision=plan.config.precision)
        watching = Watching(
            sources=config.sources,
            results=config.out,
            recipe=extractor.recipe,
            encoder=extractor.encoder,
            scoring=Scoring(scorer, plan.config.delay, origin, results.curves, live),
            rule=rule,
            zone=config.zone,
            crop=plan.crop,
            quiet=config.quiet,
        )
        keeping = Housekeeping(config.out, plan.config.on_event, tell)
        keeping.start()
        try:
            if config.metrics is None:
                return Watcher(watching, keeping.notice).run(beat)
            with MetricsFile(config.metrics, HELP_OF_CAMERAS) as metrics:
                return Watcher(watching, keeping.notice, metrics).run(beat)
        finally:
            keeping.end()


def _recover(path: Path, results: Results, rule: EventRule) -> str:
    """Make the curve and the events of a video whose `watch` was killed; return the video's id."""
    curve, origin = recovered(path)
    if curve is None:
        path.unlink()
        return path.stem
    held = results.written_ns(curve.video_id, origin.recipe_id)
    write_curve(results.curves, curve, origin, later_than=held)
    put_events(results.path, curve.video_id, rows_of(curve, rule)[0])
    path.unlink()
    return curve.video_id
