"""
The hosts: they receive Pulumi's calls and pass them to the resources.

`resources` implements each kind of resource and answers calls of the type `resources.EngineCall`. A host translates the
engine's requests into such calls. `dynamic` runs in the SDK's process for dynamic providers; `plugin` is a provider for
every language.
"""
