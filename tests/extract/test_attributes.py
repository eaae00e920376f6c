"""Any attribute of one video may be wrong in any way: that costs the video, and `repair` repairs."""

import random
import shutil
from fractions import Fraction
from pathlib import Path

import h5py
import numpy as np
import pytest

from vad_pipeline.extract.errors import StoreError
from vad_pipeline.extract.files import SourceFile
from vad_pipeline.extract.recipe import Recipe
from vad_pipeline.extract.records import VideoEmbeddings, VideoInfo
from vad_pipeline.extract.store import upkeep
from vad_pipeline.extract.store.embedding_store import EmbeddingStore

TORN = "torn"  # bytes that are no UTF-8
MUTATIONS = {
    TORN: b"/footage/caf\xe9.mp4",
    "empty": "",
    "text": "7",
    "huge": 2**63 - 1,
    "past 63 bits": np.uint64(2**64 - 1),
    "negative": -7,
    "fraction": 0.5,
    "nan": float("nan"),
    "numbers": np.arange(3),
    "twice": np.array([0, 0]),
    "nothing": h5py.Empty("f8"),
    "opaque": np.void(b"abc"),
    "texts": ["a", "b"],
}
ATTRIBUTES = (
    "video n_frames fps width height route snippet_len crops recipe recipe_id precision runtime source size mtime_ns "
    "written_ns fingerprint label seconds_assumed timeline checksum"
).split()
N_MUTATIONS = 5  # of each attribute, chosen by a seed; torn text always


@pytest.fixture(scope="module")
def two_videos(tmp_path_factory) -> Path:
    """A store of `a` and `b` in one shard."""
    folder = tmp_path_factory.mktemp("two_videos")
    (folder / "x.mp4").write_bytes(b"film")
    seconds = np.arange(32) / 25
    info = VideoInfo("x.mp4", 32, 32, Fraction(25), 64, 48, seconds, 0, 0, (), "pyav cpu")
    embeddings = np.random.default_rng(0).standard_normal((1, 2, 512)).astype(np.float16)
    snippets = np.array([[0, 0.64], [0.64, 1.28]])
    recipe = Recipe(weights="random:0")
    with EmbeddingStore(folder / "store", create=True) as store:
        for name in "ab":
            video = VideoEmbeddings(name, embeddings, (0,), snippets, seconds, Fraction(25), recipe, info)
            store.put(video, source=SourceFile.of(folder / "x.mp4"), content="c" * 64, precision="fp32", runtime="r")
        upkeep.merge(store)
    return folder / "store"


def mutate(store: Path, attribute: str, value: object) -> None:
    """Set an attribute of `a`; None: take it away."""
    (shard,) = (store / "shards").glob("*.h5")
    with h5py.File(shard, "r+") as file:
        attrs = next(node for node in file["videos"].values() if node.attrs["video"] == "a").attrs
        if value is None:
            del attrs[attribute]
        elif isinstance(value, bytes):
            attrs.create(attribute, value, dtype=h5py.string_dtype())
        else:
            attrs[attribute] = value


def harms() -> list[tuple[str, str]]:
    rng = random.Random(2026)
    others = [name for name in MUTATIONS if name != TORN]
    return [
        (attribute, how) for attribute in ATTRIBUTES for how in [TORN, "missing", *rng.sample(others, N_MUTATIONS - 2)]
    ]


@pytest.mark.parametrize(("attribute", "how"), harms())
def test_a_wrong_attribute_costs_one_video(two_videos, tmp_path, attribute, how):
    path = tmp_path / "store"
    shutil.copytree(two_videos, path, ignore=shutil.ignore_patterns("*.sqlite"))
    mutate(path, attribute, MUTATIONS.get(how))
    with EmbeddingStore(path) as store:
        held = {entry.video: entry for entry in store.entries()}
        assert set(held) in ({"b"}, {"a", "b"})
        assert store.get(held["b"]).features.any()
        if "a" in held:
            try:
                store.get(held["a"])
            except StoreError as error:
                str(error).encode()
        else:
            assert store.problems
        list(upkeep.verify(store))
        upkeep.merge(store, everything=True)
        list(upkeep.repair(store))
        assert list(upkeep.verify(store)) == []
        assert "b" in {entry.video for entry in store.entries()}


def test_every_attribute_is_mutated(two_videos):
    (shard,) = (two_videos / "shards").glob("*.h5")
    with h5py.File(shard) as file:
        assert all(set(node.attrs) == set(ATTRIBUTES) for node in file["videos"].values())


@pytest.mark.parametrize(
    ("command", "code"), [("ls", 0), ("compact", 0), ("verify", 1), ("verify --repair", 0), ("export OUT", 0)]
)
def test_one_flipped_bit_in_a_path_does_not_stop_a_command(two_videos, tmp_path, run_cli, command, code):
    shutil.copytree(two_videos, tmp_path / "store", ignore=shutil.ignore_patterns("*.sqlite"))
    (shard,) = (tmp_path / "store" / "shards").glob("*.h5")
    data = bytearray(shard.read_bytes())
    data[data.index(b"x.mp4")] ^= 0x80  # in one of the two sources
    shard.write_bytes(data)
    words = command.replace("OUT", str(tmp_path / "out")).split()
    found, out, err = run_cli("store", *words, "--store", tmp_path / "store")
    assert found == code and "Traceback" not in err, err
    if command == "ls":
        assert len(out.splitlines()) == 1 and "no UTF-8" in err
    if command == "verify --repair":
        assert run_cli("store", "verify", "--store", tmp_path / "store")[0] == 0
        assert len(run_cli("store", "ls", "--store", tmp_path / "store")[1].splitlines()) == 1
