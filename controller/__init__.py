"""What runs in the cluster: the autoscaling controller."""

RELEASE = "0.1.0"
"""As in pyproject.toml and Chart.yaml; every decision record names it."""
