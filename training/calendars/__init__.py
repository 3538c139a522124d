"""What is planned: events from a file, kept out of the fit and put into the model file."""
