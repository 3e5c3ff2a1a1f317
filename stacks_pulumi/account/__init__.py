"""
The account against the stacks: which stack owns what, and a program that takes over what no stack owns.

`account` reads exports of stacks and the live account, and compares them. `scaffold` reads the live account and writes
a program. Neither changes anything in the account.
"""
