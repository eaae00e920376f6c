"""Chooses videos: finds them in folders, gives them ids, and narrows them by lists, globs, labels and parts."""

from __future__ import annotations

import hashlib
import os
import re
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from pathlib import Path, PurePath
from typing import TypeVar

from vad_pipeline.extract.errors import ConfigError, VideoError, VideoOpenError, readable
from vad_pipeline.extract.files import Source, existing
from vad_pipeline.extract.lists import read_lines
from vad_pipeline.extract.names import NameIndex, composed, plural, some, stream_id, strip_suffix

from ..media.folder_walk import look_through, may_hold, told
from .labels import of_split, read_label_rows

Item = TypeVar("Item")

FIRST = "first"
STREAMS = (FIRST, "all")


@dataclass(frozen=True, slots=True)
class SelectionConfig:
    """The options that choose videos; every command that chooses videos has the same ones."""

    list_file: str | None = None
    """File with one path or id a line; `-` is standard input."""
    match: tuple[str, ...] = ()
    """Globs over ids, any of which must match."""
    exclude: tuple[str, ...] = ()
    """Globs over ids, none of which may match."""
    only: str | None = None
    """LABELS file; only its videos are chosen."""
    split: str | None = None
    """With `only`: only the rows of this split count."""
    part: str | None = None
    """`I/N`: the I-th of N parts. The part of a video depends on its id alone, so it is the same on every machine."""

    def __post_init__(self):
        _ = self.part_numbers
        if self.split is not None and self.only is None:
            raise ConfigError("--split needs --only LABELS, the file that says which video is in which split")

    @property
    def part_numbers(self) -> tuple[int, int] | None:
        """I and N of `part`; None without it.

        Raises:
            ConfigError: `part` is not I/N with I from 1 to N.
        """
        if self.part is None:
            return None
        found = re.fullmatch(r"([1-9]\d{0,5})/([1-9]\d{0,5})", self.part)
        if not found or int(found[1]) > int(found[2]):
            raise ConfigError(f"--part must be I/N with I from 1 to N, such as 2/3, got {self.part!r}")
        return int(found[1]), int(found[2])


@dataclass(slots=True)
class Selection:
    """The videos chosen, and what is to be said of the others."""

    sources: list[Source] = field(default_factory=list)
    failures: list[tuple[str, VideoError]] = field(default_factory=list)
    """Id and error of each file or folder that cannot be tried at all."""
    missing: list[str] = field(default_factory=list)
    """Names in lists that match no video."""
    notes: list[str] = field(default_factory=list)
    """Sentences that the user should read before the run."""


@dataclass(frozen=True, slots=True)
class _Rules:
    """How files become sources."""

    id_root: str | None
    any_suffix: bool
    streams: str
    """One of STREAMS."""

    def sources(self, video_id: str, path: str) -> list[Source]:
        """The videos of a file: one, or one for each of its video streams."""
        if self.streams == FIRST:
            return [Source(video_id, path)]
        from vad_pipeline.extract.decode.container import count_streams  # only now: it loads FFmpeg

        return [Source(stream_id(video_id, number), path, number) for number in range(1, count_streams(path) + 1)]


def find_sources(
    paths: Sequence[str],
    config: SelectionConfig,
    *,
    id_root: str | None = None,
    settle_seconds: float | None = None,
    any_suffix: bool = False,
    streams: str = FIRST,
) -> Selection:
    """Find the videos in files and folders, and narrow them as the options say.

    Args:
        paths: files and folders.
        config: how to narrow.
        id_root: the folder below which a file's path becomes its id; None: the folder given.
        settle_seconds: files that changed within so many seconds are left out, as somebody may still write them.
        any_suffix: take large files in folders for videos whose names do not say what they are.
        streams: one of STREAMS: whether each video stream of a file is a video of its own; files are opened for that.

    Raises:
        ConfigError: no video is left to work on, or an option is wrong.
    """
    found, rules = Selection(), _Rules(id_root, any_suffix, streams)
    for path in paths:
        _expand(path, found, config, rules)
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
                _expand(path, found, config, rules)
    found.sources = list(_narrow(found.sources, replace(config, part=None), found))
    if config.part_numbers and found.sources:
        found.sources = [source for source in found.sources if _fits(source.video_id, config)]
        if not found.sources:
            found.notes.append(f"no video falls into part {config.part}")
            return found  # an empty part is no error
    _drop_clashes(found)
    if settle_seconds is not None and _pass_over_growing(found, settle_seconds):
        return found  # if all files are still being written, that is no error
    if not found.sources and not found.failures:
        nobody = f"; nothing answers to {some(found.missing)}" if found.missing else ""
        left = f"no video is left after --list, --match, --exclude, --only{nobody}"
        raise ConfigError("; ".join(found.notes) or left)
    if not found.sources and all(error.code == "unreadable" for _, error in found.failures):
        raise ConfigError("; ".join(str(error) for _, error in found.failures[:3]))
    return found


def _pass_over_growing(found: Selection, settle_seconds: float) -> int:
    """Leave out files that changed in the last `settle_seconds`; return how many these are.

    Raises:
        ConfigError: `settle_seconds` is negative.
    """
    if not settle_seconds >= 0:
        raise ConfigError(f"--settle must not be negative, got {settle_seconds:g}")
    now = time.time()  # abs below: a camera's clock that runs ahead must not keep its files from ever being taken
    settled = [source for source in found.sources if abs(now - _changed(source)) >= settle_seconds]
    growing = len({source.path for source in found.sources} - {source.path for source in settled})
    if growing:
        found.notes.append(
            f"{plural(growing, 'file')} changed in the last {settle_seconds:g} s: left for a later run (--settle)"
        )
    found.sources = settled
    return growing


def _changed(source: Source) -> float:
    try:
        return os.stat(source.path).st_mtime
    except OSError:
        return 0.0  # the file cannot be read: that is reported when it is its turn


def select_held(
    items: Iterable[Item], config: SelectionConfig, video_of: Callable[[Item], str]
) -> tuple[Iterable[Item], list[str]]:
    """Narrow the videos that a feature store or a results folder holds.

    Args:
        items: one for each video.
        config: how to narrow.
        video_of: gives the video id of an item.

    Returns:
        The items chosen (an iterator that takes them one by one, unless --list or --only is given); and the names in
        lists that match no item.
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
    """Narrow as `select_held` does, for commands that need at least one video.

    Raises:
        ConfigError: there are videos, and the options leave none of them.
    """
    chosen, missing = select_held(items, config, video_of)
    chosen = list(chosen)
    if items and not chosen and not missing and config.part is None:
        raise ConfigError(f"no video is left after --match, --exclude, --only; there are {len(items)} without them")
    return chosen, missing


def _id(source: Source) -> str:
    return source.video_id


def _expand(path: str, found: Selection, config: SelectionConfig, rules: _Rules) -> None:
    path = existing(path) or path
    if os.path.isdir(path):
        _look_through(path, found, config, rules)
    elif os.path.lexists(path):
        name = readable(PurePath(path).name)
        found.sources += rules.sources(_video_id(path, rules.id_root) if rules.id_root else strip_suffix(name), path)
    else:
        error = VideoOpenError(path, "unreadable", "no such file or folder; check the path")
        found.failures.append((strip_suffix(readable(PurePath(path).name)), error))


def _look_through(folder: str, found: Selection, config: SelectionConfig, rules: _Rules) -> None:
    """Add the videos of a folder, a failure for each folder in it that cannot be listed, a note on what is left."""
    root = rules.id_root or folder
    inside = look_through(folder, any_suffix=rules.any_suffix)
    found.sources += [each for file in inside.videos for each in rules.sources(_video_id(file, root), file)]
    for error in inside.unlisted:
        path = os.fspath(error.filename or folder)
        folder_id = readable(os.path.relpath(path, root).replace(os.sep, "/"))
        if path == folder or may_hold(folder_id, match=config.match, exclude=config.exclude):
            reason = f"folder cannot be listed ({error.strerror}); give rights, or leave it out with --exclude"
            found.failures.append(
                (folder_id if path != folder else readable(path), VideoOpenError(path, "unreadable", reason))
            )
    whole = replace(config, part=None)
    passed_over = [path for path in inside.passed_over if _fits(_video_id(path, root), whole)]
    if not inside.videos and not inside.unlisted:
        found.notes.append(f"{readable(folder)}: no videos in this folder (looked for .mp4, .avi, .mkv and the like)")
    if passed_over:
        found.notes.append(f"{readable(folder)}: {told(passed_over)}")


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
    """The items whose ids match names; names that match none are added to `found.missing`.

    Args:
        items: one for each video.
        names: from a list.
        video_of: gives the video id of an item.
        found: the selection, for its `missing`.
        deeper: if no name matches, try whether names match that have more folders than the ids.
    """
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
    if config.only is not None:  # done first, so that names match against all videos and not only those left
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
    """Whether an id matches a glob, as both are written or with both in composed Unicode."""
    return fnmatchcase(video_id, glob) or fnmatchcase(composed(video_id), composed(glob))


def _part_of(video_id: str, n_parts: int) -> int:
    """Which of `n_parts` parts a video belongs to, counted from 1; it depends on the id alone."""
    return int.from_bytes(hashlib.sha256(video_id.encode()).digest()[:8]) % n_parts + 1


def _labelled(path: Path, split: str | None) -> list[str]:
    """The names in a LABELS file, only those of one split where `split` is given, each once."""
    rows = read_label_rows(path)
    if split:
        rows = of_split(rows, split, path)
    return list(dict.fromkeys(row.name for row in rows))


def _drop_clashes(found: Selection) -> None:
    """Make all files that share an id failures; a file that was found twice counts once."""
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
