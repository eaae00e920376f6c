"""Files on disk: tells whether a video file has changed, hashes it, and writes our own files whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import stat
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from .errors import ConfigError, StoreError, VideoOpenError, readable
from .names import reading_form

READ_BLOCK = 1 << 20  # bytes
TEMPORARY_PREFIX = ".partial-"
PARTIAL_SECONDS = 24 * 3600  # half-written files older than this belong to nobody
NAME_ERRORS = (errno.ENAMETOOLONG, errno.EEXIST, errno.EISDIR, errno.ENOTDIR)


def absolute(path: str | os.PathLike) -> str:
    """The absolute path, in which links are kept; outcomes name files by it."""
    return os.path.abspath(path)


def existing(path: str) -> str | None:
    r"""The file or folder that a path means; None where there is none.

    It is the one of exactly this path, or else the only one with the same `reading_form`, where bytes that are no UTF-8
    may be written as `\xff`.
    """
    if os.path.lexists(path):
        return path
    found = os.path.sep if os.path.isabs(path) else ""
    for part in Path(path).parts[os.path.isabs(path) :]:
        name = part if os.path.lexists(os.path.join(found, part)) else _only_like(part, found or os.path.curdir)
        if name is None:
            return None
        found = os.path.join(found, name)
    return found


def _only_like(name: str, folder: str) -> str | None:
    try:
        names = _names_as_read(folder, os.stat(folder).st_mtime_ns)
    except OSError:
        return None
    like = names.get(name) or names.get(reading_form(name)) or []
    return like[0] if len(like) == 1 else None


@lru_cache(maxsize=64)  # a list of many files that are not there asks for the same folders again and again
def _names_as_read(folder: str, mtime_ns: int) -> dict[str, list[str]]:
    """The names in a folder by their reading form. `mtime_ns` makes the cache forget a folder that has changed."""
    names: dict[str, list[str]] = {}
    for name in os.listdir(folder):
        for form in {readable(name), reading_form(readable(name))}:
            names.setdefault(form, []).append(name)
    return names


@dataclass(frozen=True, slots=True)
class Source:
    """A video to work on: its id and its file."""

    video_id: str
    path: str
    stream: int | None = None
    """Which of the file's video streams, from 1; None: the first, as the others were not asked for."""


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A file's size in bytes and modification time in ns.

    They are taken before reading starts: a file that changes while it is read counts as changed next time.
    """

    path: str
    size: int
    mtime_ns: int

    @classmethod
    def of(cls, path: str | os.PathLike) -> SourceFile:
        """Take size and time of a file.

        Raises:
            OSError: the file is not there, cannot be read, or is no regular file (a pipe would be read for ever).
        """
        found = os.stat(path)
        if not stat.S_ISREG(found.st_mode):
            raise OSError(errno.EINVAL, "not a regular file", os.fspath(path))
        return cls(os.fspath(path), found.st_size, found.st_mtime_ns)


def stat_source(source: Source) -> SourceFile:
    """Take size and time of a video's file as it is now.

    Raises:
        VideoOpenError: `unreadable`: the file is not there or cannot be read.
    """
    with reading(source):
        return SourceFile.of(absolute(source.path))


@contextlib.contextmanager
def reading(source: Source) -> Iterator[None]:
    """Turn errors of reading a video's file, in a `with` block, into a failure of that video.

    Raises:
        VideoOpenError: `unreadable`: the file is not there or cannot be read.
    """
    try:
        yield
    except OSError as error:
        reason = f"cannot be read ({error.strerror or error}); see that it is there and give rights"
        raise VideoOpenError(source.path, "unreadable", reason) from error


@lru_cache(maxsize=1024)
def content_of(file: SourceFile) -> str:
    """The SHA-256 of a file, hex; a file of the same size and time is hashed only once.

    Raises:
        OSError: the file cannot be read.
    """
    return fingerprint(file.path)


def fingerprint(path: str | os.PathLike) -> str:
    """The SHA-256 of a file's whole content, hex.

    Raises:
        OSError: the file cannot be read.
    """
    digest = hashlib.sha256()
    with Path(path).open("rb", buffering=0) as file:
        while block := file.read(READ_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file whole or not at all, see `written_aside` for what is raised."""
    with written_aside(path) as aside, aside.open("wb") as file:
        file.write(data)


def read_versioned(path: Path, newest: int, *, what: str, advice: str) -> dict:
    """Read a JSON file of ours that says which schema it has; its other values are not checked.

    Args:
        path: the file.
        newest: the newest schema that this version knows.
        what: what the file is the record of, for the message: `store`, `results`.
        advice: what to do where it is damaged, for the message.

    Raises:
        StoreError: the file cannot be read, or has a newer schema.
    """
    try:
        record = json.loads(path.read_text())
        schema = int(record["schema"])
    except (OSError, ValueError, KeyError, TypeError, ArithmeticError, RecursionError) as error:
        refuse_failed_read(path, error)
        why = f"lacks `{error.args[0]}`" if isinstance(error, KeyError) else error
        raise StoreError(f"{path}: cannot be read ({why}); {advice}") from error
    if schema > newest:
        raise StoreError(f"{path.parent}: {what} of schema {schema}, this version knows {newest}; upgrade")
    return record


def refuse_failed_read(path: Path, error: Exception) -> None:
    """Raise where a file of ours could not be read because of the disk or the rights: that is no damage, and nobody is
    told to make it anew.

    Args:
        path: the file.
        error: what reading it raised.

    Raises:
        StoreError: the system gave a reason.
    """
    if isinstance(error, OSError) and error.errno not in (None, errno.ENOENT):
        raise StoreError(f"{path}: cannot be read ({error.strerror}); mend that, then go on") from error


def write_if_absent(path: Path, data: bytes) -> None:
    """Write a file whole or not at all, unless there is one already: that one stays, even if it came just now."""
    own = path.with_name(f"{TEMPORARY_PREFIX}{uuid.uuid4().hex}")
    write_bytes(own, data)
    try:
        os.link(own, path)
    except FileExistsError:
        pass
    except OSError:  # a disk without hard links
        own.replace(path)
    finally:
        own.unlink(missing_ok=True)


@contextlib.contextmanager
def written_aside(path: Path) -> Iterator[Path]:
    """Give a temporary path to write to in a `with` block, which becomes `path` at its end.

    The file is then fsynced and renamed; where the block fails it is removed. So a crash leaves the old file or the new
    one, never half of it.

    Raises:
        StoreError: the disk is full or read-only, or there are no rights to write.
        ConfigError: the name is too long, or a file is where a folder must be.
    """
    aside = path.with_name(f"{TEMPORARY_PREFIX}{uuid.uuid4().hex}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield aside
        _fsync(aside)
        aside.replace(path)
        _fsync(path.parent)
    except BaseException as error:
        with contextlib.suppress(OSError):
            aside.unlink(missing_ok=True)
        if not isinstance(error, OSError):
            raise
        if error.errno in NAME_ERRORS:
            file = next((each for each in path.parents if each.exists() and not each.is_dir()), None)
            if file:
                raise ConfigError(f"{file}: is a file, where a folder is to be; give another name") from error
            raise ConfigError(f"{path}: cannot be the name of a file here ({error.strerror})") from error
        raise StoreError(
            f"{path.parent}: cannot be written ({error.strerror}); make space or give rights, then run the same "
            "command again: what is finished is kept"
        ) from error


def remove_partial(folder: Path) -> None:
    """Delete half-written files of killed runs, once they are a day old: younger ones may be of a run at work."""
    for path in folder.glob(f"{TEMPORARY_PREFIX}*"):
        with contextlib.suppress(OSError):  # gone, or not ours to delete: it harms nobody
            if time.time() - path.stat().st_mtime > PARTIAL_SECONDS:
                path.unlink()


def _fsync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
