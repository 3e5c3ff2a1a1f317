"""
Code that policies, commands and resources share: money, prices, and the recognition of our resources. It works on plain
data: no module here imports Pulumi, the client, the policies or the cost command.

- `recognition`: Which resources are ours, what kind are they, and which of their values are known?
- `views`: What does a policy see of a resource?
- `price_list`: Which prices does the platform list for its templates, and which of them are plausible?
- `money`: What does a container cost, and how are sums added and written?
"""
