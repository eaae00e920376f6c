"""Calls that fail under what writes results: each file is then the old one or the new one, and the command goes on."""

import builtins
import errno
import io
import os
import random
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from attack_state import read_whole

from vad_pipeline.extract.errors import StoreError
from vad_pipeline.extract.store.embedding_store import EmbeddingStore
from vad_pipeline.pipeline.compare import row_run
from vad_pipeline.pipeline.results.event_rows import read_events
from vad_pipeline.pipeline.results.run_record import read_record
from vad_pipeline.pipeline.train.run_folder import TrainRun

CALLS = ("fsync", "replace", "link", "unlink")  # of module os, by which everything of ours is put in its place
ERRORS = (errno.EIO, errno.ENOSPC, errno.EDQUOT, errno.ESTALE)
N_FAULTS = 2
TRAINING = ["head: mil", "steps: 1", "batch-size: 2", "window-len: 16", "device: cpu", "val-share: 0.2"]


@pytest.fixture
def place(tmp_path, monkeypatch, make_video, draw_results, draw_curve, labelled) -> dict[str, list]:
    """What is attacked: the words of each command, over the folder that one is in."""
    monkeypatch.setattr("vad_pipeline.pipeline.train.fitting.draw_chart", lambda folder, runs: None)  # takes longest
    monkeypatch.chdir(tmp_path)
    source = make_video(tmp_path / "raw" / "v.mp4", n_frames=60)
    draw_results(draw_curve("v", [(20, 30), (40, 45)], n_frames=60, fps=25, source=source))
    store, labels = labelled
    Path("rows.yaml").write_text("\n".join([f"labels: {labels}", *TRAINING, "rows: [{name: one}]"]))
    truth = ["video,start_frame,end_frame,category", "v,20,30,Fighting"]
    truth += [f"n{i},,,Normal" for i in range(3)] + ["a0,32,64,Explosion", "a1,32,64,Fighting"]
    Path("truth.csv").write_text("\n".join(truth) + "\n")
    Path("frames.csv").write_text("video,frames,fps\nv,60,25\n")
    np.save("scores.npy", np.linspace(0, 1, 60, dtype=np.float32))
    options = [word for line in TRAINING for word in (f"--{line.split(': ')[0]}", line.split(": ")[1])]
    judged = ["--annotations", "truth.csv", "--format", "csv", "--bootstrap", 20, "--allow-missing"]
    study = ["--store", store, "--seeds", 0, "--columns", "auc"]
    return {
        "clips": ["clips", "results"],
        "report": ["report", "results"],
        "evaluate": ["evaluate", "results", *judged],
        "import-scores": [
            "import-scores",
            "scores.npy",
            "--names",
            "frames.csv",
            "--frames",
            "frames.csv",
            "--out",
            "x",
        ],
        "train": ["train", labels, "--store", store, "--out", "run", *options],
        "compare": ["compare", "rows.yaml", *study, *judged, "--out", "study"],
    }


class Calls:
    """Counts calls of module os for files below a folder, and lets one of them fail."""

    def __init__(self, monkeypatch):
        self.made, self.failing, self.error = 0, None, 0
        for name in CALLS:
            monkeypatch.setattr(os, name, self._counted(getattr(os, name)))

    def _counted(self, real):
        def call(*given, **named):
            self.made += 1
            if self.made == self.failing:
                raise OSError(self.error, os.strerror(self.error))
            return real(*given, **named)

        return call

    def fail(self, number: int | None, error: int = 0) -> None:
        self.made, self.failing, self.error = 0, number, error


def files() -> set[Path]:
    """All complete files here whose names are the same each time."""
    found = [path for path in Path().rglob("*") if path.is_file() and not path.name.startswith(".")]
    return {path for path in found if path.suffix != ".h5" and "outcomes" not in path.parts}


@pytest.mark.parametrize("name", ["clips", "report", "evaluate", "import-scores", "train", "compare"])
def test_a_call_that_fails_leaves_the_old_or_the_new(place, name, run_cli, monkeypatch):
    calls, words, rng = Calls(monkeypatch), place[name], random.Random(name)
    shutil.copytree(".", "../before")
    calls.fail(None)
    assert run_cli(*words)[0] == 0
    n_calls, complete = calls.made, files()
    assert n_calls > 1
    for number in rng.sample(range(1, n_calls + 1), min(N_FAULTS, n_calls)):
        for path in Path().iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        shutil.copytree("../before", ".", dirs_exist_ok=True)
        calls.fail(number, rng.choice(ERRORS))
        code, _, err = run_cli(*words)
        assert code in (0, 1, 3) and "a bug" not in err and "Traceback" not in err, (number, err)
        assert code == 0 or err.strip()
        for path in files():
            read_whole(path)
        calls.fail(None)
        again = ["train", "--resume", "run"] if name == "train" and Path("run/config.json").exists() else words
        code, _, err = run_cli(*again)
        assert code == 0 and files() >= complete, (number, err)
    shutil.rmtree("../before")


def _of_run(folder: Path) -> None:
    TrainRun(folder).load(SimpleNamespace(schedule=SimpleNamespace(n_steps=1)))


@pytest.mark.parametrize(
    ("name", "read"),
    [
        ("store.json", EmbeddingStore),
        ("run.json", read_record),
        ("events.jsonl", lambda folder: list(read_events(folder))),
        ("last.ckpt", _of_run),
        ("row.json", lambda folder: row_run._read_json(folder / "row.json")),
    ],
)
def test_a_read_that_fails_is_no_reason_to_make_anything_anew(tmp_path, monkeypatch, name, read):
    def fail(path, *given, **named):
        if Path(path).name == name:
            raise OSError(errno.EIO, os.strerror(errno.EIO), str(path))
        return open_file(path, *given, **named)

    (tmp_path / name).touch()
    open_file = io.open
    for module in (io, builtins):
        monkeypatch.setattr(module, "open", fail)
    with pytest.raises(StoreError, match=f"{name}: cannot be read .Input/output error.; mend that, then go on"):
        read(tmp_path)
