"""Verdicts: read, brought together, compared, and trained on."""

from __future__ import annotations

import json
from dataclasses import asdict, replace

import pytest

from vad_pipeline.extract.errors import ConfigError
from vad_pipeline.extract.store.embedding_store import EmbeddingStore
from vad_pipeline.model.categories import UCF_CRIME, Category
from vad_pipeline.pipeline.archive.labels import columns_of, read_label_rows
from vad_pipeline.pipeline.results.verdicts import (
    Verdict,
    brought_together,
    disagreements,
    is_export,
    labels_of,
    read_verdicts,
)
from vad_pipeline.pipeline.train.options import TrainOptions
from vad_pipeline.pipeline.train.split import choose

CSV_HEAD = "video,start_frame,end_frame,event_id,verdict,category,reviewer,note,time\n"


def verdict(video="a", start=0, end=16, said="real", category="Fighting", reviewer="Ann", time="2026-01-01") -> Verdict:
    return Verdict(video, start, end, f"{video}@{start}-{end}", said, category, reviewer, "", time)


def as_csv(*verdicts: Verdict) -> str:
    rows = [f"{v.video},{v.start_frame},{v.end_frame},{v.event_id},{v.verdict},{v.category},,,\n" for v in verdicts]
    return CSV_HEAD + "".join(rows)


def test_json_and_csv_say_the_same(tmp_path):
    verdicts = [verdict(), verdict(start=32, end=48, said="")]
    (tmp_path / "v.json").write_text(json.dumps({"schema": 1, "verdicts": [asdict(v) for v in verdicts]}))
    (tmp_path / "v.csv").write_text("\ufeff" + as_csv(*verdicts))
    plain = [replace(v, reviewer="", time="") for v in verdicts]
    assert read_verdicts(tmp_path / "v.json") == verdicts and read_verdicts(tmp_path / "v.csv") == plain


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "no export of verdicts"),
        ("[]", "no export of verdicts"),
        ('{"verdicts": [1]}', "no list of rows"),
        ('{"verdicts": [{"video": "a"}]}', "frames are no numbers"),
        ("video,label\na,Normal\n", "needs the columns"),
        (CSV_HEAD + "a,0,16,a@0-16,maybe,,,,\n", "false_alarm, unsure or normal, got 'maybe'"),
        (CSV_HEAD + "a,0,16,a@0-16,real,,,a note, and more,2026\n", "v, line 2: '2026' stands in no"),
        (CSV_HEAD + "a,16,0,a@16-0,real,,,,\n", "verdict 1"),
        (CSV_HEAD + "a,x,16,a@0-16,real,,,,\n", "frames are no numbers"),
    ],
)
def test_what_is_no_export_is_told_in_one_sentence(tmp_path, text, words):
    (tmp_path / "v").write_text(text)
    with pytest.raises(ConfigError, match="v") as error:
        read_verdicts(tmp_path / "v")
    assert words in str(error.value) and "\n" not in str(error.value)
    with pytest.raises(ConfigError, match="cannot be read"):
        read_verdicts(tmp_path / "none")


def test_of_one_reviewer_the_later_verdict_stays():
    early, late = verdict(time="2026-01-01"), verdict(said="false_alarm", time="2026-01-02")
    other = verdict(reviewer="Bo")
    assert brought_together([[late], [early, other], [verdict(start=32, end=48, said="")]]) == [late, other]


def test_reviewers_disagree_where_what_they_judged_overlaps():
    ann = [verdict(), verdict(start=100, end=120), verdict("b", said="unsure")]
    bo = [
        verdict(start=8, end=24, said="false_alarm", reviewer="Bo"),  # of another threshold
        verdict(start=120, end=140, said="false_alarm", reviewer="Bo"),  # touches, and no more
        verdict("b", said="unsure", reviewer="Bo"),
    ]
    (found,) = disagreements(brought_together([ann, bo]))
    assert (found.video, found.start_frame, found.end_frame) == ("a", 0, 24)
    assert [each.reviewer for each in found.said] == ["Ann", "Bo"]
    assert str(found) == "a\tframes 0 to 24\tAnn: real; Bo: false_alarm"
    alone = [verdict(), verdict(start=8, end=24, said="unsure")]
    assert disagreements(brought_together([alone])) == []


def test_a_real_event_makes_its_category_and_false_alarms_alone_make_a_normal_video():
    verdicts = [
        verdict("real"), verdict("real", 32, 48, "false_alarm"), verdict("real", 64, 80, "unsure"),
        verdict("two"), verdict("two", 32, 48, category="Robbery"), verdict("two", 64, 80),
        verdict("none", said="false_alarm"), verdict("none", 32, 48, "false_alarm"),
        verdict("unsure", said="unsure"), verdict("unsure", 32, 48, "false_alarm"),
        verdict("open", said="false_alarm"), verdict("open", 32, 48, ""),
        verdict("both"), verdict("both", said="false_alarm", reviewer="Bo"),
    ]  # fmt: skip
    labels, left_out = labels_of(verdicts)
    assert labels == {"real": ("Fighting",), "two": ("Fighting", "Robbery"), "none": ()}
    assert left_out == ["unsure", "open", "both"]


def test_the_rest_of_a_video_called_normal():
    rest = {
        name: Verdict(name, 0, 96, f"{name}@normal", "normal", reviewer="Ann", time="2026-01-02") for name in "abcde"
    }
    verdicts = [
        rest["a"], verdict("a", said="", time="", reviewer=""),  # an open event
        rest["b"], verdict("b"),
        rest["c"], verdict("c", said="unsure"),
        rest["d"], verdict("d", said="false_alarm"), verdict("d", said="false_alarm", reviewer="Bo"),
        rest["e"], replace(rest["e"], verdict="", time="2026-01-03"), verdict("e", said="", time="", reviewer=""),
    ]  # fmt: skip
    assert labels_of(verdicts) == ({"a": (), "b": ("Fighting",), "d": ()}, ["c", "e"])
    real = verdict("b", 40, 60, reviewer="Bo")
    assert disagreements(brought_together([[rest["b"], verdict("b"), replace(real, start_frame=8)]])) == []
    (found,) = disagreements(brought_together([[rest["b"], verdict("b"), real]]))
    assert (found.start_frame, found.end_frame, [each.verdict for each in found.said]) == (40, 60, ["normal", "real"])


def test_a_verdict_that_was_taken_back_counts_no_more():
    back = verdict(said="", time="2026-01-02")
    assert brought_together([[verdict(), back]]) == brought_together([[back, verdict()]]) == []
    assert labels_of([verdict(), back]) == ({}, ["a"])  # it is open again
    assert labels_of([verdict(), back, verdict(reviewer="Bo")]) == ({"a": ("Fighting",)}, [])
    again = verdict(time="2026-01-03")
    assert brought_together([[again, verdict()], [back]]) == [again]


def test_an_export_is_a_labels_file(tmp_path):
    path = tmp_path / "verdicts.csv"
    path.write_text(as_csv(verdict("a"), verdict("b", said="false_alarm"), verdict("c", said="unsure")))
    rows = read_label_rows(path)
    assert [(row.name, row.split) for row in rows] == [("a", "train"), ("b", "train"), ("c", "undecided")]
    fighting = [category.name for category in UCF_CRIME].index("Fighting")
    assert columns_of(rows[:2], UCF_CRIME, path) == {"a": (fighting,), "b": (0,)}
    own = (Category("Calm", ("nothing",)), Category("Fighting", ("people fighting",)))  # normal by another name
    assert columns_of(rows[:2], own, path) == {"a": (1,), "b": (0,)}


def test_an_export_that_a_spreadsheet_has_saved_again(tmp_path):
    text = CSV_HEAD.replace(",", ";") + "a;0.0;16.0;a@0-16;real;Fire;;one, two;\n"
    (tmp_path / "v.csv").write_text(text)
    assert is_export(tmp_path / "v.csv")
    (found,) = read_verdicts(tmp_path / "v.csv")
    assert (found.start_frame, found.end_frame, found.note) == (0, 16, "one, two")


def test_train_takes_it(labelled, tmp_path):
    store, labels = labelled
    rows = [line.split(",") for line in labels.read_text().split()[1:]]
    said = [verdict(v, said="false_alarm" if c == "Normal" else "real", category=c) for v, c in rows]
    said[0] = replace(said[0], verdict="unsure")
    (tmp_path / "verdicts.csv").write_text(as_csv(*said))
    with EmbeddingStore(store) as opened:
        entries = list(opened.entries())
    chosen = choose(TrainOptions(tmp_path / "verdicts.csv", "ucf-crime"), entries, UCF_CRIME, None)
    assert len(chosen.train) == len(rows) - 1 and sum(video.normal for video in chosen.train) == 9
    assert chosen.notes == ["left out: 1 row of split undecided"] and chosen.missing.without_label == []


@pytest.mark.parametrize("time", ["28.11.2026 10:00", "tomorrow", "zzzz"])
def test_a_time_that_a_spreadsheet_has_written_anew_is_refused(tmp_path, time):
    """Times are compared as text: one of another form would count for ever, or never."""
    rows = [asdict(replace(verdict(), time=time))]
    (tmp_path / "v.json").write_text(json.dumps({"schema": 1, "verdicts": rows}))
    with pytest.raises(ConfigError, match="verdict 1: its time is"):
        read_verdicts(tmp_path / "v.json")
    (tmp_path / "v.json").write_text(json.dumps({"schema": 2, "verdicts": rows}))
    with pytest.raises(ConfigError, match="is of schema 2"):
        read_verdicts(tmp_path / "v.json")
