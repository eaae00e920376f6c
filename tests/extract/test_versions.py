"""The rule by which one of several versions of a group counts, and the others may go."""

from vad_pipeline.extract.store.versions import Version, kept, time_after

VERSIONS = {  # the example of the module's docstring
    "a": [Version(10, "one.h5"), Version(20, "two.h5")],
    "b": [Version(10, "one.h5"), Version(10, "three.h5")],
}


def test_the_newest_counts_and_of_equal_ones_the_last_shard_s():
    assert max(VERSIONS["a"]) == Version(20, "two.h5")
    assert max(VERSIONS["b"]) == Version(10, "three.h5")


def test_a_superseded_version_may_go_and_an_equal_one_only_beside_a_settled_shard():
    assert kept("one.h5", VERSIONS, settled=()) == ["b"]
    assert kept("one.h5", VERSIONS, settled={"three.h5"}) == []
    assert kept("two.h5", {"a": VERSIONS["a"]}, settled={"one.h5"}) == ["a"]


def test_a_clock_that_was_set_back_does_not_bring_an_old_version_back():
    far = 2**62
    assert time_after(far) == far + 1
