"""A recognizer on four arms of the demo, with several seeds: mean and standard deviation of test F1.

    amia demo --run runs/demo
    python -m tests.benchmarks.bench_recognizers --run runs/demo/run [--seeds 3] [--model bert-resnet-crf]

`text` is the same recognizer with masked visual tokens. Columns are slices of the test posts. The last column is `all`
with images swapped among the posts: the remaining F1 does not come from the images.
"""

import argparse
import statistics

from ray_jobs.jobs.augment import augment
from ray_jobs.jobs.context import open_context
from ray_jobs.jobs.evaluate import evaluate
from ray_jobs.jobs.train import prepare_training
from ray_jobs.jobs.train_parallel import train_parallel
from ray_jobs.settings.job import load_settings
from ray_jobs.storage.arm import open_arm

ARMS = ("text", "original", "synthesized", "adaptive")
SLICES = ("all", "matched", "mismatched", "seen", "unseen", "ambiguous")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", required=True)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--model", default="bert-resnet-crf")
    args = parser.parse_args()
    settings = load_settings("demo")
    augment(args.run, settings, arms=ARMS, quiet=True)
    trainings = {}
    for seed in range(args.seeds):
        seeded = load_settings("demo", [f"training.seed={seed}"])
        job = open_context(args.run, seeded)
        for arm in ARMS:
            trainings[arm, seed] = prepare_training(job, args.model, open_arm(job.store, arm))
    results = dict(zip(trainings, train_parallel(job, list(trainings.values())), strict=True))
    print(f"{args.model}, {args.seeds} seeds: F1 on the test posts in percent, mean (standard deviation)")
    print("| arm | " + " | ".join([*SLICES, "images swapped"]) + " |")
    print("|---|" + "---|" * (len(SLICES) + 1))
    for arm in ARMS:
        columns: dict[str, list[float]] = {}
        for seed in range(args.seeds):
            name = results[arm, seed].name
            reports = evaluate(args.run, settings, model=name, arm=arm, quiet=True).lenient
            for part in SLICES:
                columns.setdefault(part, []).append(100 * reports[part].micro.f1)
            if arm != "text":
                swapped = evaluate(args.run, settings, model=name, arm=arm, swap_images=True, quiet=True).lenient
                columns.setdefault("swapped", []).append(100 * swapped["all"].micro.f1)
        cells = [f"{statistics.mean(scores):.1f} ({statistics.stdev(scores):.1f})" for scores in columns.values()]
        print(f"| {arm} | " + " | ".join(cells + ["-"] * (len(SLICES) + 1 - len(cells))) + " |", flush=True)


if __name__ == "__main__":
    main()
