"""Does one scan over the bytes say what a regular expression and a calendar say of each line?"""

from __future__ import annotations

from datetime import datetime

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from training.datasets.common_log import LINE, scan
from training.datasets.scanned import CLASSES

_STAMP = b"01/Jul/1995:00:00:01 -0400"
_PLAIN = b'in24.inetnebr.com - - [01/Jul/1995:00:00:01 -0400] "GET / HTTP/1.0" 200 1839'
_MIDNIGHT = datetime.fromisoformat("1995-07-01T00:00:01-04:00")


def _by_line(block: bytes) -> tuple[list[int], list[int], int]:
    """The slow, obvious way: the time and size of each good line, and how many are bad."""
    times, sizes, bad = [], [], 0
    for line in block.split(b"\n"):
        if line in {b"", b"\r"}:
            continue
        found = LINE.match(line)
        try:
            stamp = found[1].decode() if found else ""
            times.append(int(datetime.strptime(stamp, "%d/%b/%Y:%H:%M:%S %z").timestamp()))
            assert found is not None
            sizes.append(0 if found[3] == b"-" else int(found[3]))
        except ValueError:
            bad += 1
    return times, sizes, bad


_PIECES = [
    *(b"host", b" - - ", b"::1", b"[", b"]", b'"', b" ", b"-", b"\xe9", b"\x00", b"\r", b"\n", b"\n", b"\n"),
    *(
        b" - - [" + _STAMP + b'] "',
        b"[" + _STAMP + b'] "',
        b'[31/Feb/1995:00:00:01 -0400] "',
        b'[01/Xyz/1995:00:00:01 -0400] "',
    ),
    *(b'[01/Jul/1995:24:00:01 -0400] "', b'[01/Jul/1995:00:00:01 00400] "', b'[01/Jul/1995 00:00:01 -0400] "'),
    *(
        b"GET / HTTP/1.0",
        b'" 200 1839',
        b'" 404 -',
        b'" 999 1',
        b'" 20 1',
        b'" 200 12x',
        b'" 200 1234567890123456',
        _PLAIN,
    ),
]


@settings(deadline=None)
@given(st.lists(st.sampled_from(_PIECES), max_size=40).map(b"".join))
@example(_PLAIN)
@example(_PLAIN + b"\r\n" + _PLAIN + b"\n\n")
@example(b"")
@example(b"\r\r")
def test_it_agrees_with_the_grammar_of_one_line(block: bytes) -> None:
    found = scan(block)
    times, sizes, bad = _by_line(block)

    assert found.malformed == bad
    assert found.rows == len(times) + bad
    assert found.values[0].sum() == len(times)
    assert found.values[1].sum() == sum(sizes)
    assert set(found.times.tolist()) == set(times)


@pytest.mark.parametrize(
    "line",
    [
        _PLAIN,
        b'host - - [01/Jul/1995:00:00:01 -0400] "GET /a"b.html" HTTP/1.0" 200 1839',
        b'host - - [01/Jul/1995:00:00:01 -0400] "/no/protocol" 200 1839',
        b'host - - [01/Jul/1995:00:00:01 -0400] "\xff\xe9\x00" 200 1839',
        b'host - - [01/Jul/1995:00:00:01 -0400] "" 200 1839',
        b'[::1]:80 - a user [01/Jul/1995:00:00:01 -0400] "GET /[x] HTTP/1.0" 200 1839',
        b'host - - [01/Jul/1995:00:00:01 -0400] "GET / HTTP/1.1" 200 1839 "-" "Mozilla/5.0 (X11; \\"x\\") [en]"',
        b'host - - [01/Jul/1995:00:00:01 -0400] "GET / HTTP/1.1" 200 1839\r',
    ],
)
def test_nasty_lines_count(line: bytes) -> None:
    found = scan(line + b"\n")

    assert (found.rows, found.malformed, found.times.tolist()) == (1, 0, [_MIDNIGHT.timestamp()])
    assert found.values[1].tolist() == [1839]
    assert found.offsets == (-4 * 3600,)


@pytest.mark.parametrize(
    "line",
    [
        b"",
        _PLAIN[:-10],
        b'host - - [01/Jul/1995:00:00:01 -0400] "GET / HTTP/1.0" 200',
        b'host - - [00/Jul/1995:00:00:01 -0400] "GET / HTTP/1.0" 200 1',
        b'host - - [01/Jul/1995:00:60:01 -0400] "GET / HTTP/1.0" 200 1',
        b'[01/Jul/1995:00:00:01 -0400] "GET / HTTP/1.0" 200 1',
    ],
)
def test_lines_that_say_no_request_are_counted_and_shown(line: bytes) -> None:
    found = scan(_PLAIN + b"\n" + line + b"\n" + _PLAIN)

    assert found.values[0].sum() == 2
    assert found.malformed == (1 if line else 0)
    assert list(found.samples) == ([line.decode()] if line else [])


@pytest.mark.parametrize("status", [100, 204, 301, 404, 503])
def test_status_classes_are_apart(status: int) -> None:
    found = scan(_PLAIN.replace(b" 200 ", b" %d " % status))

    assert found.values[2:, 0].tolist() == [float(status // 100 == each) for each in CLASSES]


def test_a_size_of_none_is_no_bytes() -> None:
    assert scan(_PLAIN.replace(b"1839", b"-")).values[1].tolist() == [0]
