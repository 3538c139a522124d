"""The main job on real input: a PredictiveScaler scales a workload on a real control plane before the load comes."""
