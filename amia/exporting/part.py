"""What a layout makes of one shard of an arm."""

import hashlib
from dataclasses import asdict, dataclass, field
from typing import Any

__all__ = ["Part"]


@dataclass(slots=True, kw_only=True)
class Part:
    """The files of one shard, and what the whole export must know of it."""

    files: dict[str, bytes] = field(default_factory=dict)
    """By name within the arm's folder."""
    text: str = ""
    """Its part of the split's text file, where the layout has one."""
    posts: int = 0
    """Those that are exported."""
    untagged: int = 0
    """Posts that are left out, because the layout has no place for a post without tags."""
    altered: int = 0
    """Tokens that the layout could not hold as they are."""
    renamed: dict[str, str] = field(default_factory=dict)
    """Ids that are no file names -> the names they got."""
    without_image: list[str] = field(default_factory=list)
    """Names of the exported posts of which the arm has no picture."""

    def summary(self) -> dict[str, Any]:
        """Everything as JSON takes it; of each file its SHA-256."""
        about = {**asdict(self), "files": {}}
        about["files"] = {name: hashlib.sha256(data).hexdigest() for name, data in self.files.items()}
        return about
