"""JPEG encoding: reproducible bytes, and metadata of generated images."""

import io

import numpy as np
import pytest
from PIL import Image

from amia.images import ImageSettings, decode, encode_jpeg
from tests.helpers.sample_images import sample_image

SETTINGS = ImageSettings()


def test_baseline_420_with_reproducible_bytes() -> None:
    pixels = np.asarray(sample_image(64, 64))
    data = encode_jpeg(pixels, 95, source="original")
    assert data == encode_jpeg(pixels.copy(), 95, source="original")
    frame = data.index(b"\xff\xc0")  # SOF0: baseline
    assert data[frame + 11] == 0x22  # luma has twice the resolution of chroma in both directions
    assert decode(data, SETTINGS).size == (64, 64)
    assert len(encode_jpeg(pixels, 30, source="original")) < len(data)


@pytest.mark.parametrize(
    ("source", "term"), [("synthesized", "trainedAlgorithmicMedia"), ("blend", "compositeWithTrainedAlgorithmicMedia")]
)
def test_generated_images_are_marked(source: str, term: str) -> None:
    import xml.etree.ElementTree as ElementTree

    pixels = np.asarray(sample_image(64, 64))
    data = encode_jpeg(pixels, 95, source=source)
    with Image.open(io.BytesIO(data)) as image:
        packet = image.info["xmp"].decode()
    inner = packet[packet.index("<x:") : packet.index("<?xpacket end")]
    assert ElementTree.fromstring(inner).tag == "{adobe:ns:meta/}xmpmeta"  # noqa: S314 - written here
    assert f'DigitalSourceType="http://cv.iptc.org/newscodes/digitalsourcetype/{term}"' in packet
    plain = encode_jpeg(pixels, 95, source="original")
    assert b"digitalsourcetype" not in plain
    assert decode(data, SETTINGS).tobytes() == decode(plain, SETTINGS).tobytes()


@pytest.mark.parametrize(
    ("pixels", "quality"),
    [
        (np.zeros((8, 8, 3), np.float32), 95),
        (np.zeros((8, 8), np.uint8), 95),
        (np.zeros((8, 8, 4), np.uint8), 95),
        (np.zeros((8, 8, 3), np.uint8), 0),
        (np.zeros((8, 8, 3), np.uint8), 101),
    ],
)
def test_rejects_invalid_pixels_and_quality(pixels: np.ndarray, quality: int) -> None:
    with pytest.raises(ValueError, match=r"pixels|quality"):
        encode_jpeg(pixels, quality, source="original")
