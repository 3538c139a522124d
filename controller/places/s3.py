"""How is a model read from a bucket? As whoever the controller is to AWS, and again only when it has changed.

The bucket's own region is found by the SDK: S3 tells it where the first one asked is another. Only `s3:GetObject` is
needed, with a version `s3:GetObjectVersion`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from controller.aws import Aws, AwsError, CredentialsError, DeniedError, Json, MissingError, ThrottledError
from controller.aws_spec import AwsAccess
from controller.places.cache import Part
from controller.places.place import S3Place
from controller.ports import ModelError

FIRST_REGION = "us-east-1"
_UNCHANGED = "304"
_MISSING = {
    "NoSuchBucket": "there is no such bucket",
    "NoSuchVersion": "the object has no such version",
}


def first_region(environment: Mapping[str, str]) -> str:
    """Where S3 is asked first: where the controller is. In China and GovCloud, worlds of their own, it must be set."""
    return environment.get("AWS_REGION") or environment.get("AWS_DEFAULT_REGION") or FIRST_REGION


class S3:
    """A fetcher of S3Place."""

    def __init__(self, aws: Aws, region: str) -> None:
        self._aws = aws
        self._access = AwsAccess(region=region)

    async def fetch(self, place: S3Place, known: str, part: Part) -> str | None:
        """Write the file into `part`; its validator. None where it is what `known` marks. Raises ModelError."""
        try:
            return await self._aws.download(self._access, "s3", "get_object", _into(part), **_arguments(place, known))
        except AwsError as error:
            if error.code == _UNCHANGED and known:
                return None
            raise ModelError("download", _words(place, error)) from error


def _arguments(place: S3Place, known: str) -> dict[str, str]:
    arguments = {"Bucket": place.bucket, "Key": place.key}
    if place.version is not None:
        arguments["VersionId"] = place.version
    if known:
        arguments["IfNoneMatch"] = known
    return arguments


def _into(part: Part) -> Callable[[Json, Iterator[bytes]], str]:
    def take(answer: Json, chunks: Iterator[bytes]) -> str:
        part.expect(answer.get("ContentLength"))
        for chunk in chunks:
            part.write(chunk)
        return str(answer.get("ETag", ""))

    return take


def _words(place: S3Place, error: AwsError) -> str:
    if isinstance(error, DeniedError):
        action = "s3:GetObject" if place.version is None else "s3:GetObjectVersion"
        cure = f"allow the controller's role {action} on arn:aws:s3:::{place.bucket}/{place.key}"
        return f"{error}; {cure}; where s3:ListBucket is not allowed either, a key that is not there is denied as well"
    if isinstance(error, MissingError):
        missing = _MISSING.get(error.code, "the bucket has no such key")
        return f"{missing} ({error.code}); correct forecast.model, or put the file there"
    if isinstance(error, ThrottledError | CredentialsError):
        return str(error)
    return f"{error}; tried again later"
