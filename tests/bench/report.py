"""The review page of 2,000 videos, and of a day of footage: `python tests/bench/report.py`.

Writes curves of random walks, the page of them, and opens it in headless Chromium (`--chromium PATH`). Prints a
Markdown table: what the page weighs, and medians of how long opening, sorting, searching, zooming and another threshold
take, each until the browser has drawn the next frame. There is no footage, so there are no pictures: up to 40 of them
add some 8 kB each to a video's data.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import tempfile
import time
from fractions import Fraction
from pathlib import Path

import numpy as np
from playwright.sync_api import Page, sync_playwright

from vad_pipeline.extract.files import write_bytes
from vad_pipeline.extract.store.shards import Group, build, group_name, new_path
from vad_pipeline.model.categories import UCF_CRIME, names
from vad_pipeline.model.curve import AnomalyCurve
from vad_pipeline.pipeline.results.folder import Results
from vad_pipeline.pipeline.results.run_record import RunRecord, begin_run
from vad_pipeline.pipeline.review.page import ReportConfig, write_report

CATEGORIES = names(UCF_CRIME)
FPS = Fraction(30)
TIMES = 9  # each thing is done
PAINTED = """() => new Promise(done => { const start = performance.now(); act();
    requestAnimationFrame(() => setTimeout(() => done(performance.now() - start))); })"""


def walk(video_id: str, n_frames: int, seed: int) -> AnomalyCurve:
    """A curve that wanders."""
    rng = np.random.default_rng(seed)
    n = -(-n_frames // 16)
    level = np.cumsum(rng.standard_normal(n, np.float32)) / 4 + rng.standard_normal(n, np.float32) / 2
    scores = (1 / (1 + np.exp(-(level % 12 - 8)))).astype(np.float32)
    category = rng.random((n, len(CATEGORIES)), np.float32)
    category /= category.sum(axis=1, keepdims=True)
    frames = np.arange(n_frames)
    return AnomalyCurve(video_id, scores[frames // 16], frames / 30, category, CATEGORIES, 16, FPS, f"{video_id}.mp4")


def results_of(folder: Path, curves) -> Results:
    """A results folder of these curves; one shard for all, where a run merges them."""
    results = Results(folder)
    begin_run(results.path, RunRecord("model.pth", "0" * 64, "ucf-crime", CATEGORIES, {}, "recipe", 0, 0.9))
    groups = []
    for curve in curves:
        attributes = {
            "video": curve.video_id, "fps": np.array([30, 1]), "snippet_len": 16, "categories": list(CATEGORIES),
            "source": curve.source, "made_from": curve.video_id, "written_ns": 0,
            "peak_score": float(curve.scores.max()),
        }  # fmt: skip
        data = {"score": curve.scores, "category": curve.category, "frame_seconds": curve.frame_seconds}
        groups.append(Group(group_name(curve.video_id, "recipe"), attributes, data))
    write_bytes(new_path(results.curves), build(groups))
    return Results(folder)


def median(page: Page, act: str) -> float:
    """Milliseconds until the browser has drawn what a JavaScript function changed; `i` counts the calls."""
    return statistics.median(page.evaluate(PAINTED.replace("act()", f"({act})({i})")) for i in range(TIMES))


def weight(*paths: Path) -> float:
    """MB."""
    return sum(path.stat().st_size for path in paths) / 1e6


def main() -> None:
    """Write, open, measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--videos", type=int, default=2000)
    parser.add_argument("--hours", type=float, default=24)
    parser.add_argument("--chromium", default=shutil.which("chromium"))
    options = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=options.chromium, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        many = (walk(f"camera {i % 20}/video {i}", 1800, i) for i in range(options.videos))
        started = time.perf_counter()
        written = write_report(results_of(Path(folder) / "many", many), ReportConfig(), on_video=lambda video: None)
        rows.append((f"{options.videos:,} videos of a minute: written", f"{time.perf_counter() - started:.1f} s"))
        home = written.page.parent
        overview = [written.page, home / "data" / "overview.js", *(p for p in home.rglob("assets/**/*") if p.is_file())]
        rows.append(("its overview weighs", f"{weight(*overview):.2f} MB"))
        page.goto(f"{written.page.as_uri()}#videos")
        page.wait_for_selector(".rows .row")
        paint = page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime")
        shown = page.evaluate("performance.timing.loadEventEnd - performance.timing.navigationStart")
        rows.append(("first paint, all loaded", f"{paint:.0f} ms, {shown:.0f} ms"))
        columns = '["name", "events", "length", "category", "peak"]'
        rows.append(("sorting", f"{median(page, f'i => vad.table.sortBy({columns}[i % 5], i % 2 === 0)'):.0f} ms"))
        typed = "i => { const s = document.getElementById('search'); s.value = i; s.dispatchEvent(new Event('input')) }"
        rows.append(("searching", f"{median(page, typed):.0f} ms"))
        day = walk("day", round(options.hours * 3600 * 30), 7)
        started = time.perf_counter()
        written = write_report(results_of(Path(folder) / "day", [day]), ReportConfig(), on_video=lambda video: None)
        rows.append((f"one video of {options.hours:g} h: written", f"{time.perf_counter() - started:.1f} s"))
        files = [path for path in written.page.parent.rglob("*") if path.is_file()]
        rows.append(("its page weighs, all files", f"{weight(*files):.2f} MB"))
        page.goto(f"{written.page.as_uri()}#videos")
        page.wait_for_selector(".rows .row a")
        started = time.perf_counter()
        page.click(".rows .row a")
        page.wait_for_selector("#events .event")
        rows.append(("opening it", f"{1000 * (time.perf_counter() - started):.0f} ms"))
        zoom = median(page, "i => vad.view.chart.look(40000, 86400 / 10 ** (i % 6))")
        rows.append(("zooming, from the whole to a second", f"{zoom:.0f} ms"))
        n_events = page.evaluate("vad.view.events.length")
        threshold = median(page, "i => vad.view.setThreshold(0.5 + i / 20)")
        rows.append((f"another threshold ({n_events:,} events at 0.9)", f"{threshold:.0f} ms"))
        page.evaluate("vad.view.player.seek(1234567); vad.view.chart.look(vad.view.curve.startOf(1234560), 0.001)")
        view = page.evaluate("vad.view.chart.view.map(s => vad.view.curve.frameAt(s + 1e-6))")
        rows.append(("frames at the closest zoom", f"{view[1] - view[0]}"))
        browser.close()
    print("| review page | |\n|---|---|")
    print("\n".join(f"| {what} | {figure} |" for what, figure in rows))


if __name__ == "__main__":
    main()
