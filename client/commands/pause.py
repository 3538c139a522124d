"""`pause`: let a scaler do nothing for a while; its target keeps the size that it has."""

from __future__ import annotations

from client.access import Access
from client.commands.change import Afterwards, DryRun, DryRunOption, Every, Names, asked_for, change
from client.commands.options import AllNamespaces, Context, Kubeconfig, Namespace, Selector
from client.modes import paused


def pause(
    names: Names = None,
    namespace: Namespace = None,
    every: Every = False,
    all_namespaces: AllNamespaces = False,
    selector: Selector = None,
    dry_run: DryRunOption = DryRun.NONE,
    output: Afterwards = None,
    kubeconfig: Kubeconfig = None,
    context: Context = None,
) -> None:
    """Let scalers do nothing until `resume`; their targets keep their sizes, and what the mode was is remembered."""
    access = Access(namespace=namespace, kubeconfig=kubeconfig, context=context)
    choice = asked_for(access, names, selector, is_all=every, all_namespaces=all_namespaces)
    change(access, choice, paused, dry_run, output)
