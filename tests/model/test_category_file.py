"""Files of own categories, and what labels name."""

import re
import unicodedata

import pytest

from vad_pipeline.extract.errors import ConfigError
from vad_pipeline.model.categories import UCF_CRIME, XD_VIOLENCE, Category, parse_label
from vad_pipeline.model.category_file import read_categories

EXPECTED = (
    Category("Normal", ("an empty hall",)),
    Category("Fall", ("a fall", "a person lies")),
    Category("Fire", ("Fire",)),
)
SAME = {
    "a.yaml": "- {name: Normal, description: an empty hall}\n"
    "- {name: Fall, descriptions: [a fall, a person lies]}\n- Fire\n",
    "b.yml": "Normal: an empty hall\nFall:\n  - a fall\n  - a person lies\nFire:\n",
    "c.csv": "name,description\nNormal,an empty hall\nFall,a fall,a person lies\nFire\n",
    "d.csv": "\ufeffNormal;an empty hall\nFall;a fall\nFire;Fire\nFall;a person lies\n",
}


@pytest.mark.parametrize("name", SAME)
def test_every_way_to_write_them(tmp_path, name):
    (tmp_path / name).write_text(SAME[name], encoding="utf-8")
    found = read_categories(tmp_path / name)
    assert found == EXPECTED


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.yaml", "- Normal\n", "at least one other, holds 1"),
        ("a.yaml", "- Normal\n- {name: Fire, colour: red}\n", "is no category; expected a YAML list"),
        ("a.yaml", "- Normal\n- [a, b]\n", "is no category"),
        ("a.yaml", "- Normal\n- No\n", 'a.yaml, line 2: YAML reads No as bool, not as text; put it in quotes: "No"'),
        ("a.yaml", "Normal: calm\n0: a zero\n", 'line 2: YAML reads 0 as int, not as text; put it in quotes: "0"'),
        ("a.yaml", "- Normal\n- {name: Off}\n", "line 2: YAML reads Off as bool"),
        ("a.yaml", "- Normal\n- name: Call\n  descriptions:\n  - 112\n", "line 4: YAML reads 112 as int"),
        ("a.yaml", "Normal: calm\nFire: smoke\nFall:\nFire: flames\n", "line 4: Fire is there twice"),
        ("a.yaml", "- Normal\n- {name: Fire, name: Fall}\n", "line 2: name is there twice"),
        ("a.yaml", "- Normal\n- {name: Fire, description: a, descriptions: [b]}\n", "has both `description` and"),
        ("a.csv", 'Normal\nFire,"smoke\nFall,a fall\n', "a.csv, line 2: begins a cell with a quote"),
        ("a.yaml", "- {a: b", "cannot be read as categories"),
        ("a.yaml", "12\n", "holds no categories"),
        ("a.yaml", "- Normal\n- Fire\n- Fire\n", "Fire is there twice"),
        ("a.csv", "Normal\nRoad Accident,x\nroad_accident,y\n", "Road Accident and road_accident are one name"),
        ("a.csv", "Normal\nFire|Smoke\n", "without `|`"),
        ("a.csv", "", "holds no rows"),
        ("labels.csv", "video,label,split\na,Normal,train\nb,Fall,test\n", "is a list of videos (video,label,split)"),
    ],
)
def test_bad_files(tmp_path, name, text, message):
    (tmp_path / name).write_text(text)
    with pytest.raises(ConfigError, match=re.escape(message)):
        read_categories(tmp_path / name)


@pytest.mark.parametrize(
    ("label", "categories", "columns"),
    [
        ("road_ACCIDENTS", UCF_CRIME, (8,)),
        ("Road Accidents", UCF_CRIME, (8,)),
        ("Fighting|Abuse", UCF_CRIME, (1, 7)),
        ("B2-0-0", XD_VIOLENCE, (2,)),
        ("G-B2-B6", XD_VIOLENCE, (2, 5, 6)),
        ("A", XD_VIOLENCE, (0,)),
        ("car-accident", XD_VIOLENCE, (5,)),
        ("hit-and-run", (Category("Normal", ("n",)), Category("Hit and run", ("h",))), (1,)),
    ],
)
def test_labels(label, categories, columns):
    assert parse_label(label, categories) == columns


@pytest.mark.parametrize("label", ["", "B2", "Fighting|Flying", "0-0-0", "G-B9-0"])
def test_labels_that_name_nothing(label):
    with pytest.raises(ValueError):
        parse_label(label, XD_VIOLENCE if label.startswith(("G", "0")) else UCF_CRIME)


def test_an_accent_may_be_written_either_way():
    names = [unicodedata.normalize(form, "Schlägerei") for form in ("NFC", "NFD")]
    categories = (Category("Normal", ("n",)), Category(names[0], ("f",)))
    assert [parse_label(name, categories) for name in names] == [(1,), (1,)]
