"""The base of every group of settings: typed, frozen, and strict about names."""

from typing import Literal

from pydantic import BaseModel, ConfigDict

__all__ = ["Compile", "Dtype", "StrictModel"]


# MERGED FROM amia.utils.config: The precisions that a model may be asked for, and whether it is compiled. Apart from `device`, so that reading
# settings does not import torch.
class StrictModel(BaseModel):
    """A group of settings.

    The docstring under a field is its help text: what it means, its unit, and what it trades. Unknown names and values
    out of range are refused when the group is built, so nothing downstream checks them again.
    """

    model_config = ConfigDict(
        extra="forbid", frozen=True, use_attribute_docstrings=True, validate_default=True, allow_inf_nan=False
    )


Dtype = Literal["auto", "float32", "bfloat16", "float16"]

Compile = bool | Literal["auto"]
"""Whether `torch.compile` makes a graph of a model; `auto`: on a GPU, where it pays for the minute it takes."""
