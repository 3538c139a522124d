"""Which parts of a series are no example to learn from? Short spans that are far from what the load is otherwise."""
