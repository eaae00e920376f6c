"""Where footage lies now: paths as they were recorded, looked for below the folders that they were moved to."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

from vad_pipeline.extract.errors import ConfigError
from vad_pipeline.extract.files import existing
from vad_pipeline.extract.names import composed


@dataclass(frozen=True, slots=True)
class MediaRoots:
    """Where footage lies now: paths below an old folder are looked for below a new one."""

    moved: tuple[tuple[str, str], ...] = ()

    @classmethod
    def parse(cls, options: Sequence[str]) -> MediaRoots:
        """From `OLD=NEW`, each.

        Raises:
            ConfigError: no such thing.
        """
        pairs = [tuple(option.rpartition("=")[::2]) for option in options]
        for option, (old, new) in zip(options, pairs, strict=True):
            if not old or not new:
                raise ConfigError(f"--media-root {option!r}: must be OLD=NEW, the folder as scored and as it is now")
        return cls(tuple(pairs))

    def find(self, source: str) -> str | None:
        """The file that a curve's `source` names, or None."""
        for old, new in self.moved:
            below = _below(source, old.rstrip("/"))
            if below is not None and (found := _found(os.path.join(new, below))):
                return found
        return _found(source)


def _below(path: str, folder: str) -> str | None:
    """The rest of a path below a folder, of which people type the name; None where it does not lie below it."""
    for form in (str, composed):
        if form(path).startswith(f"{form(folder)}/"):
            return form(path)[len(form(folder)) + 1 :]
    return None


def _found(path: str) -> str | None:
    found = existing(path)
    return found if found and os.path.exists(found) else None  # a link may lead nowhere
