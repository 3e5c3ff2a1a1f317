"""Generates a program that takes over the objects of an account: its resources, and its text in each language."""
