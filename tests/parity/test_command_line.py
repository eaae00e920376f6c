"""The command line against the published code's figures: .npy features imported, a published `.pth`, detect, curves."""

import h5py
import numpy as np
import pytest

TOLERANCE = 2e-4  # absolute, as stated with the figures
SNIPPETS = (5, 255, 256, 257, 600, 1000)


def read_curves(out) -> dict:
    """With h5py alone: video -> score (F,), category (n, C)."""
    found = {}
    for path in (out / "curves").glob("*.h5"):
        with h5py.File(path) as file:
            for node in file["videos"].values():
                found[node.attrs["video"]] = node["score"][()], node["category"][()]
    return found


@pytest.mark.parametrize("short", [pytest.param("ucf", marks=pytest.mark.long), "xd"])
def test_imported_features_score_as_published(request, short, rules, tmp_path, run_cli):
    published = request.getfixturevalue(f"published_{short}")
    converted = request.getfixturevalue(f"converted_{short}")
    converted = converted[0] if isinstance(converted, tuple) else converted
    crop = published.checkpoint.crop
    rows = ["path,label\n"]
    for n in SNIPPETS:
        features = rules.video(np.random.default_rng(2511 + n), n, segs=12).astype(np.float16)  # exactly representable
        np.save(tmp_path / f"v{n}__{crop}.npy", features)
        rows.append(f"/somewhere/else/v{n}__{crop}.npy,Normal\n")
    (tmp_path / "list.csv").write_text("".join(rows))
    store = tmp_path / "store"
    assert run_cli("store", "import", tmp_path / "list.csv", "--store", store)[0] == 0
    curves = []
    for checkpoint in (published.path, converted):
        out = tmp_path / checkpoint.suffix[1:]
        code, _, errors = run_cli(
            "detect", "--store", store, "--checkpoint", checkpoint, "--out", out, "--device", "cpu"
        )
        assert code == 0, errors
        curves.append(read_curves(out))
    assert len(curves[0]) == len(SNIPPETS)
    for n in SNIPPETS:
        score, category = curves[0][f"v{n}"]
        assert len(score) == 16 * n
        assert np.abs(score - np.repeat(published.long[f"score_{n}"], 16)).max() <= TOLERANCE
        assert np.abs(category - published.long[f"probabilities_{n}"]).max() <= TOLERANCE
        assert all(np.array_equal(a, b) for a, b in zip(curves[0][f"v{n}"], curves[1][f"v{n}"], strict=True))
