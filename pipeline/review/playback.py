"""Where a video's file is, whether browsers play it, and the preview to play where they do not."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path, PurePath

from ..media.links import as_bytes, is_video, link, may_link, moved
from ..media.proxy import PLAYED, browser_plays, write_proxy
from ..media.roots import MediaRoots

PREVIEWS = "media"
STATE_DIGITS = 8


@dataclass(frozen=True, slots=True)
class Playback:
    """The file that a video's features came from, as far as it is known."""

    path: str
    """The path under which whoever opens the page finds the file."""
    here: str | None
    """The path under which the file can be read now; None where it cannot."""
    is_video: bool
    """Whether the file is footage; False for imported features."""
    state: tuple[int, int] | None
    """Size in bytes and mtime in ns; None where the file cannot be read."""
    stream: int = 1
    """Which of the file's video streams, from 1."""
    roots: MediaRoots = MediaRoots()
    """--media-root."""

    @classmethod
    def of(cls, source: str, roots: MediaRoots, stream: int = 1) -> Playback:
        """Find the file that a curve's `source` names: below the folders of --media-root, then where it was."""
        here = roots.find(source) if is_video(source) else None
        if here is not None and not os.path.isfile(here):
            here = None
        path = as_bytes(moved(source, roots))
        found = os.stat(here) if here else None
        return cls(path, here, is_video(path), (found.st_size, found.st_mtime_ns) if found else None, stream, roots)

    @property
    def playable(self) -> bool:
        """Whether browsers play the file; judged by its suffix alone where it cannot be read here."""
        if self.here:
            return browser_plays(self.here, stream=self.stream)
        return self.stream == 1 and PurePath(self.path).suffix.lower() in PLAYED

    def address(self, page: Path, key: str, *, previews: bool, n_frames: int) -> str | None:
        """The address of what the page plays: the footage or its preview; None where there is neither.

        Args:
            page: the folder of the page; the preview goes into it.
            key: the video's short name, by `key_of`.
            previews: whether to write a preview that is needed and does not exist yet.
            n_frames: how many frames of the video were scored.

        Raises:
            VideoError: no preview can be made of the footage.
            StoreError: the preview cannot be written.
        """
        if self.playable:
            home = page.parent.parent
            may = may_link(self.path, self.roots, home=home, is_here=self.here == self.path)
            return link(self.path, page, home=home) if may else None
        preview = self.preview(page, key)
        if preview is None or not (previews or preview.exists()):
            return None
        if not preview.exists():
            write_proxy(self.here, preview, stream=self.stream, n_frames=n_frames)
        return link(str(preview), page, home=page)

    def preview(self, page: Path, key: str) -> Path | None:
        """The path that the file's preview has or would have; None where the file cannot be read.

        The name depends on the file's size and mtime, so that a changed file gets a new preview.
        """
        if self.here is None:
            return None
        state = hashlib.sha256(json.dumps([self.here, *self.state]).encode()).hexdigest()[:STATE_DIGITS]
        return page / PREVIEWS / f"{key}-{state}.mp4"
