"""One damaged curve costs one curve: never the others of its shard, never the events that are known."""

import json
from pathlib import Path

import h5py
import numpy as np
import pytest

from vad_pipeline.extract.errors import StoreError
from vad_pipeline.pipeline.results.folder import Results

N_CURVES = 5


@pytest.fixture
def results(draw_curve, draw_results) -> Path:
    """A results folder of some videos with an event each, all curves in one shard."""
    path = draw_results(*(draw_curve(f"v{number}", [(3, 9)]) for number in range(N_CURVES)))
    Results(path).merge()
    return path


def one_shard(results: Path) -> Path:
    (shard,) = (results / "curves").glob("*.h5")
    return shard


def test_curves_that_go_while_they_are_read_are_told(results, draw_curve, run_cli):
    found = Results(results)
    one_shard(results).rename(results / "away")
    with pytest.raises(StoreError, match="the curve of v0 went while it was in use; run the same command again"):
        found.get("v0", "recipe")
    (results / "away").rename(results / "curves" / "x.h5")
    found = Results(results)
    each = iter(found)
    next(each)
    (results / "curves" / "x.h5").unlink()
    found.refresh()  # as reading another one may do
    with pytest.raises(StoreError, match="the curve of v1 went"):
        next(each)


def harm(results: Path, how) -> None:
    """Damage the curve of v1."""
    with h5py.File(one_shard(results), "r+") as file:
        how(next(node for node in file["videos"].values() if node.attrs["video"] == "v1"))


def lines(results: Path) -> dict[str, str]:
    """The lines of events.jsonl by video, each video having one."""
    text = (results / "events.jsonl").read_text().splitlines()
    found = {json.loads(line)["video"]: line for line in text}
    assert len(found) == len(text)
    return found


def set_torn(name: str):
    """Make a text attribute one that is no UTF-8."""
    return lambda node: node.attrs.create(name, b"caf\xe9", dtype=h5py.string_dtype())


def set_score(node) -> None:
    node["score"][5] = 0.4


HARMS = {
    "source": set_torn("source"),
    "made_from": set_torn("made_from"),
    "video": set_torn("video"),
    "categories": lambda node: node.attrs.__setitem__("categories", [1, 2, 3]),
    "peak": lambda node: node.attrs.__setitem__("peak_score", float("nan")),
    "written": lambda node: node.attrs.__setitem__("written_ns", -1),
    "fps": lambda node: node.attrs.__setitem__("fps", np.array([25, 0])),
    "gone": lambda node: node.__delitem__("score"),
    "no number": lambda node: node["score"].__setitem__(5, np.nan),
    "another number": set_score,
}


@pytest.mark.parametrize("how", HARMS)
def test_a_damaged_curve_costs_one_curve_and_no_event(results, run_cli, caplog, how):
    before = lines(results)
    harm(results, HARMS[how])
    code, out, err = run_cli("events", results, "--threshold", "0.8")
    assert code == 1 and "(videos: 1): v1; `vad-pipeline detect`" in caplog.text and f"{N_CURVES} events" in out, err
    after = lines(results)
    assert after["v1"] == before["v1"] and list(after) == sorted(before)
    assert sorted(curve.video_id for curve in Results(results)) == ["v0", "v2", "v3", "v4"]


def test_a_shard_that_cannot_be_read_costs_no_event(results, run_cli, caplog):
    before = lines(results)
    one_shard(results).write_bytes(b"no HDF5 any more")
    code, out, err = run_cli("events", results, "--threshold", "0.8")
    assert code == 1 and lines(results) == before and "(videos: 5)" in caplog.text


def test_events_of_curves_that_somebody_took_away_go(results, run_cli):
    one_shard(results).unlink()
    code, out, err = run_cli("events", results, "--threshold", "0.8")
    assert code == 0 and lines(results) == {}


def test_a_read_that_fails_is_no_damage(results, run_cli, monkeypatch, shards_read_here):
    before = lines(results)
    text = "Can't synchronously read data (file read failed: errno = 5, error message = 'Input/output error')"

    def fail(dataset, key):
        raise OSError(text)

    monkeypatch.setattr(h5py.Dataset, "__getitem__", fail)
    code, out, err = run_cli("events", results, "--threshold", "0.8")
    assert code == 3 and "Input/output error" in err and lines(results) == before


def test_a_merge_keeps_a_damaged_curve_until_there_is_another(results, draw_curve):
    from vad_pipeline.pipeline.results.curve_group import CurveOrigin, write_curve

    harm(results, HARMS["made_from"])
    shard = one_shard(results)
    write_curve(results / "curves", draw_curve("w"), CurveOrigin(recipe_id="recipe", made_from="w", threshold=0.5))
    Results(results).merge()
    assert shard.exists()
    write_curve(results / "curves", draw_curve("v1"), CurveOrigin(recipe_id="recipe", made_from="x", threshold=0.5))
    opened = Results(results)
    opened.merge()
    assert not shard.exists() and opened.video_ids() == [*(f"v{number}" for number in range(N_CURVES)), "w"]


def test_the_page_tells_that_a_video_is_left_out(results, run_cli, caplog):
    harm(results, HARMS["no number"])
    code, out, err = run_cli("report", results, "--no-pictures")
    assert code == 1 and "v1: its curve is passed over" in caplog.text
