"""With what are checks made? The clients of one run of `doctor`, and how far they may go. Must not check anything."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from controller.aws import Aws
from controller.kubernetes_api import KubernetesApi
from controller.ports import SecretError
from controller.targets.asg_groups import Groups


@dataclass(frozen=True, slots=True, kw_only=True)
class Tools:
    """`api`: None without a cluster, and `no_api` says why. `seconds`: for one check. `groups`: reads by `aws`.

    `prometheus`, `token_file`: asked instead of the spec's address and Secrets. `models_dirs`: None: none is named.
    `cache`: a folder of this run for models from elsewhere. `environment`: for their region and logins.
    """

    now: datetime
    seconds: float
    aws: Aws
    groups: Groups
    api: KubernetesApi | None
    no_api: str
    cache: Path
    environment: Mapping[str, str]
    prometheus: str | None = None
    token_file: Path | None = None
    models_dirs: tuple[Path, ...] | None = None
    service_account: str | None = None
    writes: bool = False

    async def read_secret(self, namespace: str, name: str) -> Mapping[str, bytes]:
        """As the cluster has it, which makes this `ports.Secrets`; of TOKEN, what --token-file holds."""
        if name == TOKEN and self.token_file is not None:
            try:
                return {TOKEN: self.token_file.read_bytes()}
            except OSError as error:
                raise SecretError(f"--token-file: {self.token_file} cannot be read: {error.strerror}") from error
        if self.api is None:
            raise SecretError(f"Secret {namespace}/{name} cannot be read: {self.no_api}")
        return await self.api.read_secret(namespace, name)


TOKEN = "--token-file"  # noqa: S105  # an option, and no name that a Secret can have

NO_CLUSTER = "no cluster"
