"""Files on disk: a source file, when it counts as changed and what it hashes to; and files of ours, complete as soon as
they are there."""

from __future__ import annotations

import contextlib
import errno
import hashlib
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
    """How a path stands in outcomes: absolute, links kept."""
    return os.path.abspath(path)


def existing(path: str) -> str | None:
    r"""The file or folder that a path means: the one of this path, else the only one whose path reads like it, as names
    are typed and as they are kept (bytes that are no UTF-8 as `\xff`); None where there is none."""
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
    """What lies in a folder in the state that was seen, by what it reads as."""
    names: dict[str, list[str]] = {}
    for name in os.listdir(folder):
        for form in {readable(name), reading_form(readable(name))}:
            names.setdefault(form, []).append(name)
    return names


@dataclass(frozen=True, slots=True)
class Source:
    """A video to work on."""

    video_id: str
    path: str


@dataclass(frozen=True, slots=True)
class SourceFile:
    """Size in bytes and modification time in ns, taken before reading starts: a file that changes meanwhile is a
    miss next time."""

    path: str
    size: int
    mtime_ns: int

    @classmethod
    def of(cls, path: str | os.PathLike) -> SourceFile:
        """Stat `path`.

        Raises:
            OSError: it is not there, not to be read, or no regular file (a pipe would be read for ever).
        """
        found = os.stat(path)
        if not stat.S_ISREG(found.st_mode):
            raise OSError(errno.EINVAL, "not a regular file", os.fspath(path))
        return cls(os.fspath(path), found.st_size, found.st_mtime_ns)


def stat_source(source: Source) -> SourceFile:
    """The file as it lies there now.

    Raises:
        VideoOpenError: `unreadable`.
    """
    with reading(source):
        return SourceFile.of(absolute(source.path))


@contextlib.contextmanager
def reading(source: Source) -> Iterator[None]:
    """Around what reads a source: that it cannot be read is this video's failure.

    Raises:
        VideoOpenError: `unreadable`.
    """
    try:
        yield
    except OSError as error:
        reason = f"cannot be read ({error.strerror or error}); see that it is there and give rights"
        raise VideoOpenError(source.path, "unreadable", reason) from error


@lru_cache(maxsize=1024)
def content_of(file: SourceFile) -> str:
    """The fingerprint of a file in the state that was seen; hashed once however often it is asked for.

    Raises:
        OSError: the file cannot be read.
    """
    return fingerprint(file.path)


def fingerprint(path: str | os.PathLike) -> str:
    """SHA-256 of the whole content, as hex.

    Raises:
        OSError: the file cannot be read.
    """
    digest = hashlib.sha256()
    with Path(path).open("rb", buffering=0) as file:
        while block := file.read(READ_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def write_bytes(path: Path, data: bytes) -> None:
    """Put a complete file in place: see `written_aside`."""
    with written_aside(path) as aside, aside.open("wb") as file:
        file.write(data)


def write_if_absent(path: Path, data: bytes) -> None:
    """The same, unless another process has put a file there first: its file stays."""
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
    """Where to write what is to become `path`: fsynced and renamed at the end, removed where that is not reached, so
    that a crash leaves the old state or the new one.

    Raises:
        StoreError: disk full, read-only, no rights.
        ConfigError: the name is too long, or a file stands where a folder has to.
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
            raise ConfigError(f"{path}: cannot be the name of a file here ({error.strerror})") from error
        raise StoreError(
            f"{path.parent}: cannot be written ({error.strerror}); make space or give rights, then run the same "
            "command again: what is finished is kept"
        ) from error


def remove_partial(folder: Path) -> None:
    """Delete what killed runs left half written; younger files may belong to a run that is alive."""
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
