"""Evaluates results folders against an annotation file; writes evaluation.json and evaluation.png into each folder."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from vad_pipeline.eval.annotation import VideoAnnotation
from vad_pipeline.eval.annotations import TruthFile
from vad_pipeline.eval.bootstrap import N_RESAMPLES
from vad_pipeline.eval.evaluation import EvalResult, evaluate
from vad_pipeline.eval.truth import PROTOCOLS, known_truth
from vad_pipeline.extract.errors import ConfigError, StoreError
from vad_pipeline.extract.files import write_bytes
from vad_pipeline.extract.names import plural

from .folder import Results
from .run_record import NEEDED
from .run_settings import settings_of

EVALUATION_NAME = "evaluation.json"
FIGURE_NAME = "evaluation.png"
ONE_FOR_ALL = "the thresholds that cameras of their own have do not count here"
UNCALIBRATED = "zero-shot scores, UNCALIBRATED: thresholds and false alarms mean little"


@dataclass(frozen=True, slots=True)
class EvaluateConfig:
    """How results are compared with the truth."""

    truth: TruthFile
    protocol: str = PROTOCOLS[0]
    threshold: float | None = None
    """Threshold at which false alarms are counted; None: that of the results."""
    n_resamples: int = N_RESAMPLES

    def __post_init__(self):
        if self.protocol not in PROTOCOLS:
            raise ConfigError(f"expected a protocol of {PROTOCOLS}, got {self.protocol}")
        if self.threshold is not None and not 0 <= self.threshold <= 1:
            raise ConfigError(f"threshold: expected 0 to 1, got {self.threshold}")
        if self.n_resamples < 0:
            raise ConfigError(f"bootstrap: expected 0 or more resamples, got {self.n_resamples}")


@dataclass(frozen=True, slots=True)
class Evaluated:
    """The figures of one results folder; `crop` is the one that was scored, None where it is not known."""

    path: Path
    crop: int | None
    result: EvalResult

    def compared(self) -> str:
        """What was compared with what, as text of two lines for the screen."""
        result = self.result
        truth = known_truth(result.n_frames, result.n_anomalous_frames)
        return (
            f"{self.path}: {plural(result.n_videos, 'video')}, {result.n_frames:,} frames, "
            f"{result.n_anomalous_frames:,} anomalous; protocol {result.protocol}, "
            f"crop {'unknown' if self.crop is None else self.crop}, false alarms at threshold {result.threshold:g}\n"
            f"  {'the length of ' + truth if truth else 'of no known test truth has this many frames'}"
        )


def evaluate_results(
    path: Path,
    annotations: Sequence[VideoAnnotation],
    config: EvaluateConfig,
    *,
    on_video: Callable[[str], None] = lambda video_id: None,
) -> Evaluated:
    """Compare one results folder with the truth. Nothing is written.

    Args:
        path: the folder.
        annotations: the truth.
        config: how they are compared.
        on_video: called with each id whose curve has been read.

    Raises:
        ConfigError: the folder holds no results, no annotation matches a video, or a name matches two videos.
        StoreError: the folder is damaged.
    """
    results = Results.open(path)
    settings = settings_of(results)
    rule, curves = settings.rule, []
    for curve in results:
        curves.append(curve)
        on_video(curve.video_id)
    if not curves:
        if any(results.curves.glob("*.h5")):
            raise StoreError(f"{results.curves}: holds no curve that can be read; {results.first_problem}: {NEEDED}")
        raise ConfigError(f"{path}: holds no curves; `vad-pipeline detect --out {path}` makes them")
    try:
        result = evaluate(
            curves,
            annotations,
            protocol=config.protocol,
            threshold=rule.threshold if config.threshold is None else config.threshold,
            merge_gap_seconds=rule.merge_gap_seconds,
            normal_is_segment=config.truth.format == "xd-violence",
            n_resamples=config.n_resamples,
        )
    except ConfigError as error:
        raise ConfigError(f"{path} with {config.truth.path}: {error}") from error
    notes = [UNCALIBRATED] if not settings.calibrated else []
    if config.threshold is None and not rule.is_set and (behind := settings.not_calibrated):
        notes.append(behind)
    if rule.by_camera and config.threshold is None:
        notes.append(f"false alarms are those at threshold {rule.threshold:g}; {ONE_FOR_ALL}")
    if settings.int8_share:
        notes.append(f"{settings.int8_share:.0%} of the videos have features made in int8")
    if notes:
        result = replace(result, notes=(*result.notes, *notes))
    return Evaluated(path, settings.crop, result)


def write_evaluation(evaluated: Evaluated, config: EvaluateConfig) -> None:
    """Write evaluation.json and evaluation.png into the results folder.

    Raises:
        StoreError: the folder cannot be written.
    """
    from vad_pipeline.eval.figure import write_figure

    result = evaluated.result
    values = result.to_json()
    head = {name: values.pop(name) for name in ("schema", "protocol")}
    row = {
        **head,
        "crop": evaluated.crop,
        **values,
        "truth": known_truth(result.n_frames, result.n_anomalous_frames),
        "annotations": str(config.truth.path),
        "format": config.truth.format,
        "n_resamples": config.n_resamples,
    }
    write_bytes(evaluated.path / EVALUATION_NAME, json.dumps(row, indent=2, allow_nan=False).encode())
    write_figure(result, evaluated.path / FIGURE_NAME)
