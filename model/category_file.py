"""Categories of one's own: a YAML or CSV file of names and descriptions, the first one normal."""

from __future__ import annotations

from pathlib import Path

from vad_pipeline.extract.errors import ConfigError
from vad_pipeline.extract.lists import read_rows

from .categories import Category, normal_form

YAML_SUFFIXES = (".yaml", ".yml")
CSV_HEADS = ("name", "category")
EXAMPLE = "a YAML list such as `- {name: Fall, descriptions: [a person falling]}`, or CSV rows `name,description,...`"


def read_categories(path: Path) -> tuple[Category, ...]:
    """Read a file of categories.

    YAML: a mapping of names to one description or several, or a list of names, of such mappings, or of
    `{name: ..., descriptions: ...}`. CSV: a name and one or more descriptions a row; rows of one name are one category.
    A name without a description describes itself.

    Raises:
        ConfigError: unreadable, fewer than two categories, a name twice or empty.
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
    lines = read_rows(path)
    for name, *descriptions in lines[1:] if lines[0][0].lower() in CSV_HEADS else lines:
        rows.setdefault(name, []).extend(text for text in descriptions if text)
    return rows


def _yaml_rows(path: Path) -> dict[str, list[str]]:
    import yaml

    try:
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


def _named(path: Path, item: object) -> tuple[str, list[str]]:
    """Name and descriptions of one entry of a YAML list."""
    if isinstance(item, str):
        return item.strip(), []
    if isinstance(item, dict) and "name" in item:
        unknown = set(item) - {"name", "description", "descriptions"}
        name, texts = item["name"], item.get("descriptions", item.get("description"))
    elif isinstance(item, dict) and len(item) == 1:
        unknown, ((name, texts),) = set(), item.items()
    else:
        unknown, name, texts = set(), None, None
    texts = [] if texts is None else texts if isinstance(texts, list) else [texts]
    if unknown or not isinstance(name, str) or not all(isinstance(text, str) for text in texts):
        raise ConfigError(f"{path}: {item!r} is no category; expected {EXAMPLE}")
    return name.strip(), [text.strip() for text in texts]
