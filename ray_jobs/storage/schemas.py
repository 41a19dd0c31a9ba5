"""Columns of shards of posts, augmented posts and predictions.

The schemas carry the metadata from which the library `datasets` reads that a column holds images or labels.
"""

import json
from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from amia.mner.spans import label_names
from ray_jobs.storage.footers import describe_posts
from ray_jobs.storage.layout import POSTS
from ray_jobs.storage.shards import ShardMetadata, encode

__all__ = ["IMAGE", "augmented_schema", "card_features", "encode_posts", "posts_table", "prediction_schema"]

IMAGE = pa.struct({"bytes": pa.binary(), "path": pa.string()})
"""Type of an image in `datasets`: a plain struct, not an extension type."""
STRINGS = pa.list_(pa.string())
Columns = list[tuple[str, pa.DataType, Any]]
"""Name, Arrow type, and feature of `datasets`."""
Row = dict[str, Any]


def augmented_schema(types: Sequence[str], *, theta_synthesized: bool = False) -> pa.Schema:
    """Return the schema of an arm's shards, with the `huggingface` metadata from which `datasets` reads features.

    `theta_synthesized` adds the column of that name. `tags` are the tags of the source; `ner_tags` are valid BIO2 as
    indices into `label_names`.
    """
    columns: Columns = [
        ("id", pa.string(), _value("string")),
        ("split", pa.string(), _value("string")),
        ("text", pa.string(), _value("string")),
        ("tokens", STRINGS, _list(_value("string"))),
        ("tags", STRINGS, _list(_value("string"))),
        ("ner_tags", pa.list_(pa.int64()), _list({"names": label_names(types), "_type": "ClassLabel"})),
        ("image", IMAGE, {"_type": "Image"}),
        ("theta", pa.float32(), _value("float32")),
        *([("theta_synthesized", pa.float32(), _value("float32"))] if theta_synthesized else []),
        ("ratio", pa.float32(), _value("float32")),
        ("loss", pa.float32(), _value("float32")),
        ("loss_i2t", pa.float32(), _value("float32")),
        ("loss_t2i", pa.float32(), _value("float32")),
        ("cosine", pa.float32(), _value("float32")),
        ("image_status", pa.string(), _value("string")),
        ("synthesis_status", pa.string(), _value("string")),
        ("prompt", pa.string(), _value("string")),
        ("seed", pa.int64(), _value("int64")),
    ]
    return _schema(columns)


def prediction_schema(types: Sequence[str]) -> pa.Schema:
    """Return the schema of predictions for the posts of an arm.

    `tokens` of a post without tokens are the words of its text. `tags` and `ner_tags` are as in `augmented_schema`,
    null if the post has none; `predicted_tags` use the same indices. `spans` hold the words `start` to `end`
    (exclusive), a score in [0, 1], and offsets into `text` if the words were split from it. `seen` is the id of the
    post whose image the recognizer was given, normally the same post; null without an image.
    """
    labels = _list({"names": label_names(types), "_type": "ClassLabel"})
    parts = {
        "start": "int64",
        "end": "int64",
        "type": "string",
        "text": "string",
        "score": "float64",
        "char_start": "int64",
        "char_end": "int64",
    }
    span = pa.struct([(name, pa.type_for_alias(kind)) for name, kind in parts.items()])
    columns: Columns = [
        ("id", pa.string(), _value("string")),
        ("split", pa.string(), _value("string")),
        ("text", pa.string(), _value("string")),
        ("tokens", STRINGS, _list(_value("string"))),
        ("tags", STRINGS, _list(_value("string"))),
        ("ner_tags", pa.list_(pa.int64()), labels),
        ("predicted_tags", pa.list_(pa.int64()), labels),
        ("spans", pa.list_(span), [{name: _value(kind) for name, kind in parts.items()}]),
        ("theta", pa.float32(), _value("float32")),
        ("image_status", pa.string(), _value("string")),
        ("seen", pa.string(), _value("string")),
    ]
    return _schema(columns)


def card_features(schema: pa.Schema) -> list[dict[str, Any]]:
    """Return the columns of `augmented_schema` in the format of a data set card's header."""
    features: dict[str, dict[str, Any]] = json.loads(schema.metadata[b"huggingface"])["info"]["features"]
    return [{"name": name, **_card_feature(feature)} for name, feature in features.items()]


def posts_table(rows: Sequence[Row]) -> pa.Table:
    """Return a shard of posts as a table. An image that cannot be used keeps its path without bytes."""
    return pa.table(
        {
            **{name: [row[name] for row in rows] for name in ("id", "split", "text")},
            **{
                name: pa.array([row[name] for row in rows], pa.list_(pa.string()))
                for name in ("tokens", "tags", "ner_tags")
            },
            "image": pa.array(
                [
                    None
                    if row["image"] is None and row["image_path"] is None
                    else {"bytes": row["image"], "path": row["image_path"]}
                    for row in rows
                ],
                IMAGE,
            ),
            "image_status": [row["status"] for row in rows],
        }
    )


def encode_posts(posts: pa.Table, identity: str) -> tuple[bytes, ShardMetadata]:
    """Return the bytes and the footer of a shard of posts, with counts by image status."""
    return encode(posts, stage=POSTS, identity=identity, **describe_posts(posts))


def _card_feature(feature: dict[str, Any]) -> dict[str, Any]:
    if feature["_type"] == "Value":
        return {"dtype": feature["dtype"]}
    if feature["_type"] == "Image":
        return {"dtype": "image"}
    element = feature["feature"]
    if element["_type"] == "Value":
        return {"sequence": element["dtype"]}
    return {"sequence": {"class_label": {"names": {str(index): name for index, name in enumerate(element["names"])}}}}


def _schema(columns: Columns) -> pa.Schema:
    features = {name: feature for name, _, feature in columns}
    metadata = {"huggingface": json.dumps({"info": {"features": features}})}
    return pa.schema([(name, kind) for name, kind, _ in columns], metadata=metadata)


def _value(dtype: str) -> dict[str, Any]:
    return {"dtype": dtype, "_type": "Value"}


def _list(feature: dict[str, Any]) -> dict[str, Any]:
    return {"feature": feature, "_type": "Sequence"}
