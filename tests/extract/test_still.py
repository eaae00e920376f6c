"""Still scenes: what counts as still, what is embedded, and that nothing changes where nobody asks for it."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from memory_footage import SIZE, Footage, scene, with_square

from vad_pipeline.extract.decode.reader import PyavReader
from vad_pipeline.extract.embed import embed_video as embed
from vad_pipeline.extract.embed.embed_video import embed_video
from vad_pipeline.extract.embed.geometry import crop_frames
from vad_pipeline.extract.embed.sampling import sample_positions, snippet_bounds
from vad_pipeline.extract.embed.still import StillScenes, cell_sums, difference
from vad_pipeline.extract.errors import ConfigError
from vad_pipeline.extract.recipe import DEFAULT_STILL_BOUND, NAMED_RECIPES, Recipe

FLOAT16_STEP = 2.0**-10  # relative
QUICK = NAMED_RECIPES["quick"].recipe


def embedded(frames, encoder, *, bound=DEFAULT_STILL_BOUND, recipe=QUICK, crops=(0,)):
    recipe = replace(recipe, still_bound=bound)
    return embed_video(Footage(frames), video_id="a", recipe=recipe, crops=crops, load_encoder=lambda: encoder)


@pytest.fixture
def images(toy_encoder, monkeypatch):
    """How many pictures each call of the encoder was given."""
    given, encode = [], type(toy_encoder).encode
    monkeypatch.setattr(
        type(toy_encoder), "encode", lambda self, crops: given.append(len(crops)) or encode(self, crops)
    )
    return given


@pytest.mark.parametrize(("like", "n_images"), [("vadclip", 2), ("quick", 1)])
def test_of_a_still_video_one_frame_is_embedded(toy_encoder, images, like, n_images):
    named = NAMED_RECIPES[like]
    video = embedded([scene()] * 83, toy_encoder, recipe=named.recipe, crops=named.crops)
    rows = video.embeddings
    assert sum(images) == n_images and (rows == rows[:, :1]).all() and np.abs(rows).sum() > 0
    n_sampled = 80 if like == "vadclip" else 6
    assert video.still_share == 1 - 1 / n_sampled
    every = embedded([scene()] * 83, toy_encoder, recipe=named.recipe, crops=named.crops, bound=None)
    np.testing.assert_allclose(rows, every.embeddings, rtol=FLOAT16_STEP, atol=1e-5)
    assert every.still_share is None


def test_a_small_square_that_moves_is_never_still(toy_encoder, images):
    frames = [with_square(scene(), left=2 * index) for index in range(64)]
    recipe = replace(QUICK, frames_per_snippet=16)
    video = embedded(frames, toy_encoder, recipe=recipe)
    assert video.still_share == 0 and sum(images) == 64
    assert np.array_equal(video.embeddings, embedded(frames, toy_encoder, recipe=recipe, bound=None).embeddings)


def test_a_drift_slower_than_the_bound_is_noticed_once_it_adds_up():
    scenes = StillScenes(bound=4.5)
    dusk = [scene() - np.uint8(index) for index in range(20)]
    assert [len(scenes.split([frame])[0]) for frame in dusk] == [1, 0, 0, 0, 0] * 4
    assert scenes.share == 16 / 20


def test_the_bound_itself_is_another_picture():
    pictures = [np.full((*SIZE, 3), level, np.uint8) for level in (100, 104, 107, 108)]
    assert StillScenes(bound=4).split(pictures[:3])[1] == (0, 1, 2)
    assert StillScenes(bound=4).split(pictures)[1] == (0, 1, 2, 1)
    assert StillScenes(bound=4).split([pictures[0], pictures[3]])[1] == (0, 1, 1)


@pytest.mark.parametrize("size", [(240, 320), (1080, 1920), (100, 60), (2, 2), (1, 500)])
def test_cells_are_means_over_the_picture(size):
    frame = scene(size=size)
    frame.flags.writeable = False  # as decord's are
    cells = cell_sums(frame).numpy() / 64
    assert cells.shape == (28, 28, 3) and abs(cells.mean() - frame.mean()) < 3
    assert torch.equal(cell_sums(torch.from_numpy(frame.copy())), cell_sums(frame))
    flat = [cell_sums(np.full((*size, 3), level, np.uint8)) for level in (0, 255)]
    assert difference(*flat) == difference(*flat[::-1]) == 255


def test_another_size_of_frame_is_another_picture():
    grey = [np.full((height, 64, 3), 90, np.uint8) for height in (48, 48, 50, 50)]
    assert StillScenes(bound=9).split(grey)[1] == (0, 2, 2)


def plain_rows(frames, recipe, crops, encoder) -> np.ndarray:
    """One picture at a time: each sampled frame is the last one that a plain comparison found new."""
    rows, last = [], None
    for start, end in snippet_bounds(len(frames), recipe):
        shown = []
        for position in sample_positions(int(end - start), recipe.frames_per_snippet):
            frame = frames[start + position]
            if last is None or difference(cell_sums(frame), cell_sums(last)) >= recipe.still_bound:
                last = frame
            shown.append(crop_frames([last], recipe.geometry, crops)[0])
        rows.append(np.mean([[encoder.encode(image[None])[0] for image in crop] for crop in shown], axis=0))
    return np.stack(rows, axis=1)


@pytest.mark.parametrize("like", ["vadclip", "quick"])
def test_against_a_plain_loop(toy_encoder, like, monkeypatch):
    """Scenes of every length: cut within a snippet, longer than the batch and the queue, back to an earlier one."""
    named = NAMED_RECIPES[like]
    recipe = replace(named.recipe, still_bound=DEFAULT_STILL_BOUND)
    lengths = [3, 1, 1, 40, 16, 100, 7, 30]
    frames = [scene(seed=i % 4) for i, length in enumerate(lengths) for _ in range(length)]
    video = embedded(frames, toy_encoder, recipe=recipe, crops=named.crops)
    expected = plain_rows(frames, recipe, named.crops, toy_encoder)
    np.testing.assert_allclose(video.embeddings, expected, rtol=FLOAT16_STEP, atol=1e-5)
    for waiting in (1, 3):  # snippets that a long still scene keeps back before a batch is sent half full
        monkeypatch.setattr(embed, "MAX_WAITING", waiting)
        again = embedded(frames, toy_encoder, recipe=recipe, crops=named.crops)
        np.testing.assert_allclose(again.embeddings, expected, rtol=FLOAT16_STEP, atol=1e-5)
        assert again.still_share == video.still_share


def test_crops_do_not_decide_what_is_still(toy_encoder):
    frames = [with_square(scene(i // 30), left=4 * (i // 5)) for i in range(120)]
    together = embedded(frames, toy_encoder, crops=(0, 1, 4))
    for slot, crop in enumerate((0, 1, 4)):
        alone = embedded(frames, toy_encoder, crops=(crop,))
        assert alone.still_share == together.still_share
        np.testing.assert_allclose(alone.embeddings[0], together.embeddings[slot], rtol=FLOAT16_STEP, atol=1e-5)


@pytest.mark.parametrize("like", ["vadclip", "quick"])
def test_without_a_bound_rows_are_bit_for_bit_what_they_were(tmp_path, make_video, toy_encoder, like):
    """The sum over a snippet's frames in their order, of full batches in the order of frames and crops."""
    named = NAMED_RECIPES[like]
    path = make_video(tmp_path / "a.mp4", n_frames=150)
    video = embed_video(
        PyavReader(path), video_id="a", recipe=named.recipe, crops=named.crops, load_encoder=lambda: toy_encoder
    )
    reader = PyavReader(path)
    frames = [frame.rgb() for frame in reader]
    reader.close()
    bounds = snippet_bounds(len(frames), named.recipe)
    sampled = [
        [start + p for p in sample_positions(int(end - start), named.recipe.frames_per_snippet)]
        for start, end in bounds
    ]
    images = torch.cat([crop_frames([frames[n] for n in some], named.recipe.geometry, named.crops) for some in sampled])
    batches = images.flatten(0, 1).split(toy_encoder.batch_size)
    embeddings = iter(np.concatenate([toy_encoder.encode(batch) for batch in batches]))
    for row, some in enumerate(sampled):
        total = np.zeros((len(named.crops), 512), np.float32)
        for _ in some:
            for crop in range(len(named.crops)):
                total[crop] += next(embeddings)
        assert np.array_equal(video.embeddings[:, row], (total / len(some)).astype(np.float16))


def test_recipes_without_a_bound_keep_their_ids():
    ids = {name: named.recipe.recipe_id for name, named in NAMED_RECIPES.items()}
    assert ids == {"vadclip": "8e81a005a344", "quick": "c6e2366fa53e", "fast": "999e9d5358d8"}
    assert Recipe(weights="random:0", decoder="decord").recipe_id == "61e6b16ebca2"


def test_a_bound_makes_another_recipe():
    recipe = Recipe(still_bound=12)
    assert Recipe.from_json(recipe.to_json()) == recipe != Recipe() and recipe.recipe_id != Recipe().recipe_id
    assert recipe.recipe_id == Recipe(still_bound=12.0).recipe_id != Recipe(still_bound=12.5).recipe_id
    assert Recipe.from_json(Recipe().to_json()) == Recipe()
    assert Recipe().differences(recipe) == "still_bound None != 12.0"


@pytest.mark.parametrize("bound", [0, -1, 255.5, float("nan"), float("inf")])
def test_a_bound_is_a_number_of_grey_levels(bound):
    with pytest.raises(ConfigError, match="still bound must lie above 0, up to 255"):
        Recipe(still_bound=bound)
    with pytest.raises(ConfigError, match="wrong type"):
        Recipe.from_json('{"still_bound": "much"}')
