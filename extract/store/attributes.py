"""Attributes of a group in a shard, each checked where it is read: one flipped bit costs one video, and what is no text
or no number never gets as far as the index or a page.

Every function raises ValueError where the attribute is missing or its value cannot be ours.
"""

from __future__ import annotations

import math
import numbers
from fractions import Fraction

import h5py
import numpy as np

from ..names import is_plain_id

ABSENT = "can't locate attribute"  # in h5py's error for an attribute that is not there
LATEST_NS = 2**63 - 2**32  # of what is written: what supersedes it is later by one, and fits in 63 bits too


def text(node: h5py.Group, name: str) -> str:
    """A text that can be stored and printed: h5py gives bytes that are no UTF-8 as lone surrogates."""
    value = _found(node, name)
    if not isinstance(value, str):
        raise ValueError(f"`{name}` is no text")
    return _storable(value, name)


def texts(node: h5py.Group, name: str) -> tuple[str, ...]:
    """Several texts."""
    values = np.asarray(_found(node, name))
    if values.ndim != 1 or not all(isinstance(value, str) for value in values):
        raise ValueError(f"`{name}` are no texts")
    return tuple(_storable(value, name) for value in values)


def plain_id(node: h5py.Group) -> str:
    """The attribute `video`."""
    video_id = _found(node, "video")
    if not is_plain_id(video_id):
        raise ValueError("`video` cannot be used as an id")
    return video_id


def whole(node: h5py.Group, name: str, *, least: int = -(2**63), below: int = 2**63) -> int:
    """A whole number from `least` on, less than `below`."""
    value = _found(node, name)
    if not isinstance(value, numbers.Integral) or not least <= value < below:
        raise ValueError(f"`{name}` is no whole number that it could be")
    return int(value)


def stream_of(node: h5py.Group) -> int:
    """The attribute `stream`: which of a file's video streams, from 1; written only where it is not the first."""
    return whole(node, "stream", least=1) if "stream" in node.attrs else 1


def wholes(node: h5py.Group, name: str) -> tuple[int, ...]:
    """Several whole numbers, none negative, none twice."""
    values = np.asarray(_found(node, name))
    numbers_kept = values.dtype.kind in "iu" and values.ndim == 1 and (values >= 0).all()
    if not numbers_kept or len(set(values.tolist())) < len(values):
        raise ValueError(f"`{name}` are not different whole numbers")
    return tuple(values.tolist())


def number(node: h5py.Group, name: str) -> float:
    """A finite number."""
    value = _found(node, name)
    if not isinstance(value, numbers.Real) or not math.isfinite(value):
        raise ValueError(f"`{name}` is no finite number")
    return float(value)


def rate(node: h5py.Group) -> Fraction:
    """The attribute `fps`, numerator and denominator."""
    values = np.asarray(_found(node, "fps"))
    if values.shape != (2,) or values.dtype.kind not in "iu" or (values <= 0).any():
        raise ValueError("`fps` is not two whole numbers above 0")
    return Fraction(*values.tolist())


def written_ns(node: h5py.Group) -> int:
    """When the group was made, in nanoseconds since 1970; later ones count until then, so it must lie in our time."""
    return whole(node, "written_ns", least=0, below=LATEST_NS)


def copied(node: h5py.Group) -> dict[str, object]:
    """All attributes as they are, for a group made from this one: texts checked as `text` does."""
    values = dict(node.attrs)
    for name, value in values.items():
        if isinstance(value, str):
            _storable(value, name)
    return values


def _found(node: h5py.Group, name: str) -> object:
    try:
        return node.attrs[name]
    except KeyError as error:
        if ABSENT in str(error):
            raise ValueError(f"lacks the attribute `{name}`") from error
        raise  # a read that failed


def _storable(value: str, name: str) -> str:
    if "\0" in value:
        raise ValueError(f"`{name}` holds a zero byte")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise ValueError(f"`{name}` is no UTF-8") from error
    return value
