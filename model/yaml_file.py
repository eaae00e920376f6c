"""Reads YAML that users write, within bounds: a few bytes of aliases of aliases mean gigabytes."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from vad_pipeline.extract.errors import ConfigError, shown
from vad_pipeline.extract.stand_ins import stand_in

if TYPE_CHECKING:
    import yaml

YAML_MERGE = "tag:yaml.org,2002:merge"
MAX_YAML, MAX_PARTS, MAX_DEPTH = 1 << 18, 20_000, 16  # characters; parts after all aliases are followed; levels


@dataclass(frozen=True, slots=True)
class YamlKind:
    """What a file is read as, for messages."""

    what: str
    """What it holds: `categories`."""
    parts: str
    """What these consist of."""
    example: str
    """How it may be written."""


@dataclass(frozen=True, slots=True)
class YamlDocument:
    """A file's content, not yet turned into Python's objects."""

    root: yaml.Node | None
    """None for an empty file."""
    _loader: yaml.SafeLoader

    def constructed(self) -> object:
        """The content as YAML means it, with numbers, dates and truth values."""
        return self._loader.construct_document(self.root)


@contextlib.contextmanager
def reading_yaml(path: Path, kind: YamlKind) -> Iterator[YamlDocument]:
    """Read a file in a `with` block that gets its content; what the block finds wrong as YAML is told as well.

    Raises:
        ConfigError: the file cannot be read, is no YAML, or holds too much or too deep for its kind.
    """
    import yaml

    try:
        text = path.read_text(encoding="utf-8-sig")
        if len(text) > MAX_YAML:
            raise ConfigError(f"{path}: has {len(text)} characters; {kind.what} take no more than {MAX_YAML}")
        if what := stand_in(text):
            raise ConfigError(f"{path}: is {what}")
        loader = yaml.SafeLoader(text)
        root = loader.get_single_node()
        _refuse_too_much(path, root, kind)
        yield YamlDocument(root, loader)
    except (OSError, ValueError, yaml.YAMLError, RecursionError) as error:
        told = error.strerror if isinstance(error, OSError) else str(error)
        reason = shown(" ".join(told.split()), 200)
        raise ConfigError(f"{path}: cannot be read as {kind.what} ({reason}); expected {kind.example}") from error


def as_written(path: Path, node: yaml.Node | None) -> object:
    """Texts, lists and dicts of texts as they stand in the file: `1e-4`, `no` and `2026-01-01` stay texts.

    Raises:
        ConfigError: a key is there twice, or is no text.
    """
    import yaml

    if node is None:
        return None
    if isinstance(node, yaml.ScalarNode):
        return node.value
    if isinstance(node, yaml.SequenceNode):
        return [as_written(path, each) for each in node.value]
    refuse_twice(path, node, "keep one")
    if strange := next((key for key, _ in node.value if not isinstance(key, yaml.ScalarNode)), None):
        raise ConfigError(f"{path}, line {strange.start_mark.line + 1}: a name must be a text")
    return {key.value: as_written(path, value) for key, value in node.value}


def refuse_twice(path: Path, node: yaml.MappingNode, advice: str) -> None:
    """Refuse keys given twice, of which YAML keeps one.

    Raises:
        ConfigError: there are such keys; the message ends with `advice`.
    """
    import yaml

    found = set()
    for key in (key for key, _ in node.value if isinstance(key, yaml.ScalarNode)):
        if key.value in found and key.tag != YAML_MERGE:
            line = key.start_mark.line + 1
            raise ConfigError(f"{path}, line {line}: {shown(key.value)} is there twice; {advice}")
        found.add(key.value)


def _refuse_too_much(path: Path, root: yaml.Node | None, kind: YamlKind) -> None:
    """Refuse nodes that are nested too deep, or too many once every alias stands for what it means."""
    import yaml

    n_parts: dict[int, int] = {}  # of each node, with all that is in it

    def count(node: yaml.Node, depth: int) -> int:
        if depth > MAX_DEPTH:  # a node inside itself, too
            raise ConfigError(f"{path}: is nested deeper than {kind.what} are; expected {kind.example}")
        if id(node) not in n_parts:
            inner = [] if isinstance(node, yaml.ScalarNode) else node.value
            if isinstance(node, yaml.MappingNode):
                inner = [each for pair in inner for each in pair]
            n_parts[id(node)] = 1 + sum(count(each, depth + 1) for each in inner)
        return n_parts[id(node)]

    if root is not None and count(root, 0) > MAX_PARTS:
        raise ConfigError(f"{path}: holds more than {MAX_PARTS} {kind.parts}")
