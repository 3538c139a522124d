"""What a person asks of a running controller, from their own machine: never in the image."""
