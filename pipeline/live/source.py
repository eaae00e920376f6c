"""What `watch` is pointed at: a camera's address, a capture device, a file that grows, a pipe. Opens it with FFmpeg.

Addresses may hold a password. Nothing that is written or printed has it: `Source.address` alone is shown.
"""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import av

from vad_pipeline.extract.decode.container import DECODER_LIMITS
from vad_pipeline.extract.errors import ConfigError, shown
from vad_pipeline.extract.lists import read_list_text
from vad_pipeline.extract.names import is_plain_id

SCHEMES = ("rtsp", "rtsps", "http", "https")
URL = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)
NAMED = re.compile(r"(?P<name>[\w .-]+)=(?P<source>.+)")
PIPE = "-"
HIDDEN = "(hidden)"
TIMEOUT_SECONDS = 10.0  # without a byte, after which a camera is taken for gone
GROWTH_SECONDS = 10.0  # without growth, after which a file is taken for complete
POLL_SECONDS = 0.2


@dataclass(frozen=True, slots=True)
class Source:
    """One camera."""

    name: str
    """The camera's name: the first part of the ids of what is watched."""
    where: str = field(repr=False)
    """The address as given, a password in it included: never shown."""

    @classmethod
    def parse(cls, text: str) -> Source:
        """Read `SOURCE` or `NAME=SOURCE`.

        Raises:
            ConfigError: it is no source, or its name cannot begin an id. A password in it is not repeated.
        """
        named = NAMED.fullmatch(text)
        where = named["source"] if named else text
        address = address_of(where)
        if URL.match(where):
            scheme = urlsplit(where).scheme
            if scheme not in SCHEMES:
                raise ConfigError(f"{shown(address)}: expected {', '.join(SCHEMES)}, a file, a device or -")
        elif where != PIPE and not Path(where).exists():
            raise ConfigError(f"{shown(where)}: is not there; give an address, a file, a capture device or -")
        elif Path(where).is_dir():
            raise ConfigError(f"{shown(where)}: is a folder; give a camera's address, a file, a capture device or -")
        name = (named["name"] if named else _name_of(where)).strip()
        if not is_plain_id(name) or "/" in name or "=" in name:
            raise ConfigError(f"{shown(address)}: cannot name a camera; write NAME={shown(address)}")
        return cls(name, where)

    @property
    def address(self) -> str:
        """The address as it may be shown: without user, password and what stands behind `?`."""
        return address_of(self.where)

    @property
    def is_live(self) -> bool:
        """Whether it gives frames as they are taken, and is tried again where it ends."""
        return bool(URL.match(self.where)) or Path(self.where).is_char_device()

    def open(self, is_over: Callable[[], bool]) -> av.container.InputContainer:
        """Open it with FFmpeg; waits at most some seconds.

        Args:
            is_over: asked while a file is waited for to grow.

        Raises:
            av.error.FFmpegError, ValueError: it cannot be opened.
        """
        if URL.match(self.where):
            options = DECODER_LIMITS | ({"rtsp_transport": "tcp"} if self.where.lower().startswith("rtsp") else {})
            timeout = (TIMEOUT_SECONDS, TIMEOUT_SECONDS)
            return av.open(self.where, options=options, timeout=timeout, metadata_errors="ignore")
        if self.where == PIPE:
            return av.open(sys.stdin.buffer, options=DECODER_LIMITS, metadata_errors="ignore")
        if self.is_live:
            return av.open(self.where, format="v4l2", metadata_errors="ignore")
        return av.open(GrowingFile(Path(self.where), is_over), options=DECODER_LIMITS, metadata_errors="ignore")


class GrowingFile:
    """A file that may still be written, as FFmpeg reads it: at its end its reader waits for some seconds for growth.

    Args:
        path: the file.
        is_over: whether nobody waits any more.
    """

    def __init__(self, path: Path, is_over: Callable[[], bool]):
        self._file, self._is_over = path.open("rb"), is_over
        self.seek, self.tell = self._file.seek, self._file.tell  # of a complete file, the index may be at its end

    def read(self, size: int) -> bytes:
        """Read what is there, at least one byte; nothing once the file is complete."""
        waited_since = time.monotonic()
        while not (data := self._file.read(size)):
            if self._is_over() or time.monotonic() - waited_since > GROWTH_SECONDS:
                break
            time.sleep(POLL_SECONDS)
        return data


def sources_of(given: Sequence[str], listed: Path | None) -> list[Source]:
    """The cameras that a command line and a file of cameras name.

    Args:
        given: SOURCE arguments.
        listed: a text file with a `NAME=SOURCE` a line; lines that begin with `#` are left out.

    Raises:
        ConfigError: the file cannot be read, a source is none, there are none, or two have one name.
    """
    lines = [] if listed is None else [line.strip() for line in read_list_text(listed).splitlines()]
    sources = [Source.parse(text) for text in (*given, *(line for line in lines if line and not line.startswith("#")))]
    if not sources:
        raise ConfigError("no camera: give SOURCE, or --cameras FILE with a NAME=SOURCE a line")
    names = [source.name for source in sources]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice:
        raise ConfigError(f"two cameras are called {shown(twice)}: write NAME=SOURCE")
    return sources


def address_of(where: str) -> str:
    """A source as it may be shown: of an address without user, password, and what stands behind `?` or `#`."""
    if not URL.match(where):
        return where
    scheme, _, rest = where.partition("://")
    authority = re.split("[/?#]", rest, maxsplit=1)[0]
    behind = rest[len(authority) :]
    if "@" in behind:  # whatever a password may hold that nobody has escaped
        return f"{scheme}://{HIDDEN}"
    return f"{scheme}://{authority.rpartition('@')[2]}{re.split('[?#]', behind)[0]}"


def _name_of(where: str) -> str:
    """The name that a camera has where none is given: host and path of an address, a file's name, `pipe`."""
    if where == PIPE:
        return "pipe"
    if URL.match(where):
        if HIDDEN in address_of(where):
            return ""
        return re.sub(r"[^\w.-]+", "-", address_of(where).partition("://")[2]).strip("-.")
    return Path(where).stem
