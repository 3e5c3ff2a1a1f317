"""
Code for the complete account: its objects, their owners, and whether a stack can use it. It never changes the
account.

- `backend`: Which stacks must the account be compared with, and what does each of them manage?
- `state_store`: How are the states of a self-managed backend read, without a process for each state?
- `read`: What does the account contain, and in how many calls is it read?
- `progress`: How many parts of a long read are done?
- `reconcile`: Which stack owns each object of the account, and which objects have no owner?
- `budgets`: Which budgets does a file set over several stacks, and is the account within them?
- `findings`: What does the report of the account command show, and which command does it advise?
- `takeover`: Which program adopts the objects of an account, in any language?
- `doctor_checks`: Which checks does the doctor run, and what do they find in the stack's settings and in its preview?
- `doctor_api`: What does the API show about the key: is it accepted, and what are its account, scopes and limits?
- `doctor_facts`: Which facts do the doctor's checks use, and how is a finding with its fix written?
"""
