"""Offline: makes and judges models; never in the controller's image."""
