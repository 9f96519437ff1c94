import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pcdenoise.errors import InputError
from pcdenoise.io import lzf


@settings(max_examples=60, deadline=None)
@given(
    st.one_of(st.binary(max_size=400), st.lists(st.sampled_from([b"\0" * 300, b"abc", b"xyzxyz", b"q"])).map(b"".join))
)
def test_round_trip(data):
    assert lzf.decompress(lzf.compress(data), len(data)) == data


def test_known_bytes():
    """Literals `ab`, then a copy of 8 bytes from 2 back that overlaps itself, then a long copy of 20 from 1 back."""
    assert lzf.decompress(b"\x01ab" + bytes([6 << 5, 1]) + bytes([7 << 5, 11, 0]), 30) == b"ab" * 5 + b"b" * 20


def test_repetition_shrinks_and_noise_hardly_grows():
    assert len(lzf.compress(b"\0" * 26_400)) < 400
    noise = np.random.default_rng(0).integers(0, 256, 10_000, dtype=np.uint8).tobytes()
    assert len(lzf.compress(noise)) <= 10_000 * 33 / 32 + 1


@pytest.mark.parametrize(
    ("data", "size"),
    [
        (b"\x05ab", 6),
        (b"\x01ab" + bytes([6 << 5, 9]), 10),
        (b"\x01ab" + bytes([7 << 5]), 10),
        (b"\x01ab", 3),
        (b"\x01ab", 1),
    ],
)
def test_corrupt_data(data, size):
    with pytest.raises(InputError):
        lzf.decompress(data, size)
