"""The columns of an augmented shard, described so that Hugging Face's `datasets` shows images and label names."""

import json
from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from amia.mner.labels import label_names

__all__ = ["IMAGE", "augmented_schema"]

IMAGE = pa.struct({"bytes": pa.binary(), "path": pa.string()})
"""How `datasets` stores an image: a plain struct, no extension type."""
STRINGS = pa.list_(pa.string())


def augmented_schema(types: Sequence[str]) -> pa.Schema:
    """Column names and types, with the `huggingface` metadata that `datasets` reads features from.

    `tags` are as read; `ner_tags` are valid BIO2 as numbers of `label_names`.
    """
    columns: list[tuple[str, pa.DataType, dict[str, Any]]] = [
        ("id", pa.string(), _value("string")),
        ("split", pa.string(), _value("string")),
        ("text", pa.string(), _value("string")),
        ("tokens", STRINGS, _list(_value("string"))),
        ("tags", STRINGS, _list(_value("string"))),
        ("ner_tags", pa.list_(pa.int64()), _list({"names": label_names(types), "_type": "ClassLabel"})),
        ("image", IMAGE, {"_type": "Image"}),
        ("theta", pa.float32(), _value("float32")),
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
    features = {name: feature for name, _, feature in columns}
    metadata = {"huggingface": json.dumps({"info": {"features": features}})}
    return pa.schema([(name, kind) for name, kind, _ in columns], metadata=metadata)


def _value(dtype: str) -> dict[str, Any]:
    return {"dtype": dtype, "_type": "Value"}


def _list(feature: dict[str, Any]) -> dict[str, Any]:
    return {"feature": feature, "_type": "Sequence"}
