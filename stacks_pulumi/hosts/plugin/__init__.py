"""
The native plugin: the resources as a Pulumi provider, `stacks`, for every language.

`schema.json` describes the package; `tools/schema.py` generates it from the classes.

- `questions`: What does the account say: the objects of a kind, and what a data function returns?
- `servicer`: How does it start, and what does it answer to each call of Pulumi's provider protocol?
- `settings`: Which settings does a provider have, and what is wrong with those that it got?
- `wire`: How do values, names and messages look to other languages?
"""
