"""amia: image augmentation for multimodal named entity recognition.

`augment_posts` is the whole method on a list of posts; `amia --help` is the same on corpora and clusters.
"""

from typing import TYPE_CHECKING, Any

from amia.posts import Post

if TYPE_CHECKING:
    from amia.augment import AugmentedPost, augment_posts, fit_posts

__all__ = ["AugmentedPost", "Post", "augment_posts", "fit_posts"]


def __getattr__(name: str) -> Any:
    # Loading the method means loading torch, which `amia --help` and reading a corpus can do without.
    if name in __all__:
        from amia import augment as method

        return getattr(method, name)
    raise AttributeError(f"module 'amia' has no attribute {name!r}")
