"""A video's file: where it lies, whether browsers play it, and the preview that stands in where they do not."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path, PurePath

from ..media.links import as_bytes, is_video, link, moved
from ..media.proxy import PLAYED, browser_plays, write_proxy
from ..media.roots import MediaRoots

PREVIEWS = "media"
STATE_DIGITS = 8


@dataclass(frozen=True, slots=True)
class Playback:
    """What is known of the file that features came from."""

    path: str
    """Where it lies for whoever opens the page."""
    here: str | None
    """Where it can be read now, None where it cannot."""
    is_video: bool
    """Not so where features were imported."""
    state: tuple[int, int] | None
    """Size and mtime."""

    @classmethod
    def of(cls, source: str, roots: MediaRoots) -> Playback:
        """What a curve's `source` names: looked for where it moved to, then where it was."""
        here = roots.find(source) if is_video(source) else None
        if here is not None and not os.path.isfile(here):
            here = None
        path = as_bytes(moved(source, roots))
        found = os.stat(here) if here else None
        return cls(path, here, is_video(path), (found.st_size, found.st_mtime_ns) if found else None)

    @property
    def playable(self) -> bool:
        """Whether browsers play it; by its name alone where it cannot be read here."""
        return browser_plays(self.here) if self.here else PurePath(self.path).suffix.lower() in PLAYED

    def address(self, page: Path, key: str, *, previews: bool) -> str | None:
        """What the page plays: the footage, its preview, or nothing.

        Args:
            page: folder of the page; the preview goes into it.
            key: the video's.
            previews: whether to write one where it is needed and not there yet.

        Raises:
            VideoError: a preview cannot be made of it.
            StoreError: it cannot be written.
        """
        if self.playable:
            return link(self.path, page, home=page.parent.parent)
        preview = self.preview(page, key)
        if preview is None or not (previews or preview.exists()):
            return None
        if not preview.exists():
            write_proxy(self.here, preview)
        return link(str(preview), page, home=page)

    def preview(self, page: Path, key: str) -> Path | None:
        """Where its preview lies or would: its name says of which state of the file it is. None without a file."""
        if self.here is None:
            return None
        state = hashlib.sha256(json.dumps([self.here, *self.state]).encode()).hexdigest()[:STATE_DIGITS]
        return page / PREVIEWS / f"{key}-{state}.mp4"
