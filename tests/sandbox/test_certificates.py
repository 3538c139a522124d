"""Certificates convince a strict verifier, for the names and times they should and no others."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError

from sandbox.certificates import LIFETIME, Authority, KeyPair

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority.create(tmp_path_factory.mktemp("certificates"), NOW)


def load(path: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate(path.read_bytes())


def verify(authority: Authority, pair: KeyPair, host: str, time: datetime = NOW) -> None:
    policy = PolicyBuilder().store(Store([authority.certificate])).time(time)
    subject = x509.IPAddress(IPv4Address(host)) if host[0].isdigit() else x509.DNSName(host)
    policy.build_server_verifier(subject).verify(load(pair.certificate), [])


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "kubernetes.default.svc"])
def test_a_server_is_believed_under_its_names(authority: Authority, host: str) -> None:
    verify(authority, authority.server("server"), host)


@pytest.mark.parametrize(
    ("host", "time"),
    [("10.0.0.1", NOW), ("example.org", NOW), ("localhost", NOW + LIFETIME + timedelta(days=1))],
    ids=["another address", "another name", "too late"],
)
def test_a_server_is_not_believed_elsewhere_or_for_ever(authority: Authority, host: str, time: datetime) -> None:
    with pytest.raises(VerificationError):
        verify(authority, authority.server("server"), host, time)


def test_a_client_certificate_is_no_server(authority: Authority) -> None:
    with pytest.raises(VerificationError):
        verify(authority, authority.client("system:kube-scheduler"), "localhost")


def test_another_authority_is_not_believed(authority: Authority, tmp_path: Path) -> None:
    stranger = Authority.create(tmp_path, NOW)
    with pytest.raises(VerificationError):
        verify(authority, stranger.server("server"), "localhost")


def test_a_client_carries_its_user_and_groups(authority: Authority) -> None:
    subject = load(authority.client("admin", "system:masters", "team").certificate).subject
    groups = [name.value for name in subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)]
    users = [name.value for name in subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    assert (users, groups) == (["admin"], ["system:masters", "team"])


def test_keys_are_for_their_owner_only(authority: Authority) -> None:
    assert authority.client("someone").key.stat().st_mode & 0o777 == 0o600
