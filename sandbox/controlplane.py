"""With which flags does each part of a Kubernetes control plane run on loopback? Programs and kubeconfigs.

Writes configuration into the sandbox's directory. Must not start or talk to anything.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from sandbox.audit import POLICY
from sandbox.certificates import Authority, KeyPair
from sandbox.processes import Program

LOGS = "logs"
POD_NETWORK = "10.0.0.1/16"
SERVICE_NETWORK = "10.96.0.0/16"
# Nodes here have no kubelet that could fall silent, so nothing watches over them; the admission plugin would taint
# each new node until that controller vouched for it.
NODE_WATCH_CONTROLLER = "node-lifecycle-controller"
NODE_WATCH_ADMISSION = "TaintNodesByCondition"
AGGREGATOR = "front-proxy-client"


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """Where a sandbox keeps what."""

    root: Path

    @property
    def logs(self) -> Path:
        """One file a program."""
        return self.root / LOGS

    @property
    def audit_log(self) -> Path:
        """Every request, as JSON lines."""
        return self.logs / "audit.jsonl"

    @property
    def certificates(self) -> Path:
        """The authority and what it signed."""
        return self.root / "certificates"

    @property
    def configuration(self) -> Path:
        """kubeconfigs, the audit policy, kwok's stages."""
        return self.root / "configuration"

    def log(self, name: str) -> Path:
        """The log of one program."""
        return self.logs / f"{name}.log"

    def kubeconfig(self, user: str) -> Path:
        """The kubeconfig of one user."""
        return self.configuration / f"{user.replace(':', '-').replace('/', '-')}.kubeconfig"


def etcd(binary: Path, layout: Layout, port: int, peer_port: int) -> Program:
    """The store. It forgets everything on a power cut, which nobody minds."""
    client, peer = f"http://127.0.0.1:{port}", f"http://127.0.0.1:{peer_port}"
    return _program(
        binary,
        layout,
        name="sandbox",
        data_dir=layout.root / "etcd",
        listen_client_urls=client,
        advertise_client_urls=client,
        listen_peer_urls=peer,
        initial_advertise_peer_urls=peer,
        initial_cluster=f"sandbox={peer}",
        unsafe_no_fsync="true",
    )


def api_server(binary: Path, layout: Layout, authority: Authority, port: int, etcd_port: int) -> Program:
    """The API server: RBAC on, every request in the audit log before it is answered."""
    serving, signing = authority.server("kube-apiserver"), authority.signing_key("service-accounts")
    aggregator = authority.client(AGGREGATOR)
    policy = _write(layout.configuration / "audit-policy.yaml", POLICY)
    layout.logs.mkdir(parents=True, exist_ok=True)
    return _program(
        binary,
        layout,
        etcd_servers=f"http://127.0.0.1:{etcd_port}",
        bind_address="127.0.0.1",
        advertise_address="127.0.0.1",
        secure_port=port,
        endpoint_reconciler_type="none",
        service_cluster_ip_range=SERVICE_NETWORK,
        authorization_mode="RBAC",
        client_ca_file=authority.bundle,
        tls_cert_file=serving.certificate,
        tls_private_key_file=serving.key,
        requestheader_client_ca_file=authority.bundle,  # how it vouches for users to API servers that register with it
        requestheader_allowed_names=AGGREGATOR,
        requestheader_username_headers="X-Remote-User",
        requestheader_group_headers="X-Remote-Group",
        requestheader_extra_headers_prefix="X-Remote-Extra-",
        proxy_client_cert_file=aggregator.certificate,
        proxy_client_key_file=aggregator.key,
        service_account_issuer=f"https://127.0.0.1:{port}",
        service_account_key_file=signing.key,
        service_account_signing_key_file=signing.key,
        disable_admission_plugins=NODE_WATCH_ADMISSION,
        audit_policy_file=policy,
        audit_log_path=layout.audit_log,
        audit_log_mode="blocking",
        audit_log_maxsize=10_000,  # megabytes: never rotated away from its reader
    )


def controller_manager(binary: Path, layout: Layout, kubeconfig: Path) -> Program:
    """The controllers, each as its own ServiceAccount."""
    return _program(
        binary,
        layout,
        kubeconfig=kubeconfig,
        controllers=f"*,-{NODE_WATCH_CONTROLLER}",
        use_service_account_credentials="true",
        service_account_private_key_file=layout.certificates / "service-accounts.key",
        root_ca_file=layout.certificates / "ca.crt",
        horizontal_pod_autoscaler_sync_period="5s",
        kube_api_qps=200,
        kube_api_burst=400,
        leader_elect="false",
        secure_port=0,
    )


def scheduler(binary: Path, layout: Layout, kubeconfig: Path) -> Program:
    """The scheduler."""
    return _program(binary, layout, kubeconfig=kubeconfig, leader_elect="false", secure_port=0)


def kwok(binary: Path, layout: Layout, kubeconfig: Path, stages: str) -> Program:
    """What stands in for kubelets and containers."""
    return _program(
        binary,
        layout,
        kubeconfig=kubeconfig,
        config=_write(layout.configuration / "stages.yaml", stages),
        manage_all_nodes="true",
        cidr=POD_NETWORK,
        node_ip="10.0.0.1",
    )


def certificate_kubeconfig(layout: Layout, url: str, authority: Authority, user: str, *groups: str) -> Path:
    """A kubeconfig for `user` in `groups`, known by a client certificate."""
    pair: KeyPair = authority.client(user, *groups)
    credentials = {"client-certificate-data": _encoded(pair.certificate), "client-key-data": _encoded(pair.key)}
    return _kubeconfig(layout, url, user, credentials)


def token_kubeconfig(layout: Layout, url: str, namespace: str, name: str, token: str) -> Path:
    """A kubeconfig for a ServiceAccount, known by its token; its default namespace is its own."""
    return _kubeconfig(layout, url, f"{namespace}/{name}", {"token": token}, namespace)


def _kubeconfig(
    layout: Layout, url: str, user: str, credentials: Mapping[str, Any], namespace: str = "default"
) -> Path:
    authority = _encoded(layout.certificates / "ca.crt")
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "sandbox", "cluster": {"server": url, "certificate-authority-data": authority}}],
        "users": [{"name": user, "user": dict(credentials)}],
        "contexts": [{"name": "sandbox", "context": {"cluster": "sandbox", "user": user, "namespace": namespace}}],
        "current-context": "sandbox",
    }
    path = _write(layout.kubeconfig(user), "")
    path.chmod(0o600)
    return _write(path, yaml.safe_dump(content))


def _program(binary: Path, layout: Layout, **flags: object) -> Program:
    arguments = tuple(f"--{flag.replace('_', '-')}={value}" for flag, value in flags.items())
    return Program(name=binary.name, argv=(str(binary), *arguments), log=layout.log(binary.name))


def _encoded(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode()


def _write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path
