"""Lists that people write: dialects that are understood, and nothing of a line that is lost."""

import pytest

from vad_pipeline.extract.errors import ConfigError
from vad_pipeline.extract.lists import as_table, guarded, read_rows, split_at_blanks, unguarded
from vad_pipeline.extract.store.exchange import read_list, split_name


@pytest.fixture
def write(tmp_path):
    """write(text): the path of a list of that text."""

    def write(text):
        (tmp_path / "list.csv").write_text(text, encoding="utf-8")
        return tmp_path / "list.csv"

    return write


@pytest.mark.parametrize(
    "text",
    [
        "\ufeffvideo;label\na ; Riot\n\nb;Normal\n",
        "video,label\na,Riot\nb,Normal",
        "video\tlabel\r\na\tRiot\r\nb\tNormal\r\n",
        "sep=;\nvideo;label\na;Riot\nb;Normal\n",
        '\ufeff"sep=|"\nvideo|label\na|Riot\nb|Normal\n',
    ],
)
def test_rows(write, text):
    rows = read_rows(write(text))
    assert [row.cells for row in rows] == [("video", "label"), ("a", "Riot"), ("b", "Normal")]
    assert text.split("\n")[rows[2].line - 1].startswith("b")


def test_a_quote_that_is_not_closed_would_swallow_lines(write):
    with pytest.raises(ConfigError, match=r"list\.csv, line 2: begins a cell with a quote"):
        read_rows(write('video,label\n"a,Riot\nb,Normal\n'))
    assert read_rows(write('a"b,"c" d\n'))[0].cells == ('a"b', "c d"), "quotes within cells are their own business"


def test_a_table_loses_no_cell(write):
    path = write(",video,label,,\n0,a,Riot,,\n1,b,Normal,,,\n2,c\n")
    columns, records = as_table(path, read_rows(path), once=("video", "label"))
    assert columns[:3] == ["", "video", "label"]
    assert [record.cells.get("label") for record in records] == ["Riot", "Normal", None]
    for text, message in {
        "video,label\na,Riot\nb,Riot,Fire\n": "list.csv, line 3: 'Fire' stands in no column",
        "video,label,\na,Riot,Fire\n": "line 2: 'Fire' stands in no column",
        "video,label,Label\na,Riot,Fire\n": "line 1: the column `label` is there twice",
    }.items():
        path = write(text)
        with pytest.raises(ConfigError, match=message):
            as_table(path, read_rows(path), once=("label",))


def test_blanks_separate_where_that_means_one_thing(write):
    assert [row.cells for row in split_at_blanks(read_rows(write("x/a.mp4 Riot\nb.npy   Fire\n")))] == [
        ("x/a.mp4", "Riot"),
        ("b.npy", "Fire"),
    ]
    for names in ("cam 1\ncam 2\n", "a.mp4 Riot\nb.mp4\n", "a.mp4 Road Accident\n"):
        assert split_at_blanks(read_rows(write(names))) is None
    assert split_at_blanks(read_rows(write("cam 1\n")), any_names=True)[0].cells == ("cam", "1")


def test_feature_lists(write):
    expected = [("a__0.npy", "Riot"), ("b__0.npy", "")]
    for text in (
        "path,label\na__0.npy,Riot\nb__0.npy,\n",
        "label,path\nRiot,a__0.npy\n,b__0.npy\n",
        "a__0.npy,Riot,\nb__0.npy\n",
    ):
        assert read_list(write(text)) == expected
    assert read_list(write("a__0.npy Riot\nb.npz Fire\n")) == [("a__0.npy", "Riot"), ("b.npz", "Fire")]
    for text in ("a.npy,Riot\nb.npy,Fire,Riot\n", "path,label\na.npy,Fire\nb.npy,Fire,Riot\n"):
        with pytest.raises(ConfigError, match=r"list\.csv, line [23]: .*Riot"):
            read_list(write(text))
    assert split_name("x/a__7.npz", keep_folder=True) == ("x/a", 7)


@pytest.mark.parametrize("cell", ["=1+1", "+x", "-x", "@x", "\tx", "\rx", "'=x", "''-x", "-", "=", "-1-1"])
def test_no_spreadsheet_takes_a_cell_for_a_formula(cell):
    assert guarded(cell) == f"'{cell}" and unguarded(guarded(cell)) == cell


@pytest.mark.parametrize("cell", ["", "a=1", "'a", "-1", "-1.5e-3", "+.5", "-inf", "1:02"])
def test_numbers_and_texts_stay_as_they_are(cell):
    assert guarded(cell) == unguarded(cell) == cell
