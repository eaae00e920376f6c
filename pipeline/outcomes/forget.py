"""Takes failures back, so that nothing is known of them any more."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from vad_pipeline.extract.names import NameIndex

from .outcome_log import OutcomeLog
from .video_outcome import FORGOTTEN, VideoOutcome


def forget(folder: Path, names: Iterable[str]) -> tuple[list[str], list[str]]:
    """Forget that videos failed: they are listed no more, and tried again where they are still there.

    Args:
        folder: the folder of outcome files.
        names: ids of videos, or paths of their files.

    Returns:
        The ids, or paths, of what was forgotten; the names that no failure has.

    Raises:
        ConfigError: a name matches two videos that failed.
        StoreError: the folder cannot be read or written.
    """
    forgotten, unknown = [], []
    with OutcomeLog(folder) as log:
        failing = list(log.failures.by_recipe.values())
        index = NameIndex(failed.video for failed in failing)
        for name in names:
            meant = [failed for failed in failing if failed.path == name]
            meant = meant or [failed for failed in failing if failed.video == index.find(name)]
            for failed in meant:
                log.append(
                    VideoOutcome(failed.video, failed.path, FORGOTTEN, recipe_id=failed.recipe_id, stream=failed.stream)
                )
            (forgotten if meant else unknown).append(name)
    return forgotten, unknown
