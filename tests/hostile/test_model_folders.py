"""Untrusted model folders: no code runs, no files elsewhere are read, and absurd sizes are refused."""

import json
import pickle
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from amia import mner
from amia.demo import BERT_DIR, CLIP_DIR, GENERATOR_DIR, MIXTURE_DIR, RESNET_DIR
from amia.errors import MixtureError, ModelError, SettingsError
from amia.matching.clip import ClipEncoder
from amia.matching.model import MatchingModel
from amia.matching.settings import ClipSettings
from amia.mner.builder import build_recognizer
from amia.mner.settings import EncoderSettings, RecognizerSettings
from amia.synthesis.generator import Generator
from amia.synthesis.settings import GeneratorSettings
from tests.hostile.payload import Payload

SHIPPED = {"clip": CLIP_DIR, "bert": BERT_DIR, "resnet": RESNET_DIR, "generator": GENERATOR_DIR, "mixture": MIXTURE_DIR}


@pytest.fixture
def marker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """File that exists once foreign code has run. Any interactive question is answered with yes."""
    monkeypatch.setattr("builtins.input", lambda _="": "y")
    monkeypatch.chdir(tmp_path)
    return tmp_path / "code has run"


@pytest.fixture
def code(marker: Path) -> str:
    return f"open({str(marker)!r}, 'w')\nclass Evil: pass\n"


@pytest.fixture
def copy_demo_model(tmp_path: Path) -> Callable[[str], Path]:
    return lambda name: shutil.copytree(SHIPPED[name], tmp_path / name)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Saved recognizer that reads images."""
    folder = tmp_path_factory.mktemp("recognizer")
    build(text=BERT_DIR, visual=RESNET_DIR, system="bert-resnet-crf")[0].save(folder)
    return folder


def build(text: Path = BERT_DIR, visual: Path = RESNET_DIR, system: str = "bert-crf") -> Any:
    settings = [EncoderSettings(model=str(folder)) for folder in (text, visual)]
    return build_recognizer(system, RecognizerSettings(text=settings[0], visual=settings[1]), ("PER",))


def load_clip(folder: Path) -> ClipEncoder:
    return ClipEncoder.load(ClipSettings(model=str(folder), revision=None, device="cpu"))


def load_generator(folder: Path) -> Generator:
    return Generator.load(GeneratorSettings(model=str(folder), revision=None, device="cpu"), 32)


def edit_json(file: Path, **values: object) -> None:
    file.write_text(json.dumps(json.loads(file.read_text()) | values))


def safetensors(header: object, body: bytes = b"") -> bytes:
    packed = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(packed)) + packed + body


def floats(start: int, end: int, *shape: int) -> dict[str, object]:
    return {"dtype": "F32", "shape": shape, "data_offsets": [start, end]}


INVALID_WEIGHTS = {
    "empty": b"",
    "no header": struct.pack("<Q", 2**63) + b"{}",
    "a header longer than the file": struct.pack("<Q", 10**6) + b"{}",
    "overlapping": safetensors({"a": floats(0, 8, 2), "b": floats(4, 12, 2)}, bytes(12)),
    "beyond the end": safetensors({"a": floats(0, 80, 20)}, bytes(8)),
    "a shape of 2**80": safetensors({"a": floats(0, 8, 2**40, 2**40)}, bytes(8)),
    "endless nesting": safetensors(b"[" * 100_000),
    "no tensors": safetensors({}),
    "a pickle": b"\x80\x04N.",
}


@pytest.mark.parametrize("defect", INVALID_WEIGHTS)
def test_rejects_invalid_weights(copy_demo_model: Callable[[str], Path], defect: str) -> None:
    for name, load in (("clip", load_clip), ("bert", build)):
        folder = copy_demo_model(name)
        (folder / "model.safetensors").write_bytes(INVALID_WEIGHTS[defect])
        with pytest.raises(ModelError, match=r"encoder: "):
            load(folder)


@pytest.mark.promise(32)
@pytest.mark.parametrize("with_safetensors", [True, False])
def test_pickles_are_never_loaded(
    copy_demo_model: Callable[[str], Path], trained: Path, tmp_path: Path, marker: Path, with_safetensors: bool
) -> None:
    folders = {name: copy_demo_model(name) for name in ("clip", "bert", "generator")}
    folders["recognizer"] = shutil.copytree(trained, tmp_path / "recognizer")
    loads = {"clip": load_clip, "bert": build, "generator": load_generator, "recognizer": mner.load}
    for name, folder in folders.items():
        parts = [folder / "unet", folder / "vae", folder / "text_encoder"] if name == "generator" else [folder]
        for part in parts:
            if not with_safetensors:
                next(part.glob("*.safetensors")).unlink()
            for pickled in ("pytorch_model.bin", "diffusion_pytorch_model.bin", "model.pt", "tokenizer.pkl"):
                (part / pickled).write_bytes(pickle.dumps(Payload(marker)))
        if with_safetensors:
            loads[name](folder)
        else:
            with pytest.raises(ModelError):
                loads[name](folder)
    assert not marker.exists()
    pickle.loads(pickle.dumps(Payload(marker)))  # noqa: S301 - shows that the payload works
    assert marker.exists()


@pytest.mark.promise(32)
@pytest.mark.parametrize("model_type", ["bert", "custom"])
def test_custom_code_of_an_encoder_never_runs(
    copy_demo_model: Callable[[str], Path], code: str, marker: Path, model_type: str
) -> None:
    folder = copy_demo_model("bert")
    (folder / "evil.py").write_text(code)
    names = {"AutoConfig": "evil.Evil", "AutoModel": "evil.Evil"}
    edit_json(folder / "config.json", model_type=model_type, auto_map=names)
    edit_json(folder / "tokenizer_config.json", tokenizer_class="Evil", auto_map={"AutoTokenizer": ["evil.Evil"] * 2})
    if model_type == "bert":
        build(folder)  # transformers has this model type and ignores the custom class
    else:
        with pytest.raises(ModelError, match="it needs custom code, and amia runs no code"):
            build(folder)
    assert not marker.exists()


@pytest.mark.promise(32)
def test_custom_code_of_a_recognizer_never_runs(trained: Path, tmp_path: Path, code: str, marker: Path) -> None:
    folder = shutil.copytree(trained, tmp_path / "recognizer")
    (folder / "evil.py").write_text(code)
    names = {"AutoConfig": "evil.Evil", "AutoModel": "evil.Evil"}
    inner = json.loads((folder / "config.json").read_text())["text"] | {"auto_map": names}
    edit_json(folder / "config.json", auto_map=names, text=inner)
    mner.load(folder)
    edit_json(folder / "config.json", text=inner | {"model_type": "custom"})
    with pytest.raises(ModelError):
        mner.load(folder)
    assert not marker.exists()


@pytest.mark.promise(32)
@pytest.mark.parametrize(
    "index",
    [
        {"unet": ["os", "system"]},
        {"unet": ["antigravity", "x"]},
        {"unet": ["evil", "Evil"]},
        {"unet": ["../evil", "Evil"]},
        {"unet": [["evil"], "Evil"]},
        {"_class_name": ["evil", "Evil"]},
        {"_class_name": "Evil"},
        {"_class_name": None},
        {"text_encoder": ["transformers", "AutoModel"]},
        {"tokenizer": ["transformers", "AutoTokenizer"]},
    ],
)
def test_rejects_pipelines_with_custom_classes(
    copy_demo_model: Callable[[str], Path], code: str, marker: Path, index: dict[str, object]
) -> None:
    folder = copy_demo_model("generator")
    for location in (folder.parent, folder, folder / "unet", folder / "text_encoder", folder / "tokenizer"):
        (location / "evil.py").write_text(code)
    (folder / "pipeline.py").write_text(code)
    names = {"AutoConfig": "evil.Evil", "AutoModel": "evil.Evil"}
    edit_json(folder / "text_encoder" / "config.json", model_type="custom", auto_map=names)
    tokenizer = {"tokenizer_class": "Evil", "auto_map": {"AutoTokenizer": ["evil.Evil", "evil.Evil"]}}
    edit_json(folder / "tokenizer" / "tokenizer_config.json", **tokenizer)
    edit_json(folder / "model_index.json", **index)
    with pytest.raises(ModelError, match=r"generator: "):
        load_generator(folder)
    assert not marker.exists()


def test_custom_pipeline_is_ignored(copy_demo_model: Callable[[str], Path], code: str, marker: Path) -> None:
    folder = copy_demo_model("generator")
    (folder / "pipeline.py").write_text(code)
    edit_json(folder / "model_index.json", custom_pipeline="pipeline")
    load_generator(folder)
    assert not marker.exists()


@pytest.mark.parametrize("content", [b"[1]", b"[" * 100_000, b"\xff\xfe", b"", b"{", b'{"model_type": 3}', b"NaN"])
def test_rejects_invalid_configurations(
    copy_demo_model: Callable[[str], Path], trained: Path, tmp_path: Path, content: bytes
) -> None:
    clip, bert, generator = copy_demo_model("clip"), copy_demo_model("bert"), copy_demo_model("generator")
    recognizer = shutil.copytree(trained, tmp_path / "recognizer")
    for folder, load in ((clip, load_clip), (bert, build), (recognizer, mner.load)):
        (folder / "config.json").write_bytes(content)
        with pytest.raises(ModelError):
            load(folder)
    (generator / "model_index.json").write_bytes(content)
    with pytest.raises(ModelError):
        load_generator(generator)


def test_rejects_absurd_sizes(copy_demo_model: Callable[[str], Path], trained: Path, tmp_path: Path) -> None:
    clip, generator = copy_demo_model("clip"), copy_demo_model("generator")
    inner = json.loads((clip / "config.json").read_text())["text_config"]
    edit_json(clip / "config.json", text_config=inner | {"num_hidden_layers": 10**7})  # would take hours to build
    with pytest.raises(ModelError, match=r"config\.json requests num_hidden_layers = 10000000; at most 1000"):
        load_clip(clip)
    edit_json(clip / "config.json", text_config=inner | {"vocab_size": 10**10})  # larger than the weights
    with pytest.raises(ModelError, match="encoder: "):
        load_clip(clip)
    edit_json(generator / "unet" / "config.json", layers_per_block=[10**7, 1])
    with pytest.raises(ModelError, match="layers_per_block"):
        load_generator(generator)
    edit_json(generator / "unet" / "config.json", layers_per_block=1, sample_size=4096)
    with pytest.raises(ModelError, match=r"generates \d+ pixels a side; 4096 are allowed"):
        load_generator(generator)
    recognizer = shutil.copytree(trained, tmp_path / "recognizer")
    inner = json.loads((recognizer / "config.json").read_text())["visual"]
    edit_json(recognizer / "config.json", visual=inner | {"depths": [10**9]})
    with pytest.raises(ModelError, match="depths"):
        mner.load(recognizer)


@pytest.mark.parametrize("path", ["../outside.safetensors", "/etc/passwd", "a/../../outside.safetensors", ".."])
def test_rejects_weights_outside_the_folder(copy_demo_model: Callable[[str], Path], path: str) -> None:
    folder = copy_demo_model("clip")
    (folder / "model.safetensors").rename(folder.parent / "outside.safetensors")
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": {"a": path}}))
    with pytest.raises(ModelError, match="names weights outside its folder"):
        load_clip(folder)


@pytest.mark.parametrize("content", [b"{}", b"[]", b"\xff", b'{"model": {"type": "BPE", "vocab": {}, "merges": []}}'])
def test_rejects_broken_tokenizers(copy_demo_model: Callable[[str], Path], content: bytes) -> None:
    for name, load in (("clip", load_clip), ("bert", build)):
        folder = copy_demo_model(name)
        (folder / "tokenizer.json").write_bytes(content)
        with pytest.raises(ModelError):
            load(folder)


@pytest.mark.parametrize(
    "values",
    [
        {"pixels": {}},
        {"pixels": None},
        {"pixels": {"side": 10**9, "mean": [0, 0, 0], "std": [1, 1, 1]}},
        {"pixels": {"side": 64, "mean": [0], "std": [1, 1, 1]}},
        {"pixels": {"side": 64, "mean": [0, 0, 0], "std": [0, 1, 1]}},
        {"pixels": {"side": 64, "mean": ["a", 0, 0], "std": [1, 1, 1]}},
        {"id2label": {"0": "O", "7": "B-PER"}},
        {"id2label": {}},
        {"id2label": {"0": 3}},
        {"system": "os.system"},
        {"text": {}},
        {"visual": None},
    ],
)
def test_rejects_invalid_recognizer_configurations(trained: Path, tmp_path: Path, values: dict[str, object]) -> None:
    folder = shutil.copytree(trained, tmp_path / "recognizer")
    edit_json(folder / "config.json", **values)
    with pytest.raises((ModelError, SettingsError)):  # SettingsError for an unknown system
        mner.load(folder)


@pytest.mark.parametrize("content", [b"[" * 100_000, b"\xff\xfe", b"[]", b"{}", b'{"format": "amia-mixture-1"}'])
def test_rejects_invalid_mixtures(copy_demo_model: Callable[[str], Path], content: bytes) -> None:
    folder = copy_demo_model("mixture")
    (folder / "mixture.json").write_bytes(content)
    with pytest.raises(MixtureError, match="is not a mixture written by amia"):
        MatchingModel.load(folder)


@pytest.mark.promise(32)
def test_pickles_of_a_mixture_are_never_loaded(copy_demo_model: Callable[[str], Path], marker: Path) -> None:
    folder = copy_demo_model("mixture")
    pickled = pickle.dumps(Payload(marker))
    for name in ("bank.npy", "bank.npz", "bank.pkl", "mixture.pkl", "model.pt"):
        (folder / name).write_bytes(pickled)
    assert len(MatchingModel.load(folder).bank)
    (folder / "bank.safetensors").write_bytes(pickled)
    with pytest.raises(MixtureError, match="do not belong together"):
        MatchingModel.load(folder)
    assert not marker.exists()
