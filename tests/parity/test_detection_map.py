"""The published evaluation's figures, through the records and through the command."""

import csv
import json
from fractions import Fraction

import numpy as np
import pytest

from vad_pipeline.eval.annotations import read_annotations
from vad_pipeline.eval.evaluation import evaluate
from vad_pipeline.model.categories import XD_VIOLENCE
from vad_pipeline.model.curve import AnomalyCurve
from vad_pipeline.pipeline.results.curve_group import CurveOrigin, write_curve
from vad_pipeline.pipeline.results.folder import Results
from vad_pipeline.pipeline.results.run_record import RunRecord, begin_run

TOLERANCE = 1e-9
FORMATS = {"ucf": "csv", "xd": "xd-violence"}  # some drawn videos have several categories: no UCF-Crime line can
NAMES = {category.code: category.name for category in XD_VIOLENCE}


def published(data, name):
    """Figures of the file as fractions."""
    maps = dict(zip((f"{iou:g}" for iou in data["iou"]), data["map"] / 100, strict=True))
    return {**maps, "auc": data["auc"].item(), "ap": data["ap"].item(), "anomalous": data["auc_abnormal_videos"].item()}


def figures(evaluation):
    maps = {iou: value for iou, value in evaluation["map"].items() if iou != "average"}
    return {
        **maps,
        "auc": evaluation["auc"],
        "ap": evaluation["ap"],
        "anomalous": evaluation["auc_anomalous"],
    }


@pytest.fixture(params=FORMATS)
def drawn(request, tmp_path):
    """Name, the file's arrays, curves, and the truth written as an annotation file with its options."""
    name = request.param
    data = np.load(request.path.parent.parent / "data" / "parity" / f"detection_map_{name}.npz")
    after = np.cumsum(data["snippets"])
    curves, lines, normals = [], [], []
    for video, (end, n) in enumerate(zip(after, data["snippets"], strict=True)):
        probabilities = data["probabilities"][end - n : end].astype(np.float32)
        of_video = data["segments_video"] == video
        rows = [
            (str(label), int(first), int(last))
            for label, first, last in zip(
                data["segments_label"][of_video],
                data["segments_start"][of_video],
                data["segments_end"][of_video],
                strict=True,
            )
        ]
        codes = list(dict.fromkeys(label for label, *_ in rows))
        if name == "ucf":
            video_id = f"video{video:03}_x264"
            for label, first, last in rows:
                lines.append(f"{video_id}.mp4,,,Normal" if label == "A" else f"{video_id}.mp4,{first},{last},{label}")
        else:
            video_id = f"film.{video}__#00-01_label_{'-'.join(codes)}"
            if codes == ["A"]:
                assert rows == [("A", 0, 16 * n)]
                normals.append(f"/features/{video_id}__0.npy,A")
            else:
                lines.append(video_id + "".join(f" {label} {first} {last}" for label, first, last in rows))
        curves.append(
            AnomalyCurve(
                video_id=video_id,
                scores=np.repeat(1 - probabilities[:, 0], 16),
                frame_seconds=np.arange(16 * n) / 30,
                category=probabilities,
                categories=tuple(NAMES.get(str(label), str(label)) for label in data["classes"]),
                snippet_len=16,
                fps=Fraction(30),
                source="parity",
            )
        )
    path = tmp_path / "annotations.txt"
    header = ["video,start_frame,end_frame,category"] if name == "ucf" else []
    path.write_text("\n".join(header + lines))
    options = {"format": FORMATS[name]}
    if normals:
        options["normals"] = tmp_path / "normals.csv"
        options["normals"].write_text("path,label\n" + "\n".join(normals))
    return name, data, curves, path, options


def test_the_official_protocol_gives_the_published_figures(drawn):
    name, data, curves, path, options = drawn
    annotations = read_annotations(path, **options)
    assert [name for name in annotations if not name.categories]
    result = evaluate(curves, annotations, protocol="official", normal_is_segment=name == "xd")
    assert figures(result.to_json()) == pytest.approx(published(data, name), abs=TOLERANCE)
    assert result.map["average"] == pytest.approx(data["map"].mean() / 100, abs=TOLERANCE)


def test_the_protocols_differ_by_their_quirks(drawn):
    """UCF-Crime's normal category scores 0 and counts; the corrected mean is over categories that have truth."""
    name, data, curves, path, options = drawn
    result = evaluate(curves, read_annotations(path, **options))
    assert result.map["0.1"] > data["map"][0] / 100
    if name == "ucf":
        official = evaluate(curves, read_annotations(path, **options), protocol="official")
        means = [each["map"] for each in official.per_category.values()]
        assert len(means) == 13 and official.map["average"] == pytest.approx(13 / 14 * np.mean(means))


def test_the_command_gives_the_published_figures(drawn, run_cli, tmp_path):
    name, data, curves, path, options = drawn
    results = Results(tmp_path / "results")
    begin_run(results.path, RunRecord("model.pth", "0" * 64, FORMATS[name], curves[0].categories, {}, "recipe", 5, 0.5))
    for curve in curves:
        results.take_in(
            write_curve(results.curves, curve, CurveOrigin(recipe_id="recipe", made_from=curve.video_id, threshold=0.5))
        )
    results.merge()
    arguments = ["--annotations", path, "--format", options["format"], "--protocol", "official", "--bootstrap", "0"]
    if "normals" in options:
        arguments += ["--normals", options["normals"]]
    code, out, err = run_cli("evaluate", results.path, *arguments, "--table", "csv")
    assert code == 0, err
    evaluation = json.loads((results.path / "evaluation.json").read_text())
    assert figures(evaluation) == pytest.approx(published(data, name), abs=TOLERANCE)
    table = {row["figure"]: row["value"] for row in csv.DictReader(out.splitlines())}
    assert float(table["AUC"]) == evaluation["auc"] and float(table["mAP@0.3"]) == evaluation["map"]["0.3"]
