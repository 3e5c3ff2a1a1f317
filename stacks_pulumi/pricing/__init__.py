"""
What policies and the cost command share: money, prices, unknown values, and which resources are ours.

Plain data only: nothing here imports Pulumi, the client, the policies or the cost command.
"""
