"""
A change is planned, shown, approved by a person, and applied as exactly that change.

The command `stacks-pulumi gate` uses it; `docs/gate.md` describes it. Importing this package imports no other module.

- `settings`: What does `gate.yaml` say?
- `git`: What does git know about a folder, and which files does a ref have?
- `checks`: Which mistakes are in a gate's folder?
- `start`: How does a gate's folder begin?
- `project`: Which files does a project have, and which of its settings are refused?
- `source`: How is the text of a program of data read, with the line of each value, and which names may it have?
- `program`: Can a program run its own code?
- `engine`: How does the gate run `pulumi`, and with which environment?
- `digests`: What exactly was approved?
- `record`: What is in a record?
- `plan_file`: What do the files of a saved plan and of a stack's export have, as the engine reads them?
- `saved`: What do a saved plan and the state that it was made against say, as the steps of a preview?
- `change`: What changes, with the values before and after it?
- `rules`: Which rules judge a change, and what do they find?
- `verdict`: May a change be applied, does it need an approval, or is it refused?
- `texts`: How is a change shown to a person, and in a comment?
- `signatures`: Who has approved a record, and does the approval hold?
- `flow`: How is a change planned and applied?
- `machine`: What began on this machine, how did it end, and which change is made at the moment?
- `state_pack`: Is the state inside the update the one that the plan was made against?
- `preview`: What does the engine's preview say, with the values before and after it?
- `permits`: Which requests does a change of resources need?
- `client`: How is a broker asked: at its address, or in its folder?
- `embedded`: How is a broker started for one run?
- `workflow`: How is a change planned, approved and applied through a broker?
- `words`: How is a change shown to the person who signs it?
- `spending`: What does the account cost now, and what was added to it in a day?
- `history`: Who has changed what, for how much, and approved by whom?
"""
