"""Localisation against plain loops over frames, on drawn and on awkward cases."""

import numpy as np
import pytest

from vad_pipeline.eval.detection import IOU_THRESHOLDS, Segments, localise, merge_segments, propose_segments

# the plain version: every frame written out, non-maximum suppression carried out


def frames_of(values, n_frames, length=16):
    return [float(values[min(frame // length, len(values) - 1)]) for frame in range(n_frames)]


def iou(a, b, c, d):
    common = len(set(range(a, b)) & set(range(c, d)))
    return common / len(set(range(a, b)) | set(range(c, d)))


def plain_proposals(values, n_frames, length=16):
    frames = frames_of(values, n_frames, length)
    top = sorted(frames, reverse=True)[: max(1, n_frames // 16)]
    limit = max(frames) - 0.6 * (max(frames) - min(frames))
    found, start = [], None
    for frame in range(n_frames + 1):
        over = frame < n_frames and frames[frame] > limit
        if over and start is None:
            start = frame
        if not over and start is not None:
            if frame - start >= 2:
                found.append((start, frame, max(frames[start:frame]) + 0.7 * sum(top) / len(top)))
            start = None
    kept = []
    for segment in sorted(found, key=lambda segment: -segment[2]):
        if all(iou(*segment[:2], *other[:2]) <= 0.6 for other in kept):
            kept.append(segment)
    assert len(kept) == len(found)  # runs over one threshold never overlap: suppression removes nothing
    return sorted(kept)


def plain_precisions(probabilities, n_frames, truth, threshold, length=16):
    """Average precision of each category; None without truth."""
    found = []
    for category in range(probabilities[0].shape[1]):
        segments = []
        for video, values in enumerate(probabilities):
            segments += [(video, *each) for each in plain_proposals(values[:, category], n_frames[video], length)]
        segments.sort(key=lambda segment: -segment[3])
        true = [each[1:] for each in truth if each[0] == category]
        taken, hits, total = set(), 0, 0.0
        for rank, (video, start, end, _) in enumerate(segments, start=1):
            best = None
            for index, (of, true_start, true_end) in enumerate(true):
                if of != video or index in taken:
                    continue
                value = iou(start, end, true_start, true_end)
                if value >= threshold and (best is None or value > best[0]):
                    best = value, index
            if best:
                taken.add(best[1])
                hits += 1
                total += hits / rank
        found.append(total / len(true) if true else None)
    return found


def segments(rows):
    return Segments(*np.array(rows, np.int64).reshape(-1, 4).T)


def check(probabilities, n_frames, truth, length=16):
    found = localise(probabilities, n_frames, segments(truth), snippet_len=length, protocol="official")
    got = found.average_precisions()
    for row, threshold in zip(got, IOU_THRESHOLDS, strict=True):
        plain = plain_precisions(probabilities, n_frames, truth, threshold, length)
        assert [None if np.isnan(each) else each for each in row] == pytest.approx(plain, abs=1e-12)
    return found


def draw(rng, *, n_videos=8, n_categories=3, levels=None, tail="drop"):
    probabilities, n_frames, truth = [], [], []
    for video in range(n_videos):
        n = int(rng.integers(1, 40))
        values = (
            rng.random((n, n_categories)) if levels is None else rng.integers(0, levels, (n, n_categories)) / levels
        )
        probabilities.append(values.astype(np.float32))
        extra = int(rng.integers(0, 16))
        n_frames.append(16 * n + extra if tail == "drop" else 16 * (n - 1) + extra + 1)
        for _ in range(int(rng.integers(0, 4))):
            start = int(rng.integers(0, n_frames[-1]))
            truth.append((int(rng.integers(n_categories)), video, start, start + 1 + int(rng.integers(0, 200))))
    return probabilities, n_frames, truth


@pytest.mark.parametrize("tail", ["drop", "keep"])
@pytest.mark.parametrize("seed", range(8))
def test_average_precisions_equal_the_plain_loops(seed, tail):
    check(*draw(np.random.default_rng(seed), tail=tail))


@pytest.mark.parametrize("seed", range(8))
def test_ties_equal_the_plain_loops(seed):
    check(*draw(np.random.default_rng(100 + seed), levels=3))


def test_snippets_of_single_frames():
    rng = np.random.default_rng(7)
    probabilities = [rng.integers(0, 4, (50, 2)).astype(np.float32) / 4 for _ in range(4)]
    check(probabilities, [50] * 4, [(0, 0, 3, 9), (1, 2, 0, 50), (1, 3, 10, 12)], length=1)


def column(values):
    return np.array(values, np.float32)[:, None]


AWKWARD = {
    "one snippet": ([column([0.7])], [16], [(0, 0, 0, 16)]),
    "one frame": ([column([0.7])], [1], [(0, 0, 0, 1)]),
    "constant curve": ([column([0.3] * 9)], [150], [(0, 0, 0, 144)]),
    "a last snippet of one frame": ([column([0.1, 0.1, 0.9])], [33], [(0, 0, 32, 33)]),
    "a last snippet of two frames": ([column([0.1, 0.1, 0.9])], [34], [(0, 0, 32, 34)]),
    "overlapping truth": ([column([0, 1, 1, 0, 1, 0])], [96], [(0, 0, 16, 40), (0, 0, 20, 48), (0, 0, 60, 90)]),
    "touching truth": ([column([0, 1, 1, 0, 1, 0])], [96], [(0, 0, 16, 32), (0, 0, 32, 48)]),
    "the same truth twice": ([column([0, 1, 0, 1, 0])], [80], [(0, 0, 16, 32), (0, 0, 16, 32)]),
    "truth past the end": ([column([0, 0, 1])], [48], [(0, 0, 32, 90), (0, 0, 60, 70)]),
    "two segments, one truth": ([column([0, 1, 0, 0.9, 0])], [80], [(0, 0, 10, 66)]),
    "equally near truth": ([column([0.9, 0, 1, 1, 0, 0])], [96], [(0, 0, 8, 48), (0, 0, 48, 88)]),
    "no truth": ([column([0, 1, 0])], [48], []),
}


@pytest.mark.parametrize("case", AWKWARD)
def test_awkward_cases_equal_the_plain_loops(case):
    check(*AWKWARD[case])


def test_proposals_by_hand():
    # above 0.25, which is not above itself; two runs, the second reaching over the dropped tail
    found = propose_segments([column([0, 0.5, 0.625, 0.25, 0.5])], [89], snippet_len=16)
    assert (found.start.tolist(), found.end.tolist()) == ([16, 64], [48, 89])
    video_score = 0.625  # of the top 5 frames
    assert found.score.tolist() == pytest.approx([0.625 + 0.7 * video_score, 0.5 + 0.7 * video_score])


def test_the_video_score_is_the_mean_of_the_top_sixteenth():
    n = 24  # 384 frames, 24 of them on top: the highest snippet and half of the next
    values = np.linspace(0, 1, n)
    found = propose_segments([column(values)], [16 * n], snippet_len=16)
    assert found.score.tolist() == pytest.approx([1 + 0.7 * (16 * values[-1] + 8 * values[-2]) / 24], abs=1e-6)


def test_a_run_ends_with_its_video():
    found = propose_segments([column([0, 1]), column([1, 0])], [32, 32], snippet_len=16)
    assert found.video.tolist() == [0, 1]
    assert (found.start.tolist(), found.end.tolist()) == ([16, 0], [32, 16])


def test_a_taken_truth_leaves_the_next_best_one():
    # the lower-scored segment overlaps the first true one more (1/3 to 1/4), but that one is taken
    probabilities, truth = [column([0, 1, 0, 0.9, 0])], [(0, 0, 16, 64), (0, 0, 56, 80)]
    found = check(probabilities, [80], truth).average_precisions()
    assert found[:, 0].tolist() == [1.0, 1.0, 0.5, 0, 0]


def test_intersection_over_union_of_just_the_threshold_counts():
    truth = [(0, 0, 16, 48)]  # the segment 16 to 32 has an IoU of exactly 0.5
    found = check([column([0, 1, 0])], [48], truth)
    assert found.average_precisions()[-1, 0] == 1.0


def two_categories():
    """Category 1 is found exactly, category 2 has truth and proposes nothing, the normal one is constant."""
    values = np.array([[0.5, 0, 0.2], [0.5, 1, 0.2], [0.5, 0, 0.2]], np.float32)
    return [values], [48], [(1, 0, 16, 32), (2, 0, 0, 16)]


def test_corrected_is_the_mean_over_anomaly_categories_with_truth():
    probabilities, n_frames, truth = two_categories()

    def corrected(rows):
        found = localise(probabilities, n_frames, segments(rows), snippet_len=16, protocol="corrected")
        maps = found.mean_average_precision()
        return maps if maps is None else maps.tolist()

    assert corrected(truth) == [0.5] * 5  # without proposals: 0 by itself
    assert corrected(truth[:1]) == [1.0] * 5  # without truth: left out
    assert corrected([*truth[:1], (0, 0, 0, 48)]) == [1.0] * 5  # the normal one is no event
    assert corrected([*truth[:1], (3, 0, 0, 16)]) == [0.5] * 5  # a category that the results do not know
    assert corrected([]) is None


def test_official_is_zero_where_a_category_proposes_nothing():
    probabilities, n_frames, truth = two_categories()
    found = localise(probabilities, n_frames, segments(truth), snippet_len=16, protocol="official")
    assert found.mean_average_precision().tolist() == [0] * 5
    probabilities[0][:, [0, 2]] = [[1, 0], [0, 0], [0, 1]]
    found = localise(probabilities, n_frames, segments(truth[:1]), snippet_len=16, protocol="official")
    assert found.mean_average_precision() == pytest.approx([1 / 3] * 5)  # those without truth score 0 and count


def test_merging_clips_and_joins_within_a_video_and_category():
    rows = [
        (1, 0, 40, 60), (1, 0, 10, 20), (1, 0, 20, 30), (1, 0, 50, 55),  # touch; lie inside
        (2, 0, 25, 45), (1, 1, 60, 70), (1, 1, 90, 300), (1, 1, 200, 250),  # others; past the end
    ]  # fmt: skip
    merged = merge_segments(segments(rows), [100, 100])
    got = list(zip(*(each.tolist() for each in (merged.category, merged.video, merged.start, merged.end)), strict=True))
    assert got == [(1, 0, 10, 30), (1, 0, 40, 60), (1, 1, 60, 70), (1, 1, 90, 100), (2, 0, 25, 45)]


@pytest.mark.parametrize("protocol", ["corrected", "official"])
@pytest.mark.parametrize("seed", range(6))
def test_video_weights_are_copies_of_videos(seed, protocol):
    rng = np.random.default_rng(seed)
    probabilities, n_frames, truth = draw(rng)
    weights = rng.integers(0, 4, len(probabilities))
    found = localise(probabilities, n_frames, segments(truth), snippet_len=16, protocol=protocol)
    drawn = np.repeat(np.arange(len(probabilities)), weights)
    copies = [(category, new, start, end) for new, old in enumerate(drawn)
              for category, video, start, end in truth if video == old]  # fmt: skip
    resampled = localise(
        [probabilities[video] for video in drawn],
        [n_frames[video] for video in drawn],
        segments(copies),
        snippet_len=16,
        protocol=protocol,
    )
    assert found.mean_average_precision(weights) == pytest.approx(resampled.mean_average_precision(), abs=1e-12)


def test_segments_of_no_length_are_refused():
    with pytest.raises(ValueError, match="start < end"):
        segments([(0, 0, 5, 5)])


def test_the_example_of_the_module():
    probabilities = [np.array([[0.1, 0.1, 0.7, 0.9, 0.1, 0.1, 0.6, 0.1]]).T.repeat(2, axis=1)]
    segments = propose_segments(probabilities, [128], snippet_len=16)
    of_one = segments.category == 1
    assert list(zip(segments.start[of_one], segments.end[of_one], strict=True)) == [(32, 64), (96, 112)]
    assert segments.score[of_one] == pytest.approx([1.53, 1.23])
    truth = Segments(*(np.array([value]) for value in (1, 0, 48, 80)))
    found = localise(probabilities, [128], truth, snippet_len=16, protocol="corrected")
    assert found.mean_average_precision().tolist() == [1, 1, 1, 0, 0]
