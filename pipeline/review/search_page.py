"""Writes a page of pictures of the moments that a search found, with links into the review page or the videos."""

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

from ..media.links import as_bytes, link, may_link, moved
from ..media.pictures import pictures, told_missing
from ..media.roots import MediaRoots
from ..results.file_names import key_of
from .page import FOLDER, PAGE_NAME

if TYPE_CHECKING:
    import numpy as np

STYLE = "page.css"  # the review page's style sheet, used here too


@dataclass(frozen=True, slots=True)
class Found:
    """A moment that a search found, as the page shows it."""

    video: str
    source: str
    """The video's file as the store names it."""
    stream: int
    """Which of the file's video streams, from 1."""
    frame: int
    """Number of the frame with the highest score."""
    frame_seconds: np.ndarray
    """(F,) when each frame of the video is shown, in seconds."""
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
    """Write the page of a search.

    Args:
        path: the page's file.
        answers: question -> the moments found for it, best first.
        unlike: what the moments should not be like; None where that was not asked for.
        results: a results folder whose review page the links lead into; None: they lead to the videos.
        media_roots: where footage lies now.

    Returns:
        A sentence for each video of which no picture could be made.

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


def _address(moment: Found, page: Path, results: Path | None, media_roots: MediaRoots) -> str | None:
    if results is not None:
        review = link(str(results / FOLDER / PAGE_NAME), page, home=page)
        return f"{review}#video={key_of(moment.video)}&frame={moment.frame}"
    source = as_bytes(moved(moment.source, media_roots))
    if moment.stream != 1:  # of several video streams, browsers play the first
        return None
    if not may_link(source, media_roots, home=page, is_here=media_roots.find(moment.source) == source):
        return None
    return f"{link(source, page, home=page)}#t={moment.frame_seconds[moment.frame]:.3f}"


def _pictures(moments: Sequence[Found], media_roots: MediaRoots) -> tuple[dict[tuple[str, int], str], list[str]]:
    """Make the pictures of moments, opening each video once.

    Returns:
        (video id, frame) -> picture; and a sentence for each video without pictures.
    """
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
            frames, first = [moment.frame for moment in of_video], of_video[0]
            found = pictures(source, frames, first.frame_seconds, stream=first.stream)
        except VideoError as error:
            problems.append(f"{video}: no picture: {error}")
            continue
        if missing := told_missing(frames, found):
            problems.append(f"{video}: {missing}")
        shots |= {(video, frame): picture for frame, picture in found.items()}
    return shots, problems
