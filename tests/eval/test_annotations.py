"""The annotation formats: what they say, and one sentence for what cannot be understood."""

import unicodedata

import pytest

from vad_pipeline.eval.annotation import TrueRange, VideoAnnotation
from vad_pipeline.eval.annotations import read_annotations
from vad_pipeline.extract.errors import ConfigError


@pytest.fixture
def read(tmp_path):
    """read(text, format, **options): the annotations of a file of that text."""

    def read(text, format, **options):
        path = tmp_path / "truth.txt"
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        return read_annotations(path, format=format, **options)

    return read


def ranges(annotation):
    return [(each.start, each.end, each.category) for each in annotation.ranges]


def test_ucf_crime(read):
    text = (
        "Abuse028_x264.mp4  Abuse  165  240  -1  -1  \n\n"
        "Arson/Arson011_x264  Arson  150  420  680  1267\r\n"
        "Normal_Videos_003_x264  Normal  -1  -1  -1  -1\n"
        "a b  Road Accidents\t5 6\n"
        "tab\tAssault\t0\t1\t-1\t-1"
    )
    found = read(text, "ucf-crime")
    assert [each.name for each in found] == [
        "Abuse028_x264.mp4",
        "Arson/Arson011_x264",
        "Normal_Videos_003_x264",
        "a b",
        "tab",
    ]
    assert [ranges(each) for each in found] == [
        [(165, 240, "Abuse")],
        [(150, 420, "Arson"), (680, 1267, "Arson")],
        [],
        [(5, 6, "Road Accidents")],
        [(0, 1, "Assault")],
    ]
    assert [each.is_normal for each in found] == [False, False, True, False, False]
    assert found[2].categories == ()


def test_ucf_crime_with_single_spaces(read):
    (found,) = read("Abuse028_x264 Abuse 165 240 -1 -1", "ucf-crime")
    assert found.name == "Abuse028_x264" and ranges(found) == [(165, 240, "Abuse")]


COUNTED = {
    "after the name": "Riot/R1_x264.mp4 900 Riot 300 400 -1 -1 \nNormal/N_2_x264.mp4 53 Normal -1 -1 -1 -1 \n",
    "without suffixes": "Riot/R1_x264 900 Riot 300 400 -1 -1\nNormal/N_2_x264 53 Normal -1 -1 -1 -1\n",
    "between tabs": "Riot/R1_x264\t900\tRiot\t300\t400\t-1\t-1\nNormal/N_2_x264\t53\tNormal\t-1\t-1\t-1\t-1\n",
    "at the end": "Riot/R1_x264.mp4\tRiot\t300\t400\t-1\t-1\t900\nNormal/N_2_x264.mp4\tNormal\t-1\t-1\t-1\t-1\t53\n",
    "nowhere": "Riot/R1_x264.mp4 Riot 300 400 -1 -1\nNormal/N_2_x264.mp4 Normal -1 -1 -1 -1\n",
}


@pytest.mark.parametrize("where", COUNTED)
def test_ucf_crime_with_the_frame_count_of_each_video(read, where):
    riot, normal = read(COUNTED[where], "ucf-crime")
    assert (riot.name.removesuffix(".mp4"), ranges(riot)) == ("Riot/R1_x264", [(300, 400, "Riot")])
    assert normal.name.removesuffix(".mp4") == "Normal/N_2_x264" and normal.is_normal


def test_numbers_in_names_are_no_frame_counts(read):
    for text in (
        "cam 700 Riot 300 400 -1 -1\ncam 701 Riot 300 400 -1 -1\n",  # without them the names were one
        "cam 7 Riot 300 400 -1 -1\n",  # it would end before its range
        "cam 7\tRiot\t3\t4\n",
        "cam 700 Riot 300 400 -1 -1\nyard Riot 300 400 -1 -1\n",
    ):
        assert read(text, "ucf-crime")[0].name.startswith("cam 7")


def test_ucf_crime_categories_of_two_words(read):
    for text, category in {
        "R1_x264.mp4 Road Accidents 3 4 -1 -1": "Road Accidents",
        "R1_x264 Road Accidents 3 4": "Road Accidents",
        "R1_x264.mp4 90 People Falling 3 4 -1 -1": "People Falling",
    }.items():
        (found,) = read(text, "ucf-crime")
        assert found.name.startswith("R1_x264") and " " not in found.name and found.categories == (category,)


def test_xd_violence_plain_and_with_categories(read):
    text = (
        "v=x__#1_label_B4-0-0 0 1517 1970 3038\n"
        "Fast.and.Furious.2001__#00-29-00_label_B2-G-0.mp4 310 515\n"
        "v=y__#1_label_B2-G-0 B2 310 515 G 500 600\n"
        "with space__#1_label_B4-0-0 B1 105 1482\n"
        "quiet__#1_label_A\n"
    )
    found = read(text, "xd-violence")
    assert [each.name for each in found][1] == "Fast.and.Furious.2001__#00-29-00_label_B2-G-0.mp4"
    assert [ranges(each) for each in found] == [
        [(0, 1517, "Riot"), (1970, 3038, "Riot")],
        [(310, 515, None)],  # of two categories: the file does not say which
        [(310, 515, "Shooting"), (500, 600, "Explosion")],
        [(105, 1482, "Fighting")],  # the range's own code decides
        [],
    ]
    assert found[1].categories == ("Shooting", "Explosion")
    assert found[3].categories == ("Fighting",)
    assert found[3].name == "with space__#1_label_B4-0-0"


def test_csv_in_frames(read):
    text = (
        "video,start_frame,end_frame,category\na/b.mp4,10,20,Abuse\nc,,,Normal\na/b,30,40,Fighting|Shooting\n"
        "d,1,2,B6\ne,,,\n"
    )
    found = read(text, "csv")
    assert [each.name for each in found] == ["a/b.mp4", "c", "d", "e"]
    assert ranges(found[0]) == [(10, 20, "Abuse"), (30, 40, "Fighting"), (30, 40, "Shooting")]
    assert found[0].categories == ("Abuse", "Fighting", "Shooting")
    assert ranges(found[2]) == [(1, 2, "CarAccident")]
    assert found[1].is_normal and found[3].is_normal and not found[0].in_seconds


def test_csv_as_pandas_writes_it(read):
    head = ",video,start_frame,end_frame,category,\n"
    text = f"{head}0,b,4.0,8.0,Riot,\n1,a,,,Normal,\n2,c,-1,-1,,\n3,d,-1.0,-1.0,Normal,,\n"
    found = read("sep=;\n" + text.replace(",", ";"), "csv")
    assert found == read(text, "csv") and [each.name for each in found] == ["b", "a", "c", "d"]
    assert ranges(found[0]) == [(4, 8, "Riot")] and all(each.is_normal for each in found[1:])
    assert read("video,start_seconds,end_seconds,category\na,-1,-1,Normal\n", "csv")[0].is_normal


def test_a_video_written_in_two_ways_is_one(read):
    typed, on_macos = (unicodedata.normalize(form, "Höhe") for form in ("NFC", "NFD"))
    (found,) = read(f"{CSV}{typed},1,2,Riot\n{on_macos}.mp4,3,4,Riot\n", "csv")
    assert len(found.ranges) == 2


def test_csv_in_seconds_with_semicolons_and_a_byte_order_mark(read):
    text = "\ufeffcategory;video;start_seconds;end_seconds\nAbuse;a;1,5;0:01:15,25\nAbuse;a;2:00;1:00:00.5\n"
    (found,) = read(text, "csv")
    assert found.in_seconds and ranges(found) == [(1.5, 75.25, "Abuse"), (120.0, 3600.5, "Abuse")]


def test_inclusive_ends_and_a_first_frame_of_one(read):
    (found,) = read("a  Abuse  1  10  20  20", "ucf-crime", ends="inclusive", first_frame=1)
    assert ranges(found) == [(0, 10, "Abuse"), (19, 20, "Abuse")]


@pytest.mark.parametrize(
    "listed",
    [
        "path,label\n/x/y/n_label_A__0.npy,A\n/x/y/n_label_A__1.npy,A\n/x/v_label_B1-0-0__0.npy,B1-0-0\n",
        "n_label_A.mp4\nv_label_B1-0-0.mp4\n",
        "n_label_A\n",
        "n_label_A.mp4 A\nv_label_B1-0-0.mp4 B1-0-0\n",
        "label,path\nA,n_label_A\n",
        "video,label\nn_label_A,normal\nv_label_B1-0-0,Fighting\n",
    ],
)
def test_normals_come_from_a_list(read, tmp_path, listed):
    (tmp_path / "normals.csv").write_text(listed)
    found = read("v_label_B1-0-0 5 10", "xd-violence", normals=tmp_path / "normals.csv")
    assert [(each.name, each.is_normal) for each in found] == [("v_label_B1-0-0", False), ("n_label_A", True)]


def test_normals_that_contradict_or_name_none_are_refused(read, tmp_path):
    normals = tmp_path / "normals.csv"
    for text, message in (
        ("v_label_B1-0-0,A", "is normal here and anomalous"),
        ("w,Abuse", "names no normal video"),
        ("w__0.npy,Normal\nw__1.npy,Riot", "normals.csv, line 2: w is labelled Riot here and Normal above"),
        ("w,Normal\nv,Normal,Riot", "normals.csv, line 2: holds more than a name and a label: v,Normal,Riot"),
        ("path,label\nw,Normal,Riot", "normals.csv, line 2: 'Riot' stands in no column"),
    ):
        normals.write_text(text)
        with pytest.raises(ConfigError, match=message):
            read("v_label_B1-0-0 5 10", "xd-violence", normals=normals)
    with pytest.raises(ConfigError, match="no.csv: cannot be read"):
        read("v_label_B1-0-0 5 10", "xd-violence", normals=tmp_path / "no.csv")
    normals.write_text("a")  # listed in both as normal
    assert len(read("a  Normal  -1  -1  -1  -1", "ucf-crime", normals=normals)) == 1


CSV = "video,start_frame,end_frame,category\n"
BAD = {
    "ucf-crime": [
        ("", "holds no annotations"),
        (b"\xff\xfe\x00", "no UTF-8 text"),
        ("\n\na  Abuse\n", "line 3: expected `NAME  CATEGORY"),
        ("a  Abuse  1  2  3", "line 1: expected"),
        ("a  90  b  Abuse  1  2", "line 1: expected"),
        ("a.mp4 9 Abuse 10 20 -1 -1", "line 1: expected"),
        ("a  Abuse  1  2  30  40  25", "line 1: expected"),
        ("  1  2  -1  -1", "line 1: expected"),
        ("a  Abuse  x  2  -1  -1", "line 1: expected"),
        ("a  Abuse  20  10  -1  -1", "20 to 10 is reversed"),
        ("a  Abuse  20  20  -1  -1", "reversed or empty"),
        ("a  Abuse  -5  10  -1  -1", "frame -5 lies before"),
        ("a  Abuse  5  -1  -1  -1", "reversed"),
        ("a  Abuse  -1  -1  -1  -1", "Abuse, but no range"),
        ("a  Normal  1  5  -1  -1", "a normal video has a range"),
        ("a  Abuse  1  5  -1  -1\nb  Abuse  1  5\na.mp4  Abuse  7  9", "line 3: a.mp4 is there already in line 1"),
        ("a  Abuse  1  99999999999999999999  -1  -1", "no frame numbers"),
    ],
    "xd-violence": [
        ("v_B1 5 10", "line 1: expected a name that ends in label_CODES"),
        ("v_label_B1-0-0 5", "expected START END pairs"),
        ("v_label_B1-0-0 B1 5", "expected CODE START END triples"),
        ("v_label_B9-0-0 5 10", "'B9' is no XD-Violence code"),
        ("v_label_B1-0-0 B7 5 10", "'B7' is no XD-Violence code"),
        ("v_label_0-0-0 5 10", "no XD-Violence code"),
        ("v_label_B1-0-0", "Fighting, but no range"),
        ("v_label_A 5 10", "a normal video has a range"),
        ("v_label_B1-0-0 A 5 10", "a normal video has a range"),
        ("v_label_B1-0-0 10 5", "reversed"),
        ("v_label_B1-0-0 -3 5", "frame -3 lies before"),
        ("v_label_B1-0-0 1.5 5", "no frame numbers"),
        ("v_label_B1-0-0 1 5\nv_label_B1-0-0.mp4 1 5", "there already in line 1"),
    ],
    "csv": [
        ("", "holds no rows"),
        ("a,1,2,Abuse\n", "expected the header video,start_frame"),
        ("video,start_frame,end_seconds,category\n", "expected the header"),
        ("video,start_frame,start_frame,end_frame,category\n", "expected the header"),
        (CSV, "holds no annotations"),
        (CSV + "a,1,2\n", "line 2: expected 4 cells, got 3"),
        (CSV + "a,1,2,Abuse,Riot\n", "line 2: 'Riot' stands in no column"),
        (CSV + "\n\na,1,-1,Abuse\n", "line 4: the range 1 to -1 is reversed"),
        (CSV + "a,-1,,Abuse\n", "start and end, or with neither"),
        (CSV + "a,1,,Abuse\n", "start and end, or with neither"),
        (CSV + ",1,2,Abuse\n", "expected a video"),
        (CSV + "a,9,2,Abuse\n", "reversed"),
        (CSV + "a,-9,2,Abuse\n", "before the first frame"),
        (CSV + "a,1.5,2,Abuse\n", "no frame numbers"),
        (CSV + "a,1,2,\n", "with an anomaly category"),
        (CSV + "a,1,2,normal\n", "with an anomaly category"),
        (CSV + "a,,,Abuse\n", "Abuse, but no range"),
        (CSV + "a,,,Normal\na,1,2,Abuse\n", "line 3: a is there already in line 2"),
        (CSV + "a,1,2,Abuse\na.mp4,,,Normal\n", "line 3: a is there already in line 2"),
        ("video,start_seconds,end_seconds,category\na,5,0:75,Abuse\n", "'0:75' is no time"),
        ("video,start_seconds,end_seconds,category\na,nan,5,Abuse\n", "'nan' is no time"),
        ("video,start_seconds,end_seconds,category\na,-1,5,Abuse\n", "'-1' is no time"),
        ("video,start_seconds,end_seconds,category\na,9,5,Abuse\n", "reversed"),
        ("video;start_seconds;end_seconds;category\na,1,5;2;3;Abuse\n", "line 2: "),
    ],
}


@pytest.mark.parametrize(("format", "text", "message"), [(key, *case) for key in BAD for case in BAD[key]])
def test_what_cannot_be_understood_is_one_sentence_with_file_and_line(read, format, text, message):
    if message == "line 2: ":  # not an error of cells: the name may hold commas
        assert len(read(text, format)) == 1
        return
    with pytest.raises(ConfigError) as caught:
        read(text, format)
    assert message in str(caught.value) and "truth.txt" in str(caught.value) and "\n" not in str(caught.value)


def test_frame_options_that_do_not_fit(read):
    with pytest.raises(ConfigError, match="--first-frame is about frame numbers"):
        read("video,start_seconds,end_seconds,category\na,1,5,Abuse\n", "csv", first_frame=1)
    with pytest.raises(ConfigError, match="frame 0 lies before the first frame, 1"):
        read("a  Abuse  0  5  -1  -1", "ucf-crime", first_frame=1)
    with pytest.raises(ValueError, match="expected format"):
        read("a", "coco")


def test_a_file_that_is_not_there(tmp_path):
    for format in ("ucf-crime", "xd-violence", "csv"):
        with pytest.raises(ConfigError, match=r"no\.txt: cannot be read"):
            read_annotations(tmp_path / "no.txt", format=format)


def test_records_refuse_nonsense():
    with pytest.raises(ValueError, match="0 <= start <= end"):
        TrueRange(5, 4, "Abuse")
    with pytest.raises(ValueError, match="or neither"):
        VideoAnnotation("a", ("Abuse",), ())


def test_a_range_given_twice_is_read(read):
    (annotation,) = read(CSV + "a,1,2,Abuse\na,1,2,Abuse\n", "csv")
    assert [(each.start, each.end) for each in annotation.ranges] == [(1, 2), (1, 2)]
