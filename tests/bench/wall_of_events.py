"""The wall of 20,000 events: `python tests/bench/wall_of_events.py`.

Writes curves with hundreds of short events each, all of one rendered film, the page of them with pictures of some, and
opens it in headless Chromium (`--chromium PATH`). Prints a Markdown table: how long the pictures of an event take and
what they weigh, when the page first paints, how long another choice takes, and the longest tasks while scrolling: by
steps as a wheel does, and by leaps as one who drags the bar.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
from playwright.sync_api import Page, sync_playwright
from report import PAINTED, results_of, walk, weight

from vad_pipeline.pipeline.results.event_rows import write_events
from vad_pipeline.pipeline.results.event_rule import Chosen
from vad_pipeline.pipeline.review.page import ReportConfig, write_report

EVENT_SNIPPETS = 3  # snippets from one event to the next: far enough apart to be two
RATE, WIDTH, HEIGHT, BLOCK, GOP = 30, 320, 180, 20, 60
TASKS = "disabled-by-default-devtools.timeline"  # the category of trace in which Chromium tells its tasks
SCROLL = """async ([step, frames]) => {
    const cards = [];
    for (let i = 0; i < frames; i++) {
        await new Promise(requestAnimationFrame);
        window.scrollBy(0, step);
        cards.push(document.querySelectorAll(".card").length);
    }
    await new Promise((done) => setTimeout(done, 500));
    return Math.max(...cards);
}"""


def film(path: Path, n_frames: int) -> None:
    """A film of moving blocks of noise."""
    ground = np.random.default_rng(0).integers(0, 255, (HEIGHT // BLOCK, 2 * WIDTH // BLOCK, 3)).astype(np.uint8)
    ground = ground.repeat(BLOCK, axis=0).repeat(BLOCK, axis=1)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=RATE, options={"preset": "ultrafast", "g": str(GOP)})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for index in range(n_frames):
            left = index % WIDTH
            pixels = np.ascontiguousarray(ground[:, left : left + WIDTH])
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode(None))


def eventful(video_id: str, n_events: int, seed: int, source: Path):
    """A curve with so many events."""
    curve = walk(video_id, n_events * EVENT_SNIPPETS * 16, seed)
    peaks = np.random.default_rng(seed).uniform(0.91, 1, n_events).astype(np.float32)
    scores = np.full(n_events * EVENT_SNIPPETS, np.float32(0.1))
    scores[::EVENT_SNIPPETS] = peaks
    return replace(curve, scores=scores.repeat(16), source=str(source))


@contextmanager
def tasks(page: Page) -> Iterator[list[tuple[float, float]]]:
    """The tasks of the page's main thread meanwhile: how long each took, and the processor's part of it, in ms."""
    session, traced, over = page.context.new_cdp_session(page), [], []
    session.on("Tracing.dataCollected", lambda told: traced.extend(told["value"]))
    session.on("Tracing.tracingComplete", lambda told: over.append(told))
    categories = {"includedCategories": [TASKS, "toplevel"]}
    session.send("Tracing.start", {"traceConfig": categories, "transferMode": "ReportEvents"})
    found: list[tuple[float, float]] = []
    yield found
    session.send("Tracing.end")
    while not over:
        page.wait_for_timeout(50)
    main = {each["tid"] for each in traced if each.get("args", {}).get("name") == "CrRendererMain"}
    whole = [each for each in traced if each["name"] == "RunTask" and each["tid"] in main and "tdur" in each]
    found.extend((each["dur"] / 1000, each["tdur"] / 1000) for each in whole)


def scrolled(page: Page, step: int, frames: int) -> str:
    """What scrolling came to: in words."""
    with tasks(page) as found:
        cards = page.evaluate(SCROLL, [step, frames])
    longest, busy = (max(each) for each in zip(*found, strict=True))
    return f"{longest:.0f} ms, {busy:.0f} ms of the processor; at most {cards} cards in the document"


def main() -> None:
    """Write, open, measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--videos", type=int, default=40)
    parser.add_argument("--events", type=int, default=500, help="of each video")
    parser.add_argument("--pictures", type=int, default=200, help="of how many events")
    parser.add_argument("--chromium", default=shutil.which("chromium"))
    options = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        source = Path(folder) / "film.mp4"
        film(source, options.events * EVENT_SNIPPETS * 16)
        ids = [f"cam{i % 8}/2026-11-{1 + i // 8:02d}/{i:03d}" for i in range(options.videos)]
        results = results_of(Path(folder) / "r", (eventful(v, options.events, i, source) for i, v in enumerate(ids)))
        n_events = write_events(results, Chosen({None: 0.9})).n_events
        started = time.perf_counter()
        written = write_report(results, ReportConfig(pictures=False), on_video=lambda video: None)
        rows.append((f"{n_events:,} events: written without pictures", f"{time.perf_counter() - started:.1f} s"))
        started = time.perf_counter()
        write_report(results, ReportConfig(most_pictures=options.pictures), on_video=lambda video: None)
        home, seconds = written.page.parent, time.perf_counter() - started
        rows.append((f"pictures of {options.pictures:,} of them, {WIDTH}x{HEIGHT}", f"{seconds:.0f} s"))
        shots = list((home / "events").rglob("*.js"))
        rows.append(("an event's pictures weigh", f"{1000 * weight(*shots) / max(1, len(shots)):.0f} kB"))
        rows.append(("the overview's data weighs", f"{weight(home / 'data' / 'overview.js'):.1f} MB"))
        browser = playwright.chromium.launch(executable_path=options.chromium, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        page.goto(written.page.as_uri())
        page.wait_for_selector(".card")
        with tasks(page) as found:
            page.reload()
            page.wait_for_selector(".card")
        paint = page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime")
        loaded = page.evaluate("performance.timing.loadEventEnd - performance.timing.navigationStart")
        busy = sum(part for _, part in found)
        rows.append(("first paint, all loaded", f"{paint:.0f} ms, {loaded:.0f} ms; {busy:.0f} ms of the processor"))
        orders = [f"vad.wallView.want({{ order: '{each}' }})" for each in ("score", "time", "score", "time")]
        times = [page.evaluate(PAINTED.replace("act()", order)) for order in orders]
        rows.append(("another order", f"{sorted(times)[2]:.0f} ms"))
        page.evaluate("vad.wallView.want({ order: 'score' })")
        page.wait_for_timeout(1000)
        rows.append(("longest task, scrolling by 120 px a frame", scrolled(page, 120, 100)))
        rows.append(("... by 2,000 px a frame", scrolled(page, 2000, 60)))
        page.evaluate("vad.wallView.wall.focus(3)")
        started = time.perf_counter()
        for _ in range(10):
            page.keyboard.press("f")
        rows.append(("a mark on the wall, and on to the next", f"{100 * (time.perf_counter() - started):.0f} ms"))
        browser.close()
    print("| wall of events | |\n|---|---|")
    print("\n".join(f"| {what} | {figure} |" for what, figure in rows))


if __name__ == "__main__":
    main()
