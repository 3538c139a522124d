"""How is each of the chosen scalers changed, when some may be refused? A line for each; exit code 1 if one was."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any
from urllib.parse import quote

import typer

from client.access import Access
from client.commands import console
from client.commands.printing import Form, print_objects, reference
from client.errors import ClientError
from client.modes import Change, kept_words
from client.resources import Choice, chosen, path_of
from controller.kubernetes_api import ApiError, ConflictError, ForbiddenError, KubernetesApi

FIELD_MANAGER = "kubectl-predictivescaler"
_ATTEMPTS = 4  # of a write that somebody else's came before

Json = Mapping[str, Any]
Decide = Callable[[Json], Change]


class DryRun(StrEnum):
    """As kubectl's: server asks the API server and changes nothing."""

    NONE = "none"
    SERVER = "server"


Names = Annotated[list[str] | None, typer.Argument(metavar="NAME", help="Which.")]
Every = Annotated[bool, typer.Option("--all", help="All of the namespace, or with -A of the cluster.")]
DryRunOption = Annotated[DryRun, typer.Option(help="server: let the API server check it, and change nothing.")]
Afterwards = Annotated[Form | None, typer.Option("--output", "-o", help="Instead of words, what it is afterwards.")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """What became of one. `body`: as it is now. `note`: what else whoever asked should know; empty: nothing."""

    body: Json
    words: str
    note: str = ""
    is_refused: bool = False


def asked_for(
    access: Access, names: list[str] | None, selector: str | None, *, is_all: bool, all_namespaces: bool
) -> Choice:
    """What is meant. Raises ClientError where that is not sure: nothing is changed by leaving something away."""
    if names and (is_all or selector is not None or all_namespaces):
        raise ClientError("give NAMEs, or else --all or -l, which may be of all namespaces with -A")
    if not names and not is_all and selector is None:
        raise ClientError(
            "name a PredictiveScaler, or give --all for all of the namespace, or -l for those with a label"
        )
    if is_all and selector is not None:
        raise ClientError("--all and -l say different things; leave one of them away")
    return access.choice(names, selector, all_namespaces=all_namespaces)


def change(access: Access, choice: Choice, decide: Decide, dry_run: DryRun, form: Form | None) -> None:
    """Change each as `decide` says and print what became of it. Raises ClientError, typer.Exit."""
    done = asyncio.run(_changed(access, choice, decide, dry_run))
    if not done:
        raise ClientError(f"there is no PredictiveScaler in {choice.words}")
    if form is None:
        _tell(done, dry_run, has_namespace=choice.namespace is None)
    else:
        print_objects([one.body for one in done], form, is_list=len(choice.names) != 1)
    for one in done:
        if one.is_refused:
            console.complain(f"error: {one.words}")
        if one.note:
            console.remark(f"note: {one.note}")
    if any(one.is_refused for one in done):
        raise typer.Exit(1)


def _tell(done: list[Done], dry_run: DryRun, *, has_namespace: bool) -> None:
    tried = " (server dry run)" if dry_run is DryRun.SERVER else ""
    for one in done:
        if not one.is_refused:
            where = f" in {one.body['metadata']['namespace']}" if has_namespace else ""
            typer.echo(f"{reference(one.body)}{where} {one.words}{tried}")


async def _changed(access: Access, choice: Choice, decide: Decide, dry_run: DryRun) -> list[Done]:
    async with await access.connect() as api:
        return [await _one(api, body, decide, dry_run) for body in await chosen(api, choice)]


async def _one(api: KubernetesApi, body: Json, decide: Decide, dry_run: DryRun) -> Done:
    """Where somebody changed the object meanwhile it is decided anew."""
    namespace, name = str(body["metadata"]["namespace"]), str(body["metadata"]["name"])
    query = {"fieldManager": FIELD_MANAGER} | ({"dryRun": "All"} if dry_run is DryRun.SERVER else {})
    path = f"{path_of(namespace)}/{quote(name)}"
    try:
        for _ in range(_ATTEMPTS):
            wanted = decide(body)
            if wanted.patch is None:
                return Done(body=body, words=wanted.words)
            try:
                written = await api.merge_patch(path, wanted.patch, query)
            except ConflictError:
                body = await api.get(path)
                continue
            return Done(body=written, words=wanted.words, note=kept_words(body))
    except ClientError as error:
        return Done(body=body, words=str(error), is_refused=True)
    except ForbiddenError as error:
        words = f"you may not patch the PredictiveScaler {namespace}/{name}: {error}"
        return Done(body=body, words=words, is_refused=True)
    except ApiError as error:
        words = f"the PredictiveScaler {namespace}/{name} cannot be changed: {error}"
        return Done(body=body, words=words, is_refused=True)
    words = f"the PredictiveScaler {namespace}/{name} was changed by others again and again; try once more"
    return Done(body=body, words=words, is_refused=True)
