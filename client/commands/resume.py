"""`resume`: let a scaler go on that was paused, in the mode that it had."""

from __future__ import annotations

from functools import partial
from typing import Annotated

import typer

from client.access import Access
from client.commands.change import Afterwards, DryRun, DryRunOption, Every, Names, asked_for, change
from client.commands.options import AllNamespaces, Context, Kubeconfig, Namespace, Selector
from client.modes import check_mode, resumed
from controller.spec import Mode


def resume(
    names: Names = None,
    namespace: Namespace = None,
    every: Every = False,
    all_namespaces: AllNamespaces = False,
    selector: Selector = None,
    mode: Annotated[Mode | None, typer.Option(case_sensitive=False, help="Go on in this one, whatever it was.")] = None,
    dry_run: DryRunOption = DryRun.NONE,
    output: Afterwards = None,
    kubeconfig: Kubeconfig = None,
    context: Context = None,
) -> None:
    """Let scalers go on that were paused, each in the mode that it had."""
    check_mode(mode)
    access = Access(namespace=namespace, kubeconfig=kubeconfig, context=context)
    choice = asked_for(access, names, selector, is_all=every, all_namespaces=all_namespaces)
    change(access, choice, partial(resumed, wanted=mode), dry_run, output)
