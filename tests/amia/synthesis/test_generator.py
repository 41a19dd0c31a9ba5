"""The generator on real pipelines: loading, seeds, independence of rows, redraws, refusals."""

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
from tests.helpers.shortage import hold_at_most

DEMO = Path(amia.__file__).parent / "demo" / "weights" / "generator"
PROMPTS = ["a bridge at night", "", "Paris 💞", "word " * 200, "cup"]
SEEDS = [11, 12, 13, 2**63 - 1, 0]


def load(folder: Path, size: int = 32, **settings: object) -> Generator:
    return Generator.load(GeneratorSettings(model=str(folder), **settings), size, local_files_only=True)


@pytest.fixture(scope="module", params=["sd", "sdxl", "demo"])
def generator(request: pytest.FixtureRequest) -> Generator:
    return load(DEMO if request.param == "demo" else request.getfixturevalue(request.param), micro_batch=4)


def test_a_picture_a_prompt_in_order(generator):
    drawn = generator.generate(PROMPTS, SEEDS)
    assert [one.seed for one in drawn] == SEEDS
    assert [one.failure for one in drawn] == [None] * 5
    assert all(one.pixels.shape == (32, 32, 3) and one.pixels.dtype == np.uint8 for one in drawn)
    assert generator.generate([], []) == []


def test_the_same_again_to_the_byte(generator):
    first, second = generator.generate(PROMPTS, SEEDS), generator.generate(PROMPTS, SEEDS)
    assert all(np.array_equal(a.pixels, b.pixels) for a, b in zip(first, second, strict=True))


@pytest.mark.promise(23)
def test_a_row_alone_and_in_a_batch_are_equal_to_the_eye(generator):
    together = generator.generate(PROMPTS, SEEDS)
    for prompt, seed, one in zip(PROMPTS, SEEDS, together, strict=True):
        (alone,) = generator.generate([prompt], [seed])
        assert np.abs(alone.pixels.astype(int) - one.pixels).max() <= 1


def test_seed_and_prompt_both_matter(generator):
    same, seed, prompt = generator.generate(["cup", "cup", "bridge"], [1, 2, 1])
    assert not np.array_equal(same.pixels, seed.pixels)
    assert not np.array_equal(same.pixels, prompt.pixels)


@pytest.mark.parametrize("size", [16, 50])
def test_another_size_is_resized(sd, size):
    (one,) = load(sd, size).generate(["cup"], [1])
    assert one.pixels.shape == (size, size, 3)


def test_nothing_is_printed(sd, capfd, caplog):
    with caplog.at_level(logging.WARNING):
        load(sd).generate(PROMPTS, SEEDS)
    assert capfd.readouterr() == ("", "")


def test_sdxl_in_half_precision_decodes_in_full(sdxl):
    full, half = load(sdxl), load(sdxl, dtype="float16")
    assert half._pipeline.unet.dtype is torch.float16
    assert half._pipeline.vae.dtype is torch.float32
    a, b = (g.generate(["cup"], [1])[0].pixels.astype(int) for g in (full, half))
    assert np.abs(a - b).mean() < 3


@pytest.mark.simulated("device")
@pytest.mark.promise(12)
@pytest.mark.parametrize("room", [3, 1])
def test_out_of_memory_draws_the_same_in_halves(sd, room):
    undisturbed = load(sd, micro_batch=4).generate(PROMPTS, SEEDS)
    short = load(sd, micro_batch=4)
    asked = hold_at_most(room, short._pipeline.unet)
    drawn = short.generate(PROMPTS, SEEDS)
    assert asked == {3: [4, 2, 2, 1], 1: [4, 2, 1, 1, 1, 1, 1]}[room]
    assert short.halved == len(PROMPTS)
    for one, right in zip(drawn, undisturbed, strict=True):
        assert (one.seed, one.redraws, one.failure) == (right.seed, right.redraws, None)
        assert np.abs(one.pixels.astype(int) - right.pixels).max() <= 1


@pytest.mark.simulated("device")
def test_a_picture_that_does_not_fit_alone_is_a_failure_of_its_post(sd):
    short = load(sd, micro_batch=4)
    hold_at_most(0, short._pipeline.unet)
    drawn = short.generate(PROMPTS, SEEDS)
    assert [(one.pixels, one.seed, one.failure) for one in drawn] == [(None, seed, "out_of_memory") for seed in SEEDS]


class Scripted:
    """A pipeline whose images are scripted by the seed that it is called with."""

    def __init__(self, pictures: dict[int, torch.Tensor], refused: set[int] = frozenset()) -> None:
        self.pictures = pictures
        self.refused = refused
        self.calls: list[list[int]] = []

    def __call__(self, prompts, *, generator, **_):
        seeds = [one.initial_seed() for one in generator]
        self.calls.append(seeds)
        good = torch.linspace(0, 1, 3 * 8 * 8).reshape(3, 8, 8)
        images = torch.stack([self.pictures.get(seed, good) for seed in seeds])
        return SimpleNamespace(images=images, nsfw_content_detected=[seed in self.refused for seed in seeds])


BLACK, NAN, GRAY = torch.zeros(3, 8, 8), torch.full((3, 8, 8), 0.5), torch.full((3, 8, 8), 0.5)
NAN[0, 0, 0] = torch.nan


def scripted(pipeline: Scripted, **settings: object) -> Generator:
    return Generator(pipeline, GeneratorSettings(**settings), 8, Path())


@pytest.mark.promise(22)
def test_unusable_pictures_are_drawn_again_with_seeds_of_their_own():
    pipeline = Scripted({2: BLACK, 4: NAN, redraw_seed(4, 1): GRAY})
    drawn = scripted(pipeline).generate(list("abcd"), [1, 2, 3, 4])
    assert pipeline.calls == [[1, 2, 3, 4], [redraw_seed(2, 1), redraw_seed(4, 1)], [redraw_seed(4, 2)]]
    assert [one.redraws for one in drawn] == [0, 1, 0, 2]
    assert [one.seed for one in drawn] == [1, redraw_seed(2, 1), 3, redraw_seed(4, 2)]
    assert all(one.failure is None and one.pixels is not None for one in drawn)


@pytest.mark.promise(22)
@pytest.mark.parametrize(("picture", "failure"), [(BLACK, "black"), (NAN, "nan"), (GRAY, "blank")])
def test_what_stays_unusable_is_recorded(picture, failure):
    pipeline = Scripted(dict.fromkeys((5, redraw_seed(5, 1)), picture))
    (one,) = scripted(pipeline, redraws=1).generate(["a"], [5])
    assert (one.failure, one.pixels, one.redraws, one.seed) == (failure, None, 1, redraw_seed(5, 1))


@pytest.mark.promise(22)
def test_a_refused_picture_is_not_drawn_again():
    pipeline = Scripted({7: BLACK}, refused={7})
    (one,) = scripted(pipeline).generate(["a"], [7])
    assert (one.failure, one.pixels, one.redraws) == ("refused", None, 0)
    assert len(pipeline.calls) == 1


def test_a_folder_without_a_pipeline(tmp_path):
    with pytest.raises(ModelError, match="no diffusers pipeline"):
        load(tmp_path)


def test_a_folder_without_weights(sd, tmp_path):
    folder = shutil.copytree(sd, tmp_path / "sd")
    (folder / "unet" / "diffusion_pytorch_model.safetensors").unlink()
    with pytest.raises(ModelError, match=r"generator: folder .* cannot be loaded"):
        load(folder)


@pytest.mark.parametrize("local_files_only", [True, False])
def test_a_model_that_cannot_be_had(local_files_only, monkeypatch):
    monkeypatch.setattr("huggingface_hub.HfApi.model_info", no_network)
    settings = GeneratorSettings(model="nobody/has-this")
    with pytest.raises(ModelError, match=r"nobody/has-this' is no folder here[\s\S]*--config demo"):
        Generator.load(settings, 32, local_files_only=local_files_only)


def test_a_gpu_that_is_not_there(sd, monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    with pytest.raises(SettingsError, match="torch sees 0 GPUs"):
        load(sd, device="cuda")


def test_identity_follows_the_weights_and_not_the_place(sd, sdxl, tmp_path):
    copy = shutil.copytree(sd, tmp_path / "elsewhere")
    assert load(sd).identity() == load(copy).identity() != load(sdxl).identity()


def no_network(*_: object, **__: object) -> None:
    raise ConnectionError("no route to the hub")


def test_a_model_in_the_hubs_cache_is_named_by_its_commit(sd, tmp_path, monkeypatch):
    repository = tmp_path / "models--some--sd"
    shutil.copytree(sd, repository / "snapshots" / ("c0ffee" * 6 + "beef"))
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("c0ffee" * 6 + "beef")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.HfApi.model_info", no_network)
    # Without a network what is here serves, whether or not it was said that the hub is not to be asked.
    loaded = Generator.load(GeneratorSettings(model="some/sd"), 32)
    assert loaded.identity() == {"generator": "some/sd@" + "c0ffee" * 6 + "beef"}
    assert loaded.generate(["cup"], [1])[0].failure is None


def test_default_models_are_pinned():
    assert GeneratorSettings().commit
    assert GeneratorSettings(model="a/b").commit is None
    assert GeneratorSettings(revision="x").commit == "x"
    assert GeneratorSettings().files == GeneratorSettings(model="stabilityai/sdxl-turbo").files == "fp16"
    assert GeneratorSettings(model="a/b").files is GeneratorSettings(variant="").files is None
