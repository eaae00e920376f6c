"""run.json: what all curves of a results folder were made with."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import version

RESULTS_SCHEMA = 1


@dataclass(frozen=True, slots=True)
class RunHead:
    """run.json: what all curves of a folder were made with."""

    checkpoint: str
    """Path, for people."""
    checkpoint_sha256: str
    preset: str
    categories: tuple[str, ...]
    recipe: dict
    recipe_id: str
    crop: int
    threshold: float
    calibrated: bool = True
    """Whether scores mean what a trained checkpoint's do; not so with --zero-shot."""
    clock: dict | None = None
    """How ids are read for the wall clock: `pattern` and `timezone`."""
    schema: int = RESULTS_SCHEMA
    version: str = version("vad-pipeline")

    def clashes(self, other: dict) -> str | None:
        """What keeps curves of `other` and these from lying in one folder."""
        for name, what in (("checkpoint_sha256", "checkpoint"), ("recipe_id", "recipe"), ("crop", "crop")):
            if other.get(name) != getattr(self, name):
                return f"another {what} ({other.get('checkpoint' if what == 'checkpoint' else name)})"
        return None
