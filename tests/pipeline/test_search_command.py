"""search: what is planted in the embeddings is found, and nothing is compared that cannot be."""

import json
from dataclasses import replace
from fractions import Fraction
from types import SimpleNamespace
from urllib.parse import quote

import numpy as np
import pytest

from vad_pipeline.extract.embed.encoder_config import model_identity
from vad_pipeline.extract.files import SourceFile
from vad_pipeline.extract.recipe import NAMED_RECIPES, Recipe
from vad_pipeline.extract.records import VideoEmbeddings
from vad_pipeline.extract.store.embedding_store import EmbeddingStore
from vad_pipeline.extract.store.snippet_matrix import FOLDER, SnippetMatrix
from vad_pipeline.model.text_search import text_embeddings, top_moments
from vad_pipeline.pipeline.results.file_names import key_of

N_VIDEOS, N_SNIPPETS = 6, 40
RUNNING, CALM = "a man running with a bag", "an empty street"


def video(video_id: str, rows: np.ndarray, recipe, *, crops=(0,)) -> VideoEmbeddings:
    n = len(rows)
    edges = np.arange(n + 1) * 0.64
    spans = np.stack([edges[:-1], edges[1:]], 1)
    features = np.stack([rows] * len(crops))
    return VideoEmbeddings(video_id, features, crops, spans, np.arange(16 * n) / 25, Fraction(25), recipe, None)


def put(store: EmbeddingStore, item: VideoEmbeddings) -> None:
    store.put(item, source=SourceFile(f"{item.video_id}.mp4", 1, 1), content="", precision="fp32", runtime="test")


@pytest.fixture
def store(tmp_path, reading_model):
    """Six videos of noise; the text RUNNING lies in v3, snippets 10 to 12, and weaker in v1, snippet 5."""
    recipe = replace(NAMED_RECIPES["quick"].recipe, model=model_identity(reading_model), weights="random:0")
    running, calm = text_embeddings([RUNNING, CALM], pretrained="random:0", model=reading_model, identity="random:0")
    with EmbeddingStore(tmp_path / "S", create=True) as opened:
        for index in range(N_VIDEOS):
            rng = np.random.default_rng(index)
            rows = rng.standard_normal((N_SNIPPETS, 512)).astype(np.float32)
            if index == 3:
                rows[10:13] += 60 * running
                rows[11] += 60 * running
            if index == 1:
                rows[5] += 40 * running + 20 * calm
            put(opened, video(f"cam/v{index}", rows, recipe))
    return tmp_path / "S"


@pytest.fixture
def search(run_cli, store, reading_model):
    def run(*arguments):
        code, out, err = run_cli("search", *arguments, "--store", store, "--model", reading_model, "--json")
        return code, [json.loads(line) for line in out.splitlines()], err

    return run


def test_what_was_planted_is_found(search, store, run_cli, reading_model):
    code, rows, err = search(RUNNING, "--top", "4")
    assert code == 0 and len(rows) == 4 and "weights random:0 are random" in err, err
    best, second = rows[:2]
    assert best["video"] == "cam/v3" and second["video"] == "cam/v1" and best["score"] > 0.9 > second["score"] > 0.5
    assert (best["start_seconds"], best["end_seconds"]) == pytest.approx((10 * 0.64, 13 * 0.64))
    assert best["peak_seconds"] == pytest.approx(11.5 * 0.64)
    assert all(row["score"] < 0.3 for row in rows[2:])
    _, out, _ = run_cli("search", RUNNING, "--store", store, "--top", "1", "--model", reading_model)
    assert out.split("\t")[1:] == ["cam/v3", "0:00:06.4 - 0:00:08.3", "peak 0:00:07.4\n"]


def test_scores_are_the_cosines_of_all_snippets(search, store, reading_model):
    (like,) = text_embeddings([RUNNING], pretrained="random:0", model=reading_model, identity="random:0")
    _, rows, _ = search(RUNNING, "--top", "500", "--per-video", "1")
    with EmbeddingStore(store) as opened:
        for entry in opened.entries():
            features = opened.crop(entry, 0)
            cosines = features @ like / np.linalg.norm(features, axis=1)
            (row,) = [row for row in rows if row["video"] == entry.video]
            assert row["score"] == pytest.approx(cosines.max(), abs=2e-3)


def test_unlike_and_example_and_one_video(search):
    plain = search(RUNNING, "--top", "2")[1]
    unlike = search(RUNNING, "--not", CALM, "--top", "2")[1]
    assert unlike[1]["video"] == "cam/v1" and unlike[1]["score"] < plain[1]["score"] - 0.1
    code, rows, _ = search("--example", "v3@0:00:06.9", "--top", "2")  # in snippet 10
    assert code == 0 and rows[0]["score"] == pytest.approx(1, abs=1e-3) and rows[1]["video"] == "cam/v1"
    for option in (("--video", "v1"), ("--match", "*v1")):
        assert {row["video"] for row in search(RUNNING, *option)[1]} == {"cam/v1"}


def test_a_file_of_queries_is_many_searches(search, store, run_cli, reading_model, tmp_path):
    (tmp_path / "queries.txt").write_text(f"{RUNNING}\n\n{CALM}\n")
    code, rows, err = search("--queries", tmp_path / "queries.txt", "--top", "2", "--not", "a dog")
    assert code == 0, err
    for text in (RUNNING, CALM):
        alone = [{"query": text, **row} for row in search(text, "--top", "2", "--not", "a dog")[1]]
        assert [row for row in rows if row["query"] == text] == alone
    arguments = (
        "search",
        "--queries",
        tmp_path / "queries.txt",
        "--store",
        store,
        "--top",
        "1",
        "--model",
        reading_model,
    )
    lines = run_cli(*arguments)[1].splitlines()
    assert lines[0] == f"# {RUNNING}" and lines[2] == f"# {CALM}" and len(lines) == 4
    (tmp_path / "empty.txt").write_text("\n")
    for name, words in (("empty.txt", "no text to search for"), ("none.txt", "none.txt")):
        code, _, err = search("--queries", tmp_path / name)
        assert code == 2 and words in err and "Traceback" not in err


def test_a_moment_that_lasts_leaves_room_for_others():
    """A camera that looks for hours at what is sought, and thirty others that see it once, a little less clearly."""
    lengths = [5400, *[400] * 30]
    matrix = SimpleNamespace(starts=np.cumsum([0, *lengths]))
    found = np.zeros(sum(lengths), np.float32)
    found[:5400] = 0.3
    found[matrix.starts[1:-1] + 50] = 0.28
    moments = top_moments(matrix, found, n=20, per_video=3)
    assert [(m.video, m.first, m.end) for m in moments] == [(0, 0, 5400), *((video, 50, 51) for video in range(1, 20))]


def test_searching_by_example_loads_no_text_tower(search, monkeypatch):
    def refuse(*arguments, **options):
        raise AssertionError("a text tower was asked for")

    monkeypatch.setattr("vad_pipeline.model.text_search.build_clip", refuse)
    code, rows, err = search("--example", "v3@0:00:06.9", "--top", "2")
    assert code == 0 and rows, err


def test_the_matrix_is_made_once_and_again_when_shards_change(search, store, reading_model):
    search(RUNNING)
    (first,) = (store / FOLDER).glob("*.npy")
    before = first.stat().st_mtime_ns
    search(CALM)
    assert [p.stat().st_mtime_ns for p in (store / FOLDER).glob("*.npy")] == [before]
    with EmbeddingStore(store) as opened:
        recipe = replace(NAMED_RECIPES["quick"].recipe, model=model_identity(reading_model), weights="random:0")
        (running,) = text_embeddings([RUNNING], pretrained="random:0", model=reading_model, identity="random:0")
        put(opened, video("new", np.tile(running, (2, 1)), recipe))
    assert search(RUNNING, "--top", "1")[1][0]["video"] == "new"
    (second,) = (store / FOLDER).glob("*.npy")
    assert second != first


def test_only_what_is_comparable_is_compared(search, store, reading_model, tmp_path):
    with EmbeddingStore(store) as opened:
        other = replace(NAMED_RECIPES["quick"].recipe, model=model_identity(reading_model), weights="random:1")
        put(opened, video("other", np.ones((2, 512), np.float32), other))
    code, _, err = search(RUNNING)
    assert code == 2 and "--recipe" in err and other.recipe_id in err
    code, rows, err = search(RUNNING, "--recipe", other.recipe_id)
    assert code == 0 and {row["video"] for row in rows} == {"other"} and "6 videos of other recipes" in err
    code, _, err = search(RUNNING, "--recipe", other.recipe_id, "--pretrained", "random:0")
    assert code == 2 and "other weights" in err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "TEXT, --queries FILE or --example"),
        ((RUNNING, "--example", "v1@1"), "TEXT, --queries FILE or --example"),
        ((" ",), "empty"),
        (("word " * 100,), "102 tokens, CLIP reads 77"),
        (("--example", "v1"), "VIDEO@TIME"),
        (("--example", "v1@soon"), "VIDEO@TIME"),
        (("--example", "v1@1000"), "ends at 25.6 s"),
        (("--example", "none@1"), "no such video"),
        ((RUNNING, "--video", "none"), "no such video"),
        ((RUNNING, "--crop", "7"), "crop 7 is not held"),
        ((RUNNING, "--recipe", "zz"), "must name one"),
    ],
)
def test_questions_that_make_no_sense(search, arguments, words):
    code, _, err = search(*arguments)
    assert code == 2 and words in err and "Traceback" not in err


def test_the_text_goes_through_the_images_model(store, run_cli, tmp_path, reading_model):
    code, _, err = run_cli("search", RUNNING, "--store", store)
    assert code == 2 and "--model local-dir:FOLDER" in err
    code, _, err = run_cli("search", RUNNING, "--store", store, "--model", "ViT-B-32")
    assert code == 2 and "must go through the same" in err


@pytest.mark.parametrize("suffix", [".mp4", ".h264"])
def test_a_page_of_pictures_leads_to_the_moments(search, store, tmp_path, make_video, suffix):
    path = make_video(tmp_path / f"<b>&{suffix}", n_frames=16 * N_SNIPPETS)
    with EmbeddingStore(store) as opened:
        rows = np.random.default_rng(9).standard_normal((N_SNIPPETS, 512)).astype(np.float32)
        item = video("<b>&", rows, Recipe.from_json(opened.entries()[0].recipe))
        opened.put(item, source=SourceFile(str(path), 1, 1), content="", precision="fp32", runtime="test")
    page = tmp_path / "found" / "page.html"
    example = ("--example", "<b>&@6.5", "--top", "2", "--per-video", "1", "--html", page)  # snippet 10
    code, found, err = search(*example)
    assert code == 0 and "no picture: cam/" in err
    text = page.read_text()
    assert "&lt;b&gt;&amp;" in text and "<b>&" not in text and text.count("data:image/jpeg") == 1
    assert f'href="file://{quote(str(path))}#t=6.720"' in text  # the middle of snippet 10
    assert "default-src 'none'" in text and "<script" not in text and "no picture" in text
    assert "give --html FILE" in search("--example", "v3@1", "--results", tmp_path)[2]
    code, _, err = search(*example, "--results", tmp_path / "results")
    assert code == 2 and "has no review page" in err
    (tmp_path / "results" / "report").mkdir(parents=True)
    (tmp_path / "results" / "report" / "index.html").write_text("")
    assert search(*example, "--results", tmp_path / "results")[0] == 0
    address = f"{tmp_path}/results/report/index.html#video={key_of('<b>&')}&amp;frame=168"
    assert f'href="file://{address}"' in page.read_text()


def test_the_slope_of_a_better_moment_is_no_moment_of_its_own():
    found = np.full(60, 0.1, np.float32)
    found[10:20] = np.array([0.5, 0.7, 0.9, 1.0, 0.8, 0.6, 0.52, 0.57, 0.5, 0.3])
    matrix = SnippetMatrix(("v",), np.zeros((60, 1), np.float16), np.array([0, 60]))
    moments = top_moments(matrix, found, n=5, per_video=2)
    assert (moments[0].first, moments[0].end, moments[0].peak) == (11, 16, 13)
    assert all(a.end <= b.first or b.end <= a.first for a in moments for b in moments if a is not b)
