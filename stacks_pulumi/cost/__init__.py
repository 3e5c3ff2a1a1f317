"""
What will a change cost, and what does a stack or an account cost now?

The command `stacks-pulumi cost` uses it; `docs/cost.md` describes it. Importing this package imports no other module.

- `build`: What does a preview or a stack cost?
- `steps`: Which objects are there before a preview's steps, and which after them?
- `live`: Which containers does the account have now, and what does each cost?
- `snapshot`: Which containers did an account have at one moment, and what has changed since then?
- `report`: What does a report on costs consist of, and which limits does it exceed?
- `result`: What does the command show, and with which code does it end?
- `comment`: How does a report become a comment on a pull request?
"""
