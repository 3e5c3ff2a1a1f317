"""The base classes of all resources: the SDK's dynamic resource, with a type that subclasses keep."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import pulumi
from pulumi import dynamic

from stacks_pulumi.config import NAMESPACE
from stacks_pulumi.errors import ConfigError
from stacks_pulumi.pricing.tokens import NATIVE
from stacks_pulumi.resources._declarations import declare_child, provider_in_options
from stacks_pulumi.resources._identity import CONTAINER_CREATED_AT
from stacks_pulumi.resources._origin import ORIGIN
from stacks_pulumi.resources._parent import stated
from stacks_pulumi.resources._references import child_options
from stacks_pulumi.resources._run_errors import shown_alone

__all__ = ["Child", "StacksResource"]


class StacksResource(dynamic.Resource):
    """
    The base class of all resource classes.

    The SDK derives the type of a class from the class arguments `module` and `name`. Here a subclass always has its
    parent's type, so that policies, prices and later versions recognise it. Up to version 0.2, a subclass with other
    arguments (`class Database(Container, module="acme", name="Database")`) had another type. It becomes an alias,
    so that the engine finds the resource in the state. The type of the native plugin is an alias too, so that a program
    can continue with the plugin's state.
    """

    origin: pulumi.Output[str | None]
    """Part of a digest of the API key that changed the resource last, and a random number for each creation."""

    _module_and_name: ClassVar[tuple[str, str]]
    _former_type: ClassVar[str | None] = None
    _delete_first: ClassVar[bool] = False
    """Whether a replacement always deletes first, because the object's name can exist only once."""
    is_awaited: bool = False
    """Whether another resource of this package has it in `depends_on` or as its parent."""

    def __init__(
        self,
        resource_name: str,
        props: Mapping[str, Any],
        opts: pulumi.ResourceOptions | None,
    ) -> None:
        # Imported here, because the hosts import the resources.
        from stacks_pulumi import provider_for  # noqa: PLC0415

        if opts is not None and opts.import_ is not None:
            # Without this check the SDK fails with a KeyError, because the engine sends no provider with an import.
            remedy = 'write adopt="if_matching" instead' if "adopt" in props else "remove it"
            msg = f"{resource_name!r} has the option import_, but Pulumi cannot import dynamic resources: {remedy}"
            raise shown_alone(ConfigError(msg, code="no-import"))
        types = [f"{NATIVE}{self._module_and_name[1]}", *([self._former_type] if self._former_type else [])]
        aliases = [pulumi.Alias(type_=type_) for type_ in types]
        opts = pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(aliases=aliases))
        _mark_awaited(opts)
        if "adopt" in props:
            opts = _replaced_delete_first(
                opts, "if_matching" if self._delete_first else props["adopt"], self._type_token()
            )
        super().__init__(provider_for(self._module_and_name[1]), resource_name, {**props, ORIGIN: None}, opts)

    @classmethod
    def _type_token(cls) -> str:
        return "pulumi-python:dynamic/{}:{}".format(*cls._module_and_name)

    def __init_subclass__(cls, module: str = "", name: str = "", **kwargs: Any) -> None:
        if not hasattr(cls, "_module_and_name"):
            if not name:
                # An abstract base class, which no program declares.
                super().__init_subclass__(**kwargs)
                return
            cls._module_and_name = (module, name)
        elif name and (module, name) != cls._module_and_name:
            cls._former_type = f"pulumi-python:dynamic{module and f'/{module}'}:{name}"
        own_module, own_name = cls._module_and_name
        super().__init_subclass__(module=own_module, name=own_name, **kwargs)


class Child(StacksResource):
    """A resource that belongs to a container."""

    _unique: ClassVar[tuple[str, str] | None] = None
    """The inputs that identify its object: the container, and the identity in it; none if objects are never shared."""

    container_created_at: pulumi.Output[str | None]
    """Creation time of its container, ISO 8601; none if the resource's own id is unique."""

    def __init__(
        self,
        resource_name: str,
        props: Mapping[str, Any],
        opts: pulumi.ResourceOptions | None,
        *,
        container: Any,
        facts: Mapping[str, Any] | None = None,
        secrets: Sequence[str] = (),
    ) -> None:
        options = child_options(opts, container, secrets=secrets)
        if self._unique is not None and options.id is None:
            props = {**props, **self._declared_once(self._unique, resource_name, props, options)}
        super().__init__(
            resource_name,
            {**props, CONTAINER_CREATED_AT: None, **stated(container, **(facts or {}))},
            options,
        )

    def _declared_once(
        self,
        unique: tuple[str, str],
        resource_name: str,
        props: Mapping[str, Any],
        opts: pulumi.ResourceOptions,
    ) -> Mapping[str, Any]:
        container, own = unique
        if props[container] is None or props[own] is None:
            return {}
        provider = provider_in_options(opts, self._type_token())
        kind = self._module_and_name[1]
        return {container: declare_child(kind, props[container], props[own], resource_name, provider)}


def _mark_awaited(opts: pulumi.ResourceOptions | None) -> None:
    """Mark the resources that these options name in `depends_on` or as the parent."""
    named: Any = None if opts is None else opts.depends_on
    for other in (*(named if isinstance(named, list | tuple) else [named]), opts and opts.parent):
        if isinstance(other, StacksResource):
            other.is_awaited = True


def _replaced_delete_first(
    opts: pulumi.ResourceOptions | None, adopt: pulumi.Input[str] | None, type_: str
) -> pulumi.ResourceOptions | None:
    """
    Return the options. For a resource that may adopt, a replacement deletes first, unless the program decides that.

    For `pulumi up --replace` the engine does not call `diff` and creates first. The new half would then adopt the old
    object.
    """
    if opts is not None and (opts.id is not None or opts.delete_before_replace is not None):
        return opts
    provider = provider_in_options(opts, type_)
    of_account = (
        pulumi.Config(NAMESPACE).get("adopt") if provider is None else getattr(provider, "adopt", None)
    )
    if (adopt or of_account) != "if_matching":
        return opts
    return pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(delete_before_replace=True))
