"""Ids of videos, known video suffixes, and the one rule that says which video a name in a list means."""

from __future__ import annotations

import functools
import logging
import posixpath
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from urllib.parse import quote

from .errors import ConfigError, quoted, shown

logger = logging.getLogger(__name__)

VIDEO_SUFFIXES = frozenset(
    ".264 .265 .3g2 .3gp .amv .asf .av1 .avc .avi .dav .divx .dv .f4v .flv .h261 .h263 .h264 .h265 .h26l .hevc .ivf "
    ".m1v .m2t .m2ts .m2v .m4v .mjpeg .mjpg .mk3d .mkv .mov .mp2v .mp4 .mp4v .mpe .mpeg .mpg .mts .mxf .nut .obu .ogg "
    ".ogv .qt .rm .rmvb .tod .tp .trp .ts .vc1 .vob .webm .wmv .wtv .y4m".split()
)

STREAM_MARK = re.compile(r"#\d+$")
SHOWN_NAMES = 5  # how many names of a long list a message shows
SHOWN_NAME_WIDTH = 200  # characters of each: ids of footage in deep folders are long


def strip_suffix(name: str) -> str:
    """Drop a video suffix from a name. Other dots stay: names of many data sets contain dots."""
    stem, suffix = posixpath.splitext(name)
    return stem if suffix.lower() in VIDEO_SUFFIXES else name


def stream_id(video_id: str, number: int) -> str:
    """The id of a file's `number`-th video stream, from 1: the file's own for the first, `cam1#2` for the second."""
    return video_id if number == 1 else f"{video_id}#{number}"


def split_stream(video_id: str) -> tuple[str, str]:
    """Split an id that `stream_id` may have made into the file's own and the `#2`, which is empty for the first."""
    found = STREAM_MARK.search(video_id)
    return (video_id[: found.start()], found[0]) if found else (video_id, "")


def first_folder(video_id: str) -> str | None:
    """The first folder of an id, in composed form, which is the camera's name unless a clock says another; None where
    the id has no folder."""
    folder, slash, _ = video_id.partition("/")
    return composed(folder) if slash else None


def slashed(name: str) -> str:
    r"""A path from a list, with `/` in place of the `\` that lists made on Windows have."""
    return name if "/" in name else name.replace("\\", "/")


def composed(name: str) -> str:
    """A name in Unicode's composed form (NFC), in which it is usually typed; macOS stores names decomposed."""
    return unicodedata.normalize("NFC", name)


def reading_form(name: str) -> str:
    """A form that is equal for names that look equal: composed, no blanks around its parts, no first `/` or `./`."""
    parts = (part.strip() for part in composed(name).split("/"))
    return "/".join(part for part in parts if part not in ("", "."))


def is_plain_id(video_id: object) -> bool:
    """Whether an id can be the path of a file below a folder, as files are named after ids."""
    if (
        not isinstance(video_id, str)
        or not video_id
        or "\0" in video_id
        or not video_id.isascii()
        and is_torn(video_id)
    ):
        return False
    return not video_id.startswith("/") and not {"", ".", ".."} & set(video_id.split("/"))


def is_torn(text: str) -> bool:
    """Whether a text holds halves of characters (lone surrogates), which no file and no index can hold."""
    return any("\ud800" <= character <= "\udfff" for character in text)


def flat(video_id: str) -> str:
    """An id in percent-encoding, `/` included: one name without folders, which can be decoded again."""
    return quote(video_id, safe="", errors="surrogatepass")


def some(names: Sequence[str], n: int = SHOWN_NAMES, *, between: str = ", ") -> str:
    """The first `n` names, for a message: `a, b, c, ...`."""
    return between.join(shown(name, SHOWN_NAME_WIDTH) for name in names[:n]) + (
        f"{between}..." if len(names) > n else ""
    )


def plural(n: int, one: str, many: str | None = None) -> str:
    """A number of things in words: `1 video`, `2 videos`.

    Args:
        n: how many.
        one: what one of them is called, its verb included where that differs too: `video fails`.
        many: what several are called; None: the same with an s.
    """
    return f"{n} {one if n == 1 else many or one + 's'}"


class NameIndex:
    """Finds the ids that the names in a list mean.

    After its known video suffix is dropped, a name means the id that equals it or ends with `/` and the name. Where
    none does, names and ids are compared by their `reading_form`.

    Args:
        ids: ids of all videos that a name can mean.
    """

    def __init__(self, ids: Iterable[str]):
        self._ids = list(dict.fromkeys(ids))
        self._by_tail = _by_tail((video_id, video_id) for video_id in self._ids)
        self._by_read_tail: dict[str, list[str]] | None = None

    def find(self, name: str) -> str | None:
        """The id that a name means, or None.

        Raises:
            ConfigError: the name matches two ids.
        """
        found = self._by_tail.get(strip_suffix(name)) or self._by_tail.get(name)
        if not found:
            if self._by_read_tail is None:
                self._by_read_tail = _by_tail((reading_form(video_id), video_id) for video_id in self._ids)
            read = reading_form(slashed(name))
            found = self._by_read_tail.get(strip_suffix(read)) or self._by_read_tail.get(read) or []
        if len(found) > 1:
            raise ConfigError(f"{quoted(name)} matches {len(found)} videos: {some(found)}; name them with their folder")
        return found[0] if found else None

    def find_all(self, names: Iterable[str]) -> dict[str, str | None]:
        """The id that each name of a list means; None for a name that means none.

        If no name of the list fits, the list may have been made where the same files lie deeper, `/data/cam1/a.mp4` for
        the id `cam1/a`. A name then means the longest id that it ends with, unless another name ends with that id too.
        A warning says so, or that nothing fits at all.

        Raises:
            ConfigError: a name matches two ids.
        """
        found = {name: self.find(name) for name in names}
        if not found or not self._ids or any(video_id is not None for video_id in found.values()):
            return found
        deeper = self._find_deeper(found)
        name, video_id = next(iter(deeper.items()), (next(iter(found)), self._ids[0]))
        told = f"{quoted(name)} in the list, {quoted(video_id)} here"
        if deeper:
            _say_once(
                f"{len(deeper)} of {plural(len(found), 'name matches', 'names match')} without their first folders, "
                f"such as {told}"
            )
        else:
            _say_once(
                f"none of {plural(len(found), 'name')} matches, such as {told}; with how many folders ids begin is "
                "said by `store import --keep-folder` and `extract --id-root`"
            )
        return found | deeper

    def _find_deeper(self, names: Iterable[str]) -> dict[str, str]:
        """The names that end with `/` and an id, with that id; no two of them have the same id."""
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
    """Every end of an id that begins at a folder -> the ids that have this end.

    Args:
        ids: for each id the form in which it is compared, and the id itself.
    """
    found: dict[str, list[str]] = {}
    for compared, video_id in ids:
        parts = compared.split("/")
        for start in range(len(parts)):
            found.setdefault("/".join(parts[start:]), []).append(video_id)
    return found


@functools.cache
def _say_once(sentence: str) -> None:
    """Log a warning, but each sentence only once: a command may look the same list up several times."""
    logger.warning(sentence)
