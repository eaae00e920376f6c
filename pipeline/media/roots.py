"""Where footage lies now: paths as they were recorded, looked for below the folders that they were moved to."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from vad_pipeline.extract.errors import ConfigError, readable


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
            old = old.rstrip("/")
            if source.startswith(f"{old}/"):
                found = _as_named(os.path.join(new, source[len(old) + 1 :]))
                if found:
                    return found
        return _as_named(source)


def _as_named(path: str) -> str | None:
    r"""The file whose path reads like this: names that are no UTF-8 are kept as `\xff`."""
    if os.path.exists(path):
        return path
    if "\\" not in path:
        return None
    found = os.path.sep if os.path.isabs(path) else os.path.curdir
    for part in Path(path).parts[os.path.isabs(path) :]:
        try:
            name = next((name for name in os.listdir(found) if readable(name) == part), None)
        except OSError:
            return None
        if name is None:
            return None
        found = os.path.join(found, name)
    return found
