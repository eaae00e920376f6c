"""curves/.held.json: a large folder opens without opening its shards, and never by what is out of date or wrong."""

from __future__ import annotations

import json

import pytest

from vad_pipeline.pipeline.results import folder, held_cache
from vad_pipeline.pipeline.results.curve_group import CurveOrigin, write_curve
from vad_pipeline.pipeline.results.folder import Results


@pytest.fixture(autouse=True)
def few_are_enough(monkeypatch):
    monkeypatch.setattr(held_cache, "LEAST_CURVES", 2)


@pytest.fixture
def path(draw_results, draw_curve, shards_read_here):
    return draw_results(draw_curve("cam/a", [(0, 8)]), draw_curve("b", fps=25))


def test_a_folder_opens_without_its_shards(path, monkeypatch, draw_curve):
    before = Results.open(path).all_held()
    opened = []
    monkeypatch.setattr(folder, "held_curves", lambda shard: opened.append(shard) or ({}, {}))
    assert Results.open(path).all_held() == before and opened == []
    assert [(held.video, held.n_frames, held.seconds) for held in before] == [("b", 48, 1.92), ("cam/a", 48, 4.8)]
    new = write_curve(path / "curves", draw_curve("c"), CurveOrigin(recipe_id="recipe", made_from="c", threshold=0.5))
    Results.open(path)
    assert opened == [new]


def test_a_shard_that_changed_is_read_anew(path, draw_curve):
    first = Results.open(path).held("b", "recipe").version.shard
    (path / "curves" / first).write_bytes(b"damaged")
    assert Results.open(path).video_ids() == ["cam/a"] and Results.open(path).video_ids() == ["cam/a"]
    (path / "curves" / first).unlink()
    assert Results.open(path).video_ids() == ["cam/a"]


@pytest.mark.parametrize(
    "wrong", ["", "[]", '{"schema": 2}', '{"schema": 1, "shards": {"x": 3}}', "video", "frames", "name", "rate"]
)
def test_a_cache_that_makes_no_sense_is_none(path, wrong):
    cache = path / "curves" / ".held.json"
    record = json.loads(cache.read_text())
    (_, held), *_ = record["shards"].values()
    (group, row), *_ = held.items()
    changes = {"video": (1, "../x"), "frames": (5, -1), "name": (1, "other"), "rate": (6, [1, 0])}
    if wrong in changes:
        place, value = changes[wrong]
        row[place] = value
        wrong = json.dumps(record)
    cache.write_text(wrong)
    assert Results.open(path).video_ids() == ["b", "cam/a"]
