"""What a results folder was made with, as far as its readers need it."""

from __future__ import annotations

from dataclasses import dataclass

from vad_pipeline.extract.errors import StoreError
from vad_pipeline.model.curve import MERGE_GAP_SECONDS

from .results import HEAD_NAME, Results


@dataclass(frozen=True, slots=True)
class RunSettings:
    """Of run.json."""

    recipe_id: str
    categories: tuple[str, ...]
    """The normal one first."""
    threshold: float
    """Of the events."""
    merge_gap_seconds: float
    """Likewise."""
    calibrated: bool
    """Whether scores mean what a trained checkpoint's do."""

    @property
    def score_name(self) -> str:
        """What a score is called where it is shown."""
        return "score" if self.calibrated else "uncalibrated score"


def settings_of(results: Results) -> RunSettings:
    """The settings of a results folder.

    Raises:
        StoreError: run.json is damaged.
    """
    head = results.head()
    try:
        events = head.get("events") or {}
        return RunSettings(
            recipe_id=str(head["recipe_id"]),
            categories=tuple(map(str, head["categories"])),
            threshold=float(events.get("threshold", head["threshold"])),
            merge_gap_seconds=float(events.get("merge_gap_seconds", MERGE_GAP_SECONDS)),
            calibrated=bool(head.get("calibrated", True)),
        )
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        path = results.path / HEAD_NAME
        raise StoreError(f"{path}: cannot be read ({error!r}); delete it and detect again") from error
