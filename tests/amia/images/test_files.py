"""Reading image files by path."""

import os
from pathlib import Path

import pytest

from amia.errors import ImageError
from amia.images import ImageSettings, fetch_image

SETTINGS = ImageSettings()


class TestFetchImage:
    """Only files inside the image folder may be read."""

    @pytest.fixture
    def root(self, tmp_path: Path) -> Path:
        (tmp_path / "secret.jpg").write_bytes(b"secret")
        root = tmp_path / "images"
        (root / "train").mkdir(parents=True)
        (root / "train" / "1.jpg").write_bytes(b"one")
        (root / "inside.jpg").symlink_to("train/1.jpg")
        (root / "out.jpg").symlink_to(tmp_path / "secret.jpg")
        (root / "up").symlink_to(tmp_path)
        (root / "circle.jpg").symlink_to("circle.jpg")
        os.mkfifo(root / "pipe.jpg")
        return root

    def test_returns_bytes(self, root: Path) -> None:
        assert fetch_image(root, "train/1.jpg", SETTINGS) == b"one"
        assert fetch_image(root, "inside.jpg", SETTINGS) == b"one"

    @pytest.mark.parametrize(
        ("path", "expected"),
        [
            ("../secret.jpg", "outside_root"),
            ("train/../../secret.jpg", "outside_root"),
            ("..\\secret.jpg", "outside_root"),
            ("/etc/passwd", "outside_root"),
            ("out.jpg", "outside_root"),
            ("up/secret.jpg", "outside_root"),
            ("2.jpg", "missing"),
            ("train/1.jpg/x", "missing"),
            ("a\0b.jpg", "missing"),
            ("\ud800.jpg", "missing"),
            ("train", "not_a_file"),
            ("", "not_a_file"),
            ("pipe.jpg", "not_a_file"),
            ("x" * 5000, "unreadable"),
        ],
    )
    def test_failure_reasons(self, root: Path, path: str, expected: str) -> None:
        with pytest.raises(ImageError) as caught:
            fetch_image(root, path, SETTINGS)
        assert caught.value.reason == expected

    def test_circular_link(self, root: Path) -> None:
        with pytest.raises(ImageError):
            fetch_image(root, "circle.jpg", SETTINGS)

    def test_size_is_limited(self, root: Path) -> None:
        assert fetch_image(root, "train/1.jpg", ImageSettings(max_bytes=3)) == b"one"
        with pytest.raises(ImageError, match="too_large"):
            fetch_image(root, "train/1.jpg", ImageSettings(max_bytes=2))

    def test_images_are_missing_without_a_folder(self) -> None:
        with pytest.raises(ImageError, match="missing"):
            fetch_image(None, "1.jpg", SETTINGS)
