"""augmented/<arm>/: the augmented images (paper 3.4, eq. 9), in files that other tools open unchanged."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from amia.images import ImageSettings, decode, resize_to_square
from amia.matching.model import MatchingModel
from amia.mixing.arms import mixing_ratio, needs_synthesis, needs_theta_synthesized
from amia.mixing.controls import noise_image, shuffle_thetas
from amia.mixing.derangement import derange_images
from amia.mixing.mixup import mix_images
from amia.mner.spans import label_names
from amia.synthesis.seeds import post_seed
from ray_jobs.stages.base import Stage, post_context
from ray_jobs.storage.fingerprint import Identity
from ray_jobs.storage.footers import describe_augmented
from ray_jobs.storage.layout import AUGMENTED, POSTS, SCORES, SYNTHESIZED, SYNTHESIZED_SCORES, arm_folder, shard_key
from ray_jobs.storage.plan import parse_shard_name
from ray_jobs.storage.schemas import augmented_schema
from ray_jobs.storage.shards import ShardMetadata, encode, read_shard
from ray_jobs.storage.store import Store

__all__ = ["Mix"]

Row = dict[str, Any]

SEEDED_ARMS = {"random", "noise", "shuffled", "two-sided-shuffled"}
"""Control arms that depend on the seed of the run."""

NO_SYNTHESIS: Row = {"synthesized": None, "prompt": None, "seed": None, "synthesis_status": "not_asked"}
"""Columns of an arm that uses no synthesized image."""


class Mix(Stage[list[Row], dict[str, list[Row]]]):
    """Posts, synthesized images and scores -> augmented images, for several arms at once."""

    name = AUGMENTED
    pool = "mix"
    version = 1

    def __init__(
        self,
        store: Store,
        arms: Sequence[str],
        *,
        images: ImageSettings,
        types: Sequence[str],
        mixture: MatchingModel | None,
        seed: int,
        mean_theta: float | None,
        posts: str,
        scores: str | None,
        synthesized: str | None,
        synthesized_scores: str | None = None,
    ) -> None:
        """`mean_theta` is the mixing ratio of arm `constant`.

        `posts`, `scores`, `synthesized` and `synthesized_scores` are the digests of the input. All but the first are
        None if they do not exist: if no post has an image, or if no arm uses synthesized images or their scores.
        """
        super().__init__(store)
        self._arms = list(arms)
        self._images = images
        self._schemas = {
            arm: augmented_schema(types, theta_synthesized=needs_theta_synthesized(arm)) for arm in self._arms
        }
        self._label = {name: number for number, name in enumerate(label_names(types))}
        self._mixture, self._seed, self._mean_theta = mixture, seed, mean_theta
        self._posts, self._scores, self._synthesized = posts, scores, synthesized
        self._synthesized_scores = synthesized_scores

    def folders(self) -> list[str]:
        """Return one folder per arm."""
        return [arm_folder(arm) for arm in self._arms]

    def identity(self, folder: str) -> Identity:
        """Return the geometry of the images, the seed if the arm uses it, and the digests of everything mixed."""
        arm = folder.removeprefix(f"{self.name}/")
        settings: dict[str, Any] = {"image": self._images.model_dump(include={"size", "fit", "quality"})}
        if arm in SEEDED_ARMS:
            settings["seed"] = self._seed
        mixture = self._mixture
        inputs = {
            "posts": self._posts,
            "synthesized": self._synthesized if needs_synthesis(arm) else None,
            "scores": self._scores,
            "mixture": mixture.digest if mixture else None,
        }
        if needs_theta_synthesized(arm):
            inputs["synthesized_scores"] = self._synthesized_scores
        return {"stage": folder, "version": self.version, "settings": settings, "input": inputs}

    def load(self, shard: str) -> list[Row]:
        """Join posts, scores and synthesized images; compute theta; decode the originals in the common geometry."""
        rows: list[Row] = read_shard(self.store, shard_key(POSTS, shard)).to_pylist()
        for row in rows:
            row["ner_tags"] = row["ner_tags"] and [self._label[tag] for tag in row["ner_tags"]]
        columns = [
            self._read_scores(shard, len(rows)),
            self._read_synthesized(shard, len(rows)),
            self._read_synthesized_losses(shard, len(rows)),
        ]
        for row, *others in zip(rows, *columns, strict=True):
            for other in others:
                if other.get("id", row["id"]) != row["id"]:
                    raise AssertionError(f"{shard}: post {row['id']} is paired with {other['id']}")
                row.update(other)
        thetas = self._thetas(shard, [row["loss"] for row in rows])
        thetas_synthesized = self._thetas(shard, [row["loss_synthesized"] for row in rows])
        for row, theta, theta_synthesized in zip(rows, thetas, thetas_synthesized, strict=True):
            row["theta"] = 0.0 if theta is None else theta
            row["theta_synthesized"] = theta_synthesized
            with post_context(row["id"]):
                row["original"] = self._decode(row["image"]["bytes"]) if row["image_status"] == "ok" else None
        return rows

    def run(self, loaded: list[Row]) -> dict[str, list[Row]]:
        """Mix and encode the images of each arm."""
        return {arm: [self._augment(arm, row) for row in self._apply_control(arm, loaded)] for arm in self._arms}

    def publish(self, shard: str, done: dict[str, list[Row]]) -> ShardMetadata:
        """Publish one file per arm, with counts by status, kind of image and theta in its footer."""
        for arm, rows in done.items():
            folder = arm_folder(arm)
            table = pa.Table.from_pylist(rows, self._schemas[arm])
            data, metadata = encode(
                table,
                stage=folder,
                identity=self.digest(folder),
                schema_metadata=self._schemas[arm].metadata,
                **describe_augmented(table),
            )
            metadata = self.create_shard(shard_key(folder, shard), data, metadata)
        return metadata

    def _read_scores(self, shard: str, count: int) -> list[Row]:
        if self._mixture is None:
            return [{"loss_i2t": None, "loss_t2i": None, "loss": None, "cosine": None}] * count
        return list(read_shard(self.store, shard_key(SCORES, shard)).to_pylist())

    def _read_synthesized(self, shard: str, count: int) -> list[Row]:
        if self._synthesized is None:
            return [NO_SYNTHESIS] * count
        table = read_shard(self.store, shard_key(SYNTHESIZED, shard)).rename_columns({"image": "synthesized"})
        return list(table.to_pylist())

    def _read_synthesized_losses(self, shard: str, count: int) -> list[Row]:
        if self._synthesized_scores is None:
            return [{"loss_synthesized": None}] * count
        table = read_shard(self.store, shard_key(SYNTHESIZED_SCORES, shard), ["id", "loss"])
        return list(table.rename_columns({"loss": "loss_synthesized"}).to_pylist())

    def _thetas(self, shard: str, losses: Sequence[float | None]) -> list[float | None]:
        """Return the posterior of each loss, None without a loss or if no mixture was fitted for the split.

        It is rounded as it is stored, so that column `ratio` is exactly the ratio that made the image.
        """
        split, _ = parse_shard_name(shard)
        thetas: list[float | None] = [None] * len(losses)
        scored = [row for row, loss in enumerate(losses) if loss is not None]
        if scored and self._mixture is not None and self._mixture.has_mixture(split):
            values = self._mixture.theta(np.array([losses[row] for row in scored], np.float64), split)
            for row, theta in zip(scored, values, strict=True):
                thetas[row] = float(np.float32(theta))
        return thetas

    def _decode(self, data: bytes) -> np.ndarray:
        return resize_to_square(decode(data, self._images, at_least=2 * self._images.size), self._images)

    def _apply_control(self, arm: str, rows: list[Row]) -> list[Row]:
        """Return the rows with the inputs that a control arm exchanges among them.

        `weight` and `weight_synthesized` replace theta and theta_V in the rule of the arm.
        """
        with_image = [row for row in rows if row["original"] is not None]
        if arm == "random":
            ids, images = [row["id"] for row in rows], [row["original"] for row in rows]
            files = [None if row["original"] is None else row["image"]["bytes"] for row in rows]
            return [
                {**row, "original": None if other is None else images[other]}
                for row, other in zip(rows, derange_images(ids, files, self._seed), strict=True)
            ]
        if arm == "noise":
            noise = {row["id"]: noise_image(self._images.size, post_seed(self._seed, row["id"])) for row in with_image}
            return [{**row, "original": noise.get(row["id"])} for row in rows]
        weights = {row["id"]: row["theta"] for row in rows}
        synthesized_weights = {row["id"]: row["theta_synthesized"] for row in rows}
        if arm == "shuffled":
            ids = [row["id"] for row in with_image]
            weights |= zip(ids, shuffle_thetas(ids, [weights[name] for name in ids], self._seed), strict=True)
        elif arm == "constant" and self._mean_theta is not None:
            weights |= {row["id"]: self._mean_theta for row in with_image}
        elif arm == "two-sided-shuffled":
            ids = [row["id"] for row in with_image if row["theta_synthesized"] is not None]
            exchanged = shuffle_thetas(ids, [synthesized_weights[name] for name in ids], self._seed)
            synthesized_weights |= zip(ids, exchanged, strict=True)
        return [
            {**row, "weight": weights[row["id"]], "weight_synthesized": synthesized_weights[row["id"]]} for row in rows
        ]

    def _augment(self, arm: str, row: Row) -> Row:
        if not needs_synthesis(arm):
            row = {**row, **NO_SYNTHESIS}  # an arm's rows do not depend on the arms that are made with it
        ratio = mixing_ratio(
            arm,
            theta=row.get("weight"),
            theta_synthesized=row.get("weight_synthesized"),
            cosine=row["cosine"],
            cosine_range=self._mixture.cosine_range if self._mixture else None,
            has_image=row["original"] is not None,
            has_synthesis=row["synthesized"] is not None,
        )
        ratio = None if ratio is None else float(np.float32(ratio))
        image: Row | None = None
        if ratio is not None:
            with post_context(row["id"]):
                data = mix_images(row["original"], row["synthesized"], ratio, self._images)
            image = {"bytes": data, "path": f"{row['id']}.jpg"}
        return {**{name: row.get(name) for name in self._schemas[arm].names}, "image": image, "ratio": ratio}
