"""Which options do the commands share? Those of kubectl, by its names, and how the controller is found."""

from __future__ import annotations

from typing import Annotated

import typer

Namespace = Annotated[
    str | None,
    typer.Option("--namespace", "-n", metavar="NAMESPACE", help="Where it is; that of the context otherwise."),
]
AllNamespaces = Annotated[bool, typer.Option("--all-namespaces", "-A", help="Of all namespaces.")]
Selector = Annotated[
    str | None,
    typer.Option("--selector", "-l", metavar="SELECTOR", help="Those with these labels, such as team=shop,tier!=test."),
]
Kubeconfig = Annotated[str | None, typer.Option(metavar="FILE", help="As for kubectl.")]
Context = Annotated[str | None, typer.Option(metavar="NAME", help="As for kubectl.")]
Controller = Annotated[
    str | None, typer.Option(metavar="URL", help="The controller's address, such as http://127.0.0.1:8080.")
]
ControllerNamespace = Annotated[
    str | None, typer.Option(metavar="NAMESPACE", help="Where the controller's Service is, if not anywhere.")
]
