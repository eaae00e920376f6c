"""compare: rows over seeds are trained, scored and evaluated once; killed anywhere, it goes on to the same figures."""

import csv
import itertools
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from vad_pipeline.extract.store.embedding_store import EmbeddingStore
from vad_pipeline.pipeline.train.run_folder import TrainRun

ROWS = """\
labels: labels.csv
head: mil
steps: 1
batch-size: 2
window-len: 16
lr: 1e-4
device: cpu
val-share: 0.2
rows:
- name: whole
- {name: own, head: mine.py:Plain, loss: [mil=0.5]}
"""
OWN = """\
from torch import nn


class Plain(nn.Module):
    def __init__(self, width, categories):
        super().__init__()
        self.layer = nn.Linear(width, 1)

    def forward(self, features, lengths):
        return self.layer(features), None
"""
FILES = ("comparison.json", "rows.yaml", "table.csv", "table.md", "table.png", "table.tex")
TIMES = ("train_seconds", "snippets_per_second")


@pytest.fixture
def place(tmp_path, monkeypatch, labelled) -> list:
    """The command that compares two rows; its file lies in another folder than where it is run."""
    monkeypatch.setattr("vad_pipeline.pipeline.train.fitting.draw_chart", lambda folder, runs: None)  # takes longest
    monkeypatch.chdir(tmp_path)
    store, labels = labelled
    (tmp_path / "study").mkdir()
    shutil.copy(labels, tmp_path / "study" / "labels.csv")
    (tmp_path / "study" / "rows.yaml").write_text(ROWS)
    (tmp_path / "study" / "mine.py").write_text(OWN)
    rows = ["video,start_frame,end_frame,category"]
    rows += [f"n{i},,,Normal" for i in range(3)] + [f"a{i},32,64,{('Explosion', 'Fighting')[i % 2]}" for i in range(3)]
    Path("truth.csv").write_text("\n".join(rows) + "\n")
    truth = ["--annotations", "truth.csv", "--format", "csv", "--bootstrap", 20]
    return ["compare", "study/rows.yaml", "--store", store, *truth, "--seeds", "0,1", "--out", "out"]


def figures(out: Path) -> list[dict]:
    """The rows of comparison.json without what the clock says."""
    rows = json.loads((out / "comparison.json").read_text())["rows"]
    return [{name: value for name, value in row.items() if name not in TIMES} for row in rows]


def test_two_rows_and_two_seeds(run_cli, place, monkeypatch):
    code, out, err = run_cli(*place, "--dry-run")
    assert code == 0 and out.count("to be trained") == 4 and not Path("out").exists(), err
    assert "note: 6 of 6 annotated videos will be trained on or held out" in err
    code, out, err = run_cli(*place)
    assert code == 0 and "4 of 4: own, seed 1: AUC " in err and "next: " not in err, err
    assert all(Path("out", name).stat().st_size for name in FILES)
    assert out.startswith("|  | AUC (%) | AUC less the first's |") and "| own | " in out
    assert Path("out/rows.yaml").read_bytes() == Path("study/rows.yaml").read_bytes()
    tex = Path("out/table.tex").read_text()
    assert r"\toprule" in tex and r"$\pm$" in tex and tex.count(r"\\") == 3
    rows = {
        (row["method"], row["figure"]): row for row in csv.DictReader(Path("out/table.csv").read_text().splitlines())
    }
    first, second = rows["whole", "auc"], rows["own", "auc"]
    assert float(second["difference"]) == pytest.approx(float(second["mean"]) - float(first["mean"]))
    assert float(second["difference_low"]) <= float(second["difference"]) <= float(second["difference_high"])
    assert not first["difference"] and float(first["std"]) >= 0 and float(rows["whole", "train_seconds"]["mean"]) > 0
    assert "6 videos were trained on" in err or "trained on, so that they say nothing" in err
    before = figures(Path("out"))

    # nothing is done twice; what a kill took is made anew, to the same figures
    begin = TrainRun.begin
    monkeypatch.setattr(TrainRun, "begin", pytest.fail)
    code, out, err = run_cli(*place, "--dry-run")
    assert out.count("kept") == 4
    run = Path("out/rows/whole")
    (run / "seed-1.json").unlink()
    shutil.rmtree(run / "seed-0_results")
    record = json.loads((run / "seed-0.json").read_text())
    (run / "seed-0.json").write_text(json.dumps({name: value for name, value in record.items() if name != "scored"}))
    code, out, err = run_cli(*place, "--dry-run")
    assert "whole, seed 1: begun, to go on with" in out and "whole, seed 0: trained, to be scored" in out
    code, out, err = run_cli(*place)
    assert code == 0 and figures(Path("out")) == before, err

    # a row that has changed is noticed, whatever of it
    text = Path("study/rows.yaml").read_text()
    Path("study/rows.yaml").write_text(text.replace("steps: 1", "steps: 3"))
    code, _, err = run_cli(*place)
    assert code == 2 and "row whole: has changed since it was trained (steps 3 instead of 1)" in err
    Path("study/rows.yaml").write_text(text)
    Path("study/mine.py").write_text(OWN + "\n")
    code, _, err = run_cli(*place)
    assert code == 2 and "row own: has changed" in err and "mine.py" in err

    # a row that cannot be trained costs itself
    monkeypatch.setattr(TrainRun, "begin", begin)
    Path("study/mine.py").write_text(OWN)
    Path("study/nan.py").write_text("def nan(output, batch):\n    return output.anomaly_logits.mean() * float('nan')\n")
    wild = "- {name: wild, loss: ['nan.py:nan=1']}\n"
    Path("study/rows.yaml").write_text(text + wild)
    code, out, err = run_cli(*place)
    assert code == 1 and err.count("failed: wild, seed 1: training diverged in step 1") == 1
    assert figures(Path("out")) == before
    assert "| wild | failed | - |" in out and "\nfailed: wild: seeds 0, 1: training diverged in step 1" in out
    assert "\nwild & failed & - " in Path("out/table.tex").read_text()
    last = Path("out/table.csv").read_text().splitlines()[-1]
    assert last.startswith("wild,failed,") and "training diverged" in last

    Path("study/nan.py").write_text("def nan(output, batch):\n    return output.anomaly_logits.mean()\n")
    assert run_cli(*place, "--dry-run")[1].count("wild, seed 1: to be trained") == 1, "mended, as nothing was trained"
    code, out, err = run_cli(*place)
    assert code == 0 and "| wild | failed" not in out, err
    shutil.rmtree("out/rows/wild")
    Path("study/nan.py").write_text("def nan(output, batch):\n    raise ValueError('mine')\n")

    # one that is gone is noticed; without the first row nothing is less the first's
    for shard in Path("out/rows/own/seed-1_results/curves").glob("*.h5"):
        shard.unlink()
    Path("study/rows.yaml").write_text(text.replace("rows:", f"rows:\n{wild.strip()}"))
    code, out, err = run_cli(*place)
    assert code == 1 and "failed: own, seed 1: out/rows/own/seed-1_results: holds no curves" in err
    best = Path("out/rows/own/seed-0/best.safetensors")
    content = best.read_bytes()
    best.write_bytes(content[:100])
    assert f"failed: own, seed 0: {best}: is damaged (" in run_cli(*place)[2]
    best.write_bytes(content)
    whole = next(line for line in out.splitlines() if line.startswith("| whole |"))
    assert whole.split("|")[3].strip() == "-" and "| own | failed |" in out


def test_a_row_that_picks_its_weights_on_the_test_set(run_cli, place):
    """By the annotations of the comparison, as they count frames."""
    labels = Path("study/labels.csv").read_text().splitlines()
    of_test = [row for row in labels[1:] if row[:2] in ("n0", "n1", "n2", "a0", "a1", "a2")]
    Path("study/labels.csv").write_text("\n".join(row for row in labels if row not in of_test) + "\n")
    rows = "".join(f"- {{name: {each}, select: {each}}}\n" for each in ("val", "test"))
    Path("study/rows.yaml").write_text(
        ROWS.partition("rows:")[0] + "protocol: official\nends: inclusive\nrows:\n" + rows
    )
    code, out, err = run_cli(*place)
    assert code == 0 and "| test | " in out and "WARNING: --select test picks the weights on the test set" in err
    kept = json.loads(Path("out/rows/test/seed-0/config.json").read_text())
    assert kept["options"]["ends"] == "inclusive"
    measured = list(csv.DictReader(Path("out/rows/test/seed-0/metrics.csv").read_text().splitlines()))[-1]
    assert float(measured["test_auc"]) == figures(Path("out"))[1]["figures"]["auc"]["values"][0]


@pytest.mark.long
def test_killed_again_and_again_it_comes_to_the_same_figures(place, text_tower):
    """With every head, in processes of their own."""
    heads = "".join(f"- {{name: {head}, head: {head}}}\n" for head in ("dsanet", "vadclip"))
    Path("study/rows.yaml").write_text(f"pretrained: {text_tower}\nthreads: 1\n{ROWS}{heads}")
    code = "from vad_pipeline.pipeline.cli import main; main()"
    command = [sys.executable, "-c", code, *map(str, place[:-3]), "0,1", "--quiet", "--out"]
    subprocess.run([*command, "whole"], check=True)
    for seconds in itertools.count(6, 4):  # further each time, so that it ends
        killed = subprocess.Popen([*command, "killed"])
        try:
            assert killed.wait(seconds) == 0
            break
        except subprocess.TimeoutExpired:
            killed.kill()
            killed.wait()
    assert seconds > 6 and figures(Path("killed")) == figures(Path("whole"))


def test_seeds_side_by_side(run_cli, draw_curve, draw_results, tmp_path):
    """evaluate --spread: RESULTS of several seeds, with mean and standard deviation."""
    truth = tmp_path / "truth.csv"
    truth.write_text("video,start_frame,end_frame,category\na,16,32,Fighting\n")
    paths = [draw_results(draw_curve("a", [(16, end)]), name=f"seed-{end}") for end in (32, 40)]
    given = ["--annotations", truth, "--format", "csv", "--bootstrap", 0, "--table", "csv", "--spread"]
    code, out, err = run_cli("evaluate", *paths, *given)
    values = {row["results"]: row["value"] for row in csv.DictReader(out.splitlines()) if row["figure"] == "AUC"}
    one, two = (float(values[str(path)]) for path in paths)
    assert code == 0 and float(values["mean"]) == pytest.approx((one + two) / 2), err
    assert float(values["std"]) == pytest.approx(abs(one - two) / 2**0.5)
    more = draw_results(draw_curve("a"), draw_curve("b"), name="of_others")
    truth.write_text(f"{truth.read_text()}b,0,16,Fighting\n")
    code, out, err = run_cli("evaluate", *paths, more, *given, "--allow-missing")
    assert code == 0 and "RESULTS cover different videos: no mean and deviation are told" in err and "mean" not in out


REFUSED = [
    ("rows: []", "holds no rows; expected options of train"),
    ("rows:\n- {lr: 1}", "row 1: needs a name"),
    ("rows:\n- {name: a}\n- {name: a}", "two rows are named 'a'"),
    ("rows:\n- {name: \u00e9}\n- {name: e\u0301}", "two rows are named 'e\u0301'"),
    ("seeds: 99999999999999999999\nrows:\n- {name: a}", "seeds must be whole numbers from 0, each once"),
    ("rows:\n- {name: a, colour: red}", "row a: 'colour' is no option of train"),
    ("rows:\n- {name: a, lr: fast}", "row a: Invalid value for '--lr': 'fast' is not a valid float"),
    ("rows:\n- {name: a, lr: {b: 1}}", "'lr' must have a value or a list of values"),
    ("rows:\n- {name: a, grid: {lr: 3}}", "its grid must be options with a list of values each"),
    ("rows:\n- {name: a, out: x}", "row a: out is not for a row to say"),
    ("rows:\n- {name: a, tensorboard: perhaps}", "--tensorboard is true or false, got 'perhaps'"),
    ("rows:\n- {name: a, epochs: 2, steps: 3}", "row a: --epochs and --steps exclude each other"),
    ("rows:\n- {name: a, lr: 1, lr: 2}", "lr is there twice; keep one"),
    ("seeds: 1,1\nrows:\n- {name: a}", "seeds must be whole numbers from 0, each once, got (1, 1)"),
    ('rows:\n- {name: "a\\nb"}', "is no name for a line of a table"),
    ("seeds: one\nrows:\n- {name: a}", "Invalid value for '--seeds': 'one' is not a list of numbers"),
    ("columns: auc,beauty\nrows:\n- {name: a}", "no column is named 'beauty'; there are auc, "),
    ("rows: [", "cannot be read as rows to compare"),
    ("a: &a [x, x]\nb: &b [*a, *a]\nrows:\n- " + "[" * 20 + "]" * 20, "is nested deeper than rows to compare are"),
]


@pytest.mark.parametrize(("text", "message"), REFUSED)
def test_a_file_that_cannot_be_used_is_one_sentence(run_cli, tmp_path, text, message):
    path, truth = tmp_path / "rows.yaml", tmp_path / "truth.csv"
    path.write_text(text)
    truth.write_text("video,start_frame,end_frame,category\na,1,2,Fire\n")
    given = ["--labels", "l.csv", "--store", "s", "--annotations", truth, "--format", "csv"]
    code, _, err = run_cli("compare", path, *given, "--out", tmp_path / "out")
    assert code == 2 and message in err and "Traceback" not in err
    assert not (tmp_path / "out").exists()


def test_a_store_or_a_file_is_no_folder_for_it(run_cli, tmp_path):
    (tmp_path / "rows.yaml").write_text("rows:\n- {name: a}\n")
    (tmp_path / "S").mkdir()
    (tmp_path / "S" / "store.json").touch()
    given = ["--labels", "l", "--store", "s", "--annotations", "t", "--format", "csv", "--dry-run"]
    for out, what in (("S", "a feature store"), ("rows.yaml", "a file")):
        code, _, err = run_cli("compare", tmp_path / "rows.yaml", *given, "--out", tmp_path / out)
        assert code == 2 and f"{out}: is {what}; give --out another folder" in err


def test_what_is_missing_is_named(run_cli, tmp_path):
    code, _, err = run_cli("compare", tmp_path / "none.yaml", "--out", tmp_path / "out")
    assert code == 2 and "none.yaml: cannot be read as rows to compare (No such file or directory); expected" in err
    (tmp_path / "rows.yaml").write_text("rows:\n- {name: a, grid: {lr: [1, 2], crops: [[0], [0, 5]]}}\n")
    code, _, err = run_cli("compare", tmp_path / "rows.yaml", "--out", tmp_path / "out")
    assert code == 2 and "give labels, store, in it or as options" in err
    (tmp_path / "truth.csv").write_text("video,start_frame,end_frame,category\na,1,2,Fire\n")
    given = ["--labels", "l", "--store", "s", "--annotations", tmp_path / "truth.csv", "--format", "csv", "--seeds", 7]
    code, out, err = run_cli("compare", tmp_path / "rows.yaml", *given, "--out", tmp_path / "out", "--dry-run")
    assert code == 2 and [line.partition(",  seed")[0] for line in out.splitlines()] == [
        f"a lr={lr} crops={crops}, seed 7: cannot be trained or scored" for lr in (1, 2) for crops in ("0", "0,5")
    ]
    assert err.count("rows.yaml, row a lr=") == 4 and err.count("s: no feature store (no store.json)") == 4


UNTRAINABLE = {
    "no store": ("store: gone", "gone: no feature store (no store.json); check --store"),
    "no labels": ("labels: gone.csv", "gone.csv: cannot be read"),
    "lacking": ("labels: more.csv", "more.csv: 1 label or annotation lacks features in "),
    "no head": ("head: 'mine.py:Gone'", "mine.py:Gone: cannot be loaded (AttributeError: "),
    "no file": ("head: 'none.py:Plain'", "none.py:Plain: no such file"),
    "other preset": ("preset: xd-violence, labels: ucf.csv", "they are those of --preset ucf-crime"),
    "no crop": ("crop: 7", "--crop 7: not held by every video"),
    "no tower": ("head: dsanet, pretrained: gone.pt", "gone.pt"),
    "no init": ("init: gone.safetensors, head: mil", "gone.safetensors: no such file"),
    "no loss": ("loss: ['gone.py:calm=1']", "gone.py:calm: no such file"),
}


def test_what_cannot_be_trained_is_told_before_anything_is(run_cli, place, monkeypatch):
    """A sentence for each row, in a dry run and in a real one; features are not read."""
    monkeypatch.setattr(TrainRun, "begin", pytest.fail)
    monkeypatch.setattr(EmbeddingStore, "crop", pytest.fail)
    labels = Path("study/labels.csv").read_text()
    Path("study/more.csv").write_text(f"{labels}nobody,Normal\n")
    Path("study/ucf.csv").write_text(labels.replace("Fighting", "Stealing"))
    rows = "".join(f"- {{name: {name}, {options}}}\n" for name, (options, _) in UNTRAINABLE.items())
    Path("study/rows.yaml").write_text(ROWS + rows)
    code, out, err = run_cli(*place, "--dry-run", "--quiet")
    assert code == 2 and out.count("to be trained\n") == 4, err
    assert out.count("cannot be trained or scored") == 2 * len(UNTRAINABLE)
    told = err.splitlines()
    for name, (_, message) in UNTRAINABLE.items():
        (line,) = [line for line in told if line.startswith(f"study/rows.yaml, row {name}: ")]
        assert message in line, line
    code, out, again = run_cli(*place, "--quiet")
    assert code == 2 and again == err and not out and not Path("out").exists()
    code, _, err = run_cli(*[each if each != "truth.csv" else "none.csv" for each in place], "--dry-run")
    assert code == 2 and "none.csv" in err


def test_rows_are_scored_on_the_same_videos(run_cli, place, labelled):
    """Which the store of each must hold, in the features that are scored."""
    from vad_pipeline.extract.store import upkeep

    shutil.copytree(labelled[0], "study/fewer")
    with EmbeddingStore("study/fewer") as fewer:
        upkeep.remove(fewer, [entry for entry in fewer.entries() if entry.video == "a0"])
    text = ROWS + "- {name: fewer, store: fewer, allow-missing: true}\n"
    Path("study/rows.yaml").write_text(text)
    code, _, err = run_cli(*place, "--dry-run")
    assert code == 2 and "row fewer: study/fewer: of truth.csv it holds other videos than " in err and ": a0" in err
    Path("study/rows.yaml").write_text(ROWS.replace("\n- {name: own", "\n# {name: own"))
    place[place.index("0,1")] = "0"
    assert run_cli(*place)[0] == 0
    truth = Path("truth.csv").read_text()
    Path("truth.csv").write_text(f"{truth}n3,,,Normal\n")
    code, out, _ = run_cli(*place, "--dry-run")
    assert code == 0 and out.count("trained, to be scored") == 1
    assert run_cli(*place)[0] == 0 and json.loads(Path("out/comparison.json").read_text())["n_videos"] == 7
