"""`replay`: does the record of a decision lead to the same decision here, bit for bit?"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from client.commands import console
from client.errors import ClientError
from client.story import headline
from controller import RELEASE
from controller.account import Account, AccountError
from controller.core.record import difference

_MOST = 256 * 2**20  # bytes


def replay(
    file: Annotated[
        str, typer.Argument(metavar="FILE", help="What `explain -o json` printed, or the API's answer; - for stdin.")
    ],
) -> None:
    """Make recorded decisions again, offline, and exit with 1 at the first bit that differs."""
    is_same = True
    for account in _accounts(_read(file)):
        words = _replayed(account)
        is_same = is_same and words is None
        record = account.record
        result = "nothing was decided" if record is None else f"{record.decision.current} -> {record.decision.replicas}"
        verdict = words or "the same, bit for bit"
        console.say(f"{headline(account)}: {result}; {verdict} (made by release {account.release}, this is {RELEASE})")
    if not is_same:
        raise typer.Exit(1)


def _replayed(account: Account) -> str | None:
    """The first difference; None where there is none."""
    record = account.record
    return None if record is None else difference(record, record.replayed())


def _read(file: str) -> bytes:
    try:
        if file == "-":
            return sys.stdin.buffer.read(_MOST)
        with Path(file).open("rb") as opened:
            return opened.read(_MOST)
    except OSError as error:
        raise ClientError(f"{file} cannot be read: {error.strerror}") from error


def _accounts(data: bytes) -> list[Account]:
    """One, or those of an answer with `items`."""
    try:
        raw: Any = json.loads(data)
        items = raw["items"] if isinstance(raw, dict) and isinstance(raw.get("items"), list) else [raw]
        return [Account.from_json(item) for item in items]
    except AccountError as error:
        raise ClientError(str(error)) from error
    except (ValueError, RecursionError) as error:
        raise ClientError(f"this is no JSON: {error}") from error
