"""Decides and touches nothing: no network, clock, log or randomness; numpy and the standard library only."""
