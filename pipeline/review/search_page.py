"""Moments that a search found as a page of pictures; each leads to its moment in the review page, or in the video."""

from __future__ import annotations

import base64
import hashlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

import jinja2

from vad_pipeline.extract.errors import ConfigError, VideoError
from vad_pipeline.extract.files import write_bytes

from ..media.links import as_bytes, link, moved
from ..media.pictures import pictures
from ..media.roots import MediaRoots
from ..results.file_names import key_of
from .page import FOLDER, PAGE_NAME

if TYPE_CHECKING:
    import numpy as np

STYLE = "page.css"  # the review page's own


@dataclass(frozen=True, slots=True)
class Found:
    """A moment, as the page shows it."""

    video: str
    source: str
    """As the store has it."""
    frame: int
    """Of the peak."""
    frame_seconds: np.ndarray
    """(F,) of the video."""
    start: str
    end: str
    peak: str
    score: str


def write_search_page(
    path: Path,
    answers: Mapping[str, Sequence[Found]],
    *,
    unlike: str | None,
    results: Path | None,
    media_roots: MediaRoots,
) -> list[str]:
    """Write the page.

    Args:
        path: of the page.
        answers: question -> moments, best first.
        unlike: what moments were not to be like.
        results: a results folder with a review page, in which the moments are opened; None opens the videos.
        media_roots: where footage lies now.

    Returns:
        One sentence for each video that no picture could be had of.

    Raises:
        ConfigError: `results` has no review page.
        StoreError: the page cannot be written.
    """
    if results is not None and not (results / FOLDER / PAGE_NAME).exists():
        raise ConfigError(f"{results}: has no review page; make it with `vad-pipeline report {results}`")
    shots, problems = _pictures([moment for moments in answers.values() for moment in moments], media_roots)
    shown = [
        {
            "question": question,
            "moments": [
                {
                    "address": _address(moment, path.parent, results, media_roots),
                    "picture": shots.get((moment.video, moment.frame)),
                    **{name: getattr(moment, name) for name in ("video", "start", "end", "peak", "score")},
                }
                for moment in moments
            ],
        }
        for question, moments in answers.items()
    ]
    package = files(__package__)
    template = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined).from_string(
        (package / "templates" / "search.html").read_text("utf-8")
    )
    style = (package / "assets" / STYLE).read_text("utf-8")
    nonce = base64.b64encode(hashlib.sha256(repr(shown).encode()).digest()[:18]).decode()
    page = template.render(answers=shown, unlike=unlike, style=style, nonce=nonce)
    write_bytes(path, page.encode())
    return problems


def _address(moment: Found, page: Path, results: Path | None, media_roots: MediaRoots) -> str:
    if results is not None:
        review = link(str(results / FOLDER / PAGE_NAME), page, home=page)
        return f"{review}#video={key_of(moment.video)}&frame={moment.frame}"
    source = as_bytes(moved(moment.source, media_roots))
    return f"{link(source, page, home=page)}#t={moment.frame_seconds[moment.frame]:.3f}"


def _pictures(moments: Sequence[Found], media_roots: MediaRoots) -> tuple[dict[tuple[str, int], str], list[str]]:
    """(video, frame) -> picture, each video opened once; and a sentence for each that has none."""
    by_video: dict[str, list[Found]] = defaultdict(list)
    for moment in moments:
        by_video[moment.video].append(moment)
    shots: dict[tuple[str, int], str] = {}
    problems = []
    for video, of_video in by_video.items():
        source = media_roots.find(of_video[0].source)
        if source is None:
            problems.append(f"{video}: no picture: {of_video[0].source} is not there; --media-root OLD=NEW says where")
            continue
        try:
            found = pictures(source, [moment.frame for moment in of_video], of_video[0].frame_seconds)
        except VideoError as error:
            problems.append(f"{video}: no picture: {error}")
            continue
        shots |= {(video, frame): picture for frame, picture in found.items()}
    return shots, problems
