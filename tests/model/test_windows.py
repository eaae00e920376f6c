"""Windows: nothing lost, nothing added."""

import numpy as np
import pytest

from vad_pipeline.model.windows import count_windows, from_windows, pool, to_windows


@pytest.mark.parametrize(
    ("n", "lengths"),
    [(1, [1]), (255, [255]), (256, [256]), (257, [256, 1]), (512, [256, 256]), (600, [256, 256, 88])],
)
def test_round_trip(n, lengths):
    snippets = np.random.default_rng(n).standard_normal((n, 512), dtype=np.float32)
    windows, found = to_windows(snippets, window_len=256)
    assert found.tolist() == lengths, "no window is all padding"
    assert windows.shape == (len(lengths), 256, 512) and count_windows(n, window_len=256) == len(lengths)
    assert not windows[-1, lengths[-1] :].any(), "padding is zero"
    assert np.array_equal(from_windows(windows, found), snippets)
    assert from_windows(windows[..., 0], found).shape == (n,)


def test_what_does_not_fit():
    with pytest.raises(ValueError, match=r"got \(0, 512\)"):
        to_windows(np.zeros((0, 512), np.float32), window_len=256)
    with pytest.raises(ValueError, match="expected 2 lengths of 0 to 4"):
        from_windows(np.zeros((2, 4)), np.array([4, 5]))


@pytest.mark.parametrize("n", [1, 7, 8, 9, 15, 16, 17, 100, 256, 257])
def test_pool_is_the_mean_of_each_range(n):
    snippets = np.random.default_rng(n).standard_normal((n, 3)).astype(np.float32)
    pooled = pool(snippets, window_len=8)
    if n <= 8:
        assert np.array_equal(pooled, snippets)
        return
    edges = [int(edge) for edge in np.linspace(0, n, 9)]
    expected = [snippets[a:b].mean(axis=0) if b > a else snippets[a] for a, b in zip(edges, edges[1:], strict=False)]
    assert pooled.dtype == np.float32
    np.testing.assert_allclose(pooled, expected, rtol=1e-5, atol=1e-6)
