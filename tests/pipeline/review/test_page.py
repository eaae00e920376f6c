"""The review page in a browser, opened from disk, without a network."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vad_pipeline.extract.decode.reader import PyavReader
from vad_pipeline.model.curve import AnomalyCurve, find_events
from vad_pipeline.pipeline.results.event_rule import Chosen
from vad_pipeline.pipeline.results.file_names import key_of
from vad_pipeline.pipeline.results.verdicts import read_verdicts

THRESHOLDS = (0, 0.075, 0.3, 0.5, 0.501, 0.725, 0.9, 1)
TRIES = 30  # a tenth of a second apart
SERIOUS = ("serious", "critical")
EVENTS = """vad.view.events.map(e => [e.id, e.start, e.end, e.startSeconds, e.endSeconds, e.category, e.percent,
    e.peakScore, e.peakFrame])"""


def expected_events(curve, threshold: float) -> list[list]:
    return [
        [
            event.event_id,
            event.start_frame,
            event.end_frame,
            event.start_seconds,
            event.end_seconds,
            event.category,
            int(np.rint(100 * event.category_probability)),
            event.peak_score,
            event.peak_frame,
        ]
        for event in find_events(curve, threshold=threshold)
    ]


def shown_frame(opened) -> int:
    return opened.page.evaluate("vad.view.player.frame")


def test_it_opens_from_disk_and_asks_for_nothing_but_its_own_files(open_page, curves, page_path, ids):
    opened = open_page().show()
    assert opened.page.locator(".rows .row").count() == len(curves)
    opened.page.get_by_role("link", name=ids["plain"]).click()
    opened.page.wait_for_selector("#events .event")
    opened.ready()
    assert opened.said == []
    home = page_path.parent.parent.parent.as_uri()
    assert all(url.startswith((home, "data:")) for url in opened.requests), opened.requests
    blocked = opened.page.evaluate("fetch('http://127.0.0.1:9/').then(() => 'sent', error => String(error))")
    assert "Failed to fetch" in blocked and any("Content Security Policy" in line for line in opened.said)


def test_worst_first_then_by_any_column(open_page, curves, ids):
    opened = open_page().show()
    names = lambda: opened.page.locator(".rows .name").all_text_contents()  # noqa: E731
    by_peak = sorted(curves, key=lambda video: (-float(curves[video].scores.max()), video))
    assert names() == by_peak
    opened.page.get_by_role("button", name="Video").click()
    assert sorted(names()) == sorted(curves) and names() != by_peak
    n_events = {video: len(find_events(curve, threshold=0.5)) for video, curve in curves.items()}
    opened.page.get_by_role("button", name="Events").click()
    assert [n_events[name] for name in names()] == sorted(n_events.values(), reverse=True)
    opened.page.get_by_label("Search").fill("CAM pla")
    opened.until("document.querySelectorAll('.rows .row').length === 1")
    assert names() == [ids["plain"]]
    opened.page.get_by_label("Search").fill("")
    opened.page.get_by_label("Category").select_option("Robbery")
    strongest = {video: max(find_events(c, threshold=0.5), key=lambda e: e.peak_score) for video, c in curves.items()}
    assert set(names()) == {video for video, event in strongest.items() if event.category == "Robbery"}


@pytest.mark.parametrize("role", ["plain", "variable"])
def test_a_click_on_the_curve_seeks_to_that_very_frame(open_page, curves, number_of, ids, role):
    video = ids[role]
    opened = open_page().show(key_of(video)).ready()
    box = opened.page.locator("#chart .u-over").bounding_box()
    opened.page.mouse.click(box["x"] + 0.6 * box["width"], box["y"] + box["height"] / 2)
    opened.page.wait_for_timeout(50)
    opened.ready()
    seconds = curves[video].frame_seconds
    aimed = np.searchsorted(seconds, 0.6 * (seconds[-1] + 1 / 25), side="right") - 1
    frame = shown_frame(opened)
    assert abs(frame - aimed) <= 1
    current = opened.page.evaluate("document.getElementById('video').currentTime")
    assert np.searchsorted(seconds, current, side="right") - 1 == frame
    assert_shows(opened, frame, lambda: number_of(picture_of(opened)))
    assert opened.page.locator("#at-frame").text_content() == f"{frame} of 400"
    assert float(opened.page.locator("#at-time").text_content().split(":")[1]) == pytest.approx(
        seconds[frame], abs=0.01
    )


def test_dragging_seeks_and_the_wheel_zooms_down_to_frames(open_page, ids):
    opened = open_page().show(key_of(ids["plain"])).ready()
    box = opened.page.locator("#chart .u-over").bounding_box()
    mouse, middle = opened.page.mouse, box["y"] + box["height"] / 2
    mouse.move(box["x"] + 0.2 * box["width"], middle)
    mouse.down()
    mouse.move(box["x"] + 0.7 * box["width"], middle)
    assert abs(shown_frame(opened) - 280) <= 1
    mouse.up()
    mouse.move(box["x"] + 0.3 * box["width"], middle)
    assert abs(shown_frame(opened) - 280) <= 1
    for _ in range(40):
        mouse.wheel(0, -100)
    opened.until("vad.view.chart.view[1] - vad.view.chart.view[0] < 0.33")  # 8 frames
    start, end = opened.page.evaluate("vad.view.chart.view")
    assert start < 0.3 * 16 < end  # around where the mouse is
    opened.page.get_by_role("button", name="Fit").click()
    assert opened.page.evaluate("vad.view.chart.view") == [0, 16]


@pytest.mark.parametrize(
    ("name", "shares"),  # at 0.29 of the first one the scene changes from frame to frame
    [
        ("ucf/Arson009_x264.mp4", (0.6, 0.29)),
        pytest.param("vtest.avi", (0.6, 0.33), marks=pytest.mark.long),
    ],  # MS-MPEG4: through its preview
)
def test_on_real_footage_too(open_page, make_report, shared, tmp_path, name, shares):
    reader = PyavReader(shared / "videos" / name)
    frames = [small(frame.rgb()) for frame in reader]
    seconds = reader.info().frame_seconds
    reader.close()
    rng = np.random.default_rng(0)
    n = -(-len(seconds) // 16)
    scores = rng.random(n, np.float32)[np.arange(len(seconds)) // 16]
    category = np.full((n, 4), 0.25, np.float32)
    names = ("Normal", "Fighting", "Explosion", "Robbery")
    curve = AnomalyCurve("real", scores, seconds, category, names, 16, Fraction(30), reader.path)
    page = make_report(tmp_path / "results", {"real": curve}, previews=True, pictures=False)
    opened = open_page(page).show(key_of("real")).ready()
    assert ("media/" in opened.page.evaluate("document.getElementById('video').src")) == name.endswith(".avi")
    box = opened.page.locator("#chart .u-over").bounding_box()
    for share in shares:
        opened.page.mouse.click(box["x"] + share * box["width"], box["y"] + box["height"] / 2)
        opened.ready()
        frame = shown_frame(opened)
        assert abs(frame - share * len(seconds)) <= 2
        assert_shows(opened, frame, lambda frame=frame: nearest(frames, picture_of(opened, 320 / 240), around=frame))
    assert opened.said == []


def small(picture: np.ndarray) -> np.ndarray:
    """(240, 320, 3) int16."""
    return np.asarray(Image.fromarray(picture).resize((320, 240), Image.Resampling.BOX)).astype(np.int16)


def nearest(frames: list[np.ndarray], picture: np.ndarray, *, around: int) -> int:
    """Which of the frames within 2 of `around` a picture shows."""
    shown = small(picture)
    return min(range(around - 2, around + 3), key=lambda i: np.abs(shown - frames[i]).mean())


def assert_shows(opened, frame: int, read) -> None:
    """The footage shows this frame, once the browser has drawn it; `read` tells which one it shows."""
    for _ in range(TRIES):
        try:
            shown = read()
        except AssertionError:  # drawn halfway, or not at all yet
            shown = None
        if shown == frame:
            return
        opened.page.wait_for_timeout(100)
    assert shown == frame


def picture_of(opened, aspect: float = 160 / 96) -> np.ndarray:
    """What the video element shows, without the bars beside it and its rounded corners."""
    image = np.asarray(Image.open(io.BytesIO(opened.page.locator("#video").screenshot())).convert("RGB"))
    height, width = image.shape[:2]
    picture_width = min(width, round(height * aspect))
    left = (width - picture_width) // 2
    return image[:, left : left + picture_width]


@pytest.mark.parametrize("role", ["plain", "variable", "quoted"])
def test_the_slider_finds_the_events_that_python_finds(open_page, curves, ids, role):
    video = ids[role]
    opened = open_page().show(key_of(video))
    counts = set()
    for threshold in THRESHOLDS:
        opened.page.locator("#threshold").fill(str(threshold))
        expected = expected_events(curves[video], threshold)
        opened.until(f"vad.view.chart.threshold === {threshold}")
        assert opened.page.evaluate(EVENTS) == expected
        assert opened.page.locator("#event-count").text_content().split()[0] == str(len(expected))
        assert opened.page.locator("#events .event").count() == len(expected)
        counts.add(len(expected))
    assert len(counts) >= 4


def test_near_misses_are_events_of_a_lower_threshold_without_those_that_are_there(open_page, curves, ids):
    opened = open_page().show(key_of(ids["plain"]))
    lower = {t: find_events(curves[ids["plain"]], threshold=t - 0.1) for t in (0.5, 0.6, 0.7, 0.8, 0.9, 1.0)}
    near = {t: [e.event_id for e in found if e.peak_score < np.float32(t)] for t, found in lower.items()}
    threshold, expected = max(near.items(), key=lambda pair: len(pair[1]))
    opened.page.locator("#threshold").fill(str(threshold))
    opened.until(f"vad.view.chart.threshold === {threshold}")
    opened.page.get_by_label("Near misses").check()
    assert expected and opened.page.evaluate("vad.view.near.map(e => e.id)") == expected
    assert opened.page.locator("#events .near").count() == len(expected)


def test_keys(open_page, curves, ids):
    opened = open_page().show(key_of(ids["plain"])).ready()
    press = opened.page.keyboard.press
    events = find_events(curves[ids["plain"]], threshold=0.5)
    later = [event for event in events if event.start_frame > 0]
    press("n")
    assert shown_frame(opened) == later[0].start_frame
    press(".")
    assert shown_frame(opened) == later[0].start_frame + 1
    press("p")
    assert shown_frame(opened) == later[0].start_frame
    press("ArrowRight")
    assert shown_frame(opened) == later[0].start_frame + 125
    press("ArrowLeft")
    press("ArrowUp")
    assert opened.page.evaluate("vad.view.threshold") == 0.51
    press("+")
    assert opened.page.evaluate("vad.view.chart.view[1] - vad.view.chart.view[0]") == pytest.approx(8, abs=0.01)
    press("Space")
    opened.until("!document.getElementById('video').paused")
    opened.until(f"vad.view.player.frame > {later[0].start_frame + 5}")
    press("Space")
    opened.until("document.getElementById('video').paused")
    press("]")
    assert opened.page.evaluate("document.getElementById('video').playbackRate") == 1.5
    press("End")
    assert shown_frame(opened) == 399
    press("Home")
    assert shown_frame(opened) == 0
    opened.page.get_by_role("button", name="Next event").click()  # and Space still plays
    press("Space")
    opened.until("!document.getElementById('video').paused")
    press("Space")
    opened.until("document.getElementById('video').paused")
    press("?")
    assert "Loop this event" in opened.page.get_by_role("dialog").text_content()
    press("Escape")
    assert not opened.page.get_by_role("dialog").is_visible()
    press("Escape")
    opened.page.wait_for_selector("#overview:not([hidden])")
    press("/")
    assert opened.page.evaluate("document.activeElement.id") == "find"
    assert opened.said == []


def test_a_video_opens_at_its_strongest_event_which_takes_marks(open_page, curves, ids):
    strongest = max(find_events(curves[ids["plain"]], threshold=0.5), key=lambda event: event.peak_score)
    opened = open_page().show(key_of(ids["plain"]), frame=None).ready()
    assert shown_frame(opened) == strongest.start_frame > 0
    opened.page.keyboard.press("f")
    said = opened.page.evaluate("id => vad.verdicts.mark(id)", strongest.event_id)
    assert said["verdict"] == "false_alarm" and opened.page.locator("#told").text_content() == ""


def test_a_key_that_cannot_act_says_so(open_page, curves, ids):
    opened = open_page().show(key_of(ids["plain"])).ready()
    events = find_events(curves[ids["plain"]], threshold=0.5)
    between = next(frame for frame in range(400) if not any(e.start_frame <= frame < e.end_frame for e in events))
    told = opened.page.locator("#told")
    for key in ("r", "f", "u", "e"):
        opened.page.evaluate(f"vad.view.player.seek({between})")
        assert told.text_content() == ""
        opened.page.keyboard.press(key)
        assert told.text_content().startswith("The cursor is in no event"), key
    for key, words in (("Home", ""), ("p", "no event before"), ("End", ""), ("n", "no event after")):
        opened.page.keyboard.press(key)
        assert words in told.text_content(), key
    opened.page.locator("#threshold").fill("1")
    opened.until("vad.view.chart.threshold === 1")
    for key in ("r", "n", "l"):
        opened.page.keyboard.press(key)
        assert "no event at this threshold" in told.text_content(), key


def test_the_sliders_threshold_can_be_kept(open_page, curves, make_report, ids, tmp_path):
    folder = tmp_path / "re sults"
    opened = open_page(make_report(folder, {ids["plain"]: curves[ids["plain"]]}, pictures=False)).show(
        key_of(ids["plain"])
    )
    opened.page.get_by_role("button", name="Keep this").click()
    number = opened.page.locator("#threshold-number")
    number.fill("0.87654")
    number.press("Enter")
    assert number.evaluate("(field) => field.scrollWidth <= field.clientWidth")  # all of its digits are in sight
    is_whole = "(field) => field.scrollHeight <= field.clientHeight && field.scrollWidth <= field.clientWidth"
    assert opened.page.locator("#keep-command").evaluate(is_whole)  # and all of the command
    opened.page.locator("#threshold").fill("0.7")
    opened.until("document.getElementById('keep-command').value.includes('0.7')")
    command = f"vad-pipeline events '{folder}' --threshold"
    shown = opened.page.locator("#keep-command").input_value().splitlines()
    assert shown[0] == f"{command} 0.7" and shown[2] == f"{command} cam=0.7"
    assert shown[-1] == f"vad-pipeline report '{folder}'"


def test_a_cameras_own_threshold_is_the_pages_too(open_page, curves, make_report, ids, tmp_path):
    named = {ids["plain"]: curves[ids["plain"]], "b": replace(curves[ids["old"]], video_id="b")}
    page = make_report(tmp_path / "results", named, chosen=Chosen({"cam": 0.725, None: 0.3}), pictures=False)
    for video, threshold in ((ids["plain"], 0.725), ("b", 0.3)):
        opened = open_page(page).show(key_of(video))
        assert opened.page.evaluate(EVENTS) == expected_events(named[video], threshold)
    opened.show()
    assert opened.page.locator("#counts").text_content().endswith("at threshold 0.3 (1 camera with its own)")


def test_a_loop_stays_inside_its_event(open_page, curves, ids):
    opened = open_page().show(key_of(ids["old"]))
    opened.page.locator("#threshold").fill("0.9")
    opened.until("vad.view.chart.threshold === 0.9")
    (event, *_) = [e for e in find_events(curves[ids["old"]], threshold=0.9) if e.start_frame > 0]
    opened.page.locator("#speed").select_option("8")
    opened.page.get_by_role("button", name="Loop", exact=True).click()
    opened.page.evaluate("window.seen = []; setInterval(() => window.seen.push(vad.view.player.frame), 5)")
    opened.until("window.seen.filter((frame, i) => frame < window.seen[i - 1]).length >= 2")  # it went back
    seen = opened.page.evaluate("window.seen")
    assert len(set(seen)) > 2 and event.start_frame - 50 <= min(seen) and max(seen) <= event.end_frame


def test_a_verdict_survives_a_reload_and_is_exported(open_page, curves, tmp_path, ids):
    opened = open_page().show(key_of(ids["quoted"]))
    events = find_events(curves[ids["quoted"]], threshold=0.5)
    first, second = opened.page.locator("#events .event").nth(0), opened.page.locator("#events .event").nth(1)
    opened.page.locator("#video-view .reviewer").fill('Ann, "A" <b>')
    opened.page.keyboard.press("Enter")
    first.get_by_role("button", name="Real").click()
    first.get_by_label("Category, if it is another").select_option("Robbery")
    note = 'smoke; <script>alert("x")</script>,\u2028 "quoted"'
    first.get_by_label("Note").fill(note)
    opened.page.keyboard.press("Enter")
    second.get_by_role("button", name="False alarm").click()
    second.get_by_label("Note").fill("=1+1")
    opened.page.keyboard.press("Enter")
    opened.show(key_of(ids["quoted"]))
    card = opened.page.locator("#events .event").nth(0)
    assert card.get_by_role("button", name="Real").get_attribute("aria-pressed") == "true"
    assert card.get_by_label("Note").input_value() == note
    opened.show()
    assert "2 events marked in 1 video" in opened.page.locator("#review").text_content()
    opened.page.locator("#review summary").click()
    exports = {}
    for kind in ("CSV", "JSON"):
        with opened.page.expect_download() as download:
            opened.page.get_by_role("button", name=f"Export {kind}").click()
        path = tmp_path / download.value.suggested_filename
        download.value.save_as(path)
        exports[kind] = read_verdicts(path)
    assert exports["CSV"] == exports["JSON"] and len(exports["CSV"]) == len(events)
    one, other, *open_ones = exports["CSV"]
    assert (one.video, one.event_id, one.verdict) == (ids["quoted"], events[0].event_id, "real")
    assert (one.category, one.reviewer, one.note) == ("Robbery", 'Ann, "A" <b>', note)
    assert (other.event_id, other.verdict, other.category) == (events[1].event_id, "false_alarm", events[1].category)
    assert other.note == "=1+1" and ",'=1+1," in (tmp_path / "verdicts.csv").read_text()
    assert {each.verdict for each in open_ones} <= {""} and opened.said == []
    elsewhere = open_page().show()  # another browser takes the file in
    elsewhere.page.locator("#review summary").click()
    elsewhere.page.locator("#import").set_input_files(tmp_path / "verdicts.json")
    elsewhere.until("document.getElementById('message').textContent.includes('2 verdicts')")
    assert "2 events marked" in elsewhere.page.locator("#review").text_content()


def test_no_exported_cell_is_a_formula(open_page):
    notes = ["=1", "+x", "-x", "@x", "\tx", "\rx", "'=x", "-5", "+.5", "x=1", "1-x"]
    cells = ["'=1", "'+x", "'-x", "'@x", "'\tx", '"\'\rx"', "''=x", "-5", "+.5", "x=1", "1-x"]
    csv = open_page().show().page.evaluate("notes => vad.verdictsCsv(notes.map((note) => ({ note })))", notes)
    assert csv.split("\n")[1:-1] == [f",,,,,,,{cell}," for cell in cells]


@pytest.mark.parametrize("role", ["html", "quoted", "no_utf8"])
def test_names_that_are_markup_or_no_text_are_shown_as_text_and_their_links_work(open_page, curves, ids, role):
    video = ids[role]
    opened = open_page().show()
    opened.page.get_by_role("link", name=video, exact=True).click()
    opened.page.wait_for_selector("#events .event")
    opened.ready()
    assert opened.page.locator("#video-name").text_content() == video
    assert opened.page.locator("#source").text_content().endswith("/" + Path(curves[video].source).name)
    assert opened.page.locator("img[src=x], script:not([src])").count() == 0
    assert opened.wall().page.locator("img[src=x], script:not([src])").count() == 0
    assert opened.said == []


def test_what_browsers_cannot_play_has_pictures_along_its_curve(open_page, ids):
    opened = open_page().show(key_of(ids["old"]))
    assert "--proxy auto" in opened.page.locator("#stage-note").text_content()
    assert opened.page.locator("#still").is_visible() and opened.page.locator("#strip img").count() == 16
    before = opened.page.locator("#still").get_attribute("src")
    opened.page.locator("#seekbar").click(position={"x": 600, "y": 14})
    assert opened.page.locator("#still").get_attribute("src") != before
    opened.page.get_by_role("button", name="Play", exact=True).click()
    frame = shown_frame(opened)
    opened.until(f"vad.view.player.frame > {frame}")
    assert opened.page.get_by_role("button", name="Pause").is_visible()


def test_footage_that_is_gone_is_told(open_page, ids):
    opened = open_page().show(key_of(ids["gone"]))
    opened.page.wait_for_selector("#stage-note:not([hidden])")
    note = opened.page.locator("#stage-note").text_content()
    assert "cannot play the file, or it is not there" in note and "The video file is not there" in note
    assert opened.page.locator("#events .event").count() > 0


def test_a_file_of_another_length_than_its_curve_is_told(open_page, curves, make_report, ids, tmp_path):
    plain = curves[ids["plain"]]
    longer = replace(
        plain,
        scores=np.repeat(plain.scores, 2),
        frame_seconds=np.arange(800) / 25,
        category=np.repeat(plain.category, 2, axis=0),
    )
    opened = (
        open_page(make_report(tmp_path / "results", {ids["plain"]: longer}, pictures=False))
        .show(key_of(ids["plain"]))
        .ready()
    )
    assert "may have changed since it was scored" in opened.page.locator("#stage-note").text_content()
    same = open_page().show(key_of(ids["plain"])).ready()
    assert not same.page.locator("#stage-note").is_visible()


def test_one_frame_is_a_video_too(open_page, curves, make_report, ids, tmp_path, make_numbered):
    footage = make_numbered(tmp_path / "one.mp4", 1)
    plain = curves[ids["plain"]]
    one = replace(
        plain, scores=plain.scores[:1], frame_seconds=np.zeros(1), category=plain.category[:1], source=str(footage)
    )
    opened = (
        open_page(make_report(tmp_path / "results", {ids["plain"]: one}, pictures=False))
        .show(key_of(ids["plain"]))
        .ready()
    )
    for key in ("n", ".", "+", "l", "End", "ArrowRight", "0"):
        opened.page.keyboard.press(key)
    opened.page.locator("#threshold").fill("0")
    opened.until("vad.view.chart.threshold === 0")
    assert opened.page.evaluate(EVENTS) == expected_events(one, 0)
    opened.page.locator("#threshold").fill("1")
    opened.until("vad.view.chart.threshold === 1")
    assert opened.page.locator("#event-count").text_content().startswith("0 events, highest score 0.")
    assert opened.said == []


@pytest.mark.parametrize("codec", ["mpeg4", "libx265"])
def test_previews_are_played_with_the_footages_frames(
    open_page, curves, make_report, make_numbered, number_of, tmp_path, ids, codec
):
    curve = curves[ids["old"]]
    if codec != "mpeg4":
        path = make_numbered(tmp_path / "hevc.mp4", len(curve.scores), codec=codec)
        curve = replace(curve, source=str(path))
    page = make_report(tmp_path / "results", {ids["old"]: curve}, previews=True, pictures=False)
    opened = open_page(page).show(key_of(ids["old"]), frame=217).ready()
    assert_shows(opened, 217, lambda: number_of(picture_of(opened)))
    assert "media/" in opened.page.evaluate("document.getElementById('video').src")
    box = opened.page.locator("#chart .u-over").bounding_box()
    opened.page.mouse.click(box["x"] + 0.37 * box["width"], box["y"] + box["height"] / 2)
    opened.ready()
    assert_shows(opened, shown_frame(opened), lambda: number_of(picture_of(opened)))


def test_wall_clock_and_uncalibrated_scores_are_told(open_page, curves, make_report, tmp_path, ids):
    times = ("2026-11-02/14-30-00", "2026-11-03/00-00-00")
    named = {f"3/{time}": replace(curves[ids["old"]], video_id=f"3/{time}") for time in times}
    clock = {"pattern": "{camera}/%Y-%m-%d/%H-%M-%S", "timezone": "America/New_York"}
    page = make_report(tmp_path / "results", named, calibrated=False, clock=clock, pictures=False)
    opened = open_page(page).show(key_of(f"3/{times[0]}"), frame=100)
    assert opened.page.locator("#at-clock").text_content() == "camera 3, 2 November, 14:30:04"
    assert opened.page.locator("#uncalibrated").is_visible()
    opened.show()
    opened.page.get_by_label("Group").select_option("day")
    headings = opened.page.locator(".group").all_text_contents()
    assert sorted(headings) == ["camera 3, 2 November 2026 (1)", "camera 3, 3 November 2026 (1)"]


def test_few_hours_behind_a_threshold_and_imported_features_are_told(open_page, curves, make_report, tmp_path, ids):
    calibration = {"hours": 0.0267, "budget": 1.0, "supported": 112.3, "calibrated": False}
    imported = replace(curves[ids["old"]], source="/data/v__0.npy")
    page = make_report(tmp_path / "results", {ids["old"]: imported}, calibration=calibration)
    opened = open_page(page).show(key_of(ids["old"]))
    note = opened.page.locator("#stage-note").text_content()
    assert note == "There is no footage to play. Its features were imported."
    told = opened.page.locator("#few-hours")
    assert "was set on 0.027 h of normal footage, which can promise no fewer than 110 false" in told.text_content()


def test_colleagues_verdicts_and_disagreements_are_shown(open_page, curves, make_report, tmp_path, ids):
    from vad_pipeline.pipeline.results.verdicts import Verdict

    event = find_events(curves[ids["old"]], threshold=0.5)[0]
    fixed = (ids["old"], event.start_frame, event.end_frame, event.event_id)
    said = [Verdict(*fixed, "real", reviewer="<b>Ann"), Verdict(*fixed, "false_alarm", reviewer="Bo", note="rain")]
    page = make_report(tmp_path / "results", {ids["old"]: curves[ids["old"]]}, verdicts=said, pictures=False)
    opened = open_page(page).show()
    listed = opened.page.locator(".disagreements").text_content()
    assert f"{ids['old']}, frames {event.start_frame} to {event.end_frame} <b>Ann: real; Bo: false alarm" in listed
    opened.page.locator(".disagreements a").click()
    opened.page.wait_for_selector("#events .event")
    assert opened.page.locator(".others li").all_text_contents()[:2] == ["<b>Ann: real", 'Bo: false alarm, "rain"']


def test_a_mark_is_told_at_other_thresholds_too(open_page, curves, ids):
    opened = open_page().show(key_of(ids["variable"]))
    opened.page.locator("#threshold").fill("0.3")
    opened.until("vad.view.chart.threshold === 0.3")
    event = find_events(curves[ids["variable"]], threshold=0.3)[0]
    opened.page.locator("#events .event").first.get_by_role("button", name="Unsure").click()
    opened.page.locator("#threshold").fill("0")
    opened.until("vad.view.chart.threshold === 0")
    said = opened.page.locator("#events .others").first
    assert said.text_content() == f"you: unsure (frames {event.start_frame} to {event.end_frame})"


def test_an_address_of_no_video_leads_to_all_of_them(open_page):
    opened = open_page()
    opened.page.goto(opened.address + "#video=../../evil")
    opened.page.wait_for_selector(".card")
    assert "is not there" in opened.page.locator("#message").text_content()


def test_a_file_that_is_no_export_is_refused(open_page, tmp_path):
    opened = open_page().show()
    opened.page.locator("#review summary").click()
    row = {"video": "cam/plain", "start_frame": 0, "end_frame": 16, "event_id": "__proto__", "verdict": "real"}
    for text in ("no JSON", json.dumps({"verdicts": [row, None, {**row, "verdict": "toString"}]})):
        (tmp_path / "v.json").write_text(text)
        opened.page.locator("#import").set_input_files(tmp_path / "v.json")
        opened.page.wait_for_selector("#message:not([hidden])")
    opened.until("document.getElementById('message').textContent.startsWith('0 verdicts taken')")
    assert "none yet" in opened.page.locator("#review").text_content() and opened.said == []


def test_failed_videos_are_listed_with_the_reason(open_page, curves, make_report, ids, tmp_path):
    (tmp_path / "results" / "outcomes").mkdir(parents=True)
    line = {"video": "cam/<b>", "path": "/raw/b.mp4", "status": "failed", "code": "zero_bytes", "host": "h"}
    line |= {"error": "the file is empty (0 bytes); copy it again", "time": "2026-11-02T10:00:00+00:00"}
    (tmp_path / "results" / "outcomes" / "20261102T100000.000000Z-a.jsonl").write_text(json.dumps(line) + "\n")
    page = make_report(tmp_path / "results", {ids["gone"]: curves[ids["gone"]]}, pictures=False)
    opened = open_page(page).show()
    opened.page.get_by_label("Show").select_option("failed")
    (row,) = opened.page.locator(".rows .row").all()
    assert row.locator(".name").text_content() == "cam/<b>" and "the file is empty" in row.text_content()


@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 390)])
def test_nothing_is_cut_off_and_there_is_no_serious_barrier(open_page, scheme, width, ids):
    opened = open_page(scheme=scheme, width=width)
    for role in ("html", "old", None, "plain"):
        opened.show(role and key_of(ids[role]))
        assert opened.page.evaluate("document.documentElement.scrollWidth") == width
        if role in ("html", "old"):
            continue
        axe_script = pytest.importorskip("axe_playwright_python.sync_playwright", reason="needs axe-playwright-python")
        found = axe_script.Axe().run(opened.page).response["violations"]
        serious = [each for each in found if each["impact"] in SERIOUS]
        assert not serious, json.dumps([(e["id"], [n["html"] for n in e["nodes"]][:3]) for e in serious], indent=1)
