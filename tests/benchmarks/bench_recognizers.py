"""A recognizer on four arms of the drawn world, several seeds: mean and standard deviation of test F1.

    amia demo --run runs/demo
    python tests/benchmarks/bench_recognizers.py --run runs/demo/run [--seeds 3] [--model bert-resnet-crf]

`text` is the same recognizer with its visual tokens masked. Columns are slices of the test posts; the last is
`all` with images exchanged among posts: what stays of F1 does not come from looking.
"""

import argparse
import statistics

from ray_jobs.jobs.augment import augment
from ray_jobs.jobs.context import open_context
from ray_jobs.jobs.evaluate import evaluate
from ray_jobs.jobs.train import prepare_training
from ray_jobs.settings.job import load_settings
from ray_jobs.storage.arm import open_arm
from ray_jobs.jobs.train_parallel import train_parallel

ARMS = ("text", "original", "synthesized", "adaptive")
SLICES = ("all", "matched", "mismatched", "seen", "unseen", "ambiguous")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", required=True)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--model", default="bert-resnet-crf")
    chosen = parser.parse_args()
    settings = load_settings("demo")
    augment(chosen.run, settings, arms=ARMS, quiet=True)
    cells = {}
    for seed in range(chosen.seeds):
        seeded = load_settings("demo", [f"training.seed={seed}"])
        job = open_context(chosen.run, seeded)
        for arm in ARMS:
            cells[arm, seed] = prepare_training(job, chosen.model, open_arm(job.store, arm))
    trained = dict(zip(cells, train_parallel(job, list(cells.values())), strict=True))
    print(f"{chosen.model}, {chosen.seeds} seeds: F1 on the test posts in percent, mean (standard deviation)")
    print("| arm | " + " | ".join([*SLICES, "images exchanged"]) + " |")
    print("|---|" + "---|" * (len(SLICES) + 1))
    for arm in ARMS:
        columns: dict[str, list[float]] = {}
        for seed in range(chosen.seeds):
            name = trained[arm, seed].name
            reports = evaluate(chosen.run, settings, model=name, arm=arm, quiet=True).lenient
            for part in SLICES:
                columns.setdefault(part, []).append(100 * reports[part].micro.f1)
            if arm != "text":
                swapped = evaluate(chosen.run, settings, model=name, arm=arm, swap_images=True, quiet=True).lenient
                columns.setdefault("swapped", []).append(100 * swapped["all"].micro.f1)
        shown = [f"{statistics.mean(each):.1f} ({statistics.stdev(each):.1f})" for each in columns.values()]
        print(f"| {arm} | " + " | ".join(shown + ["-"] * (len(SLICES) + 1 - len(shown))) + " |", flush=True)


if __name__ == "__main__":
    main()
