"""Which videos: folders and files -> (id, path), narrowed by lists, globs and labels; clashes and gaps named."""

from __future__ import annotations

import hashlib
import os
import re
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from pathlib import Path, PurePath
from typing import TypeVar

from vad_pipeline.extract.errors import ConfigError, VideoError, VideoOpenError, readable
from vad_pipeline.extract.files import Source, existing
from vad_pipeline.extract.lists import read_list_text
from vad_pipeline.extract.names import VIDEO_SUFFIXES, NameIndex, composed, some, strip_suffix

from .labels import of_split, read_label_rows

Item = TypeVar("Item")

BYTE_ORDER_MARK = "\ufeff"


@dataclass(frozen=True, slots=True)
class SelectionConfig:
    """The selection options, the same wherever videos are chosen."""

    list_file: str | None = None
    """One path or id a line; `-` is standard input."""
    match: tuple[str, ...] = ()
    """Globs over ids, any of which must match."""
    exclude: tuple[str, ...] = ()
    """Globs over ids, none of which may match."""
    only: str | None = None
    """LABELS file whose videos count."""
    split: str | None = None
    """With `only`: rows of this split."""
    part: str | None = None
    """`I/N`: the I-th of N parts of an archive, the same on every machine whatever else is chosen."""

    def __post_init__(self):
        _ = self.part_numbers
        if self.split is not None and self.only is None:
            raise ConfigError("--split needs --only LABELS, the file that says which video is in which split")

    @property
    def part_numbers(self) -> tuple[int, int] | None:
        """I and N.

        Raises:
            ConfigError: no such thing.
        """
        if self.part is None:
            return None
        found = re.fullmatch(r"([1-9]\d{0,5})/([1-9]\d{0,5})", self.part)
        if not found or int(found[1]) > int(found[2]):
            raise ConfigError(f"--part must be I/N with I from 1 to N, such as 2/3, got {self.part!r}")
        return int(found[1]), int(found[2])


@dataclass(slots=True)
class Selection:
    """What was found."""

    sources: list[Source] = field(default_factory=list)
    failures: list[tuple[str, VideoError]] = field(default_factory=list)
    """Id and error of what cannot even be tried."""
    missing: list[str] = field(default_factory=list)
    """Names in lists that no video answers to."""
    notes: list[str] = field(default_factory=list)
    """What a user should hear besides."""


def find_sources(
    paths: Sequence[str], config: SelectionConfig, *, id_root: str | None = None, settle_seconds: float | None = None
) -> Selection:
    """Expand files and folders, then narrow.

    Args:
        paths: files and folders.
        config: how to narrow.
        id_root: ids are paths below it.
        settle_seconds: files that changed more lately than this are passed over: somebody may be writing them.

    Raises:
        ConfigError: there is nothing at all to work on, or an option is wrong.
    """
    found = Selection()
    for path in paths:
        _expand(path, found, id_root)
    listed = read_lines(config.list_file) if config.list_file is not None else None
    if listed is not None:
        if paths:
            places = {name: os.path.abspath(existing(name) or name) for name in listed}
            wanted = set(places.values())
            by_path = [s for s in found.sources if os.path.abspath(s.path) in wanted]
            paths_found = {os.path.abspath(s.path) for s in by_path}
            names = [name for name, place in places.items() if place not in paths_found]
            chosen = {*by_path, *_by_name(found.sources, names, _id, found, deeper=not by_path)}
            found.sources = [s for s in found.sources if s in chosen]
        else:
            for path in listed:
                _expand(path, found, id_root)
    found.sources = list(_narrow(found.sources, replace(config, part=None), found))
    if config.part_numbers and found.sources:
        found.sources = [source for source in found.sources if _fits(source.video_id, config)]
        if not found.sources:
            found.notes.append(f"no video falls into part {config.part}")
            return found  # nothing wrong with that
    _drop_clashes(found)
    if settle_seconds is not None and _pass_over_growing(found, settle_seconds):
        return found  # nothing left is nothing wrong
    if not found.sources and not found.failures:
        nobody = f"; nothing answers to {some(found.missing)}" if found.missing else ""
        left = f"no video is left after --list, --match, --exclude, --only{nobody}"
        raise ConfigError("; ".join(found.notes) or left)
    if not found.sources and all(error.code == "unreadable" for _, error in found.failures):
        raise ConfigError("; ".join(str(error) for _, error in found.failures[:3]))
    return found


def _pass_over_growing(found: Selection, settle_seconds: float) -> int:
    """How many files were left for another run."""
    if not settle_seconds >= 0:
        raise ConfigError(f"--settle must not be negative, got {settle_seconds:g}")
    now = time.time()  # a clock that runs ahead must not keep its files from ever being settled
    settled = [source for source in found.sources if abs(now - _changed(source)) >= settle_seconds]
    growing = len(found.sources) - len(settled)
    if growing:
        found.notes.append(
            f"{growing} files changed in the last {settle_seconds:g} s are left for a later run (--settle)"
        )
    found.sources = settled
    return growing


def _changed(source: Source) -> float:
    try:
        return os.stat(source.path).st_mtime
    except OSError:
        return 0.0  # what is wrong with it is said when it is its turn


def select_held(
    items: Iterable[Item], config: SelectionConfig, video_of: Callable[[Item], str]
) -> tuple[Iterable[Item], list[str]]:
    """Narrow what a store or results hold.

    Returns:
        The items chosen, drawn one by one where no list of names is asked for; and names in lists that none answers to.
    """
    found = Selection()
    if config.list_file is not None:
        items = list(items)
        chosen = {id(item) for item in _by_name(items, read_lines(config.list_file), video_of, found)}
        items = [item for item in items if id(item) in chosen]
    return _narrow(items, config, found, video_of), found.missing


def select_some(
    items: Sequence[Item], config: SelectionConfig, video_of: Callable[[Item], str]
) -> tuple[list[Item], list[str]]:
    """As `select_held`, for what makes no sense with none of them.

    Raises:
        ConfigError: the options leave nothing of what is there.
    """
    chosen, missing = select_held(items, config, video_of)
    chosen = list(chosen)
    if items and not chosen and not missing and config.part is None:
        raise ConfigError(f"no video is left after --match, --exclude, --only; there are {len(items)} without them")
    return chosen, missing


def read_lines(path: str, *, option: str = "--list") -> list[str]:
    """Non-empty lines of a file or of standard input, blanks at their ends included: names may have some.

    Raises:
        ConfigError: it cannot be read.
    """
    try:
        text = sys.stdin.read() if path == "-" else read_list_text(Path(path))
    except UnicodeDecodeError as error:
        raise ConfigError(f"{option} -: is no UTF-8 text ({error})") from error
    except ConfigError as error:
        raise ConfigError(f"{option} {error}") from error
    lines = (line.removesuffix("\r") for line in text.removeprefix(BYTE_ORDER_MARK).split("\n"))
    return [line for line in lines if line.strip()]


def _id(source: Source) -> str:
    return source.video_id


def _expand(path: str, found: Selection, id_root: str | None) -> None:
    path = existing(path) or path
    if os.path.isdir(path):
        before = len(found.sources) + len(found.failures)
        for file in _walk(path, found):
            found.sources.append(Source(_video_id(file, id_root or path), file))
        if len(found.sources) + len(found.failures) == before:
            found.notes.append(f"{readable(path)}: no videos in this folder (looked for .mp4, .avi, .mkv and the like)")
    elif os.path.lexists(path):
        video_id = _video_id(path, id_root) if id_root else strip_suffix(readable(PurePath(path).name))
        found.sources.append(Source(video_id, path))
    else:
        error = VideoOpenError(path, "unreadable", "no such file or folder; check the path")
        found.failures.append((strip_suffix(readable(PurePath(path).name)), error))


def _walk(folder: str, found: Selection) -> Iterable[str]:
    """Videos below a folder by their suffix, in order; hidden files are not footage."""

    def unreadable(error: OSError) -> None:
        name = error.filename or folder
        problem = VideoOpenError(name, "unreadable", f"folder cannot be listed ({error.strerror}); give rights")
        found.failures.append((readable(name), problem))

    seen: set[str] = set()
    for top, folders, files in os.walk(folder, onerror=unreadable, followlinks=True):
        real = os.path.realpath(top)
        if real in seen:  # a link back up
            folders.clear()
            continue
        seen.add(real)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            if not name.startswith(".") and os.path.splitext(name)[1].lower() in VIDEO_SUFFIXES:
                yield os.path.join(top, name)


def _video_id(path: str, root: str) -> str:
    relative = os.path.relpath(path, root)
    if relative == "." or relative.split(os.sep)[0] == "..":
        raise ConfigError(f"--id-root {root}: {readable(path)} does not lie below it")
    return strip_suffix(readable(relative.replace(os.sep, "/")))


def _by_name(
    items: Sequence[Item],
    names: Iterable[str],
    video_of: Callable[[Item], str],
    found: Selection,
    *,
    deeper: bool = True,
) -> list:
    """The items that names mean; those of a list which fits not at all may have more folders than the ids."""
    by_id: dict[str, list[Item]] = {}
    for item in items:
        by_id.setdefault(video_of(item), []).append(item)
    chosen = []
    index = NameIndex(by_id)
    matches = index.find_all(names) if deeper else {name: index.find(name) for name in names}
    for name, match in matches.items():
        if match is None:
            found.missing.append(name)
        else:
            chosen += by_id[match]
    return chosen


def _narrow(
    items: Iterable[Item], config: SelectionConfig, found: Selection, video_of: Callable[[Item], str] = _id
) -> Iterable[Item]:
    if config.only is not None:  # first: its names are held against all videos, not against those left
        names = _labelled(Path(config.only), config.split)
        items = list(items)
        chosen = {id(item) for item in _by_name(items, names, video_of, found)}
        items = [item for item in items if id(item) in chosen]
    return (item for item in items if _fits(video_of(item), config))


def _fits(video_id: str, config: SelectionConfig) -> bool:
    if config.match and not any(_matches(video_id, glob) for glob in config.match):
        return False
    if any(_matches(video_id, glob) for glob in config.exclude):
        return False
    return config.part_numbers is None or _part_of(video_id, config.part_numbers[1]) == config.part_numbers[0]


def _matches(video_id: str, glob: str) -> bool:
    """Whether an id fits a glob as it is, or both as they read."""
    return fnmatchcase(video_id, glob) or fnmatchcase(composed(video_id), composed(glob))


def _part_of(video_id: str, n_parts: int) -> int:
    """Which of N parts a video belongs to, from 1: by its id alone, so that machines need not talk."""
    return int.from_bytes(hashlib.sha256(video_id.encode()).digest()[:8]) % n_parts + 1


def _labelled(path: Path, split: str | None) -> list[str]:
    """The video names of a LABELS file, of one split where named."""
    rows = read_label_rows(path)
    if split:
        rows = of_split(rows, split, path)
    return list(dict.fromkeys(row.name for row in rows))


def _drop_clashes(found: Selection) -> None:
    """Files with one id fail together; the same file named twice is one."""
    by_id: dict[str, list[Source]] = {}
    for source in found.sources:
        by_id.setdefault(source.video_id, []).append(source)
    found.sources = []
    for video_id, sources in by_id.items():
        files = {os.path.realpath(source.path): source for source in reversed(sources)} if len(sources) > 1 else None
        if files is None or len(files) == 1:
            found.sources.append(sources[0])
            continue
        names = ", ".join(readable(s.path) for s in reversed(files.values()))
        for source in reversed(files.values()):
            reason = f"id {video_id!r} is shared by {names}; rename them or set --id-root higher up"
            found.failures.append((video_id, VideoOpenError(source.path, "id_clash", reason)))
