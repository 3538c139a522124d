"""One file for each command of `predictive-scaler-train`; each says what it takes and calls what does it."""
