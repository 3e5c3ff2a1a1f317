"""Conversion between HTTP and rules: one thin module per noun, and the table of all operations."""
