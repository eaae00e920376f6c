"""README's picture of the review page: one held-out video of the demo. Needs playwright and Chromium.

make demo
vad-pipeline events demo/results --threshold 0.5 --clock '{camera}/%Y-%m-%d_%H-%M' --timezone Europe/Berlin
.venv/bin/python docs/report.py demo docs/report.png cam2/2026-11-06_15-20
"""

from __future__ import annotations

import io
import shutil
import sys
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

from vad_pipeline.eval.annotations import read_annotations
from vad_pipeline.eval.truth import match_annotations
from vad_pipeline.pipeline.results.file_names import key_of
from vad_pipeline.pipeline.results.folder import Results
from vad_pipeline.pipeline.review.page import ReportConfig, write_report

SIZE = {"width": 1280, "height": 800}
SHOWN_PX = 694  # above the buttons
AT = 0.6  # of the video

demo, out, video = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
results = Results.open(demo / "results")
annotations = read_annotations(demo / "archive" / "annotations.csv", format="csv")
truth = {video_id: annotation for annotation, video_id in match_annotations(annotations, results.video_ids()).pairs}
page_path = write_report(results, ReportConfig(truth=truth), on_video=lambda video_id: None).page
with sync_playwright() as playwright:
    browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
    page = browser.new_page(viewport=SIZE, color_scheme="light")
    page.goto(f"{page_path.resolve().as_uri()}#video={key_of(video)}")
    page.wait_for_selector("#events .event")
    page.evaluate(f"vad.view.player.seek(vad.view.curve.frames * {AT})")
    page.click("#events [data-verdict=real]")
    page.wait_for_timeout(1000)
    picture = page.screenshot(clip={"x": 0, "y": 0, "width": SIZE["width"], "height": SHOWN_PX})
    browser.close()
Image.open(io.BytesIO(picture)).convert("RGB").quantize(256).save(out, optimize=True)
