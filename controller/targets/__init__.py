"""Adapters: things with a size."""
