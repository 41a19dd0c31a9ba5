"""amia: image augmentation for multimodal named entity recognition.

`augment_posts` applies the whole method to a list of posts; `amia --help` shows the commands for corpora and clusters.
"""

from typing import TYPE_CHECKING, Any

from amia.posts import Post

if TYPE_CHECKING:
    from amia.augment import AugmentedPost, augment_posts, fit_posts

__all__ = ["AugmentedPost", "Post", "augment_posts", "fit_posts"]


def __getattr__(name: str) -> Any:
    # Imported on first use, since it imports torch, which `amia --help` and reading a corpus do not need.
    if name in __all__:
        from amia import augment

        return getattr(augment, name)
    raise AttributeError(f"module 'amia' has no attribute {name!r}")
