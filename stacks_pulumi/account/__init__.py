"""
This package shows the complete account: its objects, their owners, and whether a stack can use the account. It never
changes the account.

- `backend`: Which stacks must the account be compared with, and what does each of them manage?
- `state_store`: How are the states of a self-managed backend read, without a process for each state?
- `read`: What does the account contain, and how many calls does it take to read it?
- `progress`: How many parts of a long read are done?
- `reconcile`: Which stack owns each object of the account, and which objects have no owner?
- `budgets`: Which budgets for groups of stacks does a file set, and is the account within them?
- `findings`: What does the report of `stacks-pulumi account` show, and which commands does it suggest?
- `takeover`: Which program, in Python or YAML, adopts the objects of an account?
- `doctor_checks`: Which checks does the doctor run, and what do they find in the stack's settings and in its preview?
- `doctor_api`: What does the API show about the key: is it accepted, and what are its account, scopes and limits?
- `doctor_facts`: Which facts do the doctor's checks use, and how is a finding with its fix written?
"""
