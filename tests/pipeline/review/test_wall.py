"""The wall of events in a browser: cards, pictures, one queue of marks across videos, several marked at once."""

from __future__ import annotations

import base64
import io
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vad_pipeline.model.curve import find_events
from vad_pipeline.pipeline.results.file_names import key_of
from vad_pipeline.pipeline.results.marks import Marks
from vad_pipeline.pipeline.results.prices import marked_peaks, suggested_threshold
from vad_pipeline.pipeline.results.verdicts import Verdict, brought_together, read_verdicts

SERIOUS = ("serious", "critical")
MARKS = "vad.catalogue.inTime.filter((event) => vad.verdicts.mark(event.id)).length"
ON_SCREEN = 90  # cards in the document at most, however many events there are
MANY = 20_000
IDS = [f"cam{1 + i % 3}/2026-11-0{2 + i // 6}/{i:02d}" for i in range(8)]


@pytest.fixture(scope="module")
def many(curves) -> dict:
    """Eight videos of three cameras on two days, the same footage, with eight events each."""
    plain = curves["cam/plain"]
    found = {}
    for seed, video in enumerate(IDS):
        high = np.random.default_rng(seed).uniform(0.6, 0.99, 25).astype(np.float32)
        scores = np.where(np.arange(25) % 3 == 0, high, np.float32(0.1))[:24]  # every event is one snippet
        scores = np.append(scores, np.float32(0.1))[np.arange(400) // 16]
        found[video] = replace(plain, video_id=video, scores=scores)
    return found


@pytest.fixture(scope="module")
def page_path(many, make_report) -> Path:
    """Their page."""
    folder = Path(many[IDS[0]].source).parent / "wall"
    return make_report(folder, many)


@pytest.fixture
def open_still(open_page):
    """open_still(...) -> the wall, for somebody who wants no motion: events do not play by themselves."""

    def open_at(**settings):
        opened = open_page(**settings)
        opened.page.emulate_media(reduced_motion="reduce")
        return opened.wall()

    return open_at


def shown_ids(opened) -> list[str]:
    return opened.page.evaluate("vad.wallView.wall.events.map((event) => event.id)")


def test_cards_by_camera_and_day_and_what_is_asked_for(open_page, many, page_path):
    opened = open_page().wall()
    page = opened.page
    headings = page.locator(".wall-heading h2").all_text_contents()
    assert headings[:2] == ["cam1 · 3 Nov 2026", "cam2 · 3 Nov 2026"]  # from the ids: there is no clock
    events = find_events(many[IDS[6]], threshold=0.5)
    assert shown_ids(opened)[:8] == [event.event_id for event in events]
    card = page.locator(".card").first
    assert 160 <= card.bounding_box()["width"] <= 200
    assert card.locator("b").text_content() == "0:00" and card.locator(".card-length").text_content() == "0.6 s"
    words = card.locator(".card-open").text_content()
    assert f"most like {events[0].category}" in words and IDS[6] in words
    assert f"how unusual {np.floor(100 * events[0].peak_score) / 100:.2f}" in words
    page.get_by_role("button", name="cam3").click()
    assert len(shown_ids(opened)) == 16 and page.locator("#reviewed").text_content() == "0 of 16 reviewed"
    page.locator("#to").fill("2026-11-01")
    opened.until("!document.getElementById('wall-empty').hidden")
    page.locator("#to").fill("2026-11-02")
    page.get_by_role("button", name="cam3").click()
    assert len(shown_ids(opened)) == 48
    page.locator("#to").fill("")
    page.locator("#order").select_option("score")
    peaks = page.evaluate("vad.wallView.wall.events.map((event) => event.peakScore)")
    assert peaks == sorted(peaks, reverse=True) and page.locator(".wall-heading").count() == 0
    page.locator("#order").select_option("worth")
    events = page.evaluate(
        "vad.wallView.wall.events.map((e) => [e.row.camera, e.category, Math.abs(e.peakScore - 0.5)])"
    )
    groups = [tuple(event[:2]) for event in events]
    turns = [groups[:i].count(group) for i, group in enumerate(groups)]
    assert turns == sorted(turns) and len(set(groups)) > 2  # cameras and categories take turns
    for group in set(groups):
        far = [event[2] for event, its in zip(events, groups, strict=True) if its == group]
        assert far == sorted(far)  # of each, the least sure first
    page.locator("#find").fill("CAM2 05")
    opened.until("vad.wallView.wall.events.length === 0")
    page.locator("#find").fill("cam2 04")
    opened.until("vad.wallView.wall.events.length === 8")
    page.get_by_role("link", name="Videos").click()
    assert page.locator(".rows .row").count() == 8 and opened.said == []


def test_pointer_and_focus_run_through_the_very_frames_of_an_event(open_page, many, number_of):
    opened = open_page().wall()
    opened.until("document.querySelector('.card img').src")
    event = find_events(many[IDS[6]], threshold=0.5)[0]
    shots = opened.page.evaluate("vad.shotsOf(vad.wallView.wall.events[0])")
    frames = [frame for frame, _ in shots]
    assert len(frames) >= 6 and event.start_frame <= frames[0] and frames[-1] < event.end_frame
    for frame, picture in shots:
        pixels = Image.open(io.BytesIO(base64.b64decode(picture.partition(",")[2]))).convert("RGB")
        assert number_of(np.asarray(pixels)) == frame
    source = "document.querySelector('.card img').src"
    box = opened.page.locator(".card .shot").first.bounding_box()
    seen = []
    for share in (0.01, 0.5, 0.99):
        opened.page.mouse.move(box["x"] + share * box["width"], box["y"] + 20)
        seen.append(opened.page.evaluate(source))
    assert seen[0] == shots[0][1] and seen[-1] == shots[-1][1] and len(set(seen)) == 3
    opened.page.mouse.move(box["x"], box["y"] - 60)
    peak = min(shots, key=lambda shot: abs(shot[0] - event.peak_frame))[1]
    assert opened.page.evaluate(source) == peak
    opened.page.keyboard.press("ArrowRight")
    opened.until(f"{source} !== {json.dumps(peak)}")  # it runs while it has the focus


def test_sixty_events_are_marked_in_sixty_presses_across_videos(open_still):
    opened = open_still()
    page = opened.page
    page.locator(".card-open").first.click()
    opened.until("vad.view.shown")
    first = page.evaluate("vad.view.marking.event.id")
    for n in range(60):
        opened.until("vad.view.data && vad.view.marking.event && !vad.verdicts.mark(vad.view.marking.event.id)")
        page.keyboard.press("rfu"[n % 3])
    assert page.evaluate(MARKS) == 60
    opened.until("vad.view.data && vad.view.marking.event")
    assert page.locator("#queue-progress").text_content() == "60 of 64 reviewed"
    page.keyboard.press("z")
    opened.until(f"{MARKS} === 59 && vad.view.data && vad.view.marking.event")
    for _ in range(5):
        opened.until("vad.view.data && vad.view.marking.event && !vad.verdicts.mark(vad.view.marking.event.id)")
        page.keyboard.press("r")
    assert "All 64 events are marked" in page.locator("#told").text_content()
    page.keyboard.press("Escape")
    opened.until("!document.getElementById('wall-empty').hidden")
    assert page.locator("#wall-empty").text_content() == "Nothing left to review here."
    page.get_by_role("button", name="All 64").click()
    assert page.locator(f'[data-id="{first}"] .mark-icon').get_attribute("title") == "Real"
    assert opened.said == []


def test_several_at_once_undone_at_once_and_one_by_one_on_the_wall(open_still, many):
    opened = open_still()
    page = opened.page
    page.get_by_role("button", name="cam3").click()
    page.get_by_label("Select all of cam3 · 2 Nov 2026").check()
    assert page.locator("#selection-count").text_content() == "16 selected"
    page.locator("#selection").get_by_role("button", name="False alarm").click()
    assert page.evaluate(MARKS) == 16 and page.locator("#selection").is_hidden()
    assert page.locator("#reviewed").text_content() == "16 of 16 reviewed" and shown_ids(opened) == []
    page.get_by_role("button", name="cam3").click()
    assert page.locator("#reviewed").text_content() == "16 of 64 reviewed" and len(shown_ids(opened)) == 48
    page.locator("#toast").get_by_role("button", name="Undo").click()
    assert page.evaluate(MARKS) == 0 and len(shown_ids(opened)) == 64
    before = shown_ids(opened)
    page.keyboard.press("Escape")
    page.evaluate("document.activeElement.blur()")
    page.keyboard.press("r")  # about nothing yet: it goes to the first
    assert page.evaluate(MARKS) == 0
    for key in "rrfu":
        page.keyboard.press(key)
    assert shown_ids(opened) == before[4:] and page.evaluate("vad.wallView.wall.current") == 0
    page.keyboard.press("z")
    assert shown_ids(opened) == before[3:]
    page.keyboard.press("x")
    page.locator(".pick").nth(3).click(modifiers=["Shift"])
    assert page.locator("#selection-count").text_content() == "4 selected"
    page.keyboard.press("Escape")
    assert page.locator("#selection").is_hidden() and opened.said == []


def test_one_threshold_for_all_with_its_price_and_what_marks_suggest(open_still, many):
    opened = open_still()
    page = opened.page
    page.locator("#tuning summary").click()
    page.locator("#tuning-threshold").fill("0.8")
    found = {video: len(find_events(curve, threshold=0.8)) for video, curve in many.items()}
    opened.until("document.getElementById('tuning-costs').textContent.includes('at 0.8')")
    costs = page.locator("#tuning-costs li").all_text_contents()
    for number, cost in enumerate(costs, start=1):
        count = sum(n for video, n in found.items() if video.startswith(f"cam{number}/"))
        assert f"cam{number}at 0.8: {count} alarms in" in cost
    assert len(shown_ids(opened)) == sum(found.values()) < 64
    assert page.locator("#tuning-command").input_value().startswith("vad-pipeline events ")
    assert "--threshold 0.8\nvad-pipeline report " in page.locator("#tuning-command").input_value()
    page.locator("#tuning-for").select_option(label="cam2")
    assert "--threshold cam2=0.8\n" in page.locator("#tuning-command").input_value()
    page.locator("#tuning-reset").click()
    assert len(shown_ids(opened)) == 64
    page.locator("#tuning-threshold").fill("0.3")
    opened.until("!document.getElementById('tuning-below').hidden")  # no cards yet: said so


def test_marks_suggest_the_threshold_that_python_suggests(open_still, many, tmp_path):
    opened = open_still()
    page = opened.page
    page.locator("#tuning summary").click()
    page.evaluate("""(video) => {
        const events = vad.catalogue.strongest;
        vad.queue.mark(events.slice(0, 5), { verdict: "real" });
        vad.queue.mark(events.slice(-9), { verdict: "false_alarm" });
        const at = { startSeconds: 0.8, endSeconds: 1.2, peakFrame: 20, peakScore: 0.1 };
        const missed = { id: `${video}@20-30`, video, start: 20, end: 30, category: "Robbery" };
        vad.queue.mark([missed], { verdict: "real", drawn: true, at });
    }""", IDS[6])  # fmt: skip
    (tmp_path / "said.json").write_text(page.evaluate("vad.verdictsJson(vad.verdicts.rows(), '')"))
    marks = Marks.of(brought_together([read_verdicts(tmp_path / "said.json")]))
    peaks = [(said.verdict, peak) for curve in many.values() for said, peak in marked_peaks(curve, marks)]
    best = suggested_threshold(*([peak for what, peak in peaks if what == kind] for kind in ("real", "false_alarm")))
    words = page.locator("#tuning-suggestion").text_content()
    assert f"suggest {best.threshold:g}: it keeps 5 of 6 real events and drops 9 of 9" in words and best.n_lost == 1
    rng = np.random.default_rng(1)
    cases = [[rng.integers(0, 12, n).tolist() for n in rng.integers(2, 7, 2)] for _ in range(60)]
    cases = [[[score / 11 for score in scores] for scores in case] for case in cases]
    found = page.evaluate("(cases) => cases.map(([real, wrong]) => vad.suggestedThreshold(real, wrong, 3))", cases)
    for case, there in zip(cases, found, strict=True):
        here = suggested_threshold(*case)
        assert (there and (there["threshold"], there["lost"], there["left"])) == (
            here and (here.threshold, here.n_lost, here.n_left)
        )
    assert any(found) and not all(found)
    page.get_by_role("button", name="Real 6").click()  # the missed one has a card among the others, in time
    drawn = page.locator(".card", has_text="missed")
    assert drawn.locator(".card-category").text_content() == "Robbery" and "0.10" in drawn.text_content()
    drawn.locator(".card-open").click()
    opened.until("vad.view.shown && vad.view.marking.event")
    assert page.evaluate("vad.view.marking.event.id") == f"{IDS[6]}@20-30"
    page.keyboard.press("Escape")
    page.wait_for_selector(".card")
    page.evaluate("vad.wallView.wall.focus(vad.wallView.wall.events.findIndex((event) => event.drawn))")
    page.keyboard.press("f")
    assert page.locator(".card", has_text="missed").count() == 0 and opened.said == []


def test_twenty_thousand_events_cost_no_more_cards_than_are_in_sight(open_page):
    opened = open_page().wall()
    page = opened.page
    page.evaluate(f"""() => {{
        const known = vad.catalogue.inTime;
        const numbered = (_, i) => ({{ ...known[i % known.length], id: `v@${{i}}-${{i + 1}}` }});
        const many = Array.from({{ length: {MANY} }}, numbered);
        vad.wallView.wall.show(many, false);
    }}""")
    for share in (0, 0.4, 1):
        page.evaluate(f"window.scrollTo(0, {share} * document.documentElement.scrollHeight)")
        opened.until(f"document.querySelector('.card[data-id^=\"v@{int(share * (MANY - 1)) // 1000}\"]')")
        assert 0 < page.locator(".card").count() <= ON_SCREEN
    assert page.evaluate("document.documentElement.scrollHeight") > 500_000


def test_marks_that_came_with_the_page_count_until_the_browser_says_otherwise(open_still, many, make_report, tmp_path):
    one, other, *_ = find_events(many[IDS[0]], threshold=0.5)
    said = [
        Verdict(
            IDS[0], one.start_frame, one.end_frame, one.event_id, "real", "Robbery", "Ann", "", "2026-01-01T00:00:00Z"
        ),
        Verdict(IDS[0], one.start_frame, one.end_frame, one.event_id, "unsure", "", "Bo", "", "2026-01-02T00:00:00Z"),
        Verdict(IDS[0], 4, 9, other.event_id, "real", "", "Ann", "", "2026-01-01T00:00:00Z"),
        Verdict(IDS[0], 20, 30, f"{IDS[0]}@20-30", "real", "Robbery", "Ann", "", "2026-01-01T00:00:00Z"),  # missed
    ]
    page_path = make_report(tmp_path / "results", {IDS[0]: many[IDS[0]]}, verdicts=said)
    opened = open_still(path=page_path)
    page = opened.page
    assert page.locator("#reviewed").text_content() == "3 of 9 reviewed"
    page.get_by_role("button", name="All 9").click()
    icons = page.locator(".card .mark-icon")
    assert [icon.get_attribute("title") for icon in icons.all()] == ["Unsure", "Real", "Real"]  # the latest of all
    opened.until("document.querySelector('.card[data-id$=\"@20-30\"] img')?.src")  # it has pictures, too
    page.evaluate("vad.wallView.wall.focus(0)")
    page.keyboard.press("f")
    assert icons.first.get_attribute("title") == "False alarm"
    page.keyboard.press("z")
    assert icons.first.get_attribute("title") == "Unsure"
    page.goto("about:blank")
    page.goto(f"{opened.address}#video={key_of(IDS[0])}")
    opened.until("vad.view.shown")
    ranges = page.evaluate("Object.fromEntries(vad.view.shown.map((event) => [event.id, [event.start, event.end]]))")
    assert ranges[other.event_id] == [4, 9]


@pytest.mark.parametrize(("scheme", "width"), [("light", 390), ("dark", 1280)])
def test_the_wall_and_the_keys_have_no_barrier_and_nothing_is_cut_off(open_page, scheme, width):
    axe_script = pytest.importorskip("axe_playwright_python.sync_playwright", reason="needs axe-playwright-python")
    opened = open_page(scheme=scheme, width=width).wall()
    page = opened.page
    assert page.evaluate("document.documentElement.scrollWidth") == width
    page.locator("#tuning summary").click()
    page.keyboard.press("Escape")
    page.evaluate("vad.wallView.wall.focus(0)")
    page.keyboard.press("r")
    page.keyboard.press("x")
    for key in (None, "?"):
        if key:
            page.keyboard.press(key)
        found = axe_script.Axe().run(page).response["violations"]
        serious = [each for each in found if each["impact"] in SERIOUS]
        assert not serious, json.dumps([(e["id"], [n["html"] for n in e["nodes"]][:3]) for e in serious], indent=1)


def test_an_event_whose_ends_are_others_has_the_mark_that_python_gives_it(open_still, many, make_report, tmp_path):
    rng, seen = np.random.default_rng(0), set()
    for video in IDS[:2]:
        rest = Verdict(video, 0, 400, f"{video}@normal", "normal", time="2026-01-01T00:00:00Z")
        said = [rest] if video == IDS[0] else []
        for start, length in zip(rng.integers(0, 380, 14).tolist(), rng.integers(1, 20, 14).tolist(), strict=True):
            verdict = ["real", "false_alarm", "unsure", "unsure"][start % 4]
            said.append(Verdict(video, start, start + length, f"{video}@{start}-{start + length}", verdict))
        page_path = make_report(tmp_path / video[:4], {video: many[video]}, verdicts=said, pictures=False)
        page = open_still(path=page_path).page
        marks = page.evaluate("vad.catalogue.inTime.map((event) => vad.markOf(event)?.verdict ?? '')")
        assert marks == [Marks.of(said).of_event(video, event) for event in find_events(many[video], threshold=0.5)]
        seen |= {*marks}
    assert seen >= {"real", "false_alarm", "unsure"}
