"""--ignore FILE: zones of cameras' pictures in which nothing is to count, as YAML."""

from __future__ import annotations

from pathlib import Path

from vad_pipeline.extract.errors import ConfigError, shown
from vad_pipeline.extract.names import composed
from vad_pipeline.extract.recipe import Zones, checked_zones
from vad_pipeline.model.yaml_file import YamlKind, reading_yaml

KIND = YamlKind("zones to ignore", "cameras", "`gate: {zones: [[[0, 0], [0.5, 0], [0.5, 0.2]]]}`")
ZONES = "zones"


def read_zones(path: Path) -> Zones:
    """Camera -> the polygons of its zones, from a file such as

        gate:                       # the first folder of ids; '*': every camera
          zones:
          - [[0, 0], [0.5, 0], [0.5, 0.2], [0, 0.2]]      # corners, as shares of width and height

    Raises:
        ConfigError: the file cannot be read, or says something else.
    """
    with reading_yaml(path, KIND) as document:
        content = document.constructed() if document.root else None
    if not isinstance(content, dict) or not content:
        raise ConfigError(f"{path}: names no camera; expected {KIND.example}")
    found = {}
    for camera, values in content.items():
        if not isinstance(values, dict) or set(values) != {ZONES}:
            raise ConfigError(f"{path}: {shown(str(camera))}: needs `zones:` and nothing else; expected {KIND.example}")
        found[composed(str(camera))] = values[ZONES]
    try:
        return checked_zones(found.items())
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error
