"""Categories of one's own: a YAML or CSV file of names and descriptions, the first one normal."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from vad_pipeline.extract.errors import ConfigError
from vad_pipeline.extract.lists import read_rows

from .categories import Category, normal_form

if TYPE_CHECKING:
    import yaml

YAML_SUFFIXES = (".yaml", ".yml")
YAML_TEXT, YAML_NOTHING, YAML_MERGE = (f"tag:yaml.org,2002:{name}" for name in ("str", "null", "merge"))
CSV_HEADS = ("name", "category")
EXAMPLE = "a YAML list such as `- {name: Fall, descriptions: [a person falling]}`, or CSV rows `name,description,...`"


def read_categories(path: Path) -> tuple[Category, ...]:
    """Read a file of categories.

    YAML: a mapping of names to one description or several, or a list of names, of such mappings, or of
    `{name: ..., descriptions: ...}`. CSV: a name and one or more descriptions a row; rows of one name are one category.
    A name without a description describes itself.

    Raises:
        ConfigError: the file cannot be read, has fewer than two categories, or has a name that is empty or there twice.
    """
    rows = _yaml_rows(path) if path.suffix.lower() in YAML_SUFFIXES else _csv_rows(path)
    if len(rows) < 2:
        raise ConfigError(f"{path}: needs the normal category and at least one other, holds {len(rows)}")
    seen: dict[str, str] = {}
    for name, descriptions in rows.items():
        if not name or not all(descriptions) or "|" in name:
            raise ConfigError(f"{path}: a category needs a name without `|` and no empty description, got {name!r}")
        form = normal_form(name)
        if form in seen:
            raise ConfigError(f"{path}: {seen[form]} and {name} are one name, as case, space, _ and - do not matter")
        seen[form] = name
    return tuple(Category(name, tuple(descriptions) or (name,)) for name, descriptions in rows.items())


def _csv_rows(path: Path) -> dict[str, list[str]]:
    rows: dict[str, list[str]] = {}
    lines = [row.cells for row in read_rows(path)]
    for name, *descriptions in lines[1:] if lines[0][0].lower() in CSV_HEADS else lines:
        rows.setdefault(name, []).extend(text for text in descriptions if text)
    return rows


def _yaml_rows(path: Path) -> dict[str, list[str]]:
    import yaml

    try:
        root = yaml.compose(path.read_text(encoding="utf-8-sig"), Loader=yaml.SafeLoader)
        _refuse_what_yaml_changes(path, root)
        content = yaml.safe_load(path.read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError, RecursionError) as error:
        reason = " ".join(str(error).split())
        raise ConfigError(f"{path}: cannot be read as categories ({reason}); expected {EXAMPLE}") from error
    if isinstance(content, dict):
        content = [{name: descriptions} for name, descriptions in content.items()]
    if not isinstance(content, list):
        raise ConfigError(f"{path}: holds no categories; expected {EXAMPLE}")
    rows: dict[str, list[str]] = {}
    for item in content:
        name, descriptions = _named(path, item)
        if name in rows:
            raise ConfigError(f"{path}: {name} is there twice; list its descriptions together")
        rows[name] = descriptions
    return rows


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
            _refuse_twice(path, [key for key, _ in node.value if isinstance(key, yaml.ScalarNode)])
            waiting += reversed([each for pair in node.value for each in pair])
        elif isinstance(node, yaml.SequenceNode):
            waiting += reversed(node.value)
        elif node.tag not in (YAML_TEXT, YAML_NOTHING, YAML_MERGE):
            raise ConfigError(
                f"{path}, line {node.start_mark.line + 1}: YAML reads {node.value} as {node.tag.rpartition(':')[2]}, "
                f'not as text; put it in quotes: "{node.value}"'
            )


def _refuse_twice(path: Path, keys: list[yaml.ScalarNode]) -> None:
    found = set()
    for key in keys:
        if key.value in found and key.tag != YAML_MERGE:
            line = key.start_mark.line + 1
            raise ConfigError(f"{path}, line {line}: {key.value} is there twice; list its descriptions together")
        found.add(key.value)


def _named(path: Path, item: object) -> tuple[str, list[str]]:
    """Name and descriptions of one entry of a YAML list."""
    if isinstance(item, str):
        return item.strip(), []
    if isinstance(item, dict) and "name" in item:
        unknown = set(item) - {"name", "description", "descriptions"}
        name, texts = item["name"], item.get("descriptions", item.get("description"))
        if {"description", "descriptions"} <= set(item):
            raise ConfigError(f"{path}: {name} has both `description` and `descriptions`; list all in the latter")
    elif isinstance(item, dict) and len(item) == 1:
        unknown, ((name, texts),) = set(), item.items()
    else:
        unknown, name, texts = set(), None, None
    texts = [] if texts is None else texts if isinstance(texts, list) else [texts]
    if unknown or not isinstance(name, str) or not all(isinstance(text, str) for text in texts):
        raise ConfigError(f"{path}: {item!r} is no category; expected {EXAMPLE}")
    return name.strip(), [text.strip() for text in texts]
