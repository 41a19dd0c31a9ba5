"""`amia report`: the page is compared with plain loops over the rows of the run."""

import html
import json
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ray_jobs.reporting.training import curves, trained

from amia.errors import RunError
from amia.mner.spans import lenient_spans
from ray_jobs.jobs.report import report
from ray_jobs.reporting.accounting import quarantined
from ray_jobs.reporting.model_comparison import ModelComparison, chosen, compare, pairs_of
from ray_jobs.reporting.timing import stage_times
from ray_jobs.storage.layout import REPORT_FILE
from ray_jobs.storage.store import Store
from tests.helpers.paths import ROOT
from tests.helpers.written_runs import Written, counted, hash_of, write_predictions, write_run

Amia = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def page(written: Written) -> str:
    report(written.store.address)
    return written.store.read(REPORT_FILE).decode()


def text_of(page: str) -> str:
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", page.partition("<main")[2])).split())


# The page


def test_accounting(page: str, written: Written) -> None:
    text = text_of(page)
    for split, count in counted(written.rows, "split").items():
        assert f"{split} {count} {count / 600:.1%}" in text
    images = counted(written.rows, "image_status")
    assert f"with a usable image {images['ok']} " in text
    assert f"without an image {images['no_image']} " in text
    assert f"with a broken image (truncated) {images['bad_image(truncated)']} " in text
    assert "✗" not in text.partition("Sums")[2].partition("Models")[0]
    assert "Made with the demo's tiny weights (demo:clip, demo:generator)" in html.unescape(page)


def test_wrong_sums_are_shown(written: Written, copied: Callable[..., Path]) -> None:
    run = copied(Path(written.store.address))
    manifest = run / "augmented/adaptive/manifest.json"
    content = json.loads(manifest.read_text())
    content["counts"] = {"image=ok|synthesis=ok": 599}
    manifest.write_text(json.dumps(content))
    (run / "quarantine/00000.jsonl").unlink()
    report(str(run))
    text = text_of((run / REPORT_FILE).read_text())
    assert "statuses add up: 600 against 599 . This should not be" in text
    assert "rows that were no posts, and rows in quarantine: 3 against 0 ." in text


def test_failures_by_reason_with_examples(page: str, written: Written) -> None:
    text = text_of(page).partition("Failures Nothing is lost")[2].partition("Throughput")[0]
    broken = [row for row in written.rows if row["image_status"] == "bad_image(truncated)"]
    failed = [row for row in written.rows if row["synthesis_status"] == "failed(black)"]
    without_prompt = [row for row in written.rows if row["synthesis_status"] == "no_prompt"]
    for reason, rows in (
        ("posts with a broken image (truncated)", broken),
        ("posts whose synthesis failed (black)", failed),
        ("posts whose text is no prompt", without_prompt),
    ):
        part = text.partition(reason)[2]
        assert part.split()[0] == str(len(rows))
        examples = re.findall(r"post-\d{6}", re.split(r"posts with|posts whose|rows that", part)[0])
        assert len(examples) == min(4, len(rows)) > 0
        assert set(examples) <= {row["id"] for row in rows}
    assert "rows that are no posts: … tokens but … tags 1 3 tokens but 2 tags train.txt:2" in text


def test_quarantine_is_grouped_by_common_reason(tmp_path: Path) -> None:
    store = Store(tmp_path / "run")
    reasons = [f"{n} tokens but {n + 1} tags" for n in range(50)] + [f"odd {chr(97 + n)}" for n in range(26)]
    rows = [{"where": f"a.txt:{n}", "id": None, "reason": reason} for n, reason in enumerate(reasons)]
    store.create("quarantine/00000.jsonl", "".join(json.dumps(row) + "\n" for row in rows[:40]).encode())
    store.create("quarantine/00001.jsonl", "".join(json.dumps(row) + "\n" for row in rows[40:]).encode())
    rejected = quarantined(store)
    assert rejected.count == 76
    assert rejected.kinds["… tokens but … tags"][0] == 50
    assert [example.where for example in rejected.kinds["… tokens but … tags"][1]] == [f"a.txt:{n}" for n in range(4)]
    assert sum(count for count, _ in rejected.kinds.values()) == 76
    assert len(rejected.kinds) == 21
    assert rejected.kinds["other reasons"][0] == 7


def test_throughput_from_the_log(written: Written, tmp_path: Path) -> None:
    (scores,) = stage_times(written.store)
    shards = written.plan.shards
    assert (scores.stage, scores.posts, scores.shards) == ("scores", 600, len(shards))
    assert (scores.load_s, scores.run_s, scores.publish_s) == tuple(
        seconds * len(shards) for seconds in (0.25, 0.5, 0.25)
    )
    assert scores.wall_s == len(shards)  # each shard ends one second after the previous one
    assert (scores.actors, scores.hosts, scores.gpus) == (6, 2, 0)
    assert scores.per_wall == 600 / len(shards)
    assert scores.per_actor == 600 / (0.5 * len(shards))
    store = Store(tmp_path / "run")
    line = {"stage": "other", "shard": "a", "posts": 4, "ended": 9.0, "load_s": 0.0, "run_s": 0.0, "publish_s": 0.0}
    for number, gpus in enumerate(("0,1", "1")):
        entry = {**line, "host": "h", "pid": number, "cuda_visible_devices": gpus}
        store.create(f"log/{number}.jsonl", json.dumps(entry).encode())
    store.create("log/0-other-error.txt", b"Traceback")
    (other,) = stage_times(store)
    assert (other.posts, other.shards, other.gpus, other.per_wall, other.per_actor) == (8, 1, 2, None, None)


# Recognizers


def test_training_curves(written: Written) -> None:
    by_name = {curve.name: curve for curve in curves(written.store, trained(written.store))}
    assert len(by_name) == 4
    assert by_name["bert-crf-adaptive-seed1"].f1 == [0.1, 0.6, 0.4]
    assert (by_name["bert-crf-adaptive-seed1"].arm, by_name["bert-crf-adaptive-seed1"].seed) == ("adaptive", 1)
    assert by_name["bert-crf-adaptive-seed1"].best == 0.6


def of_pairs(written: Written) -> list[ModelComparison]:
    pairs = pairs_of(trained(written.store), "adaptive", list(written.store.list("predictions")))
    assert [(original.name, adaptive.name) for original, adaptive in pairs] == [
        (f"bert-crf-original-seed{seed}", f"bert-crf-adaptive-seed{seed}") for seed in (0, 1)
    ]
    return [result for pair in pairs if (result := compare(written.store, written.plan, pair, 0)) is not None]


def test_disagreements_equal_a_plain_loop(written: Written) -> None:
    for seed, compared in enumerate(of_pairs(written)):
        names = [f"bert-crf-{arm}-seed{seed}" for arm in ("original", "adaptive")]
        # The same seeds give the same predictions again.
        original, adaptive = (predict_again(written, name) for name in names)
        kinds: Counter[str] = Counter()
        by_id: dict[str, str] = {}
        for row in (row for row in written.rows if row["split"] == "test"):
            gold, before, after = (
                set(lenient_spans(tags)) for tags in (row["ner_tags"], original[row["id"]], adaptive[row["id"]])
            )
            if before != after:
                by_id[row["id"]] = "better" if after == gold else "worse" if before == gold else "both"
                kinds[by_id[row["id"]]] += 1
        pairing = compared.pairing
        assert (pairing.better, pairing.worse, pairing.both_wrong) == (kinds["better"], kinds["worse"], kinds["both"])
        assert min(kinds.values()) > 0
        assert pairing.posts == 90
        assert {by_id[case.place.id] for case in compared.better} == {"better"}
        assert {by_id[case.place.id] for case in compared.worse} == {"worse"}


def predict_again(written: Written, name: str) -> dict[str, list[str]]:
    arm = name.split("-")[2]
    return write_predictions(written, f"again-{name}", arm, wrong=0.4, seed=hash_of(name))


def test_examples_of_disagreements_are_bounded(written: Written) -> None:
    better, worse = chosen(of_pairs(written))
    assert len(better) == len(worse) == 15
    for cases in (better, worse):
        assert {case.recognizer for case in cases} == {"bert-crf, seed 0", "bert-crf, seed 1"}
        assert len({case.place.id for case in cases}) == 15


def test_page_shows_both_predictions(page: str, written: Written) -> None:
    text = text_of(page).partition("Where recognizers disagree")[2]
    compared = of_pairs(written)
    for comparison in compared:
        pairing = comparison.pairing
        row = f"{pairing.recognizer} {pairing.posts} {pairing.better} {pairing.worse} {pairing.both_wrong}"
        assert row in text
    assert text.count("trained on originals") == text.count("trained on adaptive") == 30


def test_refuses_predictions_for_other_posts(written: Written, copied: Callable[..., Path]) -> None:
    run = copied(Path(written.store.address))
    folder = run / "predictions/bert-crf-original-seed0/original"
    first, second = sorted(folder.iterdir())[:2]
    first.write_bytes(second.read_bytes())
    with pytest.raises(RunError, match="are about other posts"):
        report(str(run))


def test_removed_arm_is_not_compared(written: Written, copied: Callable[..., Path]) -> None:
    run = copied(Path(written.store.address))
    shutil.rmtree(run / "augmented/adaptive")
    result = report(str(run))
    assert result.arm == "original"
    assert "curves" in result.sections
    assert "disagreements" not in result.sections


def test_page_hides_local_model_folders(written: Written, copied: Callable[..., Path]) -> None:
    run = copied(Path(written.store.address))
    manifest = run / "augmented/adaptive/manifest.json"
    content = json.loads(manifest.read_text())
    content["settings"]["generator"]["model"] = "/home/ada/secret/generator"
    content["generator"] = "sha256:0123"
    manifest.write_text(json.dumps(content))
    report(str(run))
    models = text_of((run / REPORT_FILE).read_text(encoding="utf-8")).partition("Models")[2].partition("Losses")[0]
    assert "Generator a folder the license is its owner's to say sha256:0123" in models
    assert "secret" not in models


# The command


def test_replaces_page_by_the_same(written: Written, page: str) -> None:
    store = written.store
    store.replace(REPORT_FILE, b"an earlier page")
    result = report(store.address)
    assert store.read(REPORT_FILE).decode() == page
    assert result.bytes == len(page.encode())
    assert result.sections[0] == "accounting"


def test_same_page_on_s3(bucket: str, written: Written, page: str) -> None:
    store = Store(f"{bucket}/report/run")
    for key in written.store.list(""):
        if not key.startswith("predictions/again"):
            store.create(key, written.store.read(key))
    report(store.address)
    remote_page = store.read(REPORT_FILE).decode()
    assert remote_page.replace(store.address, "RUN") == page.replace(written.store.address, "RUN")


@pytest.mark.parametrize(
    ("name", "options", "missing"),
    [
        ("without images", {"images": False}, {"losses", "thetas"}),
        ("without labels", {"labeled": False}, set()),
        ("without scores", {"arms": ("text", "original"), "scored": False}, {"losses", "thetas"}),
    ],
)
def test_runs_without_images_labels_or_scores(
    tmp_path: Path, name: str, options: dict[str, Any], missing: set[str]
) -> None:
    run = write_run(Written(store=Store(tmp_path / name), posts=60, **options))
    result = report(run.store.address)
    all_sections = {"accounting", "losses", "thetas", "posts", "failures", "stages", "settings"}
    assert set(result.sections) == all_sections - missing
    page = run.store.read(REPORT_FILE).decode()
    assert ("<mark" in page) == options.get("labeled", True)
    if "arms" in options:
        assert result.arm == "original"
        assert "This page shows arm original: arm adaptive is not finished in this run." in page
        assert "Compared with nothing" in page
        assert report(run.store.address, "text").arm == "text"
        with pytest.raises(RunError, match="no finished arm 'adaptive'"):
            report(run.store.address, "adaptive")


@pytest.mark.promise(37)
def test_hostile_posts_are_escaped(tmp_path: Path) -> None:
    evil = "<script>alert(1)</script>"

    def make_hostile(row: dict[str, Any]) -> None:
        row["id"] += "\"onerror='alert(1)'<b>"
        row["tokens"] = [evil, *row["tokens"][1:]]
        row["text"] = " ".join(row["tokens"])

    run = write_run(Written(store=Store(tmp_path / "run"), posts=60, change=make_hostile))
    report(run.store.address)
    page = run.store.read(REPORT_FILE).decode()
    assert page.count("<script") == 1
    assert evil not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "onerror='" not in page


def test_tables_of_experiments(amia: Amia, written: Written, copied: Callable[..., Path]) -> None:
    run = copied(Path(written.store.address))
    table = {"name": "t", "title": "Main results", "head": ["system", "F1"], "rows": [["umt", "74.1"]], "notes": ["n"]}
    table |= {"over": ["", "tweets"], "intervals": [[None, None]]}
    good = {"name": "paper", "notice": "Made with demo weights", "tables": [table]}
    (run / "experiments/paper").mkdir(parents=True)
    (run / "experiments/paper/tables.json").write_text(json.dumps(good))
    assert amia("report", run)[0] == 0
    assert "Main results system F1 umt 74.1 n" in text_of((run / REPORT_FILE).read_text())
    (run / "experiments/paper/tables.json").write_text(json.dumps({**good, "tables": "none"}))
    code, _, stderr = amia("report", run)
    assert (code, "experiments/paper/tables.json" in stderr, "Traceback" in stderr) == (8, True, False)


@pytest.mark.parametrize(
    "key",
    [
        "quarantine/00000.jsonl",
        "log/20260101T000000-host-1-scores.jsonl",
        "models/bert-crf-original-seed0/metrics.jsonl",
    ],
)
def test_names_files_not_written_by_amia(amia: Amia, written: Written, copied: Callable[..., Path], key: str) -> None:
    run = copied(Path(written.store.address))
    (run / key).write_text('{"of": "another kind"}\n')
    code, _, stderr = amia("report", run)
    assert (code, key in stderr, "Traceback" in stderr) == (8, True, False)


def test_run_without_an_arm(amia: Amia, written: Written, copied: Callable[..., Path], tmp_path: Path) -> None:
    run = copied(Path(written.store.address), leaving_out=["augmented"])
    code, _, stderr = amia("report", run)
    assert (code, "`amia augment --run RUN --arm adaptive` makes it" in stderr) == (8, True)
    code, _, stderr = amia("report", tmp_path / "nowhere")
    assert (code, "start with `amia ingest" in stderr) == (8, True)


def test_real_run(amia: Amia, augmented: Path, copied: Callable[..., Path]) -> None:
    run = copied(augmented)
    code, stdout, stderr = amia("report", run)
    assert (code, stderr) == (0, "")
    assert f"-> {run}/report.html" in stdout
    page = (run / REPORT_FILE).read_text()
    assert "Accepted against the checks" in page  # 96 posts are too few for the checks
    code, stdout, _ = amia("report", run, "--arm", "original", "--json")
    summary = json.loads(stdout)
    assert (code, summary["arm"], summary["posts"], summary["key"]) == (0, "original", 96, REPORT_FILE)
    assert summary["sections"] == ["accounting", "losses", "thetas", "posts", "failures", "stages", "settings"]


def test_starts_no_ray_and_loads_no_torch(written: Written) -> None:
    code = (
        "import sys\nfrom ray_jobs.jobs.report import report\n"
        f"report({written.store.address!r})\nimport ray\nprint(ray.is_initialized(), 'torch' in sys.modules)"
    )
    stdout = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT).stdout
    assert stdout.split() == ["False", "False"]
