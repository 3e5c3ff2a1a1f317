"""
Code for the whole account: its objects, their owners, and whether a stack can use the account.

`account` compares the live account with the states of stacks. `scaffold` writes a program that takes over objects that
no stack owns. `doctor` checks the configuration of a stack and previews it. None of them changes the account.

- `doctor_checks`: Which checks does the doctor make, and what do they find in the stack's settings and in its preview?
- `doctor_api`: What does the API show about the key: is it accepted, and what are its account, scopes and limits?
- `doctor_facts`: What do the doctor's checks look at, and how is a finding with its fix written?
"""
