"""What a place says, and what is none."""

from __future__ import annotations

import pytest

from controller.places.place import HttpsPlace, OciPlace, Place, S3Place, parse
from controller.ports import ModelError

DIGEST = "sha256:" + "ab" * 32


@pytest.mark.parametrize(
    ("name", "place", "is_fixed"),
    [
        ("s3://models/web.onnx", S3Place(bucket="models", key="web.onnx"), False),
        ("s3://models/a/b.onnx?versionId=x1", S3Place(bucket="models", key="a/b.onnx", version="x1"), True),
        ("https://host:8443/a/web.onnx", HttpsPlace(url="https://host:8443/a/web.onnx"), False),
        ("https://host/a..b/.hidden", HttpsPlace(url="https://host/a..b/.hidden"), False),
        ("oci://ghcr.io/me/web", OciPlace(registry="ghcr.io", repository="me/web", tag="latest"), False),
        ("oci://GHCR.io:5000/me/web:v1", OciPlace(registry="ghcr.io:5000", repository="me/web", tag="v1"), False),
        (
            f"oci://ghcr.io/web:v1@{DIGEST}",
            OciPlace(registry="ghcr.io", repository="web", tag="v1", digest=DIGEST),
            True,
        ),
        (f"oci://ghcr.io/web@{DIGEST}", OciPlace(registry="ghcr.io", repository="web", digest=DIGEST), True),
    ],
)
def test_place_by_name(name: str, place: Place, is_fixed: bool) -> None:
    assert (parse(name), parse(name).is_fixed) == (place, is_fixed)


@pytest.mark.parametrize(
    "name",
    [
        "s3://models",
        "s3://models/",
        "s3:///web.onnx",
        "https://host",
        "https://host/",
        "https://user@host/web.onnx",
        "https://host/models/../secret",
        "https://host/models/%2e%2e/secret",
        "https://host/models/..%2fsecret",
        "https://host/./web.onnx",
        "oci://ghcr.io",
        "oci://ghcr.io/web@sha256:12",
        "http://host/web.onnx",
        "file:///etc/passwd",
        "web",
    ],
)
def test_what_names_no_file_is_refused(name: str) -> None:
    with pytest.raises(ModelError, match=r"^place: ") as caught:
        parse(name)
    assert caught.value.check == "place"
