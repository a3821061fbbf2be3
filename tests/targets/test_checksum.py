"""The checksum equals its definition in whole numbers, however the file is cut into parts."""

from hypothesis import given
from hypothesis import strategies as st

from qcompile.targets.checksum import fingerprint

MASK = (1 << 64) - 1
WORDS = st.lists(st.integers(0, MASK), max_size=20)


def mixed(place: int, word: int) -> int:
    word = (word + place * 0x9E3779B97F4A7C15) & MASK
    word = ((word ^ word >> 32) * 0xFF51AFD7ED558CCD) & MASK
    return word ^ word >> 29


def as_bytes(words: list[int]) -> bytes:
    return b"".join(word.to_bytes(8, "little") for word in words)


@given(WORDS)
def test_it_is_the_sum_of_mixed_words(words: list[int]):
    wanted = 8 * len(words) + sum(mixed(i, word) for i, word in enumerate(words, 1))
    assert fingerprint([as_bytes(words)]) == wanted & MASK


@given(WORDS, WORDS)
def test_parts_do_not_matter(first: list[int], second: list[int]):
    whole = fingerprint([as_bytes(first + second)])
    assert fingerprint([as_bytes(first), as_bytes(second)]) == whole


@given(st.lists(st.integers(0, MASK), min_size=2, max_size=20, unique=True))
def test_order_matters(words: list[int]):
    assert fingerprint([as_bytes(words)]) != fingerprint([as_bytes(words[::-1])])
