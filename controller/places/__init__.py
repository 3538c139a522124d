"""Adapters: places that hold model files."""
