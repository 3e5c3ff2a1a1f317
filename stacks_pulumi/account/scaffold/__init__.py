"""A program that takes over what an account holds: what it declares, and how each language writes it."""
