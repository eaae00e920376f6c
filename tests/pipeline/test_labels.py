"""LABELS files: what is understood, and nothing of a line that is lost."""

import pytest

from vad_pipeline.extract.errors import ConfigError
from vad_pipeline.model.categories import UCF_CRIME
from vad_pipeline.pipeline.archive.labels import columns_of, read_label_rows


@pytest.fixture
def labels(tmp_path):
    """labels(text): what each video shows, by the file of that text."""

    def labels(text):
        path = tmp_path / "labels.csv"
        path.write_text(text, encoding="utf-8")
        return columns_of(read_label_rows(path), UCF_CRIME, path)

    return labels


@pytest.mark.parametrize(
    "text",
    [
        "video,label\na,Normal\nb,Abuse|Arson\n",
        "sep=;\nvideo;label;\na;Normal;\nb;Abuse|Arson;;\n",
        "label\tvideo\nNormal\ta\nAbuse|Arson\tb\n",
        "a Normal\nb Abuse|Arson\n",
        "path label\nx/a__0.npy Normal\nx/a__5.npy Normal\nx/b__0.npz Abuse|Arson\n",
        ",video,label\n0,a,Normal\n1,b,Abuse|Arson\n",
    ],
)
def test_ways_to_write_labels(labels, text):
    assert labels(text) == {"a": (0,), "b": (1, 3)}


def test_features_of_one_name_in_several_folders_are_several_videos(labels):
    found = labels("path,label\n/f/gate/001__0.npy,Normal\n/f/yard/001__0.npy,Abuse\n/f/gate/001__5.npy,Normal\n")
    assert found == {"gate/001": (0,), "yard/001": (1,)}
    assert labels("path,label\ncrop0/001__0.npy,Abuse\ncrop5/001__5.npy,Abuse\n") == {"001": (1,)}, "a folder a crop"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("video,label\na,Normal\nb,Abuse,Arson\n", "labels.csv, line 3: 'Arson' stands in no column"),
        ("video,label,\nb,Abuse,Arson\n", "line 2: 'Arson' stands in no column"),
        ("video,label,label\nb,Abuse,Arson\n", "line 1: the column `label` is there twice"),
        ("path,label\nb__0.npy,Abuse\nb__5.npy,Arson\n", "line 3: b has two different labels"),
        ("video,label\n\na,Normal|Abuse\n", "line 3: a is labelled Normal|Abuse: normal and something else"),
        ("video,label\na\n", "line 2: lacks its `label`"),
        ("a Normal\nb Abuse 12\n", "needs a column `video` or `path`"),
        ("a,Normal\nb,Abuse\n", "needs a column `video` or `path`"),
    ],
)
def test_what_would_be_lost_is_refused_with_file_and_line(labels, text, message):
    with pytest.raises(ConfigError) as caught:
        labels(text)
    assert message in str(caught.value) and "labels.csv" in str(caught.value)
