"""Scores of a stream as its snippets come in, each computed from what was known at a fixed delay after it.

A network reads windows of T snippets and looks both ways in them. Live, the window is the last T snippets, and a
snippet's score for a delay of d is read off the window that ends d snippets after it. An example with windows of 4 (in
truth 256), a video of 6 snippets and d = 1:

    window that ends with   s0            s1            s2            s3            s4            s5, the last
                            [s0 0 0 0]    [s0 s1 0 0]   [s0 s1 s2 0]  [s0 s1 s2 s3] [s1 s2 s3 s4] [s2 s3 s4 s5]
    scores taken            none          s0            s1            s2            s3            s4 and s5

At a stream's beginning windows are padded as those of a short video are. At its end nothing more can be waited for: the
last snippets are read off the last window. One pass of the network gives the scores of every delay.

Shapes: n snippets, B windows, T snippets of a window, C categories, D values of an embedding.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from vad_pipeline.extract.errors import ConfigError
from vad_pipeline.extract.recipe import SNIPPET_LEN

from .heads.own import OwnConfig
from .scoring import Scorer, SnippetScores, checked_embeddings, refuse_not_finite
from .windows import trailing_windows


class LiveScores:
    """The scores of one stream, at one or several delays.

    Args:
        scorer: what scores windows.
        delays: how many later snippets each score may have seen.

    Raises:
        ConfigError: a delay is below 0, or so long that a snippet has left the window before it is scored.
    """

    def __init__(self, scorer: Scorer, delays: Sequence[int]):
        check_delays(delays, window_len=scorer.config.window_len)
        self._scorer, self._delays = scorer, tuple(delays)
        # a head of the user's own may mix the windows of a batch, which end at different times
        self._batch = 1 if isinstance(scorer.config, OwnConfig) else scorer.batch_windows
        self._n_in = 0  # snippets that have come in
        self._latest = np.empty((0, scorer.config.width), np.float16)  # the last T of them, as wide as they come
        self._n_told = [0 for _ in delays]  # of how many the score has been told, by delay

    def add(self, embeddings: np.ndarray, *, last: bool = False) -> tuple[SnippetScores, ...]:
        """Take in the stream's next snippets.

        Args:
            embeddings: (k, D) float, not L2-normalised; k may be 0.
            last: whether the stream ends with them.

        Returns:
            For each delay the scores that can be told now and could not before, in the order of the snippets.

        Raises:
            EmbeddingsError: the embeddings have another shape or type, or they or their scores are not finite.
        """
        config = self._scorer.config
        if len(embeddings):
            embeddings = checked_embeddings(embeddings, config.width)
        known = np.concatenate([self._latest, embeddings])
        offset = self._n_in - len(self._latest)  # number of the first snippet in `known`
        first = max(self._n_in, min(self._delays))  # windows that end before it give no score
        self._n_in += len(embeddings)
        ends = list(range(first, self._n_in))
        if last and self._n_in and not ends:
            ends = [self._n_in - 1]
        told = [_Told() for _ in self._delays]
        for start in range(0, len(ends), self._batch):
            batch = np.array(ends[start : start + self._batch])
            windows, lengths = trailing_windows(known, batch - offset, window_len=config.window_len)
            scores = self._scorer.score_windows(windows, lengths)
            for row, end in enumerate(batch.tolist()):
                of_window = [each[row, : lengths[row]] for each in scores]
                self._read_off(told, of_window, end, is_last=last and end == self._n_in - 1)
        self._latest = known[-config.window_len :].copy()
        return tuple(each.scores(self._scorer) for each in told)

    def _read_off(self, told: list[_Told], scores: list[np.ndarray], end: int, *, is_last: bool) -> None:
        """Take what is due with the window that ends with snippet `end`: each delay's next snippet, at last all."""
        anomaly, category = scores
        first = end + 1 - len(anomaly)  # number of the window's first snippet
        for index, delay in enumerate(self._delays):
            due = self._n_told[index], end + 1 if is_last else end + 1 - delay
            if due[0] < due[1]:
                places = slice(due[0] - first, due[1] - first)
                told[index].anomaly.append(anomaly[places])
                told[index].category.append(category[places])
                self._n_told[index] = due[1]


@dataclass(slots=True)
class _Told:
    """Scores of one delay, in parts."""

    anomaly: list[np.ndarray] = field(default_factory=list)
    category: list[np.ndarray] = field(default_factory=list)

    def scores(self, scorer: Scorer) -> SnippetScores:
        """All parts together."""
        anomaly = np.concatenate([np.empty(0, np.float32), *self.anomaly])
        category = np.concatenate([np.empty((0, len(scorer.categories)), np.float32), *self.category])
        refuse_not_finite(anomaly, category)
        return SnippetScores(anomaly, category, scorer.categories, SNIPPET_LEN)


def check_delays(delays: Sequence[int], *, window_len: int) -> None:
    """Check that a network with windows of T snippets can score at these delays.

    Raises:
        ConfigError: it cannot, or there are none.
    """
    for delay in delays or [-1]:
        if not 0 <= delay < window_len:
            raise ConfigError(f"--delay {delay}: expected 0 to {window_len - 1} snippets, the window less one")


@dataclass(frozen=True, slots=True)
class DelayedScorer:
    """Scores whole videos as a stream of them would have been scored, at one delay; used in place of a `Scorer`."""

    scorer: Scorer
    delay: int

    def score(self, embeddings: np.ndarray) -> SnippetScores:
        """Score one video; see `Scorer.score`."""
        return replayed(self.scorer, embeddings, [self.delay])[0]


def replayed(scorer: Scorer, embeddings: np.ndarray, delays: Sequence[int]) -> tuple[SnippetScores, ...]:
    """The scores of a video at each of several delays, as its stream would have given them.

    Args:
        scorer: what scores windows.
        embeddings: (n, D) float, not L2-normalised, n at least 1.
        delays: in snippets.

    Raises:
        ConfigError, EmbeddingsError: see `LiveScores`.
    """
    return LiveScores(scorer, delays).add(embeddings, last=True)
