"""Scores at a delay: what a plain loop over single windows gives, and nothing of what comes later."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from vad_pipeline.extract.errors import ConfigError
from vad_pipeline.extract.recipe import NAMED_RECIPES
from vad_pipeline.model.checkpoint import Checkpoint
from vad_pipeline.model.heads.known import HEADS, result_categories
from vad_pipeline.model.heads.own import OwnConfig, OwnHead
from vad_pipeline.model.live import DelayedScorer, LiveScores, replayed
from vad_pipeline.model.scoring import EmbeddingsError, Scorer
from vad_pipeline.model.windows import trailing_windows

T, D, N = 16, 8, 40
HEAD = """
from torch import nn
class Mixing(nn.Module):
    def __init__(self, width, categories):
        super().__init__()
        self.layer = nn.Linear(width, 1)
    def forward(self, features, lengths):
        return self.layer(features + features.mean(dim=(0, 1), keepdim=True)), None  # over all windows of a batch
"""


@pytest.fixture(scope="module", params=[*HEADS])
def scorer(request, tmp_path_factory):
    """A small network of each head, drawn from a seed."""
    head = HEADS[request.param]
    config, own = replace(head.presets["ucf-crime"], window_len=T, width=D), None
    if isinstance(config, OwnConfig):
        path = tmp_path_factory.mktemp("own") / "mixing.py"
        path.write_text(HEAD)
        own = OwnHead.of(f"{path}:Mixing")
        config = replace(config, name="Mixing", has_categories=False)
    torch.manual_seed(1)
    network = (head.network(config, own) if own else head.network(config)).eval()
    text = torch.nn.functional.normalize(torch.randn(len(config.categories), D), dim=-1) if head.reads_text else None
    recipe = replace(NAMED_RECIPES["quick"].recipe, width=D)
    made = Checkpoint(
        "ucf-crime", config, network, text, result_categories(config), recipe, None, 0, 0.5, "", "", own=own
    )
    return Scorer(made, batch_windows=5)


def embeddings(n=N, seed=0):
    return np.random.default_rng(seed).standard_normal((n, D)).astype(np.float32)


def plainly(scorer, video, delay):
    """One window at a time: the score of snippet t, from the last snippets that are there d snippets later."""
    anomaly, category = [], []
    for snippet in range(len(video)):
        known = video[: min(snippet + delay, len(video) - 1) + 1]
        window = scorer.score(known[-T:])
        place = snippet - max(0, len(known) - T)
        anomaly.append(window.anomaly[place])
        category.append(window.category[place])
    return np.array(anomaly), np.array(category)


@pytest.mark.parametrize("n", [1, 5, T, T + 1, N])
def test_a_replay_is_a_plain_loop_of_windows(scorer, n):
    delays = (0, 1, 4, T - 1)
    for delay, scores in zip(delays, replayed(scorer, embeddings(n), delays), strict=True):
        anomaly, category = plainly(scorer, embeddings(n), delay)
        np.testing.assert_allclose(scores.anomaly, anomaly, atol=1e-5)
        np.testing.assert_allclose(scores.category, category, atol=1e-5)


def test_no_score_has_seen_more_than_its_delay(scorer):
    other = embeddings(seed=9)
    for delay in (0, 3):
        whole = DelayedScorer(scorer, delay).score(embeddings())
        for n in (1, 4, T, 30):
            changed = np.concatenate([embeddings()[:n], other[n:]])
            scores = DelayedScorer(scorer, delay).score(changed)
            known = max(0, n - delay)
            np.testing.assert_allclose(scores.anomaly[:known], whole.anomaly[:known], atol=1e-6)
            np.testing.assert_allclose(scores.category[:known], whole.category[:known], atol=1e-6)
            assert not np.allclose(scores.anomaly[known:], whole.anomaly[known:], atol=1e-6)


def test_a_short_video_at_a_long_delay_is_the_video_scored_whole(scorer):
    for n in (1, 6, T):
        whole, late = scorer.score(embeddings(n)), DelayedScorer(scorer, T - 1).score(embeddings(n))
        assert np.array_equal(whole.anomaly, late.anomaly) and np.array_equal(whole.category, late.category)


def test_piece_by_piece_is_the_same_and_each_score_is_told_once_it_can_be(scorer):
    delays = (2, 0, 7)
    live, told = LiveScores(scorer, delays), [[] for _ in delays]
    edges = [0, 1, 1, 3, 20, 21, N]
    for start, end in zip(edges, edges[1:], strict=False):
        for delay, parts, scores in zip(delays, told, live.add(embeddings()[start:end]), strict=True):
            parts.append(scores.anomaly)
            assert sum(map(len, parts)) == max(0, end - delay)
    for parts, scores, whole in zip(
        told, live.add(embeddings(0), last=True), replayed(scorer, embeddings(), delays), strict=True
    ):
        np.testing.assert_allclose(np.concatenate([*parts, scores.anomaly]), whole.anomaly, atol=1e-6)


def test_what_is_refused(scorer):
    for delay in (-1, T):
        with pytest.raises(ConfigError, match=f"--delay {delay}: expected 0 to {T - 1} snippets, the window less one"):
            DelayedScorer(scorer, delay).score(embeddings())
    with pytest.raises(EmbeddingsError, match="embeddings of 1 of 40 snippets are not finite"):
        replayed(scorer, np.where(np.arange(N)[:, None] == 3, np.nan, embeddings()), [0])


def test_trailing_windows():
    windows, lengths = trailing_windows(np.arange(1, 7, dtype=np.float16)[:, None], np.array([0, 3, 5]), window_len=4)
    assert lengths.tolist() == [1, 4, 4] and windows.dtype == np.float32
    assert windows[..., 0].tolist() == [[1, 0, 0, 0], [1, 2, 3, 4], [3, 4, 5, 6]]
