"""Says of evaluated results which of their videos the checkpoint was trained on: figures on them say nothing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from vad_pipeline.extract.errors import VadError
from vad_pipeline.extract.files import fingerprint
from vad_pipeline.extract.names import plural, some

from ..results.figures import Evaluated
from ..results.run_record import read_record
from .run_folder import TrainRun

TRAINED_ON = "trained_on"  # in config.json: ids of the videos that were trained on


def with_training_notes(evaluated: Evaluated) -> Evaluated:
    """Add notes on videos that were trained on, and on weights that were picked on the test set.

    They are known where the training run's folder is still around the checkpoint that run.json names.
    """
    config = _config_behind(evaluated.path)
    if config is None:
        return evaluated
    videos = set(evaluated.result.video_ids)
    trained = sorted(videos & set(map(str, config.get(TRAINED_ON, ()))))
    held_out = sorted(videos & set(map(str, config.get("data", {}).get("held_out", ()))))
    notes = []
    if trained:
        notes.append(
            f"{plural(len(trained), 'video was', 'videos were')} trained on, so that they say nothing: {some(trained)}"
        )
    if held_out:
        notes.append(
            f"{plural(len(held_out), 'video was', 'videos were')} held out in training to pick weights and threshold: "
            f"{some(held_out)}"
        )
    if config.get("select") == "test":
        notes.append("the weights were picked on a test set (train --select test)")
    return replace(evaluated, result=replace(evaluated.result, notes=(*evaluated.result.notes, *notes)))


def _config_behind(results: Path) -> dict | None:
    """config.json of the training run whose best weights made the curves; None where they are not found."""
    record = read_record(results)
    checkpoint = Path(str(record.get("checkpoint", "")))
    run = TrainRun(checkpoint.parent)
    if checkpoint.name != run.best.name or not run.begun or not checkpoint.is_file():
        return None
    try:
        same = fingerprint(checkpoint) == record.get("checkpoint_sha256")
        return run.config() if same else None
    except (VadError, OSError):  # what is evaluated is not to blame: there is a note less
        return None
