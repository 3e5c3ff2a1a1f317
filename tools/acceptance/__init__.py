"""The acceptance run: what the API guide and the emulator assume, checked against an account; `__main__` runs it."""
