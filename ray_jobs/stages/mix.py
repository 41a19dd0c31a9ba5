"""augmented/<arm>/: the augmented images (paper 3.4, eq. 9), in files that other people's tools open unchanged."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from amia.images import ImageSettings, decode, resize_to_square
from amia.matching.model import MatchingModel
from amia.mixing.arms import mixing_ratio, needs_synthesis
from amia.mixing.controls import noise_image, shuffle_thetas
from amia.mixing.derangement import derange_images
from amia.mixing.mixup import mix_images
from amia.mner.spans import label_names
from amia.synthesis.seeds import post_seed
from ray_jobs.stages.base import Stage, post_context
from ray_jobs.storage.layout import AUGMENTED, POSTS, SYNTHESIZED, shard_key
from ray_jobs.storage.plan import parse_shard_name
from ray_jobs.storage.schemas import augmented_schema
from ray_jobs.storage.shards import ShardMetadata, encode, read_shard
from ray_jobs.storage.store import Store

__all__ = ["SEEDED_ARMS", "Mix"]

Row = dict[str, Any]

SEEDED_ARMS = {"random", "noise", "shuffled"}
"""Control arms that depend on the run's seed."""

NO_SYNTHESIS: Row = {"drawn": None, "prompt": None, "seed": None, "synthesis_status": "not_asked"}
"""Arms that look at no synthesized image."""


class Mix(Stage[list[Row], dict[str, list[Row]]]):
    """Posts, synthesized images and scores -> augmented images, for every arm asked for."""

    name = AUGMENTED
    pool = "mix"
    version = 1

    def __init__(
        self,
        store: Store,
        identities: Mapping[str, str],
        *,
        images: ImageSettings,
        types: Sequence[str],
        mixture: MatchingModel | None,
        scores: str,
        synthesized: bool,
        seed: int,
        mean_theta: float | None,
    ) -> None:
        """`scores`: the folder of the losses that `mixture` belongs to; `mean_theta`: what arm `constant` blends by."""
        super().__init__(store, "")
        self._identities = dict(identities)
        """Digest by arm: each arm is a folder of its own."""
        self._images, self._schema = images, augmented_schema(types)
        self._label = {name: number for number, name in enumerate(label_names(types))}
        self._mixture, self._scores_folder, self._synthesized = mixture, scores, synthesized
        self._seed, self._mean_theta = seed, mean_theta

    def keys(self, shard: str) -> list[str]:
        """One file an arm."""
        return [f"{self.name}/{arm}/{shard}.parquet" for arm in self._identities]

    def load(self, shard: str) -> list[Row]:
        """Everything known of each post, side by side; pixels decoded and brought to the one geometry."""
        rows: list[Row] = read_shard(self.store, shard_key(POSTS, shard)).to_pylist()
        for row in rows:
            row["ner_tags"] = row["ner_tags"] and [self._label[tag] for tag in row["ner_tags"]]
        columns = [self._scores(shard, len(rows)), self._pictures(shard, len(rows))]
        split, _ = parse_shard_name(shard)
        for row, *others in zip(rows, *columns, strict=True):
            for other in others:
                if other.get("id", row["id"]) != row["id"]:
                    raise AssertionError(f"{shard}: post {row['id']} stands beside {other['id']}")
                row.update(other)
        losses = np.array([np.nan if row["loss"] is None else row["loss"] for row in rows], np.float64)
        thetas = np.zeros(len(rows))
        scored = ~np.isnan(losses)
        if self._mixture is not None and scored.any():
            thetas[scored] = self._mixture.theta(losses[scored], split)
        for row, theta in zip(rows, thetas, strict=True):
            # Rounded as it is stored, so that column `mixing_ratio` is exactly what made the image.
            row["theta"] = float(np.float32(theta))
            with post_context(row["id"]):
                row["original"] = self._fitted(row["image"]["bytes"]) if row["image_status"] == "ok" else None
        return rows

    def run(self, loaded: list[Row]) -> dict[str, list[Row]]:
        """Blend and encode."""
        return {arm: [self._augmented(arm, row) for row in self._controlled(arm, loaded)] for arm in self._identities}

    def publish(self, shard: str, done: dict[str, list[Row]]) -> ShardMetadata:
        """One file an arm, with the accounting in its footer."""
        for arm, rows in done.items():
            counts = Counter(f"image={row['image_status']}|synthesis={row['synthesis_status']}" for row in rows)
            pictures = Counter(
                "none" if row["ratio"] is None else "blend" if 0 < row["ratio"] < 1 else f"{row['ratio']:.0f}"
                for row in rows
            )
            data, facts = encode(
                pa.Table.from_pylist(rows, self._schema),
                stage=f"{self.name}/{arm}",
                identity=self._identities[arm],
                counts=counts,
                extra={"ratio": dict(sorted(pictures.items()))},
                schema_metadata=self._schema.metadata,
            )
            self.store.create(f"{self.name}/{arm}/{shard}.parquet", data)
        return facts

    def _scores(self, shard: str, count: int) -> list[Row]:
        if self._mixture is None:
            return [{"loss_i2t": None, "loss_t2i": None, "loss": None, "cosine": None}] * count
        return list(read_shard(self.store, f"{self._scores_folder}/{shard}.parquet").to_pylist())

    def _pictures(self, shard: str, count: int) -> list[Row]:
        if not self._synthesized:
            return [NO_SYNTHESIS] * count
        table = read_shard(self.store, shard_key(SYNTHESIZED, shard)).rename_columns({"image": "drawn"})
        return list(table.to_pylist())

    def _fitted(self, data: bytes) -> np.ndarray:
        return resize_to_square(decode(data, self._images, at_least=2 * self._images.size), self._images)

    def _controlled(self, arm: str, rows: list[Row]) -> list[Row]:
        """The rows with what a control arm exchanges among them; `weight` is what stands for theta in eq. 9."""
        seen = [row for row in rows if row["original"] is not None]
        if arm == "random":
            ids, images = [row["id"] for row in rows], [row["original"] for row in rows]
            files = [None if row["original"] is None else row["image"]["bytes"] for row in rows]
            shown = derange_images(ids, files, self._seed)
            return [
                {**row, "original": None if other is None else images[other]}
                for row, other in zip(rows, shown, strict=True)
            ]
        if arm == "noise":
            drawn = {row["id"]: noise_image(self._images.size, post_seed(self._seed, row["id"])) for row in seen}
            return [{**row, "original": drawn.get(row["id"])} for row in rows]
        weights = {row["id"]: row["theta"] for row in rows}
        if arm == "shuffled":
            ids = [row["id"] for row in seen]
            weights |= zip(ids, shuffle_thetas(ids, [weights[name] for name in ids], self._seed), strict=True)
        elif arm == "constant" and self._mean_theta is not None:
            weights |= {row["id"]: self._mean_theta for row in seen}
        return [{**row, "weight": weights[row["id"]]} for row in rows]

    def _augmented(self, arm: str, row: Row) -> Row:
        if not needs_synthesis(arm):
            row = {**row, **NO_SYNTHESIS}  # whatever other arms stand beside it, an arm's rows are the same
        share = mixing_ratio(
            arm,
            theta=row.get("weight"),
            cosine=row["cosine"],
            cosine_range=self._mixture.cosine_range if self._mixture else None,
            has_image=row["original"] is not None,
            has_synthesis=row["drawn"] is not None,
        )
        share = None if share is None else float(np.float32(share))
        image: Row | None = None
        if share is not None:
            with post_context(row["id"]):
                data = mix_images(row["original"], row["drawn"], share, self._images)
            image = {"bytes": data, "path": f"{row['id']}.jpg"}
        return {**{name: row.get(name) for name in self._schema.names}, "image": image, "ratio": share}
