"""What becomes the controller's image, and what does not: run by the Dockerfile, never shipped."""
