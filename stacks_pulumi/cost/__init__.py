"""
What will a change cost, and what does a stack or an account cost now?

The command `stacks-pulumi cost` uses this package; `docs/cost.md` describes the command. Importing this package imports
no other module.

- `build`: What does a preview or a stack cost?
- `live`: What does the account cost now, and what has changed since a snapshot?
- `report`: What does a report on costs contain, and what do resources of other providers cost?
- `result`: Which limits does a report exceed, what does the command show of it, and what is the exit code?
- `comment`: How does a report become a comment on a pull request?
"""
