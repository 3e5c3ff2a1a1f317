"""The parts of the documentation that are generated from the code; `__main__` writes them."""
