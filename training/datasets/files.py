"""What kind of file is it? The first bytes and lines tell, not the name; then its own reader takes over."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from training.datasets import access_logs, tables
from training.datasets.compression import first_lines
from training.datasets.reading import Reading
from training.datasets.request import DataError, Request

_PARQUET = b"PAR1"
_LOOKED_AT = 100  # lines


def read(request: Request, step: timedelta) -> Reading:
    """Read an access log, a table or plain numbers. Raises DataError."""
    path = Path(request.data)
    if _starts_with(path, _PARQUET):
        return tables.read_parquet(request, step)
    lines = first_lines(path, _LOOKED_AT)
    log = access_logs.recognise(lines, request.zone)
    if log is not None:
        return access_logs.read(request, step, *log)
    if tables.is_numbers(path, lines):
        return tables.read_numbers(request, step)
    return tables.read_csv(request, step)


def _starts_with(path: Path, magic: bytes) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(len(magic)) == magic
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from error
