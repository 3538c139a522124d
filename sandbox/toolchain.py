"""Which programs make up the sandbox, in which versions, and where does each come from?

Data only. The Go side of the same pins is in `toolchain/*/go.mod`; a test keeps the two equal.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

MODULES = Path(__file__).parent / "toolchain"
KUBERNETES = "1.36.3"
ETCD = "3.6.8"
KWOK = "0.8.0"
HELM = "4.3.1"
PROMETHEUS = "3.9.1"
REGISTRY = "0.22.1"

Version = tuple[int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """One program. `package`: its Go main package. A found one serves when oldest <= (major, minor) < too_new."""

    name: str
    package: str
    oldest: Version
    too_new: Version
    version_arguments: tuple[str, ...] = ("--version",)

    @property
    def built_name(self) -> str:
        """What `go build` calls it: the last part of the package path that is not a major version."""
        parts = self.package.split("/")
        return parts[-2] if parts[-1].startswith("v") and parts[-1][1:].isdigit() else parts[-1]


class Checksums(Enum):
    """What a published checksum file holds."""

    DIGEST = "only the digest"
    LISTING = "lines of digest and file name"


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """A published file. `members`: where each tool lies in the archive; empty when the file is the tool itself.

    URLs contain `{system}`, filled in as `linux-amd64` and the like, `{dotted}` as `linux.amd64`, `{slashed}` as
    `linux/amd64`.
    """

    tools: tuple[str, ...]
    url: str
    checksum_url: str
    checksums: Checksums
    members: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """Tools that are built together from one Go module. `usual_build`: minutes on two cores, nothing cached."""

    name: str
    version: str
    tools: tuple[Tool, ...]
    releases: tuple[Release, ...]
    usual_build: float
    go_tags: str = ""
    stamps: Mapping[str, str] = field(default_factory=dict)

    @property
    def directory_name(self) -> str:
        """Its place in the cache: another version is another place."""
        return f"{self.name}-v{self.version}"

    @property
    def module(self) -> Path:
        """The directory of its go.mod."""
        return MODULES / self.name


def _control_plane(name: str) -> Tool:
    # Controllers must not be newer than the API server, so all of them have to be of one minor version.
    return Tool(name=name, package=f"k8s.io/kubernetes/cmd/{name}", oldest=(1, 36), too_new=(1, 37))


def _kubernetes_release(name: str) -> Release:
    url = f"https://dl.k8s.io/release/v{KUBERNETES}/bin/{{slashed}}/{name}"
    return Release(tools=(name,), url=url, checksum_url=f"{url}.sha256", checksums=Checksums.DIGEST)


_KUBERNETES_MAJOR, _KUBERNETES_MINOR, _ = KUBERNETES.split(".")
_ETCD_RELEASES = f"https://github.com/etcd-io/etcd/releases/download/v{ETCD}"
_PROMETHEUS_RELEASES = f"https://github.com/prometheus/prometheus/releases/download/v{PROMETHEUS}"
_PROMETHEUS_ARCHIVE = f"prometheus-{PROMETHEUS}.{{dotted}}"

BUNDLES = (
    Bundle(
        name="kubernetes",
        version=KUBERNETES,
        tools=(
            Tool(name="etcd", package="go.etcd.io/etcd/server/v3", oldest=(3, 5), too_new=(4, 0)),
            _control_plane("kube-apiserver"),
            _control_plane("kube-controller-manager"),
            _control_plane("kube-scheduler"),
            Tool(  # supported within one minor version of the API server
                name="kubectl",
                package="k8s.io/kubernetes/cmd/kubectl",
                oldest=(1, 35),
                too_new=(1, 38),
                version_arguments=("version", "--client"),
            ),
        ),
        releases=(
            Release(
                tools=("etcd",),
                url=f"{_ETCD_RELEASES}/etcd-v{ETCD}-{{system}}.tar.gz",
                checksum_url=f"{_ETCD_RELEASES}/SHA256SUMS",
                checksums=Checksums.LISTING,
                members={"etcd": f"etcd-v{ETCD}-{{system}}/etcd"},
            ),
            _kubernetes_release("kube-apiserver"),
            _kubernetes_release("kube-controller-manager"),
            _kubernetes_release("kube-scheduler"),
            _kubernetes_release("kubectl"),
        ),
        usual_build=6,
        stamps={
            "k8s.io/component-base/version.gitVersion": f"v{KUBERNETES}",
            "k8s.io/component-base/version.gitMajor": _KUBERNETES_MAJOR,
            "k8s.io/component-base/version.gitMinor": _KUBERNETES_MINOR,
        },
    ),
    Bundle(
        name="kwok",
        version=KWOK,
        tools=(Tool(name="kwok", package="sigs.k8s.io/kwok/cmd/kwok", oldest=(0, 6), too_new=(1, 0)),),
        releases=(),  # its releases come without a checksum file, and nothing unverified is run
        usual_build=1.5,
    ),
    Bundle(
        name="prometheus",
        version="0.309.1",  # the Go module's numbering of 3.9.1
        tools=tuple(
            Tool(  # Debian 12 has 2.42, which loads history and reads web configuration files just as well
                name=name, package=f"github.com/prometheus/prometheus/cmd/{name}", oldest=(2, 42), too_new=(4, 0)
            )
            for name in ("prometheus", "promtool")
        ),
        releases=(
            Release(
                tools=("prometheus", "promtool"),
                url=f"{_PROMETHEUS_RELEASES}/{_PROMETHEUS_ARCHIVE}.tar.gz",
                checksum_url=f"{_PROMETHEUS_RELEASES}/sha256sums.txt",
                checksums=Checksums.LISTING,
                members={name: f"{_PROMETHEUS_ARCHIVE}/{name}" for name in ("prometheus", "promtool")},
            ),
        ),
        usual_build=5,
        go_tags="remove_all_sd,netgo",
        stamps={"github.com/prometheus/common/version.Version": PROMETHEUS},
    ),
    Bundle(
        name="helm",
        version=HELM,
        tools=(
            Tool(
                name="helm",
                package="helm.sh/helm/v4/cmd/helm",
                oldest=(4, 0),
                too_new=(5, 0),
                version_arguments=("version", "--short"),
            ),
        ),
        releases=(
            Release(
                tools=("helm",),
                url=f"https://get.helm.sh/helm-v{HELM}-{{system}}.tar.gz",
                checksum_url=f"https://get.helm.sh/helm-v{HELM}-{{system}}.tar.gz.sha256",
                checksums=Checksums.DIGEST,
                members={"helm": "{system}/helm"},
            ),
        ),
        usual_build=2,
        stamps={"helm.sh/helm/v4/internal/version.version": f"v{HELM}"},
    ),
    Bundle(
        name="registry",
        version=REGISTRY,
        tools=(
            Tool(  # `crane registry serve`: a registry, without login or TLS, in one process
                name="crane",
                package="github.com/google/go-containerregistry/cmd/crane",
                oldest=(0, 20),
                too_new=(1, 0),
                version_arguments=("version",),
            ),
        ),
        releases=(),  # its archives are named after machines as nothing else here is, and it builds in half a minute
        usual_build=0.5,
    ),
)
