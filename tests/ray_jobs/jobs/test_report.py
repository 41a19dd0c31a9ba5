"""`amia report`: what the page says is what stands in the run, held against plain loops over its rows."""

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


def test_the_page_accounts_for_every_post(page: str, written: Written) -> None:
    said = text_of(page)
    for split, count in counted(written.rows, "split").items():
        assert f"{split} {count} {count / 600:.1%}" in said
    images = counted(written.rows, "image_status")
    assert f"with a usable image {images['ok']} " in said
    assert f"without an image {images['no_image']} " in said
    assert f"with a broken image (truncated) {images['bad_image(truncated)']} " in said
    assert "✗" not in said.partition("Sums")[2].partition("Models")[0]
    assert "Made with the demo's tiny weights (demo:clip, demo:generator)" in html.unescape(page)


def test_sums_that_do_not_hold_are_said(written: Written, copied: Callable[..., Path]) -> None:
    run = copied(Path(written.store.address))
    manifest = run / "augmented/adaptive/manifest.json"
    about = json.loads(manifest.read_text())
    about["counts"] = {"image=ok|synthesis=ok": 599}
    manifest.write_text(json.dumps(about))
    (run / "quarantine/00000.jsonl").unlink()
    report(str(run))
    said = text_of((run / REPORT_FILE).read_text())
    assert "statuses add up: 600 against 599 . This should not be" in said
    assert "rows that were no posts, and rows in quarantine: 3 against 0 ." in said


def test_failures_are_counted_by_reason_with_examples(page: str, written: Written) -> None:
    said = text_of(page).partition("Failures Nothing is lost")[2].partition("Throughput")[0]
    broken = [row for row in written.rows if row["image_status"] == "bad_image(truncated)"]
    failed = [row for row in written.rows if row["synthesis_status"] == "failed(black)"]
    silent = [row for row in written.rows if row["synthesis_status"] == "no_prompt"]
    for reason, rows in (
        ("posts with a broken image (truncated)", broken),
        ("posts whose synthesis failed (black)", failed),
        ("posts whose text is no prompt", silent),
    ):
        part = said.partition(reason)[2]
        assert part.split()[0] == str(len(rows))
        examples = re.findall(r"post-\d{6}", re.split(r"posts with|posts whose|rows that", part)[0])
        assert len(examples) == min(4, len(rows)) > 0
        assert set(examples) <= {row["id"] for row in rows}
    assert "rows that are no posts: … tokens but … tags 1 3 tokens but 2 tags train.txt:2" in said


def test_rows_in_quarantine_are_grouped_by_what_they_have_in_common(tmp_path: Path) -> None:
    store = Store(tmp_path / "run")
    reasons = [f"{n} tokens but {n + 1} tags" for n in range(50)] + [f"odd {chr(97 + n)}" for n in range(26)]
    rows = [{"where": f"a.txt:{n}", "id": None, "reason": reason} for n, reason in enumerate(reasons)]
    store.create("quarantine/00000.jsonl", "".join(json.dumps(row) + "\n" for row in rows[:40]).encode())
    store.create("quarantine/00001.jsonl", "".join(json.dumps(row) + "\n" for row in rows[40:]).encode())
    found = quarantined(store)
    assert found.count == 76
    assert found.kinds["… tokens but … tags"][0] == 50
    assert [example.where for example in found.kinds["… tokens but … tags"][1]] == [f"a.txt:{n}" for n in range(4)]
    assert sum(count for count, _ in found.kinds.values()) == 76
    assert len(found.kinds) == 21
    assert found.kinds["other reasons"][0] == 7


def test_throughput_is_what_the_log_says(written: Written, tmp_path: Path) -> None:
    (scores,) = stage_times(written.store)
    shards = written.plan.shards
    assert (scores.stage, scores.posts, scores.shards) == ("scores", 600, len(shards))
    assert (scores.load_s, scores.run_s, scores.publish_s) == tuple(each * len(shards) for each in (0.25, 0.5, 0.25))
    assert scores.wall_s == len(shards)  # a second from end to end of each shard, and the first one's own second
    assert (scores.actors, scores.hosts, scores.gpus) == (6, 2, 0)
    assert scores.per_wall == 600 / len(shards)
    assert scores.per_actor == 600 / (0.5 * len(shards))
    store = Store(tmp_path / "run")
    line = {"stage": "own", "shard": "a", "posts": 4, "ended": 9.0, "load_s": 0.0, "run_s": 0.0, "publish_s": 0.0}
    for number, gpus in enumerate(("0,1", "1")):
        one = {**line, "host": "h", "pid": number, "cuda_visible_devices": gpus}
        store.create(f"log/{number}.jsonl", json.dumps(one).encode())
    store.create("log/0-own-error.txt", b"Traceback")
    (own,) = stage_times(store)
    assert (own.posts, own.shards, own.gpus, own.per_wall, own.per_actor) == (8, 1, 2, None, None)


# Recognizers


def test_curves_are_the_trainings_own(written: Written) -> None:
    found = {each.name: each for each in curves(written.store, trained(written.store))}
    assert len(found) == 4
    assert found["bert-crf-adaptive-seed1"].f1 == [0.1, 0.6, 0.4]
    assert (found["bert-crf-adaptive-seed1"].arm, found["bert-crf-adaptive-seed1"].seed) == ("adaptive", 1)
    assert found["bert-crf-adaptive-seed1"].best == 0.6


def of_pairs(written: Written) -> list[ModelComparison]:
    pairs = pairs_of(trained(written.store), "adaptive", list(written.store.list("predictions")))
    assert [(one.name, other.name) for one, other in pairs] == [
        (f"bert-crf-original-seed{seed}", f"bert-crf-adaptive-seed{seed}") for seed in (0, 1)
    ]
    return [found for pair in pairs if (found := compare(written.store, written.plan, pair, 0)) is not None]


def test_disagreements_are_a_plain_loop_s(written: Written) -> None:
    for seed, compared in enumerate(of_pairs(written)):
        names = [f"bert-crf-{arm}-seed{seed}" for arm in ("original", "adaptive")]
        # Made anew, elsewhere: the same seeds give the same answers.
        left, right = (again(written, name) for name in names)
        kinds: Counter[str] = Counter()
        by_id: dict[str, str] = {}
        for row in (row for row in written.rows if row["split"] == "test"):
            gold, one, other = (
                set(lenient_spans(tags)) for tags in (row["ner_tags"], left[row["id"]], right[row["id"]])
            )
            if one != other:
                by_id[row["id"]] = "better" if other == gold else "worse" if one == gold else "both"
                kinds[by_id[row["id"]]] += 1
        pairing = compared.pairing
        assert (pairing.better, pairing.worse, pairing.both_wrong) == (kinds["better"], kinds["worse"], kinds["both"])
        assert min(kinds.values()) > 0
        assert pairing.posts == 90
        assert {by_id[case.place.id] for case in compared.better} == {"better"}
        assert {by_id[case.place.id] for case in compared.worse} == {"worse"}


def again(written: Written, name: str) -> dict[str, list[str]]:
    arm = name.split("-")[2]
    return write_predictions(written, f"again-{name}", arm, wrong=0.4, seed=hash_of(name))


def test_shown_disagreements_are_bounded_and_from_both_recognizers(written: Written) -> None:
    better, worse = chosen(of_pairs(written))
    assert len(better) == len(worse) == 15
    for cases in (better, worse):
        assert {case.recognizer for case in cases} == {"bert-crf, seed 0", "bert-crf, seed 1"}
        assert len({case.place.id for case in cases}) == 15


def test_the_page_shows_both_answers(page: str, written: Written) -> None:
    said = text_of(page).partition("Where recognizers disagree")[2]
    compared = of_pairs(written)
    for each in compared:
        pairing = each.pairing
        row = f"{pairing.recognizer} {pairing.posts} {pairing.better} {pairing.worse} {pairing.both_wrong}"
        assert row in said
    assert said.count("trained on originals") == said.count("trained on adaptive") == 30


def test_answers_about_other_posts_are_refused(written: Written, copied: Callable[..., Path]) -> None:
    run = copied(Path(written.store.address))
    folder = run / "predictions/bert-crf-original-seed0/original"
    first, second = sorted(folder.iterdir())[:2]
    first.write_bytes(second.read_bytes())
    with pytest.raises(RunError, match="are about other posts"):
        report(str(run))


def test_an_arm_that_was_removed_since_leaves_nothing_to_compare(written: Written, copied: Callable[..., Path]) -> None:
    run = copied(Path(written.store.address))
    shutil.rmtree(run / "augmented/adaptive")
    done = report(str(run))
    assert done.arm == "original"
    assert "curves" in done.sections
    assert "disagreements" not in done.sections


def test_where_a_model_lies_on_this_machine_is_not_told(written: Written, copied: Callable[..., Path]) -> None:
    run = copied(Path(written.store.address))
    manifest = run / "augmented/adaptive/manifest.json"
    about = json.loads(manifest.read_text())
    about["settings"]["generator"]["model"] = "/home/ada/secret/generator"
    about["generator"] = "sha256:0123"
    manifest.write_text(json.dumps(about))
    report(str(run))
    models = text_of((run / REPORT_FILE).read_text(encoding="utf-8")).partition("Models")[2].partition("Losses")[0]
    assert "Generator a folder the license is its owner's to say sha256:0123" in models
    assert "secret" not in models


# The command


def test_the_page_is_made_anew_and_is_the_same(written: Written, page: str) -> None:
    store = written.store
    store.replace(REPORT_FILE, b"an earlier page")
    done = report(store.address)
    assert store.read(REPORT_FILE).decode() == page
    assert done.bytes == len(page.encode())
    assert done.sections[0] == "accounting"


def test_on_s3_it_is_the_same_page(bucket: str, written: Written, page: str) -> None:
    store = Store(f"{bucket}/report/run")
    for key in written.store.list(""):
        if not key.startswith("predictions/again"):
            store.create(key, written.store.read(key))
    report(store.address)
    there = store.read(REPORT_FILE).decode()
    assert there.replace(store.address, "RUN") == page.replace(written.store.address, "RUN")


@pytest.mark.parametrize(
    ("name", "asked", "missing"),
    [
        ("without images", {"images": False}, {"losses", "thetas"}),
        ("without labels", {"labeled": False}, set()),
        ("without scores", {"arms": ("text", "original"), "scored": False}, {"losses", "thetas"}),
    ],
)
def test_runs_that_lack_something(tmp_path: Path, name: str, asked: dict[str, Any], missing: set[str]) -> None:
    run = write_run(Written(store=Store(tmp_path / name), posts=60, **asked))
    done = report(run.store.address)
    whole = {"accounting", "losses", "thetas", "posts", "failures", "stages", "settings"}
    assert set(done.sections) == whole - missing
    page = run.store.read(REPORT_FILE).decode()
    assert ("<mark" in page) == asked.get("labeled", True)
    if "arms" in asked:
        assert done.arm == "original"
        assert "This page shows arm original: arm adaptive is not finished in this run." in page
        assert "Compared with nothing" in page
        assert report(run.store.address, "text").arm == "text"
        with pytest.raises(RunError, match="no finished arm 'adaptive'"):
            report(run.store.address, "adaptive")


@pytest.mark.promise(37)
def test_hostile_posts_are_text(tmp_path: Path) -> None:
    evil = "<script>alert(1)</script>"

    def spoil(row: dict[str, Any]) -> None:
        row["id"] += "\"onerror='alert(1)'<b>"
        row["tokens"] = [evil, *row["tokens"][1:]]
        row["text"] = " ".join(row["tokens"])

    run = write_run(Written(store=Store(tmp_path / "run"), posts=60, change=spoil))
    report(run.store.address)
    page = run.store.read(REPORT_FILE).decode()
    assert page.count("<script") == 1
    assert evil not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "onerror='" not in page


def test_tables_of_an_experiment_are_shown_and_foreign_ones_named(
    amia: Amia, written: Written, copied: Callable[..., Path]
) -> None:
    run = copied(Path(written.store.address))
    table = {"name": "t", "title": "Main results", "head": ["system", "F1"], "rows": [["umt", "74.1"]], "notes": ["n"]}
    table |= {"over": ["", "tweets"], "intervals": [[None, None]]}
    good = {"name": "paper", "notice": "Made with demo weights", "tables": [table]}
    (run / "experiments/paper").mkdir(parents=True)
    (run / "experiments/paper/tables.json").write_text(json.dumps(good))
    assert amia("report", run)[0] == 0
    assert "Main results system F1 umt 74.1 n" in text_of((run / REPORT_FILE).read_text())
    (run / "experiments/paper/tables.json").write_text(json.dumps({**good, "tables": "none"}))
    code, _, complained = amia("report", run)
    assert (code, "experiments/paper/tables.json" in complained, "Traceback" in complained) == (8, True, False)


@pytest.mark.parametrize(
    "key",
    [
        "quarantine/00000.jsonl",
        "log/20260101T000000-host-1-scores.jsonl",
        "models/bert-crf-original-seed0/metrics.jsonl",
    ],
)
def test_foreign_files_are_named(amia: Amia, written: Written, copied: Callable[..., Path], key: str) -> None:
    run = copied(Path(written.store.address))
    (run / key).write_text('{"of": "another kind"}\n')
    code, _, complained = amia("report", run)
    assert (code, key in complained, "Traceback" in complained) == (8, True, False)


def test_an_ingested_run_without_an_arm_says_what_to_do(
    amia: Amia, written: Written, copied: Callable[..., Path], tmp_path: Path
) -> None:
    run = copied(Path(written.store.address), leaving_out=["augmented"])
    code, _, complained = amia("report", run)
    assert (code, "`amia augment --run RUN --arm adaptive` makes it" in complained) == (8, True)
    code, _, complained = amia("report", tmp_path / "nowhere")
    assert (code, "start with `amia ingest" in complained) == (8, True)


def test_a_real_run(amia: Amia, augmented: Path, copied: Callable[..., Path]) -> None:
    run = copied(augmented)
    code, said, complained = amia("report", run)
    assert (code, complained) == (0, "")
    assert f"-> {run}/report.html" in said
    page = (run / REPORT_FILE).read_text()
    assert "Accepted against the checks" in page  # 96 posts are too few to fit on
    code, said, _ = amia("report", run, "--arm", "original", "--json")
    told = json.loads(said)
    assert (code, told["arm"], told["posts"], told["key"]) == (0, "original", 96, REPORT_FILE)
    assert told["sections"] == ["accounting", "losses", "thetas", "posts", "failures", "stages", "settings"]


def test_no_ray_is_started_and_no_torch_loaded(written: Written) -> None:
    code = (
        "import sys\nfrom ray_jobs.jobs.report import report\n"
        f"report({written.store.address!r})\nimport ray\nprint(ray.is_initialized(), 'torch' in sys.modules)"
    )
    root = ROOT
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=root).stdout
    assert said.split() == ["False", "False"]
