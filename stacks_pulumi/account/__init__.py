"""The account as a whole: what is in it, whose it is, and whether a stack can work with it."""
