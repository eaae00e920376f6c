"""Scoring: bounded memory, nothing depends on its neighbours, bad input refused in a sentence."""

import pickle
import subprocess
import sys

import numpy as np
import pytest

from vad_pipeline.extract.errors import ConfigError, VadError
from vad_pipeline.model.scoring import EmbeddingsError, Scorer, SnippetScores

TOLERANCE = 2e-4


@pytest.fixture(scope="module")
def scorer(seeded):
    return Scorer(seeded)


def test_scores(scorer, snippets):
    scores = scorer.score(snippets(40))
    assert scores.anomaly.shape == (40,) and scores.anomaly.dtype == np.float32
    assert scores.category.shape == (40, 14) and scores.category.dtype == np.float32
    assert np.allclose(scores.category.sum(axis=1), 1, atol=1e-5)
    assert (scores.categories[0], scores.snippet_len) == ("Normal", 16)
    assert repr(scores) == "SnippetScores(anomaly=(40,), category=(40, 14))"
    again = scorer.score(snippets(40))
    assert np.array_equal(scores.anomaly, again.anomaly) and np.array_equal(scores.category, again.category)


def test_batches_bound_memory_and_change_nothing(seeded, snippets):
    video = snippets(1100)
    whole, single = Scorer(seeded), Scorer(seeded, batch_windows=2)
    seen = []
    network = single._model.logits
    single._model.logits = lambda features, *rest, **options: (
        seen.append(len(features)) or network(features, *rest, **options)
    )
    try:
        in_batches = single.score(video)
    finally:
        del single._model.logits
    assert seen == [2, 2, 1]
    at_once = whole.score(video)
    assert np.abs(in_batches.anomaly - at_once.anomaly).max() <= TOLERANCE
    assert np.abs(in_batches.category - at_once.category).max() <= TOLERANCE
    last = whole.score(video[1024:])
    assert np.abs(last.anomaly - at_once.anomaly[1024:]).max() <= TOLERANCE, "windows do not see each other"


def test_float16_and_read_only_embeddings(scorer, snippets):
    video = snippets(5).astype(np.float16)
    video.setflags(write=False)
    assert np.array_equal(scorer.score(video).anomaly, scorer.score(video.astype(np.float32)).anomaly)


def test_what_is_refused(scorer, snippets, seeded):
    broken = snippets(30)
    broken[[12, 20], 3] = np.nan, np.inf
    for embeddings, message in [
        (broken, r"embeddings of 2 of 30 snippets are not finite \(first: snippet 12\); extract"),
        (np.zeros((4, 768), np.float32), r"must have the shape \(snippets, 512\).*got \(4, 768\)"),
        (np.zeros((1, 4, 512), np.float32), r"got \(1, 4, 512\)"),
        (np.zeros((0, 512), np.float32), r"at least one snippet, got \(0, 512\)"),
        (np.zeros((4, 512), np.int64), "must be floating point numbers, got int64"),
    ]:
        with pytest.raises(EmbeddingsError, match=message) as caught:
            scorer.score(embeddings)
        assert isinstance(caught.value, VadError)
        assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)
    with pytest.raises(ConfigError, match="not a device"):
        Scorer(seeded, device="tpu9000")
    with pytest.raises(ValueError, match="at least 1, got 0"):
        Scorer(seeded, batch_windows=0)


def test_records_check_themselves():
    good = {"anomaly": np.full(3, 0.5, np.float32), "category": np.full((3, 2), 0.5, np.float32)}
    SnippetScores(**good, categories=("Normal", "A"), snippet_len=16)
    for change, message in [
        ({"anomaly": np.full(2, 0.5)}, r"got \(2,\) and \(3, 2\)"),
        ({"anomaly": np.full(3, np.nan)}, "outside or not finite"),
        ({"category": np.full((3, 2), 0.6)}, "sum to 1"),
    ]:
        with pytest.raises(ValueError, match=message):
            SnippetScores(**{**good, **change}, categories=("Normal", "A"), snippet_len=16)


def test_scoring_imports_nothing_heavy(seeded_path):
    code = (
        "import sys, numpy\n"
        "from vad_pipeline.model.curve import find_events\n"
        "assert 'torch' not in sys.modules, 'curves load torch'\n"
        "from vad_pipeline.model.checkpoint import load_checkpoint\n"
        "from vad_pipeline.model.scoring import Scorer\n"
        f"scorer = Scorer(load_checkpoint({str(seeded_path)!r}))\n"
        "scorer.score(numpy.ones((3, 512), numpy.float32))\n"
        "print(*(name for name in ('open_clip', 'torchvision', 'av', 'timm') if name in sys.modules))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, "", "")
