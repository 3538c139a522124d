"""Do words of eight bytes say what one byte after the other does?"""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from training.datasets.words import Text, above_nine, only, word

_NUMBER = re.compile(rb"\d{1,15}|-|")


@given(st.lists(st.sampled_from([b"", b"x", b'"', b'""', b"1234567", b'"23456789', b"\n"]), max_size=60).map(b"".join))
@example(b'1234567"' * 9)
@example(b'"')
@example(b"")
def test_every_place_of_a_byte_is_found(block: bytes) -> None:
    text = Text.of(block)

    assert (text.places(ord('"')) - text.begin).tolist() == [at for at, byte in enumerate(block) if byte == ord('"')]


@given(
    st.lists(st.sampled_from([b"0", b"7", b"9", b"-", b" ", b":", b"/", b"\xff", b"\x8a"]), max_size=40).map(b"".join)
)
@example(b"1234567 ")
@example(b"12345678 ")
@example(b"123456789012345 ")
@example(b"1234567890123456 ")
def test_a_number_is_read_wherever_it_begins(block: bytes) -> None:
    text = Text.of(block)
    expected = [_NUMBER.match(block, at) for at in range(len(block))]
    values, ends = text.numbers(text.begin + np.arange(len(block)))

    assert values.tolist() == [int(found[0]) if found and found[0][:1].isdigit() else 0 for found in expected]
    assert (ends - text.begin).tolist() == [found.end() for found in expected if found]


@given(st.binary(min_size=8, max_size=8))
def test_the_first_byte_above_nine_is_marked(octets: bytes) -> None:
    marked = int(above_nine(np.array([word(octets)]))[0]).to_bytes(8, "little")
    expected = next((at for at, byte in enumerate(octets) if byte > 9), None)

    assert next((at for at, byte in enumerate(marked) if byte), None) == expected


@pytest.mark.parametrize(("chosen", "expected"), [([1, 1, 1], [[1, 2, 3]]), ([0, 1, 0], [[2]]), ([0, 0, 0], [[]])])
def test_columns_are_chosen(chosen: list[int], expected: list[list[int]]) -> None:
    assert only(np.array([[1, 2, 3]]), np.array(chosen, bool)).tolist() == expected
