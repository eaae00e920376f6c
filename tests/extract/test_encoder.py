"""The encoder against open_clip's own encode_image, and everything a weights file can be."""

import numpy as np
import pytest
import torch

from vad_pipeline.extract.embed import ways
from vad_pipeline.extract.embed.encoder import ClipEncoder
from vad_pipeline.extract.embed.encoder_config import EncoderConfig, load_weights, weight_warnings
from vad_pipeline.extract.embed.weights import read_weights, tower_sha256
from vad_pipeline.extract.errors import ConfigError
from vad_pipeline.extract.timings import Timings


def images(n: int, seed: int = 0) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).integers(0, 256, (n, 3, 224, 224), np.uint8))


def seeded_clip(model: str, seed: int):
    import open_clip

    torch.manual_seed(seed)
    return open_clip.create_model(model, load_weights=False).eval()


def test_embeddings_are_encode_images(toy_model):
    """fp32 within 1e-4 relative of open_clip on the same pixels, through a weights file."""
    encoder = ClipEncoder(EncoderConfig(model=toy_model, pretrained="random:3", device="cpu", precision="fp32"))
    with torch.random.fork_rng():
        clip = seeded_clip(toy_model, 3)
    crops = images(encoder.batch_size)
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in (clip.visual.image_mean, clip.visual.image_std))
    with torch.no_grad():
        expected = clip.encode_image((crops.float() / 255 - mean) / std).numpy()
    np.testing.assert_allclose(encoder.encode(crops), expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())


def test_an_embedding_does_not_depend_on_its_batch(toy_encoder):
    crops = images(toy_encoder.batch_size)
    full = toy_encoder.encode(crops)
    for n in (1, 3, toy_encoder.batch_size):
        assert np.array_equal(toy_encoder.encode(crops[:n]), full[:n])
    with pytest.raises(ValueError, match="at most"):
        toy_encoder.encode(images(toy_encoder.batch_size + 1))


def test_random_weights_are_seeded_and_leave_the_global_generator_alone(toy_model):
    torch.manual_seed(7)
    before = torch.random.get_rng_state()
    one, same, other = (
        ClipEncoder(EncoderConfig(model=toy_model, pretrained=f"random:{seed}", device="cpu")) for seed in (1, 1, 2)
    )
    assert torch.equal(before, torch.random.get_rng_state())
    crops = images(1)
    assert np.array_equal(one.encode(crops), same.encode(crops))
    assert not np.array_equal(one.encode(crops), other.encode(crops))


@pytest.fixture(scope="module")
def weight_files(toy_model, tmp_path_factory):
    """One tower in every container we read."""
    from safetensors.torch import save_file

    folder = tmp_path_factory.mktemp("weights")
    state = {k: v.contiguous() for k, v in seeded_clip(toy_model, 5).state_dict().items()}
    save_file(state, folder / "a.safetensors")
    torch.save(state, folder / "a.pth")
    torch.save({"state_dict": {f"module.{k}": v for k, v in state.items()}}, folder / "a.pt")
    script = torch.jit.script(_Holder(state))
    torch.jit.save(script, str(folder / "openai.pt"))
    return folder, state


class _Holder(torch.nn.Module):
    """A scripted module with a given state dict, as OpenAI's archives are."""

    def __init__(self, state):
        super().__init__()
        for name, value in state.items():
            parent = self
            *path, leaf = name.split(".")
            for part in path:
                if not hasattr(parent, part):
                    setattr(parent, part, torch.nn.Module())
                parent = getattr(parent, part)
            parent.register_buffer(leaf, value)
        self.register_buffer("input_resolution", torch.tensor(224))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x


def test_every_container_gives_the_same_identity_and_embeddings(weight_files, toy_model):
    folder, state = weight_files
    crops = images(2)
    outputs = []
    for name in ("a.safetensors", "a.pth", "a.pt", "openai.pt"):
        encoder = ClipEncoder(EncoderConfig(model=toy_model, pretrained=str(folder / name), device="cpu"))
        assert encoder.weights == tower_sha256(state)
        outputs.append(encoder.encode(crops))
    assert all(np.array_equal(outputs[0], other) for other in outputs[1:])


def test_quickgelu_is_settled_or_reported(weight_files, tmp_path):
    from safetensors.torch import save_file

    folder, state = weight_files
    config = EncoderConfig(pretrained=str(folder / "a.pth"))
    assert "unverified" in weight_warnings(config, read_weights(config.pretrained))[0]
    save_file(state, tmp_path / "ours.safetensors", {"activation": "quick_gelu"})
    known = read_weights(str(tmp_path / "ours.safetensors"))
    assert known.quickgelu is True and weight_warnings(config, known) == ()
    plain = EncoderConfig(model="ViT-B-16", pretrained="openai")
    assert load_weights("openai", "ViT-B-16-quickgelu").quickgelu is True
    assert "QuickGELU" in weight_warnings(plain, load_weights("openai", "ViT-B-16"))[0]
    random = EncoderConfig(pretrained="random:0")
    assert "random" in weight_warnings(random, load_weights("random:0", random.model))[0]


def test_wrong_weights_are_named(weight_files, tmp_path):
    folder, _ = weight_files
    (tmp_path / "text.safetensors").write_text("no weights")
    (tmp_path / "text.pt").write_text("no weights")
    torch.save({"layer.weight": torch.zeros(2)}, tmp_path / "resnet.pth")
    torch.save({"clipmodel.visual.proj": torch.zeros(2)}, tmp_path / "dsanet.pth")
    for name, words in [
        ("text.safetensors", "expected CLIP weights: OpenAI's .pt"),
        ("text.pt", "expected CLIP weights"),
        ("resnet.pth", "no CLIP image tower"),
        ("dsanet.pth", "vad-pipeline convert"),
    ]:
        with pytest.raises(ConfigError, match=words) as caught:
            read_weights(str(tmp_path / name))
        assert name in str(caught.value)
    with pytest.raises(ConfigError, match="not weights of ViT-B-32") as caught:
        ClipEncoder(EncoderConfig(model="ViT-B-32", pretrained=str(folder / "a.pth"), device="cpu"))
    assert "a.pth" in str(caught.value)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"model": "ViT-Z"}, "open_clip has no such model"),
        ({"pretrained": "nonsense"}, "no such file, and not a tag"),
        ({"pretrained": "random:x"}, "whole number"),
        ({"precision": "int4"}, "precision must be"),
        ({"device": "toaster"}, "not a device"),
        ({"device": "cuda:63"}, "CUDA devices"),
        ({"model": "local-dir:/nowhere", "pretrained": "random:0"}, "local-dir:/nowhere"),
    ],
)
def test_wrong_options_are_named(options, words):
    with pytest.raises(ConfigError, match=words):
        ClipEncoder(EncoderConfig(**{"pretrained": "random:0", "device": "cpu", **options}))


def test_no_weights_and_no_internet_says_where_to_get_them(monkeypatch):
    import open_clip

    def offline(*args, **kwargs):
        raise RuntimeError("Failed to download weights for tag 'openai': no network")

    monkeypatch.setattr(open_clip, "create_model", offline)
    with pytest.raises(ConfigError, match="convert PUBLISHED.pth OUT.safetensors --clip FILE"):
        ClipEncoder(EncoderConfig(device="cpu"))


@pytest.mark.parametrize("instructions", [{}, {"amx_bf16": True}])
def test_emulated_bf16_is_said(monkeypatch, caplog, toy_model, instructions):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: instructions, raising=False)
    monkeypatch.setattr(ways, "timed_once", lambda *_, **__: Timings("extract", "tests", {}, "", {"torch fp32": 1.0}))
    for precision in ("auto", "fp32"):
        ClipEncoder(EncoderConfig(toy_model, "random:0", device="cpu", precision=precision))
    assert not caplog.text
    ClipEncoder(EncoderConfig(toy_model, "random:0", device="cpu", precision="bf16"))
    assert ("emulates" in caplog.text) == (not instructions)


def test_a_tower_with_another_activation_precision_or_rounded_weights(toy_encoder):
    picture = torch.randint(0, 256, (1, 3, 224, 224), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    before = toy_encoder.encode(picture)
    other = toy_encoder.with_other_activation()
    assert (toy_encoder.activation, other.activation) == ("quickgelu", "gelu")
    assert not np.allclose(other.encode(picture), before, atol=1e-4)
    assert np.array_equal(other.with_other_activation().encode(picture), before)
    assert toy_encoder.with_precision("fp32") is toy_encoder
    for changed in (toy_encoder.with_half_weights(), toy_encoder.with_precision("bf16")):
        moved = np.linalg.norm(changed.encode(picture) - before) / np.linalg.norm(before)
        assert 1e-6 < moved < 0.02
    assert np.array_equal(toy_encoder.encode(picture), before)  # it was copied


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_low_precision_stays_close_after_subtracting_the_mean(toy_model, precision):
    """A plain cosine of random-weight embeddings is always near 1; around their mean it can fail."""
    crops = images(8)
    outputs = {}
    for name in ("fp32", precision):
        encoder = ClipEncoder(EncoderConfig(model=toy_model, pretrained="random:0", device="cpu", precision=name))
        outputs[name] = encoder.encode(crops)
    exact, low = (out - outputs["fp32"].mean(axis=0) for out in (outputs["fp32"], outputs[precision]))
    cosine = (exact * low).sum(1) / (np.linalg.norm(exact, axis=1) * np.linalg.norm(low, axis=1))
    assert cosine.min() >= 0.99


def test_the_real_architecture_from_pixels_to_embedding():
    """ViT-B/16, a frame through our geometry and tower against open_clip's own preprocess and encode_image."""
    import open_clip
    from PIL import Image

    from vad_pipeline.extract.embed.geometry import crop_frames

    model = "ViT-B-16-quickgelu"
    frame = np.asarray(Image.fromarray(images(1)[0, :, :9, :11].permute(1, 2, 0).numpy()).resize((320, 240)))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        clip, _, preprocess = open_clip.create_model_and_transforms(model, load_weights=False)
    with torch.no_grad():
        expected = clip.eval().encode_image(preprocess(Image.fromarray(frame))[None]).numpy()[0]
    encoder = ClipEncoder(EncoderConfig(model=model, pretrained="random:0", device="cpu", precision="fp32"))
    (ours,) = encoder.encode(crop_frames([frame], "clip", (0,))[0])
    np.testing.assert_allclose(ours, expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())
