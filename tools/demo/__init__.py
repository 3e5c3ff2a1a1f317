"""The tour of `make demo`; `__main__` starts it."""
