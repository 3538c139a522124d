"""What can the user mend? Two kinds of errors; the command line tells either in one line."""

from __future__ import annotations


class ClientError(Exception):
    """The command cannot be carried out; the message names the cause and the cure."""


class UnreachableError(ClientError):
    """The controller did not answer; what it wrote into the cluster may still be read."""
