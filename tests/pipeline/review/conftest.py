"""A report of rendered videos whose curves are known, and Chromium to open it with."""

from __future__ import annotations

import os
import shutil
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from vad_pipeline.extract.errors import readable
from vad_pipeline.model.curve import AnomalyCurve
from vad_pipeline.pipeline.results.curve_group import CurveOrigin, write_curve
from vad_pipeline.pipeline.results.event_rows import write_events
from vad_pipeline.pipeline.results.event_rule import AS_KEPT
from vad_pipeline.pipeline.results.folder import Results
from vad_pipeline.pipeline.results.run_record import RunRecord, begin_run
from vad_pipeline.pipeline.review.page import ReportConfig, write_report

CATEGORIES = ("Normal", "Fighting", "Explosion", "Robbery")
FPS = Fraction(25)
PATIENCE_SECONDS = 30
N_FRAMES = 400
VIDEOS = {
    "plain": ("cam/plain", "plain.mp4"),
    "variable": ("cam/variable", "variable.mp4"),
    "old": ("cam/old", "old.avi"),
    "gone": ("cam/gone", "gone.mp4"),
    "html": (
        "cam/<img src=x onerror=alert(1)> <script>alert(2)<",
        "<img src=x onerror=alert(1)> <script>alert(2)<.mp4",
    ),
    "quoted": ('cam/it\'s "quoted" #1 100% & more', 'it\'s "quoted" #1 100% & more.mp4'),
    "no_utf8": (r"cam/caf\xe9", os.fsdecode(b"caf\xe9.mp4")),
}
"""What each is for -> id, file name."""
TICKS = np.cumsum(np.random.default_rng(5).choice([30, 40, 50, 200], N_FRAMES)) - 30


def curve_of(video_id: str, seconds: np.ndarray, source: str, seed: int) -> AnomalyCurve:
    """Scores and categories by snippet, different in each video; ties and gaps of all sizes."""
    rng = np.random.default_rng(seed)
    n = -(-len(seconds) // 16)
    scores = np.round(rng.random(n) * 40).astype(np.float32) / np.float32(40)
    category = rng.random((n, len(CATEGORIES))).astype(np.float32)
    category /= category.sum(axis=1, keepdims=True)
    per_frame = scores[np.arange(len(seconds)) // 16]
    return AnomalyCurve(video_id, per_frame, seconds, category, CATEGORIES, 16, FPS, source)


@pytest.fixture(scope="session")
def ids() -> dict[str, str]:
    """What a video is for -> its id."""
    return {role: video_id for role, (video_id, _) in VIDEOS.items()}


@pytest.fixture(scope="session")
def curves(tmp_path_factory, make_numbered) -> dict[str, AnomalyCurve]:
    """Curves of footage that is there (but one), by id."""
    folder = tmp_path_factory.mktemp("review")
    plain = make_numbered(folder / "plain.mp4", N_FRAMES)
    make_numbered(folder / "variable.mp4", N_FRAMES, ticks=(TICKS - TICKS[0]).tolist(), tick=Fraction(1, 1000))
    make_numbered(folder / "old.avi", N_FRAMES, codec="mpeg4", bframes=0)
    for role in ("html", "quoted", "no_utf8"):
        shutil.copy(plain, folder / VIDEOS[role][1])
    found = {}
    for seed, (role, (video_id, name)) in enumerate(VIDEOS.items()):
        seconds = np.arange(N_FRAMES) / 25
        if role == "variable":
            seconds = (TICKS - TICKS[0]) / 1000
        found[video_id] = curve_of(video_id, seconds, readable(folder / name), seed)
    return found


@pytest.fixture(scope="session")
def make_report():
    """make_report(folder, curves, **config) -> the page of a results folder of these curves."""

    def make(folder: Path, curves, *, calibrated=True, clock=None, calibration=None, chosen=AS_KEPT, **config) -> Path:
        results = Results(folder)
        fixed = ("model.pth", "0" * 64, "ucf-crime", CATEGORIES, {}, "recipe", 0, 0.5, calibrated)
        begin_run(results.path, RunRecord(*fixed, clock=clock, calibration=calibration))
        for curve in curves.values():
            write_curve(results.curves, curve, CurveOrigin(recipe_id="recipe", made_from=curve.video_id, threshold=0.5))
        write_events(results, chosen)
        return write_report(Results.open(folder), ReportConfig(**config), on_video=lambda video: None).page

    return make


@pytest.fixture(scope="session")
def page_path(curves, make_report) -> Path:
    """The page of all of them; beside the footage, so that links are relative."""
    return make_report(Path(curves["cam/plain"].source).parent / "results", curves)


@pytest.fixture(scope="session")
def browser():
    """Headless Chromium."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="the page's tests need playwright (pip)")
    program = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    if program is None:
        pytest.skip("no Chromium to open the page with (apt-get install chromium, or CHROMIUM=/path/to/it)")
    with sync_api.sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield started
        started.close()


class Opened:
    """A page that is open, and what it asked for and said."""

    def __init__(self, page):
        self.page = page
        self.begin("")
        page.on("request", lambda request: self.requests.append(request.url))
        page.on("console", lambda message: self.said.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: self.said.append(str(error)))
        page.on("dialog", lambda dialog: (self.said.append(f"dialog: {dialog.message}"), dialog.dismiss()))

    def begin(self, address: str) -> None:
        """From now on it is about this page: what was said before is forgotten."""
        self.address, self.requests, self.said = address, [], []

    def leave(self) -> None:
        """Keep nothing of a test: no marks, no place of the pointer, no wishes."""
        if self.page.url.startswith("file:"):
            self.page.evaluate("localStorage.clear()")
        self.page.mouse.move(0, 0)
        self.page.emulate_media(reduced_motion="no-preference")
        self.page.goto("about:blank")

    def show(self, key: str | None = None, *, frame: int | None = 0) -> Opened:
        """Show a video at a frame (None: where it opens by itself), or the table of videos."""
        self.page.goto("about:blank")
        place = f"#video={key}" if key else "#videos"
        self.page.goto(self.address + place + (f"&frame={frame}" if key and frame is not None else ""))
        if key:
            self.until("vad.view.shown && document.getElementById('at-frame').textContent")
        else:
            self.page.wait_for_selector(".rows .row")
        return self

    def wall(self) -> Opened:
        """Show the wall of events."""
        self.page.goto("about:blank")
        self.page.goto(self.address)
        self.page.wait_for_selector(".card, #wall-empty:not([hidden])")
        return self

    def ready(self) -> Opened:
        """Once the footage stands at the cursor."""
        self.until("(v => v.readyState >= 2 && !v.seeking)(document.getElementById('video'))")
        return self

    def until(self, condition: str) -> None:
        """Wait for a JavaScript expression to hold (Playwright's own way of it needs eval, which the page forbids)."""
        for _ in range(PATIENCE_SECONDS * 50):
            if self.page.evaluate(condition):
                return
            self.page.wait_for_timeout(20)
        raise AssertionError(f"never came true: {condition}; {self.said}")


@pytest.fixture(scope="session")
def open_pages(browser) -> dict[tuple, Opened]:
    """Pages to be used by one test after the other: a browser's new context takes longer than most tests."""
    return {}


@pytest.fixture
def open_page(browser, open_pages, page_path):
    """open_page(path=..., width=1280, scheme="light") -> Opened; no network. Each call in a test is another browser."""
    used = []

    def open_at(path: Path = page_path, *, width=1280, height=800, scheme="light") -> Opened:
        key = width, height, scheme, len(used)
        if key not in open_pages:
            context = browser.new_context(
                viewport={"width": width, "height": height}, color_scheme=scheme, offline=True, accept_downloads=True
            )
            open_pages[key] = Opened(context.new_page())
        used.append(key)
        open_pages[key].begin(path.as_uri())
        open_pages[key].page.bring_to_front()  # browsers play footage slowly in a page behind others
        return open_pages[key]

    yield open_at
    for key in used:
        try:
            open_pages[key].leave()
        except Exception:
            open_pages.pop(key).page.context.close()
            raise
