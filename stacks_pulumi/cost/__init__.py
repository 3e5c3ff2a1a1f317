"""
What a change costs before it is made, and what a stack or an account costs now.

Used as `stacks-pulumi cost`; `docs/cost.md` describes it. Importing this package imports nothing else.
"""
