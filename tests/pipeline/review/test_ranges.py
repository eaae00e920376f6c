"""Ranges of marks on a video's page: ends dragged to the frame, missed events drawn, the rest called normal."""

from __future__ import annotations

import json

import numpy as np

from vad_pipeline.model.curve import find_events
from vad_pipeline.pipeline.results.file_names import key_of
from vad_pipeline.pipeline.results.verdicts import read_verdicts

SHOWN = "Object.fromEntries(vad.view.shown.map((event) => [event.id, [event.start, event.end]]))"


def place_of(opened, frame: int) -> tuple[float, float]:
    """Where on the screen a frame begins on the curve."""
    box = opened.page.locator("#chart .u-over").bounding_box()
    left = opened.page.evaluate(f"vad.view.chart.plot.valToPos(vad.view.curve.startOf({frame}), 'x')")
    return box["x"] + left, box["y"] + box["height"] / 3


def drag(opened, start: int, end: int) -> None:
    """Drag what begins at a frame to where another one does."""
    opened.page.mouse.move(*place_of(opened, start))
    opened.page.mouse.down()
    opened.page.mouse.move(*place_of(opened, (start + end) // 2))
    opened.page.mouse.move(*place_of(opened, end))
    opened.page.mouse.up()


def exported(opened, path) -> list[dict]:
    """The rows of the JSON export, saved as a file."""
    opened.page.evaluate("location.hash = ''")
    opened.page.locator("#review").evaluate("(review) => (review.open = true)")
    with opened.page.expect_download() as download:
        opened.page.get_by_role("button", name="Export JSON").click()
    download.value.save_as(path)
    return json.loads(path.read_text())["verdicts"]


def test_ends_are_dragged_and_missed_events_drawn_to_the_frame(open_page, curves, ids, tmp_path):
    video = ids["plain"]
    opened = open_page()
    opened.page.emulate_media(reduced_motion="reduce")
    opened.show(key_of(video), frame=None).ready()
    page = opened.page
    event = max(find_events(curves[video], threshold=0.5), key=lambda each: each.peak_score)
    start, end = event.start_frame, event.end_frame
    drag(opened, start, start + 7)
    drag(opened, end, end - 5)
    assert page.evaluate(SHOWN)[event.event_id] == [start + 7, end - 5]
    assert page.evaluate("vad.view.player.frame") == end - 6  # the last frame of it is shown
    page.evaluate(f"vad.view.seek({start + 3})")
    page.keyboard.press("i")
    assert page.evaluate(SHOWN)[event.event_id] == [start + 3, end - 5]
    page.keyboard.press("z")
    assert page.evaluate(SHOWN)[event.event_id] == [start + 7, end - 5]
    ranges = [(each.start_frame, each.end_frame) for each in find_events(curves[video], threshold=0.5)]
    between = next(n for n in range(400) if not any(a <= n < b for a, b in ranges))
    page.evaluate(f"vad.view.seek({between})")
    page.keyboard.press("d")
    drawn = f"{video}@{between}-{min(400, between + 100)}"
    assert page.evaluate(SHOWN)[drawn] == [between, min(400, between + 100)]
    assert page.locator("#event-count").text_content().endswith(", 1 drawn")
    page.evaluate(f"vad.view.seek({between + 2})")
    page.keyboard.press("o")
    page.locator(".event", has_text="drawn by hand").get_by_label("Category, if it is another").select_option("Robbery")
    page.keyboard.press("a")
    assert page.locator("#all-normal").get_attribute("aria-pressed") == "true"

    opened.show(key_of(video))  # after a reload
    again = page.evaluate(SHOWN)
    assert again[event.event_id] == [start + 7, end - 5] and again[drawn] == [between, between + 3]
    rows = {row["event_id"]: row for row in exported(opened, tmp_path / "ann.json") if row["verdict"]}
    assert {*rows} == {event.event_id, drawn, f"{video}@normal"}
    said = rows[event.event_id]
    assert (said["verdict"], said["start_frame"], said["end_frame"]) == ("real", start + 7, end - 5)
    assert (rows[drawn]["category"], rows[drawn]["end_frame"], "drawn" in rows[drawn]) == (
        "Robbery",
        between + 3,
        False,
    )
    normal = rows[f"{video}@normal"]
    assert (normal["verdict"], normal["start_frame"], normal["end_frame"]) == ("normal", 0, 400)
    assert {each.event_id for each in read_verdicts(tmp_path / "ann.json")} >= {*rows}

    other = open_page().show()  # another browser takes the file in
    other.page.locator("#import").set_input_files(tmp_path / "ann.json")
    other.until("document.getElementById('message').textContent.startsWith('3 verdicts')")
    other.page.goto(f"{other.address}#video={key_of(video)}")
    other.until("vad.view.shown")
    assert other.page.evaluate(SHOWN) == again and opened.said == other.said == []


def test_an_older_export_is_understood_and_what_is_taken_back_stays_so(open_page, curves, ids, tmp_path):
    video = ids["old"]
    event = find_events(curves[video], threshold=0.5)[0]
    row = {"video": video, "start_frame": event.start_frame, "end_frame": event.end_frame, "event_id": event.event_id}
    old = {
        **row,
        "verdict": "false_alarm",
        "category": "",
        "reviewer": "Ann",
        "note": "",
        "time": "2026-01-01T00:00:00Z",
    }
    (tmp_path / "old.json").write_text(
        json.dumps({"schema": 1, "report": "x", "verdicts": [old, {**old, "verdict": "", "time": ""}]})
    )
    opened = open_page().show()
    page = opened.page
    page.locator("#import").set_input_files(tmp_path / "old.json")
    opened.until("document.getElementById('message').textContent.startsWith('1 verdict taken')")
    mark = f"vad.verdicts.mark({json.dumps(event.event_id)})?.verdict"
    assert page.evaluate(mark) == "false_alarm"
    opened.show(key_of(video))
    page.locator(".event").first.get_by_role("button", name="False alarm").click()  # pressed again: taken back
    assert page.evaluate(mark) is None
    (back,) = [each for each in exported(opened, tmp_path / "back.json") if each["time"]]
    assert (back["event_id"], back["verdict"]) == (event.event_id, "") and back["time"] > old["time"]
    assert np.all([each["verdict"] == "" for each in exported(opened, tmp_path / "again.json")])
