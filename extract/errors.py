"""The errors of this project. All that a user can cause is a `VadError`; its text says what, which file, what to do."""

from __future__ import annotations

import os
import reprlib
import unicodedata
from pathlib import Path

SHOWN_WIDTH = 80  # characters of what a message refuses
MESSAGE_WIDTH, MESSAGE_END = 2000, 500  # characters of a whole message, and of its end, which says what to do
_SHORT = reprlib.Repr()
_SHORT.maxlevel, _SHORT.maxstring, _SHORT.maxother = 3, SHOWN_WIDTH, SHOWN_WIDTH


def how_to_add(extra: str) -> str:
    """How the packages of an extra are installed, for messages."""
    return f"pip install '.[{extra}]' in the folder of vad-pipeline"


class VadError(Exception):
    """Any error that is due to the input or the machine, not to a bug: shown as one sentence, exit code 2."""

    def __str__(self) -> str:
        return shortened(super().__str__())


class ConfigError(VadError):
    """Options that contradict each other or name something that does not exist."""


class RunStopped(VadError):
    """The run cannot go on: what is finished is kept, exit code 3."""


class StoreError(RunStopped):
    """A feature store or results folder that cannot be read or written."""


class DamagedShard(StoreError):
    """The content of a shard is not what was written; the disk and the rights are not to blame."""


class GoneFromStore(StoreError):
    """Features are not in the store any more: another run has removed them meanwhile."""


class StoreBusy(StoreError):
    """The store cannot be written now, since another process is using it."""


class DeviceFailed(RunStopped):
    """The GPU is out of memory or gone, so that every further video would fail too."""


class VideoError(VadError):
    """One video cannot be used; the run goes on with the others.

    Args:
        path: the video file.
        code: failure code, for example `no_frames`; docs/reference.md lists them.
        reason: what is wrong and what to do, without the path.
    """

    def __init__(self, path: str | Path, code: str, reason: str):
        super().__init__(path, code, reason)  # all arguments are passed on: pickling makes the error from them
        self.path, self.code, self.reason = readable(path), code, reason

    def __str__(self) -> str:
        return shortened(f"{self.path}: {self.reason}")


class VideoOpenError(VideoError):
    """The file cannot be opened as a video at all."""


class VideoDecodeError(VideoError):
    """The file opens, but it has no frame that decodes, or decoding fails, or what decodes cannot be trusted."""


class NvdecFailed(VideoDecodeError):
    """The GPU cannot decode this file, or not all of it; software may be able to."""

    @classmethod
    def because(cls, path: str | Path, why: str) -> NvdecFailed:
        """Make the error from why the GPU cannot decode the file; what to do is added."""
        return cls(path, "unreadable", f"NVDEC cannot decode it here ({why}); use --decoder pyav")


def readable(path: str | os.PathLike) -> str:
    r"""Turn a path into text for one line of a message or a file.

    Bytes that are no UTF-8 become `\xff`, line breaks `\n`, other control characters `\x1b`.
    """
    try:
        data = os.fsencode(path)
    except UnicodeEncodeError:  # halves of characters that no path has: JSON and YAML can spell them
        data = os.fspath(path).encode("utf-8", "surrogatepass")
    text = data.decode("utf-8", "backslashreplace")
    return text if text.isprintable() else "".join(map(_printable, text))


def shown(value: object, width: int = SHOWN_WIDTH) -> str:
    """What was found instead of what was expected, for a message: one line, cut where it is long. Not even the time is
    taken to write out all of it."""
    text = readable(value[: width + 1]) if isinstance(value, str) else _SHORT.repr(value)
    return text if len(text) <= width else f"{text[:width]}..."


def quoted(value: object, width: int = SHOWN_WIDTH) -> str:
    """What was found, as `shown` gives it; a text in quotes, so that one sees where it begins and ends."""
    return f"'{shown(value, width)}'" if isinstance(value, str) else shown(value, width)


def shortened(message: str) -> str:
    """A message that is as long as a person reads: without its middle where it is longer."""
    if len(message) <= MESSAGE_WIDTH:
        return message
    return f"{message[: MESSAGE_WIDTH - MESSAGE_END]} ... {message[-MESSAGE_END:]}"


def _printable(character: str) -> str:
    category = unicodedata.category(character)
    return character.encode("unicode_escape").decode() if category in ("Cc", "Cf", "Zl", "Zp") else character
