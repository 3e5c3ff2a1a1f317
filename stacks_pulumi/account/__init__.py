"""
Code for the whole account: its objects, their owners, and whether a stack can use the account.

`account` compares the live account with the states of stacks. `scaffold` writes a program that takes over objects that
no stack owns. `doctor` checks the configuration of a stack. None of them changes the account.
"""
