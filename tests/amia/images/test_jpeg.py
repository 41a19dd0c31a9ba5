"""Pixels to JPEG: the same bytes every time, and what a model made says so."""

import io

import numpy as np
import pytest
from PIL import Image

from amia.images import ImageSettings, decode, encode_jpeg
from tests.helpers.drawings import drawn

SETTINGS = ImageSettings()


def test_jpeg_is_baseline_420_and_the_same_every_time() -> None:
    pixels = np.asarray(drawn(64, 64))
    data = encode_jpeg(pixels, 95, source="original")
    assert data == encode_jpeg(pixels.copy(), 95, source="original")
    frame = data.index(b"\xff\xc0")  # SOF0: baseline
    assert data[frame + 11] == 0x22  # luma sampled twice as finely both ways
    assert decode(data, SETTINGS).size == (64, 64)
    assert len(encode_jpeg(pixels, 30, source="original")) < len(data)


@pytest.mark.parametrize(
    ("source", "term"), [("synthesized", "trainedAlgorithmicMedia"), ("blend", "compositeWithTrainedAlgorithmicMedia")]
)
def test_what_a_model_made_says_so(source: str, term: str) -> None:
    import xml.etree.ElementTree as ElementTree

    pixels = np.asarray(drawn(64, 64))
    data = encode_jpeg(pixels, 95, source=source)
    with Image.open(io.BytesIO(data)) as image:
        packet = image.info["xmp"].decode()
    inner = packet[packet.index("<x:") : packet.index("<?xpacket end")]
    assert ElementTree.fromstring(inner).tag == "{adobe:ns:meta/}xmpmeta"  # noqa: S314 - our own packet
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
def test_wrong_pixels_are_refused(pixels: np.ndarray, quality: int) -> None:
    with pytest.raises(ValueError, match=r"pixels|quality"):
        encode_jpeg(pixels, quality, source="original")
