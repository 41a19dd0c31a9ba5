"""The examples of `docs/extending.md` run, and the texts of `docs/` name files that exist."""

import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pyarrow.parquet as pq
import pytest
import torch

from amia.mixing.arms import ARMS, mixing_ratio
from amia.mner.features import encode_examples
from amia.mner.systems import SYSTEMS, get_system
from amia.readers import open_corpus
from amia.readers.corpus import FORMATS
from ray_jobs.settings.job import Settings
from tests.helpers.learnable import image_recognizer, labeled_posts
from tests.helpers.paths import ROOT

TEXT = (ROOT / "docs" / "extending.md").read_text(encoding="utf-8")
SECTIONS = {
    title: re.findall(r"```python\n(.*?)```", body, re.DOTALL)
    for title, body in re.findall(r"^## Add an? (\w+)\n(.*?)(?=^## |\Z)", TEXT, re.DOTALL | re.MULTILINE)
}


@pytest.fixture
def run_example(tmp_path: Path) -> Iterator[Callable[..., ModuleType]]:
    """Run the examples of a section as the module of a given name, and return it."""
    names: list[str] = []

    def run(section: str, name: str) -> ModuleType:
        module = ModuleType(name)
        sys.modules[name] = module
        names.append(name)
        exec(compile("\n".join(SECTIONS[section]), "docs/extending.md", "exec"), module.__dict__)  # noqa: S102
        return module

    yield run
    for name in names:
        del sys.modules[name]


def test_examples_are_short() -> None:
    assert list(SECTIONS) == ["recognizer", "reader", "arm", "stage"]
    for section, examples in SECTIONS.items():
        lines = [
            line
            for line in "\n".join(examples).splitlines()
            if line.strip() and not line.startswith(("import", "from"))
        ]
        assert 0 < len(lines) < 40, section


def test_recognizer(run_example: Callable[..., ModuleType], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    run_example("recognizer", "amia.mner.systems.bert_mean_crf")
    monkeypatch.setitem(SYSTEMS, "bert-mean-crf", "bert_mean_crf:BertMeanCrf")
    recognizer = image_recognizer(system="bert-mean-crf")
    batch = recognizer.make_collator()(encode_examples(labeled_posts(4), recognizer.tokenizer))
    output = recognizer.model(batch)
    assert output.total().shape == (4,)
    assert output.total().isfinite().all()
    recognizer.save(tmp_path)
    loaded = get_system("bert-mean-crf").from_pretrained(tmp_path)
    assert torch.equal(loaded(batch).emissions, recognizer.model.eval()(batch).emissions)


def test_reader(run_example: Callable[..., ModuleType], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(FORMATS, "csv", FORMATS["jsonl"])  # removed again after the test
    run_example("reader", "csv_example")
    (tmp_path / "train.csv").write_text("id,text\n1,Blue skies over Kyoto\n2,\n", encoding="utf-8")
    posts = list(open_corpus(tmp_path))
    assert [(post.id, post.text, post.split) for post in posts[:1]] == [("1", "Blue skies over Kyoto", "train")]
    assert [post.location for post in posts] == ["train.csv:1", "train.csv:2"]


def test_arm(run_example: Callable[..., ModuleType], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ARMS, "theta-squared", ARMS["adaptive"])  # removed again after the test
    run_example("arm", "arm_example")
    scores = {"theta": 0.5, "cosine": None, "cosine_range": None, "has_synthesis": True}
    assert mixing_ratio("theta-squared", **scores, has_image=True) == 0.25
    assert mixing_ratio("theta-squared", **scores, has_image=False) == 0


def test_stage(
    run_example: Callable[..., ModuleType],
    in_this_process: None,
    ingested: Path,
    copied: Callable[..., Path],
    small: Callable[..., Settings],
) -> None:
    run = copied(ingested)
    run_example("stage", "stage_example").text_lengths(str(run), small())
    shards = sorted(file.name for file in (run / "posts").glob("*.parquet"))
    assert shards == sorted(file.name for file in (run / "text_lengths").glob("*.parquet"))
    for shard in shards:
        lengths = pq.read_table(run / "text_lengths" / shard)
        assert lengths["id"] == pq.read_table(run / "posts" / shard)["id"]
        assert min(lengths["length"].to_pylist()) > 0


@pytest.mark.parametrize("file", ["architecture.md", "extending.md"])
def test_named_files_exist(file: str) -> None:
    text = (ROOT / "docs" / file).read_text(encoding="utf-8")
    named = re.findall(r"`((?:amia|ray_jobs|tests)/[\w/]*(?:\.\w+)?)`", text)
    to_write = {"amia/readers/csv_table.py"}
    assert len(named) > 5
    assert [name for name in named if not (ROOT / name).exists() and name not in to_write] == []
