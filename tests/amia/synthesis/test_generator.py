"""The generator on real pipelines: loading, seeds, independence of the batch, redraws, refused images."""

import logging
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

import amia
from amia.errors import ModelError, SettingsError
from amia.synthesis.generator import Generator
from amia.synthesis.seeds import redraw_seed
from amia.synthesis.settings import GeneratorSettings
from tests.helpers.simulated_oom import limit_batch_size

DEMO = Path(amia.__file__).parent / "demo" / "weights" / "generator"
PROMPTS = ["a bridge at night", "", "Paris 💞", "word " * 200, "cup"]
SEEDS = [11, 12, 13, 2**63 - 1, 0]


def load(folder: Path, size: int = 32, **settings: object) -> Generator:
    return Generator.load(GeneratorSettings(model=str(folder), **settings), size, local_files_only=True)


@pytest.fixture(scope="module", params=["sd", "sdxl", "demo"])
def generator(request: pytest.FixtureRequest) -> Generator:
    return load(DEMO if request.param == "demo" else request.getfixturevalue(request.param), micro_batch=4)


def test_one_image_per_prompt_in_order(generator):
    images = generator.generate(PROMPTS, SEEDS)
    assert [image.seed for image in images] == SEEDS
    assert [image.failure for image in images] == [None] * 5
    assert all(image.pixels.shape == (32, 32, 3) and image.pixels.dtype == np.uint8 for image in images)
    assert generator.generate([], []) == []


def test_deterministic(generator):
    first, second = generator.generate(PROMPTS, SEEDS), generator.generate(PROMPTS, SEEDS)
    assert all(np.array_equal(a.pixels, b.pixels) for a, b in zip(first, second, strict=True))


@pytest.mark.promise(23)
def test_independent_of_batch(generator):
    batched = generator.generate(PROMPTS, SEEDS)
    for prompt, seed, image in zip(PROMPTS, SEEDS, batched, strict=True):
        (single,) = generator.generate([prompt], [seed])
        assert np.abs(single.pixels.astype(int) - image.pixels).max() <= 1


def test_depends_on_seed_and_prompt(generator):
    image, other_seed, other_prompt = generator.generate(["cup", "cup", "bridge"], [1, 2, 1])
    assert not np.array_equal(image.pixels, other_seed.pixels)
    assert not np.array_equal(image.pixels, other_prompt.pixels)


@pytest.mark.parametrize("size", [16, 50])
def test_resizes_to_size(sd, size):
    (image,) = load(sd, size).generate(["cup"], [1])
    assert image.pixels.shape == (size, size, 3)


def test_prints_nothing(sd, capfd, caplog):
    with caplog.at_level(logging.WARNING):
        load(sd).generate(PROMPTS, SEEDS)
    assert capfd.readouterr() == ("", "")


def test_sdxl_float16_decodes_in_float32(sdxl):
    full, half = load(sdxl), load(sdxl, dtype="float16")
    assert half._pipeline.unet.dtype is torch.float16
    assert half._pipeline.vae.dtype is torch.float32
    a, b = (g.generate(["cup"], [1])[0].pixels.astype(int) for g in (full, half))
    assert np.abs(a - b).mean() < 3


@pytest.mark.simulated("device")
@pytest.mark.promise(12)
@pytest.mark.parametrize("limit", [3, 1])
def test_out_of_memory_halves_batches(sd, limit):
    expected = load(sd, micro_batch=4).generate(PROMPTS, SEEDS)
    limited = load(sd, micro_batch=4)
    batch_sizes = limit_batch_size(limit, limited._pipeline.unet)
    images = limited.generate(PROMPTS, SEEDS)
    assert batch_sizes == {3: [4, 2, 2, 1], 1: [4, 2, 1, 1, 1, 1, 1]}[limit]
    assert limited.num_oom_reduced == len(PROMPTS)
    for image, reference in zip(images, expected, strict=True):
        assert (image.seed, image.redraws, image.failure) == (reference.seed, reference.redraws, None)
        assert np.abs(image.pixels.astype(int) - reference.pixels).max() <= 1


@pytest.mark.simulated("device")
def test_single_image_out_of_memory(sd):
    limited = load(sd, micro_batch=4)
    limit_batch_size(0, limited._pipeline.unet)
    images = limited.generate(PROMPTS, SEEDS)
    assert [(image.pixels, image.seed, image.failure) for image in images] == [
        (None, seed, "out_of_memory") for seed in SEEDS
    ]


class Scripted:
    """A pipeline that returns scripted images by seed."""

    def __init__(self, images: dict[int, torch.Tensor], refused: set[int] = frozenset()) -> None:
        self.images = images
        self.refused = refused
        self.calls: list[list[int]] = []

    def __call__(self, prompts, *, generator, **_):
        seeds = [rng.initial_seed() for rng in generator]
        self.calls.append(seeds)
        usable = torch.linspace(0, 1, 3 * 8 * 8).reshape(3, 8, 8)
        images = torch.stack([self.images.get(seed, usable) for seed in seeds])
        return SimpleNamespace(images=images, nsfw_content_detected=[seed in self.refused for seed in seeds])


BLACK, NAN, GRAY = torch.zeros(3, 8, 8), torch.full((3, 8, 8), 0.5), torch.full((3, 8, 8), 0.5)
NAN[0, 0, 0] = torch.nan


def scripted(pipeline: Scripted, **settings: object) -> Generator:
    return Generator(pipeline, GeneratorSettings(**settings), 8, Path())


@pytest.mark.promise(22)
def test_redraws_unusable_images():
    pipeline = Scripted({2: BLACK, 4: NAN, redraw_seed(4, 1): GRAY})
    images = scripted(pipeline).generate(list("abcd"), [1, 2, 3, 4])
    assert pipeline.calls == [[1, 2, 3, 4], [redraw_seed(2, 1), redraw_seed(4, 1)], [redraw_seed(4, 2)]]
    assert [image.redraws for image in images] == [0, 1, 0, 2]
    assert [image.seed for image in images] == [1, redraw_seed(2, 1), 3, redraw_seed(4, 2)]
    assert all(image.failure is None and image.pixels is not None for image in images)


@pytest.mark.promise(22)
@pytest.mark.parametrize(("pixels", "failure"), [(BLACK, "black"), (NAN, "nan"), (GRAY, "blank")])
def test_records_failure_after_redraws(pixels, failure):
    pipeline = Scripted(dict.fromkeys((5, redraw_seed(5, 1)), pixels))
    (image,) = scripted(pipeline, redraws=1).generate(["a"], [5])
    assert (image.failure, image.pixels, image.redraws, image.seed) == (failure, None, 1, redraw_seed(5, 1))


@pytest.mark.promise(22)
def test_does_not_redraw_refused_image():
    pipeline = Scripted({7: BLACK}, refused={7})
    (image,) = scripted(pipeline).generate(["a"], [7])
    assert (image.failure, image.pixels, image.redraws) == ("refused", None, 0)
    assert len(pipeline.calls) == 1


def test_rejects_folder_without_pipeline(tmp_path):
    with pytest.raises(ModelError, match="no diffusers pipeline"):
        load(tmp_path)


def test_rejects_folder_without_weights(sd, tmp_path):
    folder = shutil.copytree(sd, tmp_path / "sd")
    (folder / "unet" / "diffusion_pytorch_model.safetensors").unlink()
    with pytest.raises(ModelError, match=r"generator: folder .* cannot be loaded"):
        load(folder)


@pytest.mark.parametrize("local_files_only", [True, False])
def test_rejects_unavailable_model(local_files_only, monkeypatch):
    monkeypatch.setattr("huggingface_hub.HfApi.model_info", no_network)
    settings = GeneratorSettings(model="nobody/has-this")
    with pytest.raises(ModelError, match=r"nobody/has-this' is not a local folder[\s\S]*--config demo"):
        Generator.load(settings, 32, local_files_only=local_files_only)


def test_rejects_missing_gpu(sd, monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    with pytest.raises(SettingsError, match="torch finds 0 GPUs"):
        load(sd, device="cuda")


def test_identity_depends_on_weights(sd, sdxl, tmp_path):
    copied = shutil.copytree(sd, tmp_path / "copied")
    assert load(sd).identity() == load(copied).identity() != load(sdxl).identity()


def no_network(*_: object, **__: object) -> None:
    raise ConnectionError("no route to the hub")


def test_identity_of_cached_model(sd, tmp_path, monkeypatch):
    repository = tmp_path / "models--some--sd"
    shutil.copytree(sd, repository / "snapshots" / ("c0ffee" * 6 + "beef"))
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("c0ffee" * 6 + "beef")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.HfApi.model_info", no_network)
    # Without a network the cached files are used, even without local_files_only.
    cached = Generator.load(GeneratorSettings(model="some/sd"), 32)
    assert cached.identity() == {"generator": "some/sd@" + "c0ffee" * 6 + "beef"}
    assert cached.generate(["cup"], [1])[0].failure is None


def test_default_models_are_pinned():
    assert GeneratorSettings().commit
    assert GeneratorSettings(model="a/b").commit is None
    assert GeneratorSettings(revision="x").commit == "x"
    assert (
        GeneratorSettings().weight_variant == GeneratorSettings(model="stabilityai/sdxl-turbo").weight_variant == "fp16"
    )
    assert GeneratorSettings(model="a/b").weight_variant is GeneratorSettings(variant="").weight_variant is None
