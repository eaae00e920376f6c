"""Categories of one's own: a YAML or CSV file of names and descriptions, the first one normal."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from vad_pipeline.extract.errors import ConfigError, quoted, shown
from vad_pipeline.extract.lists import MAX_CELL, NAME_COLUMNS, read_rows
from vad_pipeline.extract.names import is_torn

from .categories import Category, normal_form
from .yaml_file import YAML_MERGE, YamlKind, reading_yaml, refuse_twice

if TYPE_CHECKING:
    import yaml

YAML_SUFFIXES = (".yaml", ".yml")
YAML_TEXT, YAML_NOTHING = (f"tag:yaml.org,2002:{name}" for name in ("str", "null"))
CSV_HEADS = ("name", "category")
LIST_COLUMNS = {"label", "split", "frames", "start_frame", "start_seconds"}  # of files that are given by mistake
EXAMPLE = "a YAML list such as `- {name: Fall, descriptions: [a person falling]}`, or CSV rows `name,description,...`"
KIND = YamlKind("categories", "names and descriptions", EXAMPLE)


def read_categories(path: Path) -> tuple[Category, ...]:
    """Read a file of categories.

    YAML: a mapping of names to one description or several, or a list of names, of such mappings, or of
    `{name: ..., descriptions: ...}`. CSV: a name and one or more descriptions a row; rows of one name are one category.
    A name without a description describes itself.

    Raises:
        ConfigError: the file cannot be read, holds more than categories do, has fewer than two categories, or has a
            name that is empty or there twice.
    """
    rows = _yaml_rows(path) if path.suffix.lower() in YAML_SUFFIXES else _csv_rows(path)
    if len(rows) < 2:
        raise ConfigError(f"{path}: needs the normal category and at least one other, holds {len(rows)}")
    seen: dict[str, str] = {}
    for name, descriptions in rows.items():
        if not name or not all(descriptions) or "|" in name:
            raise ConfigError(
                f"{path}: a category needs a name without `|` and no empty description, got {quoted(name)}"
            )
        if not all(map(_is_text, (name, *descriptions))):
            raise ConfigError(
                f"{path}: {quoted(name)} or its descriptions hold what is no text, or over {MAX_CELL} characters"
            )
        form = normal_form(name)
        if form in seen:
            raise ConfigError(
                f"{path}: {shown(seen[form])} and {shown(name)} are one name, as case, space, _ and - do not matter"
            )
        seen[form] = name
    return tuple(Category(name, tuple(descriptions) or (name,)) for name, descriptions in rows.items())


def _csv_rows(path: Path) -> dict[str, list[str]]:
    rows: dict[str, list[str]] = {}
    lines = [row.cells for row in read_rows(path)]
    head = [cell.lower() for cell in lines[0]]
    if head[0] in NAME_COLUMNS and LIST_COLUMNS.intersection(head):
        raise ConfigError(
            f"{path}: is a list of videos ({shown(','.join(lines[0]))}), no categories; expected {EXAMPLE}"
        )
    for name, *descriptions in lines[1:] if lines[0][0].lower() in CSV_HEADS else lines:
        rows.setdefault(name, []).extend(text for text in descriptions if text)
    return rows


def _yaml_rows(path: Path) -> dict[str, list[str]]:
    import yaml

    with reading_yaml(path, KIND) as document:
        root = document.root
        _refuse_what_yaml_changes(path, root)
        content = None if isinstance(root, yaml.ScalarNode | None) else document.constructed()
    if isinstance(content, dict):
        content = [{name: descriptions} for name, descriptions in content.items()]
    if not isinstance(content, list):
        raise ConfigError(f"{path}: holds no categories; expected {EXAMPLE}")
    rows: dict[str, list[str]] = {}
    for item in content:
        name, descriptions = _named(path, item)
        if name in rows:
            raise ConfigError(f"{path}: {shown(name)} is there twice; list its descriptions together")
        rows[name] = descriptions
    return rows


def _is_text(text: str) -> bool:
    return len(text) <= MAX_CELL and "\0" not in text and not is_torn(text)


def _refuse_what_yaml_changes(path: Path, root: yaml.Node | None) -> None:
    """Refuse words that YAML reads as a truth value, number or date, and keys given twice, of which YAML keeps one."""
    import yaml

    seen, waiting = set(), [] if root is None or isinstance(root, yaml.ScalarNode) else [root]
    while waiting:
        node = waiting.pop()
        if id(node) in seen:  # an alias
            continue
        seen.add(id(node))
        if isinstance(node, yaml.MappingNode):
            refuse_twice(path, node, "list its descriptions together")
            waiting += reversed([each for pair in node.value for each in pair])
        elif isinstance(node, yaml.SequenceNode):
            waiting += reversed(node.value)
        elif node.tag not in (YAML_TEXT, YAML_NOTHING, YAML_MERGE):
            raise ConfigError(
                f"{path}, line {node.start_mark.line + 1}: YAML reads {shown(node.value)} as "
                f'{shown(node.tag.rpartition(":")[2])}, not as text; put it in quotes: "{shown(node.value)}"'
            )


def _named(path: Path, item: object) -> tuple[str, list[str]]:
    """Name and descriptions of one entry of a YAML list."""
    if isinstance(item, str):
        return item.strip(), []
    if isinstance(item, dict) and "name" in item:
        unknown = set(item) - {"name", "description", "descriptions"}
        name, texts = item["name"], item.get("descriptions", item.get("description"))
        if {"description", "descriptions"} <= set(item):
            raise ConfigError(
                f"{path}: {shown(name)} has both `description` and `descriptions`; list all in the latter"
            )
    elif isinstance(item, dict) and len(item) == 1:
        unknown, ((name, texts),) = set(), item.items()
    else:
        unknown, name, texts = set(), None, None
    texts = [] if texts is None else texts if isinstance(texts, list) else [texts]
    if unknown or not isinstance(name, str) or not all(isinstance(text, str) for text in texts):
        raise ConfigError(f"{path}: {quoted(item)} is no category; expected {EXAMPLE}")
    return name.strip(), [text.strip() for text in texts]
