"""What `doctor` looks at: each file checks one thing of a PredictiveScaler, by the controller's own adapters."""
