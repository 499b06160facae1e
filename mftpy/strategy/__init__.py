"""From the book, the account and the model to what should rest: compiled, outside the interpreter."""
