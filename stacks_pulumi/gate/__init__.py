"""
A change is planned, shown, approved by a person, and applied with a grant of a broker.

The command `stacks-pulumi gate` uses it; `docs/gate.md` describes it. Importing this package imports no other module.

- `settings`: What does a gate's folder say?
- `start`: How does a gate's folder begin?
- `checks`: Which mistakes are in a gate's folder?
- `packs`: How does the engine start the policy packs of a gate?
- `preview`: What does the engine's preview say, with the values before and after it?
- `change`: What happens to one resource, and what does a rule say of it?
- `permits`: Which requests does a change of resources need?
- `rules`: Which rules judge what sends no request to STACKS, and which are a gate's own?
- `client`: How is a broker asked: at its address, or in its folder?
- `embedded`: How is a broker started for one run?
- `workflow`: How is a change planned, approved and applied through a broker?
- `words`: How is a change shown to the person who signs it?
"""
