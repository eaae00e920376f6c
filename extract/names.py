"""What a video is called: ids, known suffixes, and the one rule by which names in any list find their video."""

from __future__ import annotations

import functools
import logging
import posixpath
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from urllib.parse import quote

from .errors import ConfigError, readable

logger = logging.getLogger(__name__)

VIDEO_SUFFIXES = frozenset(
    ".3gp .asf .avi .divx .dv .f4v .flv .h264 .h265 .hevc .m2ts .m4v .mjpeg .mjpg .mkv .mov .mp4 .mpeg .mpg .mts "
    ".mxf .ogg .ogv .rm .rmvb .ts .vob .webm .wmv .y4m".split()
)

SHOWN_NAMES = 5  # of many, in a message


def strip_suffix(name: str) -> str:
    """Drop a known video suffix, and only such a one: many data set names contain dots that are none."""
    stem, suffix = posixpath.splitext(name)
    return stem if suffix.lower() in VIDEO_SUFFIXES else name


def slashed(name: str) -> str:
    r"""A listed path; lists made on Windows have `\` where others have `/`."""
    return name if "/" in name else name.replace("\\", "/")


def composed(name: str) -> str:
    """A name in Unicode's composed form: as it is typed, while macOS writes names decomposed."""
    return unicodedata.normalize("NFC", name)


def reading_form(name: str) -> str:
    """A name as everybody reads it: composed, without blanks around its parts, without a first `/` or `./`."""
    parts = (part.strip() for part in composed(name).split("/"))
    return "/".join(part for part in parts if part not in ("", "."))


def is_plain_id(video_id: object) -> bool:
    """Whether an id is text that can become a path below a folder: files are named after ids."""
    if (
        not isinstance(video_id, str)
        or not video_id
        or "\0" in video_id
        or not video_id.isascii()
        and _is_torn(video_id)
    ):
        return False
    return not video_id.startswith("/") and not {"", ".", ".."} & set(video_id.split("/"))


def _is_torn(text: str) -> bool:
    """Whether a text holds halves of characters (lone surrogates), which no file and no index can hold."""
    return any("\ud800" <= character <= "\udfff" for character in text)


def flat(video_id: str) -> str:
    """An id percent-encoded, `/` too: text that nests nowhere, from which the id can be read again."""
    return quote(video_id, safe="", errors="surrogatepass")


def some(names: Sequence[str], n: int = SHOWN_NAMES, *, between: str = ", ") -> str:
    """The first names of many, as a message tells them: `a, b, c, ...`."""
    return between.join(names[:n]) + (f"{between}..." if len(names) > n else "")


class NameIndex:
    """Finds the ids that the names in a list mean.

    After its known video suffix is dropped, a name means the id that equals it or ends with `/` and the name. Where
    none does, names and ids are compared as they read: see `reading_form`.
    """

    def __init__(self, ids: Iterable[str]):
        self._ids = list(dict.fromkeys(ids))
        self._by_tail = _by_tail((video_id, video_id) for video_id in self._ids)
        self._by_read_tail: dict[str, list[str]] | None = None

    def find(self, name: str) -> str | None:
        """The id, or None.

        Raises:
            ConfigError: two ids match.
        """
        found = self._by_tail.get(strip_suffix(name)) or self._by_tail.get(name)
        if not found:
            if self._by_read_tail is None:
                self._by_read_tail = _by_tail((reading_form(video_id), video_id) for video_id in self._ids)
            read = reading_form(slashed(name))
            found = self._by_read_tail.get(strip_suffix(read)) or self._by_read_tail.get(read) or []
        if len(found) > 1:
            raise ConfigError(f"{name!r} matches {len(found)} videos: {some(found)}; name them with their folder")
        return found[0] if found else None

    def find_all(self, names: Iterable[str]) -> dict[str, str | None]:
        """The ids that a whole list means, by name; None where a name means none.

        A list of which no name fits may come from where the same files lie deeper, `/data/cam1/a.mp4` for the id
        `cam1/a`: then a name means the longest id that it ends with, unless another name ends with it too. That is
        said once, as is that nothing fits at all.

        Raises:
            ConfigError: two ids match a name.
        """
        found = {name: self.find(name) for name in names}
        if not found or not self._ids or any(video_id is not None for video_id in found.values()):
            return found
        deeper = self._find_deeper(found)
        name, video_id = next(iter(deeper.items()), (next(iter(found)), self._ids[0]))
        told = f"{readable(name)!r} in the list, {readable(video_id)!r} here"
        if deeper:
            _say_once(f"{len(deeper)} of {len(found)} names match without their first folders, such as {told}")
        else:
            _say_once(
                f"none of {len(found)} names matches, such as {told}; with how many folders ids begin is said by "
                "`store import --keep-folder` and `extract --id-root`"
            )
        return found | deeper

    def _find_deeper(self, names: Iterable[str]) -> dict[str, str]:
        """Names that end with `/` and an id, one alone for each id."""
        whole: dict[str, list[str]] = {}
        for video_id in self._ids:
            whole.setdefault(reading_form(video_id), []).append(video_id)
        claimed: dict[str, tuple[str, str]] = {}
        for name, read in {name: strip_suffix(reading_form(slashed(name))) for name in names}.items():
            parts = read.split("/")
            tails = ("/".join(parts[start:]) for start in range(1, len(parts)))
            candidates = next((whole[tail] for tail in tails if tail in whole), [])
            if len(candidates) == 1:
                claimed[name] = candidates[0], read
        claims = Counter(video_id for video_id, _ in set(claimed.values()))
        return {name: video_id for name, (video_id, _) in claimed.items() if claims[video_id] == 1}


def _by_tail(ids: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    """Every end of an id, from a folder on -> the ids that have it.

    Args:
        ids: as compared, and as they are.
    """
    found: dict[str, list[str]] = {}
    for compared, video_id in ids:
        parts = compared.split("/")
        for start in range(len(parts)):
            found.setdefault("/".join(parts[start:]), []).append(video_id)
    return found


@functools.cache
def _say_once(sentence: str) -> None:
    """Commands may hold one list against the same ids several times."""
    logger.warning(sentence)
