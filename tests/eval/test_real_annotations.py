"""The published annotation files, without loss, against the published truth; need ../shared."""

import json
from collections import Counter

import numpy as np
import pytest

from vad_pipeline.eval.annotations import read_annotations
from vad_pipeline.eval.evaluation import evaluate
from vad_pipeline.eval.truth import KNOWN_TRUTHS, known_truth
from vad_pipeline.extract.names import strip_suffix
from vad_pipeline.extract.store.exchange import read_list, split_name
from vad_pipeline.model.categories import UCF_CRIME, XD_VIOLENCE, names

LEN = 16


@pytest.fixture(scope="module")
def folder(shared):
    return shared / "annotations"


@pytest.fixture(scope="module")
def ucf(folder):
    return read_annotations(folder / "Temporal_Anomaly_Annotation.txt", format="ucf-crime")


@pytest.fixture(scope="module")
def published_counts(folder):
    """Name -> the published frame count."""
    counts = {}
    for line in (folder / "ucf_frame_counts_anomaly.txt").read_text().splitlines():
        name, count, _ = line.split("|")
        counts[strip_suffix(name.split("/")[-1])] = int(count)
    for line in (folder / "ucf_frame_counts_normal.txt").read_text().splitlines():
        name, count, _ = line.rsplit(maxsplit=2)
        counts[strip_suffix(name.split("/")[-1])] = int(count)
    return counts


@pytest.fixture(scope="module")
def xd(folder):
    """Name without suffix -> annotation, of both files."""

    def read(name):
        found = read_annotations(folder / name, format="xd-violence", normals=folder / "xd_CLIP_rgbtest.csv")
        assert len(found) == 800
        return {strip_suffix(each.name): each for each in found}

    return read("annotations.txt"), read("annotations_multiclasses.txt")


def order(folder, name):
    """Video names in the order of the published truth."""
    return [split_name(path, keep_folder=False)[0] for path, _ in read_list(folder / name)]


def truth_of(folder, name):
    held = np.load(folder / name)
    return np.unpackbits(held["truth"])[: int(held["n_frames"])].astype(bool)


def triples(annotation):
    return [[each.start, each.end, each.category] for each in annotation.ranges]


def perfect_curve(make_curve, name, n_frames, segments, categories):
    """Every segment exactly, frame by frame (snippets of one frame); where two categories overlap, both are 1."""
    category = np.zeros((n_frames, len(categories)), np.float32)
    for start, end, label in segments:
        category[start:end, categories.index(label)] = 1
    anomalous = category[:, 1:].any(axis=1)
    category[:, 0] = ~anomalous
    return make_curve(name, anomalous, n_frames=n_frames, category=category, categories=categories, snippet_len=1)


def test_all_290_ucf_crime_videos_parse(folder, ucf):
    assert len(ucf) == 290 and sum(each.is_normal for each in ucf) == 150
    lines = (folder / "Temporal_Anomaly_Annotation.txt").read_text().splitlines()
    for line, annotation in zip(lines, ucf, strict=True):
        name, category, *numbers = line.split()
        written = [int(number) for number in numbers if number != "-1"]
        assert annotation.name == name and annotation.categories == ((category,) if written else ())
        assert [edge for start, end, _ in triples(annotation) for edge in (start, end)] == written
    listed = json.loads((folder / "segments_ucf.json").read_text())
    by_name = {each.name: each for each in ucf}
    for name, segments in zip(order(folder, "ucf_CLIP_rgbtest.csv"), listed, strict=True):
        expected = [] if segments[0][2] == "A" else segments
        assert triples(by_name[name]) == expected


def test_ucf_crime_frame_truth_is_the_published_one(folder, ucf, published_counts, make_curve):
    by_name = {each.name: each for each in ucf}
    curves = []
    for name in order(folder, "ucf_CLIP_rgbtest.csv"):
        n_frames = LEN * ((published_counts[name] - 1) // LEN)
        truth = np.zeros(n_frames, bool)
        for start, end, _ in triples(by_name[name]):
            truth[start:end] = True
        curves.append(make_curve(name, truth, categories=names(UCF_CRIME), snippet_len=1))
    published = truth_of(folder, "frame_truth_ucf.npz")
    assert (np.concatenate([curve.scores for curve in curves]) == published).all()
    for protocol in ("official", "corrected"):
        result = evaluate(curves, ucf, protocol=protocol)
        assert (result.n_frames, result.n_anomalous_frames) == (1_109_680, 84_128)
        assert result.auc == result.ap == result.auc_anomalous == 1
    assert known_truth(result.n_frames, result.n_anomalous_frames).startswith("UCF-Crime's published truth")


def test_frame_counts_past_the_decoded_ones_are_left_to_the_protocol(folder, ucf, published_counts, make_curve):
    """From curves of all decoded frames, `official` gives the published length and truth, `corrected` all frames."""
    curves = [make_curve(each.name, np.zeros((published_counts[each.name] - 1) // LEN),
                         n_frames=published_counts[each.name] - 1, categories=names(UCF_CRIME))
              for each in ucf]  # fmt: skip
    official, corrected = (evaluate(curves, ucf, protocol=protocol) for protocol in ("official", "corrected"))
    assert (official.n_frames, official.n_anomalous_frames) == (1_109_680, 84_128)
    assert corrected.n_frames == 1_111_742 and corrected.auc == 0.5
    assert "annotated ranges end past" in corrected.notes[0]


def test_each_known_ucf_crime_length_is_what_it_says(published_counts):
    counts = list(published_counts.values())
    lengths = {
        "published truth": sum(LEN * ((count - 1) // LEN) for count in counts),
        "every decoded frame": sum(count - 1 for count in counts),
        "as they are": sum(counts),
        "rounded up": sum(-(-count // LEN) * LEN for count in counts),
    }
    for words, length in lengths.items():
        assert [what for (known, _), what in KNOWN_TRUTHS.items() if known == length and words in what], words


def test_predicting_the_ucf_crime_segments_is_a_map_of_one(folder, ucf, published_counts, make_curve):
    categories = names(UCF_CRIME)
    curves = []
    listed = json.loads((folder / "segments_ucf.json").read_text())
    for name, segments in zip(order(folder, "ucf_CLIP_rgbtest.csv"), listed, strict=True):
        anomalous = [segment for segment in segments if segment[2] != "A"]
        curves.append(perfect_curve(make_curve, name, published_counts[name] - 1, anomalous, categories))
    result = evaluate(curves, ucf)
    assert set(result.map.values()) == {1.0} and result.auc == 1
    assert {each["map"] for each in result.per_category.values()} == {1.0} and len(result.per_category) == 13


def test_xd_violence_parses_500_anomalous_and_300_normal_videos(folder, xd):
    for read, file_name in zip(xd, ("annotations.txt", "annotations_multiclasses.txt"), strict=True):
        assert Counter(each.is_normal for each in read.values()) == {False: 500, True: 300}
        for line in (folder / file_name).read_text().splitlines():
            name, *rest = line.split()
            written = [int(number) for number in rest if number.isdecimal()]
            assert [edge for start, end, _ in triples(read[strip_suffix(name)]) for edge in (start, end)] == written
    codes = {category.name: category.code for category in XD_VIOLENCE}
    listed = json.loads((folder / "segments_xd.json").read_text())
    for name, segments in zip(order(folder, "xd_CLIP_rgbtest.csv"), listed, strict=True):
        annotation = xd[1][name]
        assert annotation.is_normal == (segments[0][2] == "A")
        if not annotation.is_normal:
            assert [[start, end, codes[label]] for start, end, label in triples(annotation)] == segments


def test_xd_violence_frame_truth_is_made_of_the_annotated_ranges(folder, xd):
    """No file gives the videos' lengths in this truth (those of the normal segments are longer, they are the
    features'): for some whole numbers of snippets the annotations, clipped, are the published truth frame for frame."""
    published = truth_of(folder, "frame_truth_xd.npz")
    assert (len(published), published.sum()) == (2_330_384, 537_805)
    assert known_truth(len(published), int(published.sum())) == "XD-Violence's published truth"
    anomalous = np.append(np.flatnonzero(published), len(published))
    offsets = np.array([0])  # where the next video may begin
    in_order = order(folder, "xd_CLIP_rgbtest.csv")
    n_last_normal = next(n for n, name in enumerate(reversed(in_order)) if not xd[0][name].is_normal)
    for name in in_order[: len(in_order) - n_last_normal]:
        spans = [(start, end) for start, end, _ in triples(xd[0][name])]
        truth = np.zeros(max((end for _, end in spans), default=0), bool)
        for start, end in spans:
            truth[start:end] = True
        next_anomalous = anomalous[np.searchsorted(anomalous, offsets)]
        if spans:  # the first anomalous frame must be where it is annotated
            offsets = offsets[next_anomalous == offsets + min(spans)[0]]
        else:  # of all that lie before the same anomalous frame, the first one reaches furthest
            offsets = offsets[np.unique(next_anomalous, return_index=True)[1]]
        shortest = LEN * (1 + max((start for start, _ in spans), default=0) // LEN)
        reached = [np.empty(0, int)]
        for offset in offsets.tolist():
            ahead = published[offset : offset + len(truth)]
            differs = np.flatnonzero(truth[: len(ahead)] != ahead)
            agreed = offset + (int(differs[0]) if len(differs) else len(ahead))
            if agreed == offset + len(truth):  # and on through normal frames
                agreed = int(anomalous[np.searchsorted(anomalous, agreed)])
            reached.append(np.arange(offset + shortest, agreed + 1, LEN))
        offsets = np.unique(np.concatenate(reached))
        assert len(offsets), name
    rest = len(published) - offsets[offsets > anomalous[-2]]  # nothing but normal videos is left
    assert len(rest) and rest[0] >= LEN * n_last_normal


def test_predicting_the_xd_violence_segments_is_a_map_of_one(folder, xd, make_curve):
    """Of videos as long as their last range says."""
    categories = names(XD_VIOLENCE)
    curves = []
    for name, annotation in xd[1].items():
        n_frames = max([end for _, end, _ in triples(annotation)], default=31) + 1
        curves.append(perfect_curve(make_curve, name, n_frames, triples(annotation), categories))
    result = evaluate(curves, list(xd[1].values()))
    assert result.auc == result.ap == 1 and result.n_videos == 800
    assert set(result.map.values()) == {1.0} and len(result.per_category) == 6
