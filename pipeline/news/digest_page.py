"""A digest as one HTML file without scripts: a table of days and cameras, and pictures of the strongest events."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Sequence
from importlib.resources import files
from itertools import groupby
from pathlib import Path

import jinja2

from vad_pipeline.extract.errors import VideoError, readable
from vad_pipeline.extract.files import write_bytes

from ..media.footage import find_footage
from ..media.links import link
from ..media.pictures import pictures
from ..media.roots import MediaRoots
from ..progress import in_words
from ..results.event_rows import HeldEvent
from ..results.file_names import key_of
from ..results.folder import Results
from ..results.run_settings import curve_behind, held_against
from ..review.page import FOLDER, PAGE_NAME
from .digest import Digest, Tally
from .digest_text import day_text, headline, miss_line, when

SHADES = 5  # of a day's cell, by its number of events


def write_digest_page(
    path: Path,
    digest: Digest,
    results: Results,
    *,
    n_pictures: int,
    media_roots: MediaRoots,
    on_video: Callable[[str], None],
) -> list[str]:
    """Write the page of a digest.

    Args:
        path: the page's file.
        digest: what it shows.
        results: the folder that the digest is of, for the curves behind the pictures.
        n_pictures: how many of the strongest events are shown with their picture; no others are shown.
        media_roots: where footage lies now.
        on_video: called with each video id as its turn comes.

    Returns:
        A sentence for each video of which no picture could be made.

    Raises:
        StoreError: the page cannot be written, or the results not be read.
    """
    shown = digest.events[:n_pictures]
    shots, problems = _pictures(shown, results, digest.settings.recipe_id, media_roots, on_video)
    page = results.path / FOLDER / PAGE_NAME
    review = link(str(page.resolve()), path.absolute(), home=path.absolute()) if page.exists() else None
    values = {
        "title": results.path.resolve().name,
        "day": digest.day and digest.day.isoformat(),
        "headline": headline(digest),
        "review": review,
        "cameras": [readable(camera) for camera in digest.cameras],
        "days": _days(digest),
        "misses": [miss_line(miss) for miss in digest.misses],
        "has_clock": digest.has_clock,
        "events": [_event(held, digest, review, shots.get(held.event_id)) for held in shown],
        "n_more": len(digest.events) - len(shown),
    }
    package = files(__package__)
    template = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined).from_string(
        (package / "templates" / "digest.html").read_text("utf-8")
    )
    style = (package / "templates" / "digest.css").read_text("utf-8")
    nonce = base64.b64encode(hashlib.sha256(repr(values).encode()).digest()[:18]).decode()
    write_bytes(path, template.render(**values, style=style, nonce=nonce).encode())
    return problems


def _days(digest: Digest) -> list[dict]:
    """A row for each day, with a cell for each camera: None where it had neither footage nor a miss."""
    by_place = {(tally.day, tally.camera): tally for tally in digest.tallies}
    most = max((tally.n_events for tally in digest.tallies), default=0)
    return [
        {
            "day": day_text(day),
            "cells": [tally and _cell(tally, most) for tally in (by_place.get((day, each)) for each in digest.cameras)],
        }
        for day in digest.days
    ]


def _cell(tally: Tally, most: int) -> dict:
    shade = -(-tally.n_events * SHADES // most) if most else 0
    return {
        "n_events": tally.n_events,
        "n_new": tally.n_new,
        "shade": shade,
        "missing": in_words(tally.missing_seconds) if tally.missing_seconds else "",
        "footage": in_words(tally.footage_seconds),
    }


def _event(held: HeldEvent, digest: Digest, review: str | None, picture: str | None) -> dict:
    event = held.event
    return {
        "picture": picture,
        "address": f"{review}#video={key_of(held.video)}&frame={event.peak_frame}" if review else None,
        "camera": readable(digest.settings.rule.camera_of(held.video) or ""),
        "video": readable(held.video),
        "when": when(held),
        "lasts": in_words(event.end_seconds - event.start_seconds),
        "category": event.category,
        "score": f"{event.peak_score:.3f}",
        "percent": round(100 * event.peak_score),
        "is_new": held.event_id in digest.new,
        "mark": held.mark.replace("_", " "),
    }


def _pictures(
    events: Sequence[HeldEvent], results: Results, recipe_id: str, roots: MediaRoots, on_video: Callable[[str], None]
) -> tuple[dict[str, str], list[str]]:
    """The pictures of events' peaks, each video opened once; and why videos have none."""
    shots: dict[str, str] = {}
    problems = []
    for video, group in groupby(sorted(events, key=lambda held: held.video), key=lambda held: held.video):
        on_video(video)
        of_video = list(group)
        try:
            curve = curve_behind(results, video, recipe_id)
            for held in of_video:
                held_against(curve, held)
            frames = [held.event.peak_frame for held in of_video]
            found = pictures(find_footage(curve, roots).path, frames, curve.frame_seconds, stream=curve.stream)
        except VideoError as error:
            problems.append(f"{readable(video)}: no picture: {error}")
            continue
        shots |= {held.event_id: found[held.event.peak_frame] for held in of_video if held.event.peak_frame in found}
    return shots, problems
