"""`--metrics FILE`: a run's figures as Prometheus text, to be read by node exporter's textfile collector."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from vad_pipeline.extract.errors import ConfigError, VadError
from vad_pipeline.extract.files import write_bytes

from ..outcomes.video_outcome import VideoOutcome

logger = logging.getLogger(__name__)

EVERY_SECONDS = 5.0
HELP = {
    "videos_total": "Videos by status.",
    "frames_total": "Frames decoded or scored in this run.",
    "failures_total": "Failed videos by code.",
    "stage_seconds_total": "Seconds spent, by stage; stages overlap.",
    "start_time_seconds": "When the run began.",
    "last_outcome_time_seconds": "When a video last ended.",
    "running": "1 while the run is at work.",
}
HELP_OF_CAMERAS = {
    "snippets_total": "Snippets scored.",
    "reconnects_total": "How often a camera was lost and is tried again.",
    "receiving": "1 while a camera gives pictures.",
    "lag_seconds": "How long after its last frame the newest snippet was scored, the delay left out.",
    "start_time_seconds": HELP["start_time_seconds"],
    "running": HELP["running"],
}


class MetricsFile:
    """Counts outcomes and writes the counts to a file every few seconds, and a last time as its `with` block ends.

    Args:
        path: the file.
        explained: the figures that it holds, each with what it is.

    Raises:
        ConfigError: the file cannot be written at the start. If it cannot later, that is only logged.
    """

    def __init__(self, path: Path, explained: Mapping[str, str] = HELP):
        self._path, self._explained = path, explained
        self._values: Counter[tuple[str, str]] = Counter()
        self._values["start_time_seconds", ""] = time.time()
        self._values["running", ""] = 1
        self._written = time.monotonic()
        self._warned = False
        try:
            self._write()
        except VadError as error:
            raise ConfigError(f"--metrics {path}: {error}") from error

    def __enter__(self) -> MetricsFile:
        return self

    def __exit__(self, *exc_info) -> None:
        self._values["running", ""] = 0
        self._write_or_warn()

    def begin(self, stage: str) -> None:
        """Set the counts of a stage (`extract`, `detect`) to 0, from which Prometheus can compute rates."""
        for status in ("ok", "cached", "failed"):
            self._values["videos_total", f'command="{stage}",status="{status}"'] += 0
        self._values["frames_total", f'command="{stage}"'] += 0

    def count(self, stage: str, outcome: VideoOutcome) -> None:
        """Count one outcome of a stage (`extract`, `detect`)."""
        of = f'command="{stage}"'
        self._values["videos_total", f'{of},status="{outcome.status}"'] += 1
        self._values["last_outcome_time_seconds", ""] = time.time()
        if outcome.status == "ok":
            self._values["frames_total", of] += outcome.n_frames or 0
        if outcome.status == "failed":
            self._values["failures_total", f'{of},code="{outcome.code}"'] += 1
        for step, seconds in outcome.seconds.items():
            self._values["stage_seconds_total", f'{of},stage="{step}"'] += seconds
        self._write_if_due()

    def add(self, name: str, camera: str, more: float) -> None:
        """Add to a camera's figure."""
        self._values[name, camera_label(camera)] += more
        self._write_if_due()

    def put(self, name: str, camera: str, value: float) -> None:
        """Set a camera's figure."""
        self._values[name, camera_label(camera)] = value
        self._write_if_due()

    def _write_if_due(self) -> None:
        if time.monotonic() - self._written >= EVERY_SECONDS:
            self._write_or_warn()

    def _write_or_warn(self) -> None:
        try:
            self._write()
        except VadError as error:
            if not self._warned:
                logger.warning("--metrics %s: %s", self._path, error)
            self._warned = True

    def _write(self) -> None:
        self._written = time.monotonic()
        write_bytes(self._path, self._text().encode())

    def _text(self) -> str:
        lines = []
        for name, explained in self._explained.items():
            kind = "counter" if name.endswith("_total") else "gauge"
            lines += [f"# HELP vad_pipeline_{name} {explained}", f"# TYPE vad_pipeline_{name} {kind}"]
            for (of, labels), value in self._values.items():
                if of == name:
                    lines.append(f"vad_pipeline_{name}{f'{{{labels}}}' if labels else ''} {value:.15g}")
        return "\n".join(lines) + "\n"


def camera_label(camera: str) -> str:
    """A camera's name as a label of Prometheus' text."""
    escaped = camera.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'camera="{escaped}"'
