"""A real control plane and Prometheus on loopback, for the demo and the e2e tests."""
