"""What a video is called: ids, known suffixes, and the one rule by which names in any list find their video."""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Sequence

from .errors import ConfigError

VIDEO_SUFFIXES = frozenset(
    ".3gp .asf .avi .divx .dv .f4v .flv .h264 .h265 .hevc .m2ts .m4v .mjpeg .mjpg .mkv .mov .mp4 .mpeg .mpg .mts "
    ".mxf .ogg .ogv .rm .rmvb .ts .vob .webm .wmv .y4m".split()
)

SHOWN_NAMES = 5  # of many, in a message


def strip_suffix(name: str) -> str:
    """Drop a known video suffix, and only such a one: many data set names contain dots that are none."""
    stem, suffix = posixpath.splitext(name)
    return stem if suffix.lower() in VIDEO_SUFFIXES else name


def is_plain_id(video_id: object) -> bool:
    """Whether an id is text that can become a path below a folder: files are named after ids."""
    if not isinstance(video_id, str) or not video_id or "\0" in video_id:
        return False
    return not video_id.startswith("/") and not {"", ".", ".."} & set(video_id.split("/"))


def some(names: Sequence[str], n: int = SHOWN_NAMES, *, between: str = ", ") -> str:
    """The first names of many, as a message tells them: `a, b, c, ...`."""
    return between.join(names[:n]) + (f"{between}..." if len(names) > n else "")


class NameIndex:
    """Finds the id that a name in a list means: after its known suffix is dropped, the id equals it or ends with
    `/` + name."""

    def __init__(self, ids: Iterable[str]):
        self._by_tail: dict[str, list[str]] = {}
        for video_id in dict.fromkeys(ids):
            parts = video_id.split("/")
            for start in range(len(parts)):
                self._by_tail.setdefault("/".join(parts[start:]), []).append(video_id)

    def find(self, name: str) -> str | None:
        """The id, or None.

        Raises:
            ConfigError: two ids match.
        """
        stripped = strip_suffix(name.strip())
        found = self._by_tail.get(stripped) or self._by_tail.get(name.strip()) or []
        if len(found) > 1:
            raise ConfigError(f"{name!r} matches {len(found)} videos: {some(found)}; name them with their folder")
        return found[0] if found else None
