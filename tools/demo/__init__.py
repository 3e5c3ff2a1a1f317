"""The tour that `make demo` gives; `__main__` begins it."""
