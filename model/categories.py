"""The categories of both data sets: display names, the descriptions CLIP's text tower reads, codes. Data only.

The normal category always comes first: column 0 of everything (…, C).
"""

from __future__ import annotations

from dataclasses import dataclass

NORMAL = 0  # column of the normal category


@dataclass(frozen=True, slots=True)
class Category:
    """One category."""

    name: str
    """As results show it."""
    description: str
    """What the text tower reads; the published checkpoints were trained with exactly these words."""
    code: str | None = None
    """XD-Violence's label code."""


UCF_CRIME = (
    Category("Normal", "normal"),
    Category("Abuse", "abuse"),
    Category("Arrest", "arrest"),
    Category("Arson", "arson"),
    Category("Assault", "assault"),
    Category("Burglary", "burglary"),
    Category("Explosion", "explosion"),
    Category("Fighting", "fighting"),
    Category("RoadAccidents", "roadaccidents"),
    Category("Robbery", "robbery"),
    Category("Shooting", "shooting"),
    Category("Shoplifting", "shoplifting"),
    Category("Stealing", "stealing"),
    Category("Vandalism", "vandalism"),
)

XD_VIOLENCE = (
    Category("Normal", "normal", "A"),
    Category("Fighting", "fighting", "B1"),
    Category("Shooting", "shooting", "B2"),
    Category("Riot", "riot", "B4"),
    Category("Abuse", "abuse", "B5"),
    Category("CarAccident", "car accident", "B6"),
    Category("Explosion", "explosion", "G"),
)

CATEGORIES = {"ucf-crime": UCF_CRIME, "xd-violence": XD_VIOLENCE}
"""Preset name -> its categories, in column order."""


def names(preset: str) -> tuple[str, ...]:
    """Display names of a preset's categories, in column order (C)."""
    return tuple(category.name for category in CATEGORIES[preset])


def descriptions(preset: str) -> tuple[str, ...]:
    """What the text tower reads for a preset's categories, in column order (C)."""
    return tuple(category.description for category in CATEGORIES[preset])
