"""`amia report`: the page is compared with plain loops over the rows of the run."""

import html
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from amia.errors import RunError
from amia.experiments.map_lookup import locate
from amia.experiments.match_shares import Share
from ray_jobs.jobs.report import report
from ray_jobs.reporting.model_comparison import compare_models, find_model_pairs
from ray_jobs.reporting.models import read_models
from ray_jobs.storage.layout import REPORT_FILE
from ray_jobs.storage.store import Store
from tests.helpers.paths import ROOT
from tests.helpers.when_maps import make_map
from tests.helpers.written_runs import WrittenRun, count_by, write_run

Amia = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def page(written: WrittenRun) -> str:
    report(written.store.address)
    return written.store.read(REPORT_FILE).decode()


def text_of(page: str) -> str:
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", page.partition("<main")[2])).split())


# The page


def test_accounting(page: str, written: WrittenRun) -> None:
    text = text_of(page)
    for split, count in count_by(written.rows, "split").items():
        assert f"{split} {count} {count / 600:.1%}" in text
    images = count_by(written.rows, "image_status")
    assert f"with a usable image {images['ok']} " in text
    assert f"without an image {images['no_image']} " in text
    assert f"with a broken image (truncated) {images['bad_image(truncated)']} " in text
    assert "✗" not in text.partition("Consistency checks")[2].partition("Models")[0]
    assert "Made with demo weights (demo:clip, demo:generator)" in html.unescape(page)


def test_wrong_sums_are_shown(written: WrittenRun, copied: Callable[..., Path]) -> None:
    run = copied(Path(written.store.address))
    manifest = run / "augmented/adaptive/manifest.json"
    content = json.loads(manifest.read_text())
    content["counts"] = {"image=ok|synthesis=ok": 599}
    manifest.write_text(json.dumps(content))
    (run / "quarantine/00000.jsonl").unlink()
    report(str(run))
    text = text_of((run / REPORT_FILE).read_text())
    assert "sum over statuses: expected 600 , got 599 . Please report this as a bug" in text
    assert "rejected rows = rows in quarantine: expected 3 , got 0 ." in text


def test_failures_by_reason_with_examples(page: str, written: WrittenRun) -> None:
    text = text_of(page).partition("Failures Failed posts stay")[2].partition("Throughput")[0]
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
        examples = re.findall(r"post-\d{6}", re.split(r"posts with|posts whose|rejected rows", part)[0])
        assert len(examples) == min(4, len(rows)) > 0
        assert set(examples) <= {row["id"] for row in rows}
    assert "rejected rows: … tokens but … tags 1 3 tokens but 2 tags train.txt:2" in text


# Recognizers


def test_page_shows_both_predictions(page: str, written: WrittenRun) -> None:
    text = text_of(page).partition("Where recognizers disagree")[2]
    pairs = find_model_pairs(read_models(written.store), "adaptive", list(written.store.list("predictions")))
    assert len(pairs) == 2
    for pair in pairs:
        comparison = compare_models(written.store, written.plan, pair, 0)
        assert comparison is not None
        counts = comparison.counts
        assert f"{counts.recognizer} {counts.posts} {counts.better} {counts.worse} {counts.both_wrong}" in text
    assert text.count("trained on original ") - text.count("trained on original images") == 30
    assert text.count("trained on adaptive") == 30


def test_page_of_an_arm_shows_theta_of_the_synthesized_images_it_uses(tmp_path: Path) -> None:
    run = write_run(WrittenRun(store=Store(tmp_path), posts=300, arms=("two-sided", "adaptive"), synthesized_match=0.7))
    report(run.store.address, "two-sided")
    text = text_of((tmp_path / REPORT_FILE).read_text(encoding="utf-8"))
    shown = text.partition("The same for the synthesized images")[2]
    for split in ("train", "validation", "test"):
        thetas = [row["theta_synthesized"] for row in run.rows if row["split"] == split and "theta_synthesized" in row]
        matched = sum(theta > 0.5 for theta in thetas)
        assert f"{split} {matched / len(thetas):.1%} matched of {len(thetas)}" in shown
    assert "θ synthesized" in text
    report(run.store.address, "adaptive")
    text = text_of((tmp_path / REPORT_FILE).read_text(encoding="utf-8"))
    assert "The same for the synthesized images" not in text
    assert "θ synthesized" not in text


def test_refuses_predictions_for_other_posts(written: WrittenRun, copied: Callable[..., Path]) -> None:
    run = copied(Path(written.store.address))
    folder = run / "predictions/bert-crf-original-seed0/original"
    first, second = sorted(folder.iterdir())[:2]
    first.write_bytes(second.read_bytes())
    with pytest.raises(RunError, match="contain different posts"):
        report(str(run))


def test_removed_arm_is_not_compared(written: WrittenRun, copied: Callable[..., Path]) -> None:
    run = copied(Path(written.store.address))
    shutil.rmtree(run / "augmented/adaptive")
    result = report(str(run))
    assert result.arm == "original"
    assert "curves" in result.sections
    assert "disagreements" not in result.sections


def test_page_hides_local_model_folders(written: WrittenRun, copied: Callable[..., Path]) -> None:
    run = copied(Path(written.store.address))
    manifest = run / "augmented/adaptive/manifest.json"
    content = json.loads(manifest.read_text())
    content["settings"]["generator"]["model"] = "/home/ada/secret/generator"
    content["generator"] = "sha256:0123"
    manifest.write_text(json.dumps(content))
    report(str(run))
    models = text_of((run / REPORT_FILE).read_text(encoding="utf-8")).partition("Models")[2].partition("Losses")[0]
    assert "Generator local folder license: see its owner sha256:0123" in models
    assert "secret" not in models


# The outlook


def test_outlook_says_how_to_score_synthesized_images(page: str, written: WrittenRun) -> None:
    text = text_of(page).partition("What to expect")[2]
    assert f"`amia augment --run {written.store.address} --arm two-sided` computes it" in text
    for split in ("train", "validation", "test"):
        thetas = [row["theta"] for row in written.rows if row["split"] == split and row["loss"] is not None]
        matched = sum(theta > 0.5 for theta in thetas)
        assert f"{split} {matched / len(thetas):.1%} of {len(thetas)}" in text
    assert "not computed" in text


def test_outlook_on_a_map(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    when = make_map()
    monkeypatch.setattr("ray_jobs.jobs.report.read_shipped_map", lambda: when)
    run = write_run(WrittenRun(store=Store(tmp_path / "run"), posts=600, synthesized_match=0.86))
    result = report(run.store.address)
    text = text_of(run.store.read(REPORT_FILE).decode()).partition("What to expect")[2]
    scored = [row["loss_synthesized"] for row in run.rows if row["loss_synthesized"] is not None]
    synthesized = Share(matched=sum(loss < 0.5 for loss in scored), total=len(scored))
    thetas = [row["theta"] for row in run.rows if row["loss"] is not None]
    original = Share(matched=sum(theta > 0.5 for theta in thetas), total=len(thetas))
    place = locate(when, original, synthesized).location
    assert f"all {original.value:.1%} of {len(thetas)}" in text
    assert f"{synthesized.value:.1%} of {len(scored)}" in text
    assert (
        f"one with {100 * place.mismatched:.0f} % mismatched images, and with {100 * place.known:.0f} % of its" in text
    )
    assert "likely to help" in text
    assert result.outlook is not None
    assert result.outlook in text
    monkeypatch.setattr("ray_jobs.jobs.report.read_shipped_map", lambda: None)
    assert report(run.store.address).outlook == (
        "Cannot tell: no map of when augmentation helps ships with this version of amia."
    )


def test_outlook_of_a_borrowed_mixture(written: WrittenRun, copied: Callable[..., Path]) -> None:
    run = copied(Path(written.store.address))
    identity = {"stage": "mixture", "version": 1, "settings": {"taken": "0123"}, "input": {}}
    (run / "mixture/identity.json").write_text(json.dumps(identity))
    report(str(run))
    assert "Theta is that of a mixture that was fitted on other posts." in text_of((run / REPORT_FILE).read_text())


# The command


def test_replaces_page_by_the_same(written: WrittenRun, page: str) -> None:
    store = written.store
    store.replace(REPORT_FILE, b"an earlier page")
    result = report(store.address)
    assert store.read(REPORT_FILE).decode() == page
    assert result.bytes == len(page.encode())
    assert result.sections[0] == "accounting"


def test_same_page_on_s3(bucket: str, written: WrittenRun, page: str) -> None:
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
        ("without images", {"images": False}, {"losses", "thetas", "outlook"}),
        ("without labels", {"labeled": False}, set()),
        ("without scores", {"arms": ("text", "original"), "scored": False}, {"losses", "thetas", "outlook"}),
    ],
)
def test_runs_without_images_labels_or_scores(
    tmp_path: Path, name: str, options: dict[str, Any], missing: set[str]
) -> None:
    run = write_run(WrittenRun(store=Store(tmp_path / name), posts=60, **options))
    result = report(run.store.address)
    all_sections = {"accounting", "losses", "thetas", "outlook", "posts", "failures", "stages", "settings"}
    assert set(result.sections) == all_sections - missing
    page = run.store.read(REPORT_FILE).decode()
    assert ("<mark" in page) == options.get("labeled", True)
    if "arms" in options:
        assert result.arm == "original"
        assert "This page shows arm original: arm adaptive is not finished in this run." in page
        assert "Without a matching score" in page
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

    run = write_run(WrittenRun(store=Store(tmp_path / "run"), posts=60, transform=make_hostile))
    report(run.store.address)
    page = run.store.read(REPORT_FILE).decode()
    assert page.count("<script") == 1
    assert evil not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "onerror='" not in page


def test_tables_of_experiments(amia: Amia, written: WrittenRun, copied: Callable[..., Path]) -> None:
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
def test_names_files_not_written_by_amia(
    amia: Amia, written: WrittenRun, copied: Callable[..., Path], key: str
) -> None:
    run = copied(Path(written.store.address))
    (run / key).write_text('{"of": "another kind"}\n')
    code, _, stderr = amia("report", run)
    assert (code, key in stderr, "Traceback" in stderr) == (8, True, False)


def test_run_without_an_arm(amia: Amia, written: WrittenRun, copied: Callable[..., Path], tmp_path: Path) -> None:
    run = copied(Path(written.store.address), leaving_out=["augmented"])
    code, _, stderr = amia("report", run)
    assert (code, "create it with `amia augment --run RUN --arm adaptive`" in stderr) == (8, True)
    code, _, stderr = amia("report", tmp_path / "nowhere")
    assert (code, "start with `amia ingest" in stderr) == (8, True)


def test_real_run(amia: Amia, augmented: Path, copied: Callable[..., Path]) -> None:
    run = copied(augmented)
    code, stdout, stderr = amia("report", run)
    assert (code, stderr) == (0, "")
    assert f"-> {run}/report.html" in stdout
    page = (run / REPORT_FILE).read_text()
    assert "Accepted by the user although the checks failed" in page  # 96 posts are too few for the checks
    code, stdout, _ = amia("report", run, "--arm", "original", "--json")
    summary = json.loads(stdout)
    assert (code, summary["arm"], summary["posts"], summary["key"]) == (0, "original", 96, REPORT_FILE)
    sections = ["accounting", "losses", "thetas", "outlook", "posts", "failures", "stages", "settings"]
    assert summary["sections"] == sections
    assert summary["outlook"].startswith("Cannot tell (too few posts): ")


def test_starts_no_ray_and_loads_no_torch(written: WrittenRun) -> None:
    code = (
        "import sys\nfrom ray_jobs.jobs.report import report\n"
        f"report({written.store.address!r})\nimport ray\nprint(ray.is_initialized(), 'torch' in sys.modules)"
    )
    stdout = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT).stdout
    assert stdout.split() == ["False", "False"]
