"""What runs in the cluster: the autoscaling controller."""
