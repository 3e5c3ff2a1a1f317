"""
Computes what a change will cost, and what a stack or an account costs now.

The command `stacks-pulumi cost` uses it; `docs/cost.md` describes it. Importing this package imports no other module.
"""
