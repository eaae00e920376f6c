"""What the configurations of all heads have in common: their checks, and how a checkpoint holds them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Protocol, TypeVar

from vad_pipeline.extract.errors import shown

MAX_WINDOW_LEN = 4096  # snippets, 18 minutes; its square is computed with
WHOLE_NUMBERS = {"window_len": (1, MAX_WINDOW_LEN), "width": (1, 8192)}
"""Smallest and largest of what may stand in a file: its numbers decide how much is computed."""


class HeadShape(Protocol):
    """What a configuration of any head says; it is a dataclass."""

    categories: tuple[str, ...]
    """Names of what labels say, the normal one first."""
    window_len: int
    """Snippets of a window."""
    width: int
    """D: length of an embedding."""


Config = TypeVar("Config", bound=HeadShape)


def check_shape(config: HeadShape, *, whole: Mapping[str, tuple[int, int]] | None = None) -> None:
    """Check a configuration.

    Args:
        config: the head's configuration.
        whole: further whole numbers, with the smallest and largest of each.

    Raises:
        ValueError: a value is outside its range.
    """
    if len(config.categories) < 2 or not all(isinstance(name, str) for name in config.categories):
        raise ValueError(f"expected the normal and at least one anomaly category, got {shown(config.categories)}")
    for name, (least, most) in (WHOLE_NUMBERS | dict(whole or {})).items():
        value = getattr(config, name)
        if type(value) is not int or not least <= value <= most:
            raise ValueError(f"expected {name} of {least} to {most}, got {shown(value)}")


def config_to_json(config: HeadShape) -> str:
    """A configuration as JSON with sorted keys: equal configurations give equal text."""
    return json.dumps(asdict(config), sort_keys=True)


def config_from_json(kind: type[Config], text: str) -> Config:
    """Read a configuration that `config_to_json` wrote.

    Raises:
        ValueError: the text is no configuration, has a value out of range, or a field this version does not know.
    """
    values = json.loads(text)
    if not isinstance(values, dict) or "categories" not in values:
        raise ValueError(f"no {kind.__name__}")
    unknown = sorted(set(values) - {f.name for f in fields(kind)})
    if unknown:
        raise ValueError(f"unknown fields {shown(', '.join(unknown))}: from a newer vad-pipeline")
    try:
        return kind(**{**values, "categories": tuple(values["categories"])})
    except TypeError as error:
        raise ValueError(str(error)) from error
