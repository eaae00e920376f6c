"""All figures together: known cases, undefined ones, the bootstrap against literal resampling."""

import json
from dataclasses import replace

import numpy as np
import pytest

from vad_pipeline.eval.annotation import TrueRange, VideoAnnotation
from vad_pipeline.eval.bootstrap import interval, video_draws
from vad_pipeline.eval.evaluation import evaluate
from vad_pipeline.eval.metrics import average_precision, roc_auc
from vad_pipeline.eval.tables import TABLES, rows_of
from vad_pipeline.extract.errors import ConfigError


def annotated(name, *ranges, category="Abuse"):
    true = tuple(TrueRange(start, end, category) for start, end in ranges)
    return VideoAnnotation(name, (category,) if ranges else (), true)


@pytest.fixture
def archive(make_curve):
    """Curves and annotations of nine videos, a third of them normal, seeded."""
    rng = np.random.default_rng(5)
    curves, annotations = [], []
    for index in range(9):
        n = int(rng.integers(6, 40))
        scores = rng.integers(0, 20, n) / 20
        share = rng.random(n)
        category = np.stack([1 - scores, scores * share, scores * (1 - share)], axis=1)
        curves.append(make_curve(f"v{index}", scores, n_frames=16 * n + 5, category=category))
        start = int(rng.integers(0, 60))
        ranges = [(start, start + 40)] if index % 3 else []
        annotations.append(annotated(f"v{index}", *ranges, category=("Abuse", "RoadAccidents")[index % 2]))
    return curves, annotations


def flat(curves, annotations, chosen):
    """Scores and truth of the videos chosen, one after the other, every frame."""
    scores = np.concatenate([curves[index].scores for index in chosen])
    truths = []
    for index in chosen:
        truth = np.zeros(curves[index].n_frames, bool)
        for each in annotations[index].ranges:
            truth[each.start : each.end] = True
        truths.append(truth)
    return scores, np.concatenate(truths)


def test_frame_figures_are_those_of_the_concatenated_videos(archive):
    curves, annotations = archive
    result = evaluate(curves, annotations)
    everything = flat(curves, annotations, range(9))
    anomalous = flat(curves, annotations, [index for index in range(9) if index % 3])
    assert result.auc == pytest.approx(roc_auc(*everything), abs=1e-12)
    assert result.ap == pytest.approx(average_precision(*everything), abs=1e-12)
    assert result.auc_anomalous == pytest.approx(roc_auc(*anomalous), abs=1e-12)
    assert (result.n_videos, result.n_frames) == (9, len(everything[0]))
    assert result.n_anomalous_frames == everything[1].sum() == 6 * 40
    of_category = flat(curves, annotations, [1, 5, 7])
    assert result.per_category["RoadAccidents"]["auc"] == pytest.approx(roc_auc(*of_category), abs=1e-12)
    assert result.per_category["RoadAccidents"]["n_videos"] == 3


def test_resamples_equal_literal_resampling_of_whole_videos(archive):
    curves, annotations = archive
    result = evaluate(curves, annotations, n_resamples=20)
    for number, draw in enumerate(video_draws(9, n_resamples=20)):
        assert draw.sum() == 9
        chosen = np.repeat(np.arange(9), draw)
        copies = [replace(curves[old], video_id=f"w{new}") for new, old in enumerate(chosen)]
        names = [replace(annotations[old], name=f"w{new}") for new, old in enumerate(chosen)]
        literal = evaluate(copies, names)
        for name, value in (
            ("auc", literal.auc),
            ("ap", literal.ap),
            ("auc_anomalous", literal.auc_anomalous),
        ):
            assert result.resamples[name][number] == pytest.approx(value, abs=1e-12)
        # copies of tied segments may follow one another in another order: only where scores differ are both the same
    assert result.ci["auc"] == interval(result.resamples["auc"])
    low, high = result.ci["auc"]
    assert low < result.auc < high


def test_draws_are_seeded_and_even():
    draws = np.array(list(video_draws(40, n_resamples=500)))
    assert (draws == np.array(list(video_draws(40, n_resamples=500)))).all()
    assert (draws.sum(axis=1) == 40).all()
    assert np.abs(draws.mean(axis=0) - 1).max() < 0.2 and draws.max() > 3
    assert interval([np.nan, 1, 2, 3]) == pytest.approx((1.05, 2.95))
    assert interval([np.nan]) is None


def test_a_perfect_curve_is_perfect(make_curve):
    category = np.array([[1, 0, 0], [0, 0, 1], [0, 0, 1], [1, 0, 0]])
    curves = [make_curve("a", category[:, 2], category=category), make_curve("n", [0, 0])]
    result = evaluate(curves, [annotated("a", (16, 48), category="road accidents"), annotated("n")])
    assert result.auc == result.ap == result.auc_anomalous == result.recall_at_2_percent_fpr == 1
    assert set(result.map.values()) == {1.0} and result.category_accuracy == 1
    assert result.false_alarms_per_hour == 0
    assert result.per_category == {"RoadAccidents": {"n_videos": 1, "n_anomalous_frames": 32, "auc": 1.0, "map": 1.0}}


def test_truth_of_one_class_is_told_and_never_nan(make_curve):
    curves = [make_curve("a", [0.1, 0.9]), make_curve("b", [0.3])]
    normal = evaluate(curves, [annotated("a"), annotated("b")], n_resamples=10)
    assert (normal.auc, normal.ap, normal.auc_anomalous, normal.map, normal.category_accuracy) == (None,) * 5
    assert "every frame compared is normal" in normal.notes[0] and "--normals" in normal.notes[0]
    anomalous = evaluate(curves, [annotated("a", (0, 32)), annotated("b", (0, 16))], n_resamples=10)
    assert (anomalous.auc, anomalous.ap, anomalous.false_alarms_per_hour) == (None, 1, None)
    assert "every frame compared is anomalous" in anomalous.notes[0]
    throughout = evaluate(curves, [annotated("a", (0, 32)), annotated("b")], n_resamples=10)
    assert throughout.auc is not None and throughout.auc_anomalous is None
    for result in (normal, anomalous, throughout):
        text = json.dumps(result.to_json(), allow_nan=False)
        assert json.loads(text)["ci"]["auc_anomalous"] is None
        for table in TABLES.values():
            assert "nan" not in table(rows_of([result], with_difference=False), ["r"]).replace("undefined", "")


def test_category_accuracy_is_of_the_top_snippets(make_curve):
    """Of 17 snippets the top 2 count: 0.9 and 0.5 of Abuse against twice 0.75 of RoadAccidents."""
    abuse, road = np.zeros(17), np.zeros(17)
    abuse[:3], road[4:6] = (0.9, 0.5, 0.5), 0.75
    category = np.stack([1 - abuse - road, abuse, road], axis=1)
    curve = make_curve("a", abuse + road, category=category)
    for truth, accuracy in (("Abuse", 0), ("RoadAccidents", 1)):
        assert evaluate([curve], [annotated("a", (0, 20), category=truth)]).category_accuracy == accuracy
    both = VideoAnnotation("a", ("Abuse", "Riot"), (TrueRange(0, 20, "Abuse"), TrueRange(0, 20, "Riot")))
    assert evaluate([curve], [both]).category_accuracy == 0


def test_protocols_differ_as_described(make_curve):
    """Overlapping truth is merged, clipped and counted to the last frame; or left as it is."""
    category = np.array([[0.9, 0.0, 0.1], [0.1, 0.9, 0.0], [0.1, 0.9, 0.0], [0.9, 0.0, 0.1]])
    curves = [make_curve("a", 1 - category[:, 0], n_frames=70, category=category), make_curve("n", [0.1, 0.2])]
    truth = [annotated("a", (16, 32), (30, 48), (66, 99)), annotated("n")]
    corrected, official = evaluate(curves, truth), evaluate(curves, truth, protocol="official")
    assert (corrected.n_frames, official.n_frames) == (70 + 32, 64 + 32)
    assert (corrected.n_anomalous_frames, official.n_anomalous_frames) == (32 + 4, 32)
    assert corrected.map["0.5"] == 0.5  # one of two: the range at the end, clipped, proposes nothing
    # of three ranges the one segment takes one: 1/3 in Abuse, 0 in the two other categories
    assert official.map["0.5"] == pytest.approx(1 / 9)
    assert "1 annotated range ends past" in corrected.notes[0] and "clipped" in corrected.notes[0]
    assert "left as they are" in official.notes[0]
    assert "begin past the last frame" in official.notes[1]
    with pytest.raises(ValueError, match="expected protocol"):
        evaluate(curves, truth, protocol="mine")


def test_only_xd_violence_counts_normal_videos_as_segments(make_curve):
    category = np.array([[0.1, 0.5, 0.4], [0.9, 0.1, 0.0], [0.2, 0.0, 0.8]])
    curves = [make_curve("a", 1 - category[:, 0], category=category), make_curve("n", [0.9, 0, 0.9, 0.0])]
    truth = [annotated("a", (0, 16)), annotated("n")]

    def first_map(**options):
        return evaluate(curves, truth, **options).map["0.1"]

    assert first_map(protocol="official") == pytest.approx(1 / 3)
    assert first_map(protocol="official", normal_is_segment=True) > 0.4
    assert first_map(normal_is_segment=True) == first_map() == 1


def test_categories_that_the_results_lack_are_named(make_curve):
    curves = [make_curve("a", [0, 1, 0]), make_curve("b", [0, 1, 0])]
    truth = [annotated("a", (16, 32)), annotated("b", (0, 16), category="Riot")]
    corrected, official = evaluate(curves, truth), evaluate(curves, truth, protocol="official")
    assert corrected.notes[0].startswith("the results know no category Riot") and "score 0" in corrected.notes[0]
    assert "do not count" in official.notes[0]
    assert corrected.per_category["Riot"]["map"] == 0 and corrected.per_category["Riot"]["auc"] == 0.25
    assert corrected.n_anomalous_frames == 32
    assert corrected.map["0.5"] == pytest.approx(0.5 * corrected.per_category["Abuse"]["map"])


def test_ranges_without_a_category_stay_out_of_localisation(make_curve):
    truth = VideoAnnotation("a", ("Abuse", "RoadAccidents"), (TrueRange(16, 32, None),))
    result = evaluate([make_curve("a", [0, 1, 0])], [truth])
    assert result.auc == 1 and result.map is None and "1 range left out of mAP" in result.notes[0]


def test_names_without_counterpart_are_kept(make_curve):
    curves = [make_curve("a", [0, 1]), make_curve("b", [0, 1])]
    result = evaluate(curves, [annotated("a", (16, 32)), annotated("Abuse/b")])
    assert result.missing == {"without_result": ["Abuse/b"], "without_annotation": ["b"]}
    assert result.n_videos == 1 and "1 name would match without their folder" in result.notes[0]
    with pytest.raises(ConfigError, match="no annotated name matches a result; annotated: x; results: a, b"):
        evaluate(curves, [annotated("x")])


def test_curves_of_different_categories_are_refused(make_curve):
    curves = [make_curve("a", [0, 1]), make_curve("b", [0, 1], categories=("Normal", "Riot"))]
    with pytest.raises(ConfigError, match="different categories"):
        evaluate(curves, [annotated("a"), annotated("b")])


def test_the_difference_of_two_is_paired(archive, make_curve):
    curves, annotations = archive
    first = evaluate(curves, annotations, n_resamples=50)
    second = evaluate(curves, annotations, n_resamples=50)
    rows = rows_of([first, second], with_difference=True)
    assert rows[0].values == (first.auc, first.auc, 0) and rows[0].intervals[2] == (0, 0)
    better = [replace(curve, scores=curve.scores * np.float32(index % 3 > 0)) for index, curve in enumerate(curves)]
    third = evaluate(better, annotations, n_resamples=50)
    row = rows_of([first, third], with_difference=True)[0]
    assert row.values[2] == pytest.approx(third.auc - first.auc)
    paired = third.resamples["auc"] - first.resamples["auc"]
    assert row.intervals[2] == interval(paired)


def test_tables(archive):
    curves, annotations = archive
    result = evaluate(curves, annotations, n_resamples=30)
    rows = rows_of([result, result], with_difference=False)
    names = ["a_b|c", "50%"]
    text, markdown, latex, values = (TABLES[name](rows, names) for name in ("text", "md", "latex", "csv"))
    figure = f"{100 * result.auc:.2f} [{100 * result.ci['auc'][0]:.2f}, {100 * result.ci['auc'][1]:.2f}]"
    assert len({line.index(figure) for line in text.splitlines() if line.startswith("AUC (%)")}) == 1
    assert markdown.splitlines()[0] == "|  | a_b\\|c | 50% |" and f"| AUC (%) | {figure} | {figure} |" in markdown
    assert r" & a\_b|c & 50\% \\" in latex and rf"AUC (\%) & {figure} & {figure} \\" in latex
    assert values.splitlines()[0] == "figure,results,value,low,high"
    low, high = result.ci["auc"]
    assert values.splitlines()[1] == f"AUC,a_b|c,{result.auc!r},{low!r},{high!r}"
    assert f"false alarms,50%,{result.false_alarms_per_hour!r},," in values.splitlines()
