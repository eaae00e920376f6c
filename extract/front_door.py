"""What a room offers by its own name, as `from vad_pipeline.extract import EmbeddingStore`: loaded when asked for.

So (PEP 562) `--help`, `store ls` and the report load no torch, and who uses the library need not know the closets.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping


def front_door(room: str, offered: Mapping[str, str]) -> tuple[Callable[[str], object], Callable[[], list[str]]]:
    """`__getattr__` and `__dir__` of a room.

    Args:
        room: `__name__` of the package.
        offered: modules below it -> the names in each that are offered, blanks between them.
    """
    homes = {name: module for module, names in offered.items() for name in names.split()}

    def load(name: str) -> object:
        if name not in homes:
            raise AttributeError(f"module {room!r} has no attribute {name!r}")
        return getattr(importlib.import_module(f"{room}.{homes[name]}"), name)

    return load, lambda: sorted(homes)
