"""The error family: everything a user can cause is a `VadError`, and says what, which file, what to do."""

from __future__ import annotations

import os
import reprlib
import unicodedata
from pathlib import Path

SHOWN_WIDTH = 80  # characters of what a message refuses
_SHORT = reprlib.Repr()
_SHORT.maxlevel, _SHORT.maxstring, _SHORT.maxother = 3, SHOWN_WIDTH, SHOWN_WIDTH


class VadError(Exception):
    """Root of all errors that are the input's or the machine's, not the code's: shown as one sentence, exit 2."""


class ConfigError(VadError):
    """Options that contradict each other or name something that does not exist."""


class RunStopped(VadError):
    """The run cannot go on; what is finished is kept, exit 3."""


class StoreError(RunStopped):
    """A feature store or results folder that cannot be read or written."""


class DamagedShard(StoreError):
    """A file of shards that is not what was written: its content is wrong, not the disk or the rights."""


class GoneFromStore(StoreError):
    """Features that were held and are not any more: another run has removed them meanwhile."""


class StoreBusy(StoreError):
    """Another process is reading or writing what this one wants to write."""


class DeviceFailed(RunStopped):
    """A GPU that is out of memory or gone: what comes next would fail as well."""


class VideoError(VadError):
    """One video cannot be used; every other one goes on.

    Args:
        path: the file.
        code: the contract's failure code, for example `no_frames`.
        reason: what is wrong and what to do, without the path.
    """

    def __init__(self, path: str | Path, code: str, reason: str):
        super().__init__(path, code, reason)  # all of it in args: errors must survive pickling
        self.path, self.code, self.reason = readable(path), code, reason

    def __str__(self) -> str:
        return f"{self.path}: {self.reason}"


class VideoOpenError(VideoError):
    """The file cannot be opened as a video at all."""


class VideoDecodeError(VideoError):
    """The file opens, but no frame of it decodes, decoding failed, or cannot be trusted."""


class NvdecFailed(VideoDecodeError):
    """The GPU's decoder cannot do this file, or not all of it: nothing is said of the file itself."""

    @classmethod
    def because(cls, path: str | Path, why: str) -> NvdecFailed:
        """With a reason that says what to do."""
        return cls(path, "unreadable", f"NVDEC cannot decode it here ({why}); use --decoder pyav")


def readable(path: str | os.PathLike) -> str:
    r"""`path` as text that can be printed and stored on one line: bytes that are no UTF-8 become `\xff`, line breaks
    and other control characters `\n`, `\x1b`."""
    text = os.fsencode(path).decode("utf-8", "backslashreplace")
    return text if text.isprintable() else "".join(map(_printable, text))


def shown(value: object, width: int = SHOWN_WIDTH) -> str:
    """What was found instead of what was expected, for a message: one line, cut where it is long. Not even the time is
    taken to write out all of it."""
    text = readable(value[: width + 1]) if isinstance(value, str) else _SHORT.repr(value)
    return text if len(text) <= width else f"{text[:width]}..."


def _printable(character: str) -> str:
    category = unicodedata.category(character)
    return character.encode("unicode_escape").decode() if category in ("Cc", "Cf", "Zl", "Zp") else character
