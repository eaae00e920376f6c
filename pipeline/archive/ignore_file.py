"""--ignore FILE: zones of cameras' pictures, and hours of the week, in which nothing is to count, as YAML."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from vad_pipeline.extract.errors import ConfigError, shown
from vad_pipeline.extract.names import composed
from vad_pipeline.extract.recipe import Zones, checked_zones
from vad_pipeline.model.yaml_file import YamlKind, reading_yaml, refuse_twice

from ..results.ignored_hours import IgnoredHours, parse_hours

EXAMPLE = "`gate: {zones: [[[0, 0], [0.5, 0], [0.5, 0.2]]], hours: [mon-fri 22:00-06:00]}`"
KIND = YamlKind("zones and hours to ignore", "parts", EXAMPLE)
ZONES, HOURS = "zones", "hours"


@dataclass(frozen=True, slots=True)
class Ignored:
    """What does not count, by camera: the first folder of ids, `*` for every one."""

    zones: Zones | None = None
    """None where the file has no `zones`."""
    hours: IgnoredHours = field(default_factory=dict)


def read_ignored(path: Path) -> Ignored:
    """What does not count, from a file such as

        gate:                       # the first folder of ids; '*': every camera
          zones:
          - [[0, 0], [0.5, 0], [0.5, 0.2], [0, 0.2]]      # corners, as shares of width and height
          hours: [mon-fri 22:00-06:00, sun]

    Raises:
        ConfigError: the file cannot be read, or says something else.
    """
    with reading_yaml(path, KIND) as document:
        for node in _cameras(document.root):
            refuse_twice(path, node, "keep one")
        content = document.constructed() if document.root else None
    if not isinstance(content, dict) or not content:
        raise ConfigError(f"{path}: names no camera; expected {KIND.example}")
    zones, hours = {}, {}
    for camera, values in content.items():
        if not isinstance(values, dict) or not values or set(values) - {ZONES, HOURS}:
            needs = f"needs `{ZONES}:`, `{HOURS}:` or both, and nothing else"
            raise ConfigError(f"{path}: {shown(str(camera))}: {needs}; expected {KIND.example}")
        if ZONES in values:
            zones[composed(str(camera))] = values[ZONES]
        if HOURS in values:
            hours[str(camera)] = values[HOURS]
    try:
        return Ignored(checked_zones(zones.items()) if zones else None, parse_hours(hours))
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error


def read_zones(path: Path) -> Zones:
    """The zones of a file as `read_ignored` reads it.

    Raises:
        ConfigError: see there; or the file has none.
    """
    zones = read_ignored(path).zones
    if zones is None:
        raise ConfigError(f"{path}: has no `{ZONES}:`; expected {KIND.example}")
    return zones


def _cameras(root) -> list:
    """The mappings in which no name may stand twice: that of cameras, and that of each."""
    pairs = getattr(root, "value", None)
    if not isinstance(pairs, list) or not all(isinstance(pair, tuple) for pair in pairs):
        return []
    return [root, *(value for _, value in pairs if value.id == "mapping")]
