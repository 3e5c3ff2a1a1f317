"""
The account as a whole: what is in it, whose it is, and whether a stack can work with it.

`account` compares the live account with the states of stacks, and `scaffold` writes a program that takes over what no
stack owns. `doctor` looks at a set-up. None of them changes anything in the account.
"""
