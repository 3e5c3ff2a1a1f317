"""
How Pulumi reaches the resources.

`resources` states what each kind of resource does, and answers calls of the type `resources.EngineCall`. A host makes
such calls from what the engine sends: `dynamic` in the SDK's process for dynamic providers, `plugin` as a provider for
every language.
"""
