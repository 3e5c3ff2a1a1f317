"""
Plan a change, show it, let a person approve it, and apply it with a broker's grant.

The command `stacks-pulumi gate` uses it; `docs/gate.md` describes it. Importing this package imports no other module.

- `settings`: What does a gate's folder set?
- `start`: How is a gate's folder created?
- `checks`: Which mistakes does a gate's folder contain?
- `packs`: How does the engine start the policy packs of a gate?
- `preview`: Which steps does the engine's preview plan, and which values exist before and after the change?
- `change`: How are a change of one resource and a finding of a rule represented?
- `permits`: Which requests does a change of resources need?
- `rules`: Which rules judge the steps that send no request to STACKS, and how does a gate add its own rules?
- `client`: How does a command connect to a broker: at its address, or through its folder?
- `embedded`: How is a broker started for one run?
- `workflow`: How is a change planned, approved and applied through a broker?
- `words`: How is a change shown to the person who signs it?
"""
