"""A report as text: for a terminal, for a program, for a pull request."""
