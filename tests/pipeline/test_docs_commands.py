"""Every command line of the three pages that a newcomer follows, as printed and in their order, on small data.

Lines are read off the Markdown, so that a new one is run too. What the pages take for granted (footage, a published
checkpoint, published features and annotations) lies in the folder where they run; CLIP is `toy_clip`'s. Python blocks
are run as well. `train` makes one epoch of small batches of a small network here, and the ten of the documented one
under `make test-long`.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shlex
import subprocess
import sys
import textwrap
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from small_network import shrink_normality

from vad_pipeline.model.learning.train_config import TRAINING_PRESETS
from vad_pipeline.pipeline.demo.rendering import ArchiveConfig, render_archive

ROOT = Path(__file__).parent.parent.parent
PAGES = {name: (ROOT / name).read_text() for name in ("README.md", "docs/cameras.md", "docs/research.md")}
NOT_RUN = {  # lines of blocks that are no command of ours, and why
    "make demo": "installs; tests/pipeline/demo runs what it runs",
    "make test": "installs, and runs this very test",
}
DIAGRAM = re.compile(r"^ *(video files +->|extract +model +pipeline +eval)")
CRON = re.compile(r"^(?:[\d*/,-]+ +){5}(.*)$")
INSTALLED = "/opt/vad-pipeline/.venv/bin/vad-pipeline"
FOLDERS_OF_A_SERVER = ("/tmp/vad.lock", "/footage", "/models/", "/data/")  # in the cron line: below the test's folder
SURE = 5  # of the anomaly classifier's bias: there are events at any threshold
LONG_AGO = 3600  # seconds: --settle passes over what is newer
UCF_TEST = {"Abuse028_x264": "Abuse", "Normal_Videos_003_x264": "Normal"}
UCF_TRAIN = {"Abuse001_x264": "Abuse", "Normal_Videos001_x264": "Normal"}
SHORT_TRAINING = {"epochs": 1, "batch_size": 2}
XD = {"a__#1_label_B1-0-0": "B1-0-0", "b__#1_label_A": "A"}


def blocks(text: str) -> list[tuple[str, str]]:
    """(language, content) of every fenced or indented block, in order; an indented one is of language `sh`."""
    found, lines, position = [], text.splitlines(), 0
    while position < len(lines):
        fence = re.fullmatch(r"```(\w*)", lines[position])
        start = position + 1 if fence else position
        position = start
        if fence:
            while lines[position] != "```":
                position += 1
            found.append((fence[1] or "sh", "\n".join(lines[start:position])))
        elif lines[position].startswith("    ") and not lines[position - 1].strip():
            while position < len(lines) and (lines[position].startswith("    ") or not lines[position].strip()):
                position += 1
            found.append(("sh", textwrap.dedent("\n".join(lines[start:position]))))
            position -= 1
        position += 1
    return found


def command_lines(block: str) -> list[str]:
    """Its lines, those that end in a backslash joined with the next; empty ones and comments left out."""
    lines = re.sub(r"\\\n\s*", "", block).splitlines()
    return [line.strip() for line in lines if line.strip() and not line.strip().startswith("#")]


def load(path: Path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def toy():
    return load(ROOT / "tests" / "toy_clip.py")


@pytest.fixture(scope="module")
def published(tmp_path_factory) -> Path:
    """A checkpoint of UCF-Crime's published names and shapes."""
    data = ROOT / "tests" / "data" / "parity"
    rules, state = load(data / "rules.py"), {}
    shapes = json.loads((data / "official_state_dict_ucf.json").read_text())
    for name, shape in shapes.items():
        drawn = "clipmodel." + name.rpartition("clipmodel.")[2] if "clipmodel." in name else name
        if drawn in state and drawn != name:
            state[name] = state[drawn]
        else:
            state[name] = torch.from_numpy(np.asarray(rules.weight(drawn, tuple(shape))))
            if name == "classifier.bias":
                state[name] += SURE
            state.setdefault(drawn, state[name])
    path = tmp_path_factory.mktemp("published") / "model_ucf.pth"
    torch.save({name: state[name] for name in shapes}, path)
    yield path
    path.unlink()


@pytest.fixture(scope="module")
def footage(tmp_path_factory) -> Path:
    """A folder with `videos/`, rendered, labels.csv and annotations.csv: two normal ones of 4 s, two explosions."""
    rendered, folder = tmp_path_factory.mktemp("rendered"), tmp_path_factory.mktemp("footage")
    render_archive(rendered, ArchiveConfig(n_videos=8, seconds=4, width=160, height=120, anomalous_share=0.75))
    head, *rows = (rendered / "labels.csv").read_text().splitlines()
    chosen = [row.partition(",")[0] for kind in ("Normal", "Explosion") for row in rows if f",{kind}," in row]
    for name in chosen:
        path = folder / "videos" / f"{name}.mp4"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes((rendered / "videos" / f"{name}.mp4").read_bytes())
        os.utime(path, (path.stat().st_mtime - LONG_AGO,) * 2)
    labels = [",".join(row.split(",")[:2]) for row in (head, *rows) if row.partition(",")[0] in ("video", *chosen)]
    (folder / "labels.csv").write_text("\n".join(labels) + "\n")
    truth = (rendered / "annotations.csv").read_text().splitlines()
    of_chosen = [row for row in truth if row.partition(",")[0] in ("video", *chosen)]
    (folder / "annotations.csv").write_text("\n".join(of_chosen) + "\n")
    return folder


@pytest.fixture
def place(tmp_path, monkeypatch, toy, published, footage) -> Path:
    """The folder where a page runs: footage, labels, a published checkpoint; CLIP is the toy."""
    monkeypatch.chdir(tmp_path)
    toy.stand_in(monkeypatch.setattr)
    (tmp_path / "model_ucf.pth").symlink_to(published)
    (tmp_path / "raw_videos").symlink_to(footage / "videos")
    return tmp_path


@pytest.fixture
def run_page(place, run_cli):
    """run_page(name): all of its blocks."""

    def in_a_shell(line: str) -> tuple[int, str, str]:
        command = line.replace(INSTALLED, f"{sys.executable} {ROOT / 'tests' / 'toy_clip.py'}")
        for folder in FOLDERS_OF_A_SERVER:
            command = command.replace(f" {folder}", f" {place}/server{folder}")
        done = subprocess.run(["sh", "-c", command], capture_output=True, text=True)
        return done.returncode, done.stdout, done.stderr

    def run(name: str) -> None:
        n_run = 0
        for language, block in blocks(PAGES[name]):
            if language == "python":
                exec(compile(block, name, "exec"), {})
                continue
            assert language in ("sh", "yaml"), f"{name}: nobody runs blocks of {language!r}"
            for line in command_lines(block) if language == "sh" else ():
                words = shlex.split(line, comments=True)
                if " ".join(words) in NOT_RUN or DIAGRAM.match(line):
                    continue
                cron = CRON.match(line)
                assert cron or words[0] == "vad-pipeline", f"{name}: {line}: run it here, or say in NOT_RUN why not"
                code, out, err = in_a_shell(cron[1]) if cron else run_cli(*words[1:])
                assert code == 0, f"{name}: {line}\nexit {code}\n{out}\n{err}"
                n_run += cron is None
        printed = re.findall(r"^[\s$>-]*vad-pipeline [a-z]", PAGES[name], re.MULTILINE)
        assert n_run == len(printed) > 0, f"{name}: a command stands where no block was found"

    return run


def test_readme(run_page, place, footage):
    (place / "a.mp4").symlink_to(next((footage / "videos").rglob("*.mp4")))
    run_page("README.md")
    for name in ("curves/a.csv", "events.jsonl", "report/index.html"):
        assert (place / "results" / name).is_file()


def test_cameras(run_page, place, footage):
    for name in ("models", "data"):
        (place / "server" / name).mkdir(parents=True)
    (place / "server" / "tmp").mkdir()
    (place / "server" / "footage").symlink_to(footage / "videos")
    (place / "server" / "models" / "model_ucf.safetensors").symlink_to(place / "model_ucf.safetensors")
    hours = next(
        block for language, block in blocks(PAGES["docs/cameras.md"]) if language == "yaml" and "hours" in block
    )
    (place / "ignore.yaml").write_text(hours)
    run_page("docs/cameras.md")
    assert (place / "server" / "data" / "results" / "report" / "index.html").is_file()


@pytest.fixture
def published_features(place, run_cli, footage):
    """UCF-Crime's lists, features and annotations as they are published: two videos to train on, two to test."""
    source = next((footage / "videos").rglob("*.mp4"))
    (place / "videos").mkdir()
    for path in (place / "videos" / "Abuse028_x264.mp4", place / "Abuse028_x264.mp4"):
        path.symlink_to(source)
    assert run_cli("extract", "videos", "--store", "made")[0] == 0
    assert run_cli("store", "export", "exported", "--store", "made")[0] == 0
    (real,) = Path("exported").rglob("Abuse028_x264__5.npy")
    features = np.load(real)
    rng = np.random.default_rng(0)
    for listed, videos in (("ucf_CLIP_rgb.csv", UCF_TRAIN), ("ucf_CLIP_rgbtest.csv", UCF_TEST)):
        rows = ["path,label"]
        for video, label in videos.items():
            path = Path("UCFClipFeatures", label, f"{video}__5.npy")
            path.parent.mkdir(parents=True, exist_ok=True)
            own = features if video == "Abuse028_x264" else rng.standard_normal(features.shape).astype(np.float16)
            np.save(path, own)
            rows.append(f"/home/somebody/{path},{label}")
        Path(listed).write_text("\n".join(rows) + "\n")
    Path("Abuse028_x264__5.npy").write_bytes(real.read_bytes())
    np.save("theirs.npy", np.linspace(0, 1, len(UCF_TEST) * len(features)))
    Path("Temporal_Anomaly_Annotation.txt").write_text(
        "Abuse028_x264.mp4  Abuse  8  20  -1  -1\nNormal_Videos_003_x264.mp4  Normal  -1  -1  -1  -1\n"
    )


@pytest.fixture
def xd_results(place, draw_curve, draw_results):
    """Two results folders of the same two videos of XD-Violence, and its annotations."""
    Path("annotations_multiclasses.txt").write_text("a__#1_label_B1-0-0 B1 8 24\n")
    listed = "".join(f"{video}__0.npy,{code}\n" for video, code in XD.items())
    Path("xd_CLIP_rgbtest.csv").write_text(f"path,label\n{listed}")
    curves = [draw_curve(video, [] if code == "A" else [(8, 24)]) for video, code in XD.items()]
    for name in ("xd_ours", "xd_theirs"):
        draw_results(*curves, name=name)


@pytest.mark.parametrize("changed", [SHORT_TRAINING, pytest.param({}, marks=pytest.mark.long)], ids=("short", "whole"))
def test_research(run_page, place, published_features, xd_results, footage, monkeypatch, changed):
    monkeypatch.setitem(TRAINING_PRESETS, "ucf-crime", replace(TRAINING_PRESETS["ucf-crime"], **changed))
    if changed:
        shrink_normality(monkeypatch.setattr)
    (place / "labels.csv").write_text((footage / "labels.csv").read_text())
    (place / "truth.csv").write_text((footage / "annotations.csv").read_text())
    yamls = [block for language, block in blocks(PAGES["docs/research.md"]) if language == "yaml"]
    for name, block in zip(("categories.yaml", "rows.yaml"), yamls, strict=True):
        (place / name).write_text(block.replace("seeds: [0, 1, 2]", "seeds: [0]") if changed else block)
    (mine,) = [block for _, block in blocks(PAGES["docs/research.md"]) if "(nn.Module)" in block]
    (place / "mine.py").write_text(mine)
    run_page("docs/research.md")
    assert all(
        (place / name / "evaluation.json").is_file() for name in ("published", "trained", "own", "xd_ours", "scored")
    )
