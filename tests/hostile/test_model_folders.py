"""Folders of models made by somebody else: none runs code, reads elsewhere, or is built to a size that no model has."""

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
    """Stands there as soon as somebody's code has run. Whoever is asked whether it may says yes."""
    monkeypatch.setattr("builtins.input", lambda _="": "y")
    monkeypatch.chdir(tmp_path)
    return tmp_path / "code has run"


@pytest.fixture
def code(marker: Path) -> str:
    return f"open({str(marker)!r}, 'w')\nclass Evil: pass\n"


@pytest.fixture
def copied(tmp_path: Path) -> Callable[[str], Path]:
    return lambda name: shutil.copytree(SHIPPED[name], tmp_path / name)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recognizer that reads images."""
    folder = tmp_path_factory.mktemp("recognizer")
    start_from(text=BERT_DIR, visual=RESNET_DIR, system="bert-resnet-crf")[0].save(folder)
    return folder


def start_from(text: Path = BERT_DIR, visual: Path = RESNET_DIR, system: str = "bert-crf") -> Any:
    settings = [EncoderSettings(model=str(folder)) for folder in (text, visual)]
    return build_recognizer(system, RecognizerSettings(text=settings[0], visual=settings[1]), ("PER",))


def load_clip(folder: Path) -> ClipEncoder:
    return ClipEncoder.load(ClipSettings(model=str(folder), revision=None, device="cpu"))


def load_generator(folder: Path) -> Generator:
    return Generator.load(GeneratorSettings(model=str(folder), revision=None, device="cpu"), 32)


def changed(file: Path, **values: object) -> None:
    file.write_text(json.dumps(json.loads(file.read_text()) | values))


def safetensors(header: object, body: bytes = b"") -> bytes:
    packed = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(packed)) + packed + body


def floats(build_recognizer: int, end: int, *shape: int) -> dict[str, object]:
    return {"dtype": "F32", "shape": shape, "data_offsets": [build_recognizer, end]}


LYING_WEIGHTS = {
    "empty": b"",
    "no header": struct.pack("<Q", 2**63) + b"{}",
    "a header longer than the file": struct.pack("<Q", 10**6) + b"{}",
    "overlapping": safetensors({"a": floats(0, 8, 2), "b": floats(4, 12, 2)}, bytes(12)),
    "beyond the end": safetensors({"a": floats(0, 80, 20)}, bytes(8)),
    "a shape of 2**80": safetensors({"a": floats(0, 8, 2**40, 2**40)}, bytes(8)),
    "endless nesting": safetensors(b"[" * 100_000),
    "nothing in it": safetensors({}),
    "a pickle": b"\x80\x04N.",
}


@pytest.mark.parametrize("lie", LYING_WEIGHTS)
def test_weights_that_lie(copied: Callable[[str], Path], lie: str) -> None:
    for name, load in (("clip", load_clip), ("bert", start_from)):
        folder = copied(name)
        (folder / "model.safetensors").write_bytes(LYING_WEIGHTS[lie])
        with pytest.raises(ModelError, match=r"encoder: "):
            load(folder)


@pytest.mark.promise(32)
@pytest.mark.parametrize("beside", [True, False])
def test_pickles_are_never_loaded(
    copied: Callable[[str], Path], trained: Path, tmp_path: Path, marker: Path, beside: bool
) -> None:
    folders = {name: copied(name) for name in ("clip", "bert", "generator")}
    folders["recognizer"] = shutil.copytree(trained, tmp_path / "recognizer")
    loads = {"clip": load_clip, "bert": start_from, "generator": load_generator, "recognizer": mner.load}
    for name, folder in folders.items():
        parts = [folder / "unet", folder / "vae", folder / "text_encoder"] if name == "generator" else [folder]
        for part in parts:
            if not beside:
                next(part.glob("*.safetensors")).unlink()
            for pickled in ("pytorch_model.bin", "diffusion_pytorch_model.bin", "model.pt", "tokenizer.pkl"):
                (part / pickled).write_bytes(pickle.dumps(Payload(marker)))
        if beside:
            loads[name](folder)
        else:
            with pytest.raises(ModelError):
                loads[name](folder)
    assert not marker.exists()
    pickle.loads(pickle.dumps(Payload(marker)))  # noqa: S301 - the payload itself is not a dud
    assert marker.exists()


@pytest.mark.promise(32)
@pytest.mark.parametrize("model_type", ["bert", "somebodys"])
def test_code_that_a_configuration_asks_for_never_runs(
    copied: Callable[[str], Path], code: str, marker: Path, model_type: str
) -> None:
    folder = copied("bert")
    (folder / "evil.py").write_text(code)
    names = {"AutoConfig": "evil.Evil", "AutoModel": "evil.Evil"}
    changed(folder / "config.json", model_type=model_type, auto_map=names)
    changed(folder / "tokenizer_config.json", tokenizer_class="Evil", auto_map={"AutoTokenizer": ["evil.Evil"] * 2})
    if model_type == "bert":
        start_from(folder)  # a class of that name is at hand: the other is not looked at
    else:
        with pytest.raises(ModelError, match="it needs custom code, and amia runs no code"):
            start_from(folder)
    assert not marker.exists()


@pytest.mark.promise(32)
def test_code_that_a_recognizer_asks_for_never_runs(trained: Path, tmp_path: Path, code: str, marker: Path) -> None:
    folder = shutil.copytree(trained, tmp_path / "recognizer")
    (folder / "evil.py").write_text(code)
    names = {"AutoConfig": "evil.Evil", "AutoModel": "evil.Evil"}
    inner = json.loads((folder / "config.json").read_text())["text"] | {"auto_map": names}
    changed(folder / "config.json", auto_map=names, text=inner)
    mner.load(folder)
    changed(folder / "config.json", text=inner | {"model_type": "somebodys"})
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
def test_pipelines_of_foreign_classes(
    copied: Callable[[str], Path], code: str, marker: Path, index: dict[str, object]
) -> None:
    folder = copied("generator")
    for place in (folder.parent, folder, folder / "unet", folder / "text_encoder", folder / "tokenizer"):
        (place / "evil.py").write_text(code)
    (folder / "pipeline.py").write_text(code)
    names = {"AutoConfig": "evil.Evil", "AutoModel": "evil.Evil"}
    changed(folder / "text_encoder" / "config.json", model_type="somebodys", auto_map=names)
    tokenizer = {"tokenizer_class": "Evil", "auto_map": {"AutoTokenizer": ["evil.Evil", "evil.Evil"]}}
    changed(folder / "tokenizer" / "tokenizer_config.json", **tokenizer)
    changed(folder / "model_index.json", **index)
    with pytest.raises(ModelError, match=r"generator: "):
        load_generator(folder)
    assert not marker.exists()


def test_a_custom_pipeline_is_not_looked_at(copied: Callable[[str], Path], code: str, marker: Path) -> None:
    folder = copied("generator")
    (folder / "pipeline.py").write_text(code)
    changed(folder / "model_index.json", custom_pipeline="pipeline")
    load_generator(folder)
    assert not marker.exists()


@pytest.mark.parametrize("content", [b"[1]", b"[" * 100_000, b"\xff\xfe", b"", b"{", b'{"model_type": 3}', b"NaN"])
def test_configurations_that_are_none(
    copied: Callable[[str], Path], trained: Path, tmp_path: Path, content: bytes
) -> None:
    clip, bert, generator = copied("clip"), copied("bert"), copied("generator")
    recognizer = shutil.copytree(trained, tmp_path / "recognizer")
    for folder, load in ((clip, load_clip), (bert, start_from), (recognizer, mner.load)):
        (folder / "config.json").write_bytes(content)
        with pytest.raises(ModelError):
            load(folder)
    (generator / "model_index.json").write_bytes(content)
    with pytest.raises(ModelError):
        load_generator(generator)


def test_sizes_that_no_model_has(copied: Callable[[str], Path], trained: Path, tmp_path: Path) -> None:
    clip, generator = copied("clip"), copied("generator")
    inner = json.loads((clip / "config.json").read_text())["text_config"]
    changed(clip / "config.json", text_config=inner | {"num_hidden_layers": 10**7})  # hours of building
    with pytest.raises(ModelError, match=r"config\.json requests num_hidden_layers = 10000000; at most 1000"):
        load_clip(clip)
    changed(clip / "config.json", text_config=inner | {"vocab_size": 10**10})  # more than the weights hold
    with pytest.raises(ModelError, match="encoder: "):
        load_clip(clip)
    changed(generator / "unet" / "config.json", layers_per_block=[10**7, 1])
    with pytest.raises(ModelError, match="layers_per_block"):
        load_generator(generator)
    changed(generator / "unet" / "config.json", layers_per_block=1, sample_size=4096)
    with pytest.raises(ModelError, match=r"generates \d+ pixels a side; 4096 are allowed"):
        load_generator(generator)
    recognizer = shutil.copytree(trained, tmp_path / "recognizer")
    inner = json.loads((recognizer / "config.json").read_text())["visual"]
    changed(recognizer / "config.json", visual=inner | {"depths": [10**9]})
    with pytest.raises(ModelError, match="depths"):
        mner.load(recognizer)


@pytest.mark.parametrize("place", ["../outside.safetensors", "/etc/passwd", "a/../../outside.safetensors", ".."])
def test_weights_that_lie_elsewhere(copied: Callable[[str], Path], place: str) -> None:
    folder = copied("clip")
    (folder / "model.safetensors").rename(folder.parent / "outside.safetensors")
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": {"a": place}}))
    with pytest.raises(ModelError, match="names weights outside its folder"):
        load_clip(folder)


@pytest.mark.parametrize("content", [b"{}", b"[]", b"\xff", b'{"model": {"type": "BPE", "vocab": {}, "merges": []}}'])
def test_tokenizers_that_are_broken_say_so_when_they_are_loaded(copied: Callable[[str], Path], content: bytes) -> None:
    for name, load in (("clip", load_clip), ("bert", start_from)):
        folder = copied(name)
        (folder / "tokenizer.json").write_bytes(content)
        with pytest.raises(ModelError):
            load(folder)


@pytest.mark.parametrize(
    "wrong",
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
def test_recognizers_whose_configuration_is_odd(trained: Path, tmp_path: Path, wrong: dict[str, object]) -> None:
    folder = shutil.copytree(trained, tmp_path / "recognizer")
    changed(folder / "config.json", **wrong)
    with pytest.raises((ModelError, SettingsError)):  # the latter for the name of a system
        mner.load(folder)


@pytest.mark.parametrize("content", [b"[" * 100_000, b"\xff\xfe", b"[]", b"{}", b'{"format": "amia-mixture-1"}'])
def test_mixtures_that_are_none(copied: Callable[[str], Path], content: bytes) -> None:
    folder = copied("mixture")
    (folder / "mixture.json").write_bytes(content)
    with pytest.raises(MixtureError, match="is not a mixture written by amia"):
        MatchingModel.load(folder)


@pytest.mark.promise(32)
def test_a_mixture_beside_pickles_and_a_bank_that_is_one(copied: Callable[[str], Path], marker: Path) -> None:
    folder = copied("mixture")
    pickled = pickle.dumps(Payload(marker))
    for name in ("bank.npy", "bank.npz", "bank.pkl", "mixture.pkl", "model.pt"):
        (folder / name).write_bytes(pickled)
    assert len(MatchingModel.load(folder).bank)
    (folder / "bank.safetensors").write_bytes(pickled)
    with pytest.raises(MixtureError, match="do not belong together"):
        MatchingModel.load(folder)
    assert not marker.exists()
