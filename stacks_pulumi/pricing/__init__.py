"""
Shared by the policies and the cost command: money, prices, unknown values, and how to recognise STACKS resources.

It contains only plain data: no module imports Pulumi, the client, the policies or the cost command.
"""
