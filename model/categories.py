"""Categories: what they are called, what CLIP's text tower reads, data-set codes, and how labels name them.

The normal category always comes first: column 0 of everything (…, C).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from vad_pipeline.extract.names import composed

NORMAL = 0  # column of the normal category
NO_CODE = "0"  # fills the places of an XD-Violence label: B2-0-0


@dataclass(frozen=True, slots=True)
class Category:
    """A class that a video or an event can have."""

    name: str
    """The name that results show."""
    descriptions: tuple[str, ...]
    """Texts for CLIP's text tower; their features are averaged. Published checkpoints were trained with these."""
    code: str | None = None
    """XD-Violence's code for the category, such as `B2`; None where it has none."""


def _one_each(*rows: tuple[str, ...]) -> tuple[Category, ...]:
    return tuple(Category(name, (description,), *code) for name, description, *code in rows)


UCF_CRIME = _one_each(
    ("Normal", "normal"),
    ("Abuse", "abuse"),
    ("Arrest", "arrest"),
    ("Arson", "arson"),
    ("Assault", "assault"),
    ("Burglary", "burglary"),
    ("Explosion", "explosion"),
    ("Fighting", "fighting"),
    ("RoadAccidents", "roadaccidents"),
    ("Robbery", "robbery"),
    ("Shooting", "shooting"),
    ("Shoplifting", "shoplifting"),
    ("Stealing", "stealing"),
    ("Vandalism", "vandalism"),
)

XD_VIOLENCE = _one_each(
    ("Normal", "normal", "A"),
    ("Fighting", "fighting", "B1"),
    ("Shooting", "shooting", "B2"),
    ("Riot", "riot", "B4"),
    ("Abuse", "abuse", "B5"),
    ("CarAccident", "car accident", "B6"),
    ("Explosion", "explosion", "G"),
)

ANOMALY = "Anomaly"  # the one anomaly category of results that tell none apart
ANOMALY_ALONE = ("Normal", ANOMALY)

CATEGORIES = {"ucf-crime": UCF_CRIME, "xd-violence": XD_VIOLENCE}
"""Preset name -> its categories, in column order."""


def names(categories: Iterable[Category]) -> tuple[str, ...]:
    """The names of categories, in column order (C)."""
    return tuple(category.name for category in categories)


def normal_form(name: str) -> str:
    """A category's name with all that does not matter taken out: case, space, `_`, `-`, how accents are written."""
    return "".join(character for character in composed(name.casefold()) if character not in " _-\t")


def parse_label(label: str, categories: Sequence[Category]) -> tuple[int, ...]:
    """The columns that a label names: a name, several joined with `|`, or XD-Violence's codes joined with `-`.

    Args:
        label: for example `Road Accidents`, `Fighting|Shooting`, `B2-0-0`.
        categories: in column order.

    Returns:
        Columns, ascending, each once.

    Raises:
        ValueError: a part of the label names no category; the message is that part.
    """
    by_name = {normal_form(category.name): column for column, category in enumerate(categories)}
    by_code = {category.code: column for column, category in enumerate(categories) if category.code}
    columns = set()
    for part in label.split("|"):
        codes = [code for code in part.strip().split("-") if code != NO_CODE]
        if normal_form(part) in by_name:
            columns.add(by_name[normal_form(part)])
        elif codes and all(code in by_code for code in codes):
            columns.update(by_code[code] for code in codes)
        else:
            raise ValueError(part.strip())
    return tuple(sorted(columns))
