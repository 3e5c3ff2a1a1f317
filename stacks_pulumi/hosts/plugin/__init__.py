"""
The native plugin: the Pulumi provider `stacks`, which offers the resources to every language.

`schema.json` describes the package; `tools/schema.py` generates it from the classes.

- `questions`: Which objects of a kind does the account contain, and what does a data function return?
- `__main__`: How is the plugin loaded quickly?
- `servicer`: How does the plugin start, and what does it answer to each call of Pulumi's provider protocol?
- `settings`: Which settings does a provider have, and which of the given settings are wrong?
- `wire`: How are values, names and messages converted for other languages?
"""
