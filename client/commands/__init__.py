"""One file for each command; its function is the command and says of itself what it does."""
