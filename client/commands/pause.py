"""`pause`: let a scaler do nothing for a while; its target keeps the size that it has."""

from __future__ import annotations

from typing import Annotated

import typer

from client.access import Access
from client.commands.change import DryRun, asked_for, change
from client.commands.options import AllNamespaces, Context, Kubeconfig, Namespace, Selector
from client.commands.printing import Form
from client.modes import paused


def pause(
    names: Annotated[list[str] | None, typer.Argument(metavar="NAME", help="Which.")] = None,
    namespace: Namespace = None,
    every: Annotated[bool, typer.Option("--all", help="All of the namespace, or with -A of the cluster.")] = False,
    all_namespaces: AllNamespaces = False,
    selector: Selector = None,
    dry_run: Annotated[
        DryRun, typer.Option(help="server: let the API server check it, and change nothing.")
    ] = DryRun.NONE,
    output: Annotated[
        Form | None, typer.Option("--output", "-o", help="Instead of words, what it is afterwards.")
    ] = None,
    kubeconfig: Kubeconfig = None,
    context: Context = None,
) -> None:
    """Let scalers do nothing until `resume`; their targets keep their sizes, and what the mode was is remembered."""
    access = Access(namespace=namespace, kubeconfig=kubeconfig, context=context)
    choice = asked_for(access, names, selector, is_all=every, all_namespaces=all_namespaces)
    change(access, choice, paused, dry_run, output)
