"""Which file does a model's place name? `s3://`, `https://` and `oci://` taken apart, and whether it can change.

Must not fetch anything, nor decide who may read what.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import unquote

from controller.ports import ModelError

DEFAULT_TAG = "latest"
_DOTS = {".", ".."}
_OCI = re.compile(
    r"oci://(?P<registry>[^/]+)/(?P<repository>[^:@]+)(:(?P<tag>[^@]+))?(@(?P<digest>sha256:[0-9a-f]{64}))?"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class S3Place:
    """An object in a bucket. `version`: of the object; None means the newest."""

    bucket: str
    key: str
    version: str | None = None

    @property
    def is_fixed(self) -> bool:
        """Whether what lies there is the same for ever."""
        return self.version is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpsPlace:
    """A file on a web server."""

    url: str

    @property
    def is_fixed(self) -> bool:
        """Never: a server may answer otherwise tomorrow."""
        return False


@dataclass(frozen=True, slots=True, kw_only=True)
class OciPlace:
    """An artifact in a registry. `registry`: host and perhaps port. `digest`: of its manifest, which decides."""

    registry: str
    repository: str
    tag: str = DEFAULT_TAG
    digest: str | None = None

    @property
    def is_fixed(self) -> bool:
        """Whether what lies there is the same for ever."""
        return self.digest is not None


Place = S3Place | HttpsPlace | OciPlace


def parse(name: str) -> Place:
    """The place that `forecast.model` names. Raises ModelError("place")."""
    scheme, _, rest = name.partition("://")
    if scheme == "s3" and (place := _s3(rest)) is not None:
        return place
    if scheme == "https" and _has_plain_path(rest):
        return HttpsPlace(url=name)
    if scheme == "oci" and (match := _OCI.fullmatch(name)) is not None:
        return OciPlace(
            registry=match["registry"].lower(),
            repository=match["repository"],
            tag=match["tag"] or DEFAULT_TAG,
            digest=match["digest"],
        )
    raise ModelError(
        "place", f"{name} names no file: use s3://BUCKET/KEY, https://HOST/PATH or oci://REGISTRY/NAME:TAG"
    )


def _s3(rest: str) -> S3Place | None:
    bucket, _, key = rest.partition("/")
    key, _, version = key.partition("?versionId=")
    return S3Place(bucket=bucket, key=key, version=version or None) if bucket and key else None


def _has_plain_path(rest: str) -> bool:
    """A path that climbs would end elsewhere than an allowed prefix says."""
    host, _, path = rest.partition("/")
    return bool(host and path) and "@" not in host and not _DOTS & set(unquote(path).split("/"))
