"""Which reviewed and which labelled videos are kept from a model that is to be judged on them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

N_FOLDS = 5


def folds_of(kinds: Sequence[bool], *, seed: int) -> list[list[int]]:
    """Split videos into N_FOLDS folds, or as many as there are videos of the rarer kind, both kinds in each.

    Args:
        kinds: of each video, whether something in it is real.
        seed: of the order in which they are dealt.

    Returns:
        The positions of the videos in each fold.
    """
    rng = np.random.default_rng(seed)
    of_kind = [[i for i, kind in enumerate(kinds) if kind == wanted] for wanted in (True, False)]
    n_folds = max(2, min(N_FOLDS, *(len(each) for each in of_kind if each)))
    dealt = [each[i] for each in of_kind for i in rng.permutation(len(each)).tolist()]
    return [sorted(dealt[start::n_folds]) for start in range(n_folds)]
