"""The encoder on a real CLIPModel: unit vectors, independence of the batch, errors of loading."""

import json
import logging
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

import amia
from amia.errors import ClusterError, ModelError, SettingsError
from amia.matching.clip import ClipEncoder
from amia.matching.settings import ClipSettings
from tests.helpers.simulated_oom import limit_batch_size

DEMO = Path(amia.__file__).parent / "demo" / "weights" / "clip"
TEXTS = ["Paris at night", "Paris", "", "💞 ⚾", "word " * 500, "Beyoncé"]


def load(folder: Path, **settings: object) -> ClipEncoder:
    return ClipEncoder.load(ClipSettings(model=str(folder), **settings), local_files_only=True)


def random_images(n: int) -> list[Image.Image]:
    rng = np.random.default_rng(0)
    return [Image.fromarray(rng.integers(0, 255, (20 + row, 60, 3), dtype=np.uint8)) for row in range(n)]


@pytest.fixture(scope="module", params=["tiny", "demo"])
def encoder(request: pytest.FixtureRequest, clip: Path) -> ClipEncoder:
    return load(clip if request.param == "tiny" else DEMO, micro_batch=4)


def test_unit_vectors(encoder):
    texts, images = encoder.encode_texts(TEXTS), encoder.encode_images(random_images(5))
    width = encoder._model.config.projection_dim
    assert texts.shape == (6, width)
    assert images.shape == (5, width)
    for vectors in (texts, images):
        assert vectors.dtype == np.float32
        assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)
    assert encoder.encode_texts([]).shape == encoder.encode_images([]).shape == (0, width)


def test_independent_of_batch(encoder):
    texts, images = encoder.encode_texts(TEXTS), encoder.encode_images(random_images(5))
    for row, text in enumerate(TEXTS):
        assert np.abs(encoder.encode_texts([text])[0] - texts[row]).max() < 1e-5
    for row, image in enumerate(random_images(5)):
        assert np.abs(encoder.encode_images([image])[0] - images[row]).max() < 1e-5


@pytest.mark.simulated("device")
@pytest.mark.promise(12)
def test_out_of_memory_halves_batches(clip):
    reference, limited = load(clip, micro_batch=4), load(clip, micro_batch=4)
    text_batches = limit_batch_size(2, limited._model.text_model)
    image_batches = limit_batch_size(1, limited._model.vision_model)
    for vectors, expected in (
        (limited.encode_texts(TEXTS), reference.encode_texts(TEXTS)),
        (limited.encode_images(random_images(5)), reference.encode_images(random_images(5))),
    ):
        assert vectors.shape == expected.shape
        assert np.abs(vectors - expected).max() < 1e-5
    assert (text_batches, image_batches) == ([4, 2, 2, 2], [4, 2, 1, 1, 1, 1, 1])
    assert (limited.num_oom_reduced, reference.num_oom_reduced) == (len(TEXTS) + 5, 0)


@pytest.mark.simulated("device")
def test_single_post_out_of_memory(clip):
    limited = load(clip)
    limit_batch_size(0, limited._model.text_model)
    with pytest.raises(ClusterError, match="a single post does not fit"):
        limited.encode_texts(TEXTS)


def test_pools_texts_at_eos(encoder):
    texts = encoder.encode_texts(["Paris at night", "Paris at noon", "Paris at night"])
    assert np.array_equal(texts[0], texts[2])
    assert np.abs(texts[0] - texts[1]).max() > 1e-3


def test_equals_clip_forward(encoder, clip):
    # CLIPModel.forward projects and normalizes on another code path than get_*_features.
    model, tokenizer, processor = encoder._model, encoder._tokenizer, encoder._processor
    tokens = tokenizer(TEXTS, padding=True, truncation=True, max_length=encoder._max_tokens, return_tensors="pt")
    pixels = processor(random_images(5), return_tensors="pt")
    with torch.inference_mode():
        output = model(**tokens, **pixels)
    assert np.allclose(output.text_embeds.numpy(), encoder.encode_texts(TEXTS), atol=1e-5)
    assert np.allclose(output.image_embeds.numpy(), encoder.encode_images(random_images(5)), atol=1e-5)


def test_half_precision_is_close(clip):
    half, full = (load(clip, dtype=dtype).encode_texts(TEXTS) for dtype in ("bfloat16", "float32"))
    assert half.dtype == np.float32
    assert np.abs(half - full).max() < 0.05


def test_prints_nothing(clip, capfd, caplog):
    with caplog.at_level(logging.WARNING):
        encoder = load(clip)
        encoder.encode_texts(TEXTS)
        encoder.encode_images(random_images(2))
    assert capfd.readouterr() == ("", "")


def test_load_restores_library_logging(clip):
    from huggingface_hub.utils.tqdm import are_progress_bars_disabled
    from transformers.utils import logging as library

    before = library.get_verbosity(), library.is_progress_bar_enabled(), are_progress_bars_disabled()
    load(clip)
    assert before == (library.get_verbosity(), library.is_progress_bar_enabled(), are_progress_bars_disabled())


def test_identity_depends_on_weights(clip, tmp_path):
    copied = Path(shutil.copytree(clip, tmp_path / "copy"))
    assert load(copied).identity() == load(clip).identity()
    weights = load_file(copied / "model.safetensors")
    weights["logit_scale"] += 1
    save_file(weights, copied / "model.safetensors", metadata={"format": "pt"})
    assert load(copied).identity() != load(clip).identity()


def no_network(*_: object, **__: object) -> None:
    raise ConnectionError("no route to the hub")


def test_identity_of_cached_model(clip, tmp_path, monkeypatch):
    repository = tmp_path / "models--some--clip"
    shutil.copytree(clip, repository / "snapshots" / ("c0ffee" * 6 + "beef"))
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("c0ffee" * 6 + "beef")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.HfApi.model_info", no_network)
    # Without a network the cached files are used, even without local_files_only.
    cached = ClipEncoder.load(ClipSettings(model="some/clip"))
    assert cached.identity() == {"encoder": "some/clip@" + "c0ffee" * 6 + "beef"}
    assert np.array_equal(cached.encode_texts(TEXTS), load(clip).encode_texts(TEXTS))


def test_rejects_folder_without_weights(clip, tmp_path):
    copied = Path(shutil.copytree(clip, tmp_path / "copy"))
    (copied / "model.safetensors").unlink()
    with pytest.raises(ModelError, match=r"encoder: folder .* cannot be loaded: .*safetensors"):
        load(copied)


def test_rejects_missing_weights(clip, tmp_path):
    copied = Path(shutil.copytree(clip, tmp_path / "copy"))
    weights = load_file(copied / "model.safetensors")
    del weights["text_projection.weight"]
    save_file(weights, copied / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelError, match=r"lack 1 keys, text_projection\.weight"):
        load(copied)


def test_rejects_other_model_types(clip, tmp_path):
    with pytest.raises(ModelError, match=r"no config\.json"):
        load(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "bert"}))
    with pytest.raises(ModelError, match="has model type bert, not clip"):
        load(tmp_path)


@pytest.mark.parametrize("local_files_only", [True, False])
def test_rejects_unavailable_model(local_files_only, monkeypatch):
    monkeypatch.setattr("huggingface_hub.HfApi.model_info", no_network)
    settings = ClipSettings(model="nobody/has-this")
    with pytest.raises(ModelError, match=r"nobody/has-this' is not a local folder[\s\S]*--config demo"):
        ClipEncoder.load(settings, local_files_only=local_files_only)


@pytest.mark.parametrize("device", ["cuda", "cuda:3"])
def test_rejects_missing_gpu(clip, device, monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    with pytest.raises(SettingsError, match="torch finds 0 GPUs"):
        load(clip, device=device)


def test_rejects_unknown_device(clip):
    with pytest.raises(SettingsError, match="'gpu' is unknown"):
        load(clip, device="gpu")


@pytest.mark.promise(32)
def test_default_model_is_pinned():
    assert ClipSettings().commit
    assert ClipSettings(model="a/b").commit is None
    assert ClipSettings(model="a/b", revision="c").commit == "c"
