"""Results folders + an annotation file -> figures, evaluation.json and evaluation.png in each folder."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from vad_pipeline.eval.annotations import ENDS, FORMATS, AnnotationError, VideoAnnotation, read_annotations
from vad_pipeline.eval.bootstrap import N_RESAMPLES
from vad_pipeline.eval.evaluation import EvalResult, evaluate
from vad_pipeline.eval.truth import PROTOCOLS, known_truth
from vad_pipeline.extract.errors import ConfigError, StoreError
from vad_pipeline.extract.files import write_bytes
from vad_pipeline.model.curve import MERGE_GAP_SECONDS

from .folder import HEAD_NAME, Results

EVALUATION_NAME = "evaluation.json"
FIGURE_NAME = "evaluation.png"


@dataclass(frozen=True, slots=True)
class EvaluateConfig:
    """How results are compared with the truth."""

    annotations: Path
    format: str
    normals: Path | None = None
    ends: str = ENDS[0]
    first_frame: int = 0
    protocol: str = PROTOCOLS[0]
    threshold: float | None = None
    """Of the false alarms; None: the results' own."""
    n_resamples: int = N_RESAMPLES

    def __post_init__(self):
        if self.format not in FORMATS or self.protocol not in PROTOCOLS:
            raise ConfigError(f"expected a format of {FORMATS}, a protocol of {PROTOCOLS}, got {self}")
        if self.threshold is not None and not 0 <= self.threshold <= 1:
            raise ConfigError(f"threshold: expected 0 to 1, got {self.threshold}")
        if self.n_resamples < 0:
            raise ConfigError(f"bootstrap: expected 0 or more resamples, got {self.n_resamples}")

    def read(self) -> list[VideoAnnotation]:
        """The annotations.

        Raises:
            AnnotationError: they cannot be understood.
        """
        return read_annotations(
            self.annotations,
            format=self.format,
            normals=self.normals,
            ends=self.ends,
            first_frame=self.first_frame,
        )


@dataclass(frozen=True, slots=True)
class Evaluated:
    """One results folder and its figures."""

    path: Path
    crop: int | None
    result: EvalResult

    def compared(self) -> str:
        """What was compared, in a line or two."""
        result = self.result
        truth = known_truth(result.n_frames, result.n_anomalous_frames)
        return (
            f"{self.path}: {result.n_videos} videos, {result.n_frames:,} frames, {result.n_anomalous_frames:,} "
            f"anomalous; protocol {result.protocol}, crop {'unknown' if self.crop is None else self.crop}, "
            f"false alarms at threshold {result.threshold:g}\n"
            f"  {'the length of ' + truth if truth else 'of no known test truth has this many frames'}"
        )


UNCALIBRATED = "zero-shot scores, UNCALIBRATED: thresholds and false alarms mean little"


def evaluate_results(path: Path, annotations: Sequence[VideoAnnotation], config: EvaluateConfig) -> Evaluated:
    """Compare one results folder with the truth; writes nothing.

    Raises:
        ConfigError: no results there, or names that match two videos.
        AnnotationError: nothing matches.
        StoreError: the folder is damaged.
    """
    results = Results.open(path)
    head = results.head()
    try:
        events = head.get("events") or {}
        threshold = float(events.get("threshold", head["threshold"]))
        merge_gap_seconds = float(events.get("merge_gap_seconds", MERGE_GAP_SECONDS))
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise StoreError(f"{path / HEAD_NAME}: cannot be read ({error!r}); delete it and detect again") from error
    if config.threshold is not None:
        threshold = config.threshold
    curves = list(results)
    if not curves:
        if any(results.curves.glob("*.h5")):
            raise StoreError(f"{results.curves}: none of its shards can be read; delete them and detect again")
        raise ConfigError(f"{path}: holds no curves; `vad-pipeline detect --out {path}` makes them")
    try:
        result = evaluate(
            curves,
            annotations,
            protocol=config.protocol,
            threshold=threshold,
            merge_gap_seconds=merge_gap_seconds,
            normal_is_segment=config.format == "xd-violence",
            n_resamples=config.n_resamples,
        )
    except (AnnotationError, ConfigError) as error:
        raise type(error)(f"{path} with {config.annotations}: {error}") from error
    if not head.get("calibrated", True):
        result = replace(result, notes=(*result.notes, UNCALIBRATED))
    return Evaluated(path, head.get("crop"), result)


def write_evaluation(evaluated: Evaluated, config: EvaluateConfig) -> None:
    """Write evaluation.json and evaluation.png into the results folder.

    Raises:
        StoreError: it cannot be written.
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
        "annotations": str(config.annotations),
        "format": config.format,
        "n_resamples": config.n_resamples,
    }
    write_bytes(evaluated.path / EVALUATION_NAME, json.dumps(row, indent=2, allow_nan=False).encode())
    write_figure(result, evaluated.path / FIGURE_NAME)
