"""The base of every group of settings: typed, frozen, and strict about names."""

from pydantic import BaseModel, ConfigDict

__all__ = ["Strict"]


class Strict(BaseModel):
    """A group of settings.

    The docstring under a field is its help text: what it means, its unit, and what it trades. Unknown names and values
    out of range are refused when the group is built, so nothing downstream checks them again.
    """

    model_config = ConfigDict(
        extra="forbid", frozen=True, use_attribute_docstrings=True, validate_default=True, allow_inf_nan=False
    )
