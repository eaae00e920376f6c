"""Writes RESULTS/report: a page, its scripts, and for each video a data file that the page loads when it is opened.

The page is opened from disk, where browsers forbid it to fetch files but allow it to load scripts. So each data file
is a script that does nothing but hand over its data.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from importlib.resources import files
from pathlib import Path

import jinja2

from vad_pipeline.eval.annotation import VideoAnnotation
from vad_pipeline.extract.errors import ConfigError, readable
from vad_pipeline.extract.files import write_bytes

from ..media.roots import MediaRoots
from ..results.clock import Clock
from ..results.folder import Results
from ..results.ignored_hours import hours_in_words
from ..results.marks import Marks
from ..results.prices import FEWEST
from ..results.run_record import read_record
from ..results.run_settings import RunSettings, settings_of
from ..results.verdicts import Verdict, disagreements
from .event_pictures import Counting
from .playback import PREVIEWS
from .summary import failures
from .video_data import Settings, VideoData
from .wall import Wall

FOLDER = "report"
PAGE_NAME = "index.html"
DATA, OVERVIEW = "data", "overview"
SCRIPTS = (
    "uplot/uPlot.iife.min.js",
    "format.js",
    "palette.js",
    "marks/verdicts.js",
    "marks/standing.js",
    "marks/queue.js",
    "marks/export.js",
    "marks/exchange.js",
    "wall/worth.js",
    "wall/catalogue.js",
    "wall/shots.js",
    "wall/card.js",
    "wall/selection.js",
    "wall/wall.js",
    "wall/suggestion.js",
    "wall/tuning.js",
    "wall/wall_view.js",
    "videos/table.js",
    "videos/videos_view.js",
    "video/curve.js",
    "video/events.js",
    "video/found.js",
    "video/chart.js",
    "video/seekbar.js",
    "video/player.js",
    "video/event_list.js",
    "video/strip.js",
    "video/keep.js",
    "video/marking.js",
    "video/video.js",
    "keys.js",
)
FIRST, LAST = "load.js", "main.js"  # the scripts that come before the data and after it
STYLES = ("uplot/uPlot.min.css", "page.css", "wall/wall.css", "videos/table.css", "video/video.css")
LICENCES = ("uplot/LICENSE",)
MOST_PICTURES = 1000  # events that get pictures when the page is written: minutes


@dataclass(frozen=True, slots=True)
class ReportConfig:
    """What the page is to show besides curves and events."""

    store: Path | None = None
    """Feature store whose failures to extract are listed too; None: only failures to score are listed."""
    folders: frozenset[str] | None = None
    """Failures to extract are listed of these folders, and of those of scored footage; None: of all."""
    truth: Mapping[str, VideoAnnotation] = field(default_factory=dict)
    """Video id -> its ground truth."""
    media_roots: MediaRoots = MediaRoots()
    verdicts: Sequence[Verdict] = ()
    """Colleagues' verdicts, joined by `brought_together`."""
    pictures: bool = True
    previews: bool = False
    """Whether to write previews of footage that browsers do not play."""
    most_pictures: int | None = None
    """Of how many events to make pictures at most, None: of 1000; the others get theirs with the next page."""
    clock: Clock | None = None
    """Reads camera and start time from ids; None: the clock that run.json names."""


@dataclass(slots=True)
class Written:
    """What was written, and what could not be shown."""

    page: Path
    n_videos: int = 0
    problems: dict[str, str] = field(default_factory=dict)
    """Video id -> a sentence on what could not be shown of its footage."""
    failed: int = 0
    """How many videos failed and have no curve."""
    without_pictures: int = 0
    """How many events with footage have no pictures yet."""


@contextmanager
def _uncounted(n_events: int) -> Iterator[Callable[[int], None]]:
    yield lambda n: None


def write_report(
    results: Results, config: ReportConfig, *, on_video: Callable[[str], None], counting: Counting = _uncounted
) -> Written:
    """Write the review page; files whose content would not change are kept.

    The page is there, and right, before the pictures of its events are made, which can take long; then it is written
    again with them.

    Args:
        results: the results folder; the page goes into its folder report/.
        config: what the page is to show.
        on_video: called with each video id as its turn comes.
        counting: shows how many events have got their pictures.

    Raises:
        ConfigError: the results hold no curves.
        StoreError: a folder cannot be read or written.
    """
    folder = results.path / FOLDER
    run = settings_of(results)
    settings = _settings(results, run, config)
    written = Written(folder / PAGE_NAME)
    marks = Marks.of(config.verdicts)
    wall, kept, folders = Wall(folder, run.categories, marks), set(), set()
    for curve in results:
        on_video(curve.video_id)
        data = VideoData(curve, settings)
        path = folder / DATA / f"{data.key}.js"
        problems = _problems_before(path, data.stamp())
        if problems is None:
            values = data.values()
            problems = data.problems
            write_bytes(path, _head(data.stamp(), problems) + _script(data.key, values))
        if problems:
            written.problems[curve.video_id] = "; ".join(problems)
        kept |= {path, data.footage.preview(folder, data.key)}
        wall.add(data)
        folders.add(os.path.dirname(curve.source))
    if not wall.rows:
        raise ConfigError(f"{results.path}: holds no curves; `vad-pipeline detect --out {results.path}` makes them")
    scored = {row["id"] for row in wall.rows}
    failed = failures(results.path, config.store, scored, config.folders and config.folders | folders)
    written.n_videos, written.failed = len(wall.rows), len(failed)
    _write_assets(folder)
    _write_overview(folder, _of_run(results, run, config, wall) | wall.shown(failed))
    if config.pictures:
        most = MOST_PICTURES if config.most_pictures is None else config.most_pictures
        written.without_pictures = wall.pictures.make(results, run.recipe_id, most=most, counting=counting)
        _write_overview(folder, _of_run(results, run, config, wall) | wall.shown(failed))
    _remove_others(folder, kept | {folder / DATA / f"{OVERVIEW}.js"})
    wall.pictures.remove_others()
    return written


def _write_overview(folder: Path, overview: dict) -> None:
    """Write the data that the page begins with, and the page, which names a nonce made of it."""
    data = _script(OVERVIEW, overview)
    write_bytes(folder / DATA / f"{OVERVIEW}.js", data)
    write_bytes(folder / PAGE_NAME, _page(overview, data))


def _of_run(results: Results, run: RunSettings, config: ReportConfig, wall: Wall) -> dict:
    """What the overview says of the results as a whole."""
    folder, store = shlex.quote(readable(results.path.resolve())), config.store
    of_store = f" --store {shlex.quote(readable(store.resolve()))}" if store else ""
    return {
        "report": _identity(results),
        "results": results.path.resolve().name,
        "threshold": run.rule.threshold,
        "ownThresholds": len(run.rule.by_camera),
        "keep": f"vad-pipeline events {folder} --threshold",
        "show": f"vad-pipeline report {folder}{of_store}",
        "calibration": None if run.rule.is_set else run.calibration,
        "ignoredHours": hours_in_words(run.rule.hours),
        "mergeGap": run.rule.merge_gap_seconds,
        "calibrated": run.calibrated,
        "categories": run.categories,
        "zone": clock.timezone if (clock := config.clock or run.rule.clock) else None,
        "verdicts": wall.verdict_rows(config.verdicts),
        "fewestMarks": FEWEST,
        "disagreements": [asdict(each) for each in disagreements(config.verdicts)],
    }


def _settings(results: Results, run: RunSettings, config: ReportConfig) -> Settings:
    return Settings(
        page=results.path.resolve() / FOLDER,
        rule=replace(run.rule, clock=config.clock or run.rule.clock),
        truth=config.truth,
        media_roots=config.media_roots,
        pictures=config.pictures,
        previews=config.previews,
    )


def _identity(results: Results) -> str:
    """The key under which the browser keeps verdicts: the same for the same folder, checkpoint, recipe and crop."""
    record = read_record(results.path)
    parts = [str(record.get(name)) for name in ("checkpoint_sha256", "recipe_id", "crop")]
    return hashlib.sha256("\0".join([str(results.path.resolve()), *parts]).encode(errors="replace")).hexdigest()[:16]


def _script(name: str, values: dict) -> bytes:
    """The content of a data file; it is pure ASCII, so that no character of a name can break the script."""
    return f"vad.receive({json.dumps(name)}, {json.dumps(values, allow_nan=False)});\n".encode("ascii")


def _head(stamp: str, problems: list[str]) -> bytes:
    """The first line of a video's data file: a comment with its stamp and problems, which no text in it can end."""
    told = json.dumps(problems).replace("/", "\\/")
    return f"/* {stamp} {told} */\n".encode("ascii")


def _page(overview: dict, data: bytes) -> bytes:
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(lambda name: (files(__package__) / "templates" / name).read_text("utf-8")),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    text = environment.get_template("index.html").render(
        title=overview["results"],
        nonce=base64.b64encode(hashlib.sha256(data).digest()[:18]).decode(),
        scripts=SCRIPTS,
        first=FIRST,
        last=LAST,
        styles=STYLES,
        overview=OVERVIEW,
    )
    return text.encode()


def _write_assets(folder: Path) -> None:
    """Copy the page's scripts and styles from the package."""
    for name in (FIRST, *SCRIPTS, LAST, *STYLES, *LICENCES):
        data = (files(__package__) / "assets").joinpath(*name.split("/")).read_bytes()
        path = folder / "assets" / name
        if not path.exists() or path.read_bytes() != data:
            write_bytes(path, data)


def _problems_before(path: Path, stamp: str) -> list[str] | None:
    """The problems listed in an existing data file, where its stamp is still right; None where it must be rewritten."""
    try:
        with path.open(encoding="ascii") as file:
            head = file.readline()
    except (OSError, UnicodeDecodeError):
        return None
    start, end = f"/* {stamp} ", " */\n"
    if not (head.startswith(start) and head.endswith(end)):
        return None
    try:
        return json.loads(head[len(start) : -len(end)])
    except ValueError:  # the file was edited by hand
        return None


def _remove_others(folder: Path, kept: set[Path | None]) -> None:
    """Remove data files and previews that are not in `kept`: their videos have gone or changed."""
    for path in (*(folder / DATA).glob("*.js"), *(folder / PREVIEWS).glob("*.mp4")):
        if path not in kept:
            path.unlink(missing_ok=True)
