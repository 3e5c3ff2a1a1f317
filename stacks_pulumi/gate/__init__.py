"""
Plan a change, show it, let a person approve it, and apply it with a grant of a broker.

The command `stacks-pulumi gate` uses it; `docs/gate.md` describes it. Importing this package imports no other module.

- `settings`: What does a gate's folder set?
- `start`: How is a gate's folder created?
- `checks`: Which mistakes does a gate's folder contain?
- `packs`: How does the engine start the policy packs of a gate?
- `preview`: What does the engine's preview plan, and which values are there before and after the change?
- `change`: What happens to one resource, and what does a rule find?
- `permits`: Which requests does a change of resources need?
- `rules`: Which rules judge the steps that send no request to STACKS, and which rules are a gate's own?
- `client`: How does a command reach a broker: at its address, or in its folder?
- `embedded`: How is a broker started for one run?
- `workflow`: How is a change planned, approved and applied through a broker?
- `words`: How is a change shown to the person who signs it?
"""
