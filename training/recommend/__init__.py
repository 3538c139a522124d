"""Which spec does a load ask for? Many are tried on one part of it, and the one that is chosen is judged on another."""
