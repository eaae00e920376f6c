"""--media-root OLD=NEW: finds footage that was moved after its path was recorded."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

from vad_pipeline.extract.errors import ConfigError
from vad_pipeline.extract.files import existing
from vad_pipeline.extract.names import composed


@dataclass(frozen=True, slots=True)
class MediaRoots:
    """Which folders of footage were moved where."""

    moved: tuple[tuple[str, str], ...] = ()
    """Pairs of an old folder and a new one; paths below the old one are looked for below the new one."""

    @classmethod
    def parse(cls, options: Sequence[str]) -> MediaRoots:
        """Parse options, each `OLD=NEW`.

        Raises:
            ConfigError: an option has no `=`, or nothing before or after it.
        """
        pairs = [tuple(option.rpartition("=")[::2]) for option in options]
        for option, (old, new) in zip(options, pairs, strict=True):
            if not old or not new:
                raise ConfigError(f"--media-root {option!r}: must be OLD=NEW, the folder as scored and as it is now")
        return cls(tuple(pairs))

    def find(self, source: str) -> str | None:
        """Find the file that a curve's `source` names, first below the new folders; None where there is none."""
        for old, new in self.moved:
            below = below_folder(source, old.rstrip("/"))
            if below is not None and (found := _found(os.path.join(new, below))):
                return found
        return _found(source)


def below_folder(path: str, folder: str) -> str | None:
    """The part of a path below a folder; None where the path does not lie below it.

    People type the folder's name, so `é` may be composed in one of the two and not in the other.
    """
    for form in (str, composed):
        if form(path).startswith(f"{form(folder)}/"):
            return form(path)[len(form(folder)) + 1 :]
    return None


def _found(path: str) -> str | None:
    found = existing(path)
    return found if found and os.path.exists(found) else None  # a link may lead nowhere
