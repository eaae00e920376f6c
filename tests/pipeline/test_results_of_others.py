"""Results folders that others write, by docs/reference.md: with what is needed and no more; what lacks is named."""

import json
from pathlib import Path
from urllib.parse import quote

import h5py
import numpy as np
import pytest

from vad_pipeline.pipeline.results.folder import Results

VIDEOS = {"north/a b": (20, 40), "n": None}
N_FRAMES = 50


def write_results(folder: Path, *, record=None, lacking=(), name=None, more=None) -> Path:
    """As the reference says: run.json and one HDF5 file."""
    (folder / "curves").mkdir(parents=True)
    record = {"schema": 1, "categories": ["Normal", "Anomaly"], "threshold": 0.5} if record is None else record
    (folder / "run.json").write_text(json.dumps(record))
    with h5py.File(folder / "curves" / "mine.h5", "w") as file:
        for video, span in VIDEOS.items():
            node = file.create_group("videos/" + (name or quote(video, safe="") + "@"))
            scores = np.full(N_FRAMES, 0.1)
            if span:
                scores[slice(*span)] = 0.9
            for key, values in {"score": scores, "frame_seconds": np.arange(N_FRAMES) / 25, **(more or {})}.items():
                if key not in lacking:
                    node[key] = values
            if "video" not in lacking:
                node.attrs["video"] = video
            if name:
                break
    return folder


@pytest.fixture
def truth(tmp_path) -> list:
    path = tmp_path / "truth.csv"
    path.write_text("video,start_frame,end_frame,category\na b,20,40,Fighting\nn,,,Normal\n")
    return ["--annotations", path, "--format", "csv"]


def test_the_least_there_can_be_is_read_by_all(run_cli, tmp_path, truth):
    results = write_results(tmp_path / "theirs")
    for command in (
        ["evaluate", results, *truth, "--bootstrap", 5],
        ["events", results],
        ["plot", results, "a b", *truth],
        ["report", results, "--no-pictures"],
    ):
        code, out, err = run_cli(*command)
        assert code == 0, f"{command}: {err}"
    assert json.loads((results / "evaluation.json").read_text())["auc"] == 1
    (row,) = map(json.loads, (results / "events.jsonl").read_text().splitlines())
    assert (row["event_id"], row["category"], row["end_seconds"]) == ("north/a b@20-40", "Anomaly", 1.6)
    curve = Results(results).get("n", "")
    assert (curve.fps, curve.snippet_len, curve.source, curve.category.shape) == (25, 16, "", (4, 2))


def test_categories_may_stand_in_run_json_alone(run_cli, tmp_path, truth):
    record = {"schema": 1, "categories": ["Normal", "Fighting", "Fire"], "threshold": 0.5}
    more = {"category": np.tile(np.float32([0.2, 0.7, 0.1]), (4, 1))}
    results = write_results(tmp_path / "theirs", record=record, more=more)
    code, _, err = run_cli("evaluate", results, *truth, "--bootstrap", 0)
    assert code == 0 and json.loads((results / "evaluation.json").read_text())["category_accuracy"] == 1, err


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"lacking": ["score"]}, "lacks the data set `score`"),
        ({"lacking": ["frame_seconds"]}, "lacks the data set `frame_seconds`"),
        ({"lacking": ["video"]}, "lacks the attribute `video`"),
        ({"name": "curve"}, "its group is not named `north%2Fa%20b@`"),
        ({"record": {"categories": ["Normal", "Anomaly"], "threshold": 0.5}}, "lacks `schema`"),
        ({"record": {"schema": 1, "threshold": 0.5}}, "lacks `categories`"),
        ({"record": {"schema": 1, "categories": ["Normal", "Anomaly"]}}, "lacks `threshold`"),
    ],
)
def test_what_lacks_is_named(run_cli, tmp_path, truth, given, message):
    results = write_results(tmp_path / "theirs", **given)
    code, _, err = run_cli("evaluate", results, *truth)
    assert code == 3 and message in err and "docs/reference.md says what" in err or message == "lacks `schema`"
