"""Adapters: a metric query becomes a Series."""
