"""The acceptance run compares an account with the API guide and the emulator; `__main__` starts the run."""
