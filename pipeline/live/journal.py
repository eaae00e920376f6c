"""What survives a kill: the scores of the video that a camera is in the middle of, appended to a file as they come.

A journal is a line of JSON that says what the curve is of, then records of equal size, one a snippet: when its frames
are shown, its score, the probabilities of its categories. A record that was cut off by a kill is left out. Once the
curve of the whole video is written, its journal is deleted.
"""

from __future__ import annotations

import errno
import json
import os
from fractions import Fraction
from pathlib import Path

import numpy as np

from vad_pipeline.extract.errors import StoreError
from vad_pipeline.extract.names import flat
from vad_pipeline.extract.recipe import SNIPPET_LEN
from vad_pipeline.model.curve import AnomalyCurve

from ..results.curve_group import CurveOrigin

SUFFIX = ".journal"
SCHEMA = 1


def record_type(n_categories: int) -> np.dtype:
    """A snippet's record."""
    return np.dtype([("seconds", "<f8", SNIPPET_LEN), ("score", "<f4"), ("category", "<f4", n_categories)])


class Journal:
    """The journal of one video, open for more.

    Args:
        folder: where journals lie.
        head: what the curve is of, as `recovered` reads it.

    Raises:
        StoreError: it cannot be written.
    """

    def __init__(self, folder: Path, head: dict):
        self.path = folder / f"{flat(head['video'])}{SUFFIX}"
        self._type = record_type(len(head["categories"]))
        try:
            self._file = self.path.open("wb", buffering=0)
        except OSError as error:
            raise _unwritable(self.path, error) from error
        self._write(json.dumps({"schema": SCHEMA, **head}).encode() + b"\n")

    def append(self, seconds: np.ndarray, scores: np.ndarray, category: np.ndarray) -> None:
        """Append snippets: (k, 16) seconds, (k,) scores and (k, C) probabilities."""
        records = np.empty(len(scores), self._type)
        records["seconds"], records["score"], records["category"] = seconds, scores, category
        self._write(records.tobytes())

    def _write(self, data: bytes) -> None:
        try:
            if self._file.write(data) < len(data):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError as error:
            raise _unwritable(self.path, error) from error

    def sync(self) -> None:
        """See to it that what was appended survives the machine's end."""
        try:
            os.fsync(self._file.fileno())
        except OSError as error:
            raise _unwritable(self.path, error) from error

    def delete(self) -> None:
        """Close and delete it: the curve is written."""
        self._file.close()
        self.path.unlink(missing_ok=True)


def head_of(curve_of: dict, origin: CurveOrigin) -> dict:
    """What a journal's first line says.

    Args:
        curve_of: `video`, `source`, `fps` (a Fraction) and `categories` of the curve.
        origin: what the curve is made with.
    """
    fps: Fraction = curve_of["fps"]
    made = {name: getattr(origin, name) for name in ("recipe_id", "made_from", "threshold", "calibrated")}
    return {**curve_of, "fps": [fps.numerator, fps.denominator], "origin": made}


def recovered(path: Path) -> tuple[AnomalyCurve | None, CurveOrigin]:
    """The curve that a journal holds; None where no snippet of it is whole.

    Raises:
        StoreError: it cannot be read, or is none.
    """
    try:
        line, _, data = path.read_bytes().partition(b"\n")
        head = json.loads(line)
        kind = record_type(len(head["categories"]))
        records = np.frombuffer(data[: len(data) // kind.itemsize * kind.itemsize], kind)
        origin = CurveOrigin(**head["origin"])
        curve = AnomalyCurve(
            video_id=head["video"],
            scores=np.repeat(records["score"], SNIPPET_LEN),
            frame_seconds=records["seconds"].ravel(),
            category=records["category"].astype(np.float32),
            categories=tuple(head["categories"]),
            snippet_len=SNIPPET_LEN,
            fps=Fraction(*head["fps"]),
            source=head["source"],
        ) if len(records) else None  # fmt: skip
    except OSError as error:
        raise StoreError(f"{path}: cannot be read ({error.strerror}); mend that, then start again") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise StoreError(f"{path}: is no journal ({error}); move it away, then start again") from error
    return curve, origin


def _unwritable(path: Path, error: OSError) -> StoreError:
    return StoreError(f"{path}: cannot be written ({error.strerror}); make space or give rights, then start again")
