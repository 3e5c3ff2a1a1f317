"""
The base classes of all resources, a child's reference to its container, and the check that a program declares each
object only once.

A program gives a child its Container or the container's id. With a Container, the child gets the container's account
(`provider`) unless the program sets a different one. A child's id is `<container id>/<its own name>`, so that a look-up
needs only the id.
"""

from __future__ import annotations

import functools
import inspect
import re
import weakref
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Final, cast

import msgspec
import pulumi
from pulumi import dynamic
from pulumi.runtime import get_root_resource
from pulumi.runtime.mocks import MockMonitor
from pulumi.runtime.settings import get_monitor

from stacks_pulumi.config import NAMESPACE, flag
from stacks_pulumi.errors import ConfigError
from stacks_pulumi.pricing.recognition import ADOPTS, CONTAINER, NATIVE, is_unknown
from stacks_pulumi.resources import _validators
from stacks_pulumi.resources._identity import CONTAINER_CREATED_AT, ORIGIN
from stacks_pulumi.resources._values import plain, without_none
from stacks_pulumi.resources.provider import check_stored_key, shown_alone


def input_id(container: pulumi.CustomResource | pulumi.Input[str] | None) -> pulumi.Input[str] | None:
    """Return the id of a Container, or the id that the program passed instead."""
    if isinstance(container, pulumi.CustomResource):
        return container.id
    return _GivenId(container) if isinstance(container, pulumi.Output) else container


class _GivenId(pulumi.Output[str]):
    """
    An id that a program passed as an output. It depends on a resource only if it is exactly the resource's id.

    A program can compute the id of any container from another container's id. While an id is unknown, policies and
    the gate see only the resources that it depends on.

    Attributes:
        given: The value that the program passed.
    """

    def __init__(self, given: pulumi.Output[str]) -> None:
        self.given = given
        value: Any = given.future(with_unknowns=True)
        super().__init__(_sources_of(given), value, given.is_known(), given.is_secret())


async def _sources_of(id_: pulumi.Output[str]) -> set[pulumi.Resource]:
    return {one for one in await id_.resources() if vars(one).get("id") is id_}


def _ordered_after(opts: pulumi.ResourceOptions, props: Mapping[str, Any]) -> None:
    """Make a resource depend on the resources from which its given ids are computed."""
    for given in (one.given for one in props.values() if isinstance(one, _GivenId)):
        # The SDK waits for the resources of each output in this list; the output's value does not matter.
        waiting: Any = given.apply(lambda _: None)
        opts.depends_on = [*_listed(opts.depends_on), waiting]


def _listed(named: Any) -> Any:
    return [] if named is None else named if isinstance(named, list | tuple) else [named]


def child_options(opts: pulumi.ResourceOptions | None, container: Any) -> pulumi.ResourceOptions:
    """Return the program's options, completed for a resource that belongs to a container."""
    options = pulumi.ResourceOptions() if opts is None else pulumi.ResourceOptions.merge(None, opts)
    if isinstance(container, pulumi.CustomResource) and options.id is None:
        options.provider = options.provider or container.get_provider(CONTAINER)
        if deletes_children_with_container(options.provider) and not getattr(
            container, "outlives_stack", False
        ):
            options.deleted_with = options.deleted_with or container
    return options


def deletes_children_with_container(provider: pulumi.ProviderResource | None) -> bool:
    """
    Return whether children are deleted with their container and not one by one.

    This saves requests, but has a risk: the engine removes such children from the state as soon as it plans the
    container's deletion. If the container is then kept, or its deletion fails, the children still exist at STACKS, but
    no state contains them.

    Raises:
        ConfigError: The setting is malformed.
    """
    own = getattr(provider, "delete_children_with_container", None)
    if own is not None:
        return bool(own)
    try:
        return flag(
            "deleteChildrenWithContainer", pulumi.Config(NAMESPACE).get("deleteChildrenWithContainer")
        )
    except ConfigError as error:
        # The error is raised in the user's program, where only the message helps, not a traceback through this package.
        raise shown_alone(error) from None


def container_id(value: Any) -> str:
    """Return a container's id: any string without a slash, because only the API knows the exact form."""
    text = _validators.segment(value)
    if "/" in text:
        msg = f"{text!r} is not a container's id; a valid id looks like usr-abc12345-web"
        raise ValueError(msg)
    return text


def child_id(container: str, own: str) -> str:
    return f"{container}/{own}"


def parent_id(id_: str) -> str:
    """Return the container's id from a child's id."""
    return id_.partition("/")[0]


def own_name(id_: str) -> str:
    """Return the part after the container's id; like a name, it may contain slashes."""
    return id_.partition("/")[2]


PARENT_IN_PROGRAM: Final = "container_in_program"
"""The extra input that contains what the program knows about a child's container."""


class ParentInProgram(msgspec.Struct, frozen=True):
    """
    A child's container, as the program declares it.

    A child's inputs contain only the container's id, which is unknown at the preview of a new stack. The program knows
    more: the template, and whether external access is on. One extra input passes this knowledge to `check`, which
    does not return it, so it is not stored in the state.

    Attributes:
        facts: The known arguments of the Container by name; an unset argument is missing.
        is_new: Whether this operation creates the container.
    """

    facts: Mapping[str, Any]
    is_new: bool

    @classmethod
    def of(cls, news: Mapping[str, Any], adopt: str = "never") -> ParentInProgram:
        """
        Return the content of the extra input, with no facts if it is missing or partly unknown. `adopt` is the
        stack's setting.
        """
        facts = plain(news.get(PARENT_IN_PROGRAM))
        if not isinstance(facts, Mapping) or is_unknown(dict(facts)):
            return cls({}, is_new=False)
        container = news.get("source", news.get("container"))
        # At preview, the id of a container that the program only looks up is unknown as well.
        is_new = is_unknown(container) and not facts.get("exists")
        return cls({"adopt": adopt, **without_none(facts)}, is_new)

    @property
    def template(self) -> str:
        """The container's template; empty if a look-up did not find the container."""
        return str(self.facts.get("template", ""))

    @property
    def is_stopped(self) -> bool:
        """Whether the program keeps the container stopped."""
        return self.facts.get("desired_status") == "stopped"

    @property
    def is_closed(self) -> bool:
        """Whether external access is certainly off, because the program turns it off or the container is new."""
        wanted = self.facts.get("external_access")
        adopted = self.facts.get("adopt") == "if_matching"
        return wanted is False or (wanted is None and self.is_new and not adopted)


def stated(container: Any, **more: Any) -> dict[str, pulumi.Input[Any]]:
    """Return the extra input for a child of this container; empty if the program passed only an id."""
    # On an Output, reading the attribute would create a new Output, whose evaluation fails in the program.
    facts = getattr(container, "in_program", None) if isinstance(container, pulumi.Resource) else None
    return {PARENT_IN_PROGRAM: {**facts, **more}} if isinstance(facts, Mapping) else {}


_INT: Final = re.compile(r"\bint\b")


class StacksResource(dynamic.Resource):
    """
    The base class of all resource classes.

    The SDK derives the type of a class from the class arguments `module` and `name`. Here, a subclass always has the
    type of its parent, so that policies, prices and later versions recognise it. Up to version 0.2, a subclass with
    different arguments (`class Database(Container, module="acme", name="Database")`) had a different type. That type
    becomes an alias, so that the engine finds the resource in the state. The type of the native plugin is an alias too,
    so that a program can continue with the plugin's state.
    """

    origin: pulumi.Output[str | None]
    """
    A partial digest of the API key that last changed the resource, and a random number that each creation generates.
    """

    _module_and_name: ClassVar[tuple[str, str]]
    _former_type: ClassVar[str | None] = None
    _delete_first: ClassVar[bool] = False
    """Whether a replacement always deletes the old object first, because the object's name can exist only once."""
    is_awaited: bool = False
    """Whether another resource of this package has this resource in `depends_on` or as its parent."""

    def __init__(
        self,
        resource_name: str,
        props: Mapping[str, Any],
        opts: pulumi.ResourceOptions | None,
    ) -> None:
        # Imported here, because the hosts import the resources.
        from stacks_pulumi import provider_for  # noqa: PLC0415

        check_stored_key()
        if opts is not None and opts.import_ is not None:
            # Without this check the SDK fails with a KeyError, because the engine sends no provider with an import.
            remedy = 'write adopt="if_matching" instead' if "adopt" in props else "remove it"
            msg = f"{resource_name!r} has the option import_, but Pulumi cannot import dynamic resources: {remedy}"
            raise shown_alone(ConfigError(msg, code="no-import"))
        types = [f"{NATIVE}{self._module_and_name[1]}", *([self._former_type] if self._former_type else [])]
        aliases = [_alias(type_, resource_name, opts) for type_ in types]
        provider = provider_for(self._module_and_name[1])
        outputs = provider.handler.outputs
        container, *own = provider.handler.unique or ("",)
        if own and (opts is None or opts.id is None):
            self._declare_once(props[container], props[own[0]], resource_name, opts)
        # Some SDKs lose the provider's own marks for secrets.
        secrets = [output.name for output in outputs if output.secret]
        ours = pulumi.ResourceOptions(aliases=aliases, additional_secret_outputs=secrets)
        opts = ours if opts is None else pulumi.ResourceOptions.merge(opts, ours)
        _mark_awaited(opts)
        if "adopt" in props:
            opts = _replaced_delete_first(
                opts, "if_matching" if self._delete_first else props["adopt"], self._type_token()
            )
        # For each property the SDK creates an output, which is a task. An unset input that is not an output needs no
        # task.
        kept = {*_outputs_of(type(self)), ADOPTS}  # type: ignore[arg-type]  # mypy treats a class as not hashable
        shown = {name: value for name, value in props.items() if value is not None or name in kept}
        none_yet = dict.fromkeys([output.name for output in outputs] + [ORIGIN])
        super().__init__(provider, resource_name, {**none_yet, **shown}, opts)
        for name in secrets:
            if name in vars(self):
                # At preview, the engine marks only known values as secret, but an update plan treats a secret and a
                # plain value as different.
                setattr(self, name, pulumi.Output.secret(vars(self)[name]))

    def _declare_once(
        self, container: Any, own: Any, resource_name: str, opts: pulumi.ResourceOptions | None
    ) -> None:
        """
        Refuse a second child for the same object, if the program passes a constant name and the same container.

        The provider's `check` compares all children, but the engine does not call it for resources outside of
        `--target`.
        """
        if isinstance(own, str | int | float):
            provider = provider_in_options(opts, self._type_token())
            id_ = container.given if isinstance(container, _GivenId) else container
            _declaration(self._module_and_name[1], resource_name, provider, id_)(str(own))

    @classmethod
    def _type_token(cls) -> str:
        return "pulumi-python:dynamic/{}:{}".format(*cls._module_and_name)

    def __init_subclass__(cls, module: str = "", name: str = "", **kwargs: Any) -> None:
        if not hasattr(cls, "_module_and_name"):
            if not name:
                # This is an abstract base class, which no program declares.
                super().__init_subclass__(**kwargs)
                return
            cls._module_and_name = (module, name)
        elif name and (module, name) != cls._module_and_name:
            cls._former_type = f"pulumi-python:dynamic{module and f'/{module}'}:{name}"
        own_module, own_name = cls._module_and_name
        super().__init_subclass__(module=own_module, name=own_name, **kwargs)


class Child(StacksResource):
    """A resource that belongs to a container."""

    container_created_at: pulumi.Output[str | None]
    """Creation time of its container, ISO 8601; unset if the resource's own id is unique."""

    def __init__(
        self,
        resource_name: str,
        props: Mapping[str, Any],
        opts: pulumi.ResourceOptions | None,
        *,
        container: Any,
        facts: Mapping[str, Any] | None = None,
    ) -> None:
        options = child_options(opts, container)
        _ordered_after(options, props)
        super().__init__(
            resource_name,
            {**props, CONTAINER_CREATED_AT: None, **stated(container, **(facts or {}))},
            options,
        )


@functools.cache
def _outputs_of(resource: type) -> frozenset[str]:
    """
    Return the names of a class's outputs.

    For each resource, the SDK reads the types of the outputs, but needs them only to convert numbers to `int`. So after
    the first resource, the class has only the types of integer outputs, and the SDK reads them five times as fast.
    """
    own = inspect.get_annotations(resource)
    names = frozenset(own).union(*map(_outputs_of, resource.__bases__))
    if "_module_and_name" in vars(resource):
        resource.__annotations__ = {name: type_ for name, type_ in own.items() if _INT.search(str(type_))}
        resource.__annotations__ = inspect.get_annotations(resource, eval_str=True)
    return names


def _alias(type_: str, resource_name: str, opts: pulumi.ResourceOptions | None) -> str | pulumi.Alias:
    """
    Return an alias with a different type. It contains the known URN, because otherwise the SDK would create twelve
    outputs, each with a task.
    """
    if opts is not None and opts.parent is not None:
        return pulumi.Alias(type_=type_)
    return f"urn:pulumi:{pulumi.get_stack()}::{pulumi.get_project()}::{type_}::{resource_name}"


def _mark_awaited(opts: pulumi.ResourceOptions | None) -> None:
    """Mark the resources that these options name in `depends_on` or as the parent."""
    named: Any = None if opts is None else opts.depends_on
    for other in (*_listed(named), opts and opts.parent):
        if isinstance(other, StacksResource):
            other.is_awaited = True


def _replaced_delete_first(
    opts: pulumi.ResourceOptions | None, adopt: pulumi.Input[str] | None, type_: str
) -> pulumi.ResourceOptions | None:
    """
    Return the options. If adoption is allowed, a replacement deletes the old object first, unless the program sets the
    order.

    For `pulumi up --replace`, the engine does not call `diff`, and creates the new resource first, which would then
    adopt the old object.
    """
    if opts is not None and (opts.id is not None or opts.delete_before_replace is not None):
        return opts
    if adopt_mode(adopt, provider_in_options(opts, type_)) != "if_matching":
        return opts
    return pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(delete_before_replace=True))


def adopt_mode(adopt: pulumi.Input[str] | None, provider: pulumi.ProviderResource | None) -> object:
    """Return the `adopt` setting of a resource, or else of its account; `None` if neither sets it."""
    if adopt is not None:
        return adopt
    return pulumi.Config(NAMESPACE).get("adopt") if provider is None else getattr(provider, "adopt", None)


# --- does the program declare an object twice? ---

_PACKAGE: Final = "pulumi-python"

# There is one entry for each run: with the Automation API one process runs several programs, each with its own root.
_runs: Final[weakref.WeakKeyDictionary[pulumi.Resource, dict[Any, str]]] = weakref.WeakKeyDictionary()


def provider_in_options(opts: pulumi.ResourceOptions | None, type_: str) -> pulumi.ProviderResource | None:
    """Return the explicit provider that these options or the parent set; `None` if neither sets one."""
    if opts is None:
        return None
    if isinstance(opts.provider, pulumi.ProviderResource):
        return opts.provider
    given: Any = opts.providers or {}
    providers = given.values() if isinstance(given, Mapping) else given
    for provider in providers:
        if provider.package == _PACKAGE:
            return cast("pulumi.ProviderResource", provider)
    return None if opts.parent is None else opts.parent.get_provider(type_)


def has_name_pattern(provider: pulumi.ProviderResource | None) -> bool:
    """Return whether a pattern applies to default names; then only the provider knows the names."""
    if provider is None:
        return pulumi.Config(NAMESPACE).get("namePattern") is not None
    return getattr(provider, "name_pattern", None) is not None


def declare_container_name(
    name: pulumi.Input[str], resource_name: str, provider: pulumi.ProviderResource | None
) -> pulumi.Input[str]:
    """
    Return a container's name, and refuse a second resource with the same name as soon as the name is known.

    The provider's `check` compares names too, but the engine does not call it for resources outside of `--target`.
    """
    declare = _declaration("Container", resource_name, provider)
    if isinstance(name, str):
        return declare(name)
    output: pulumi.Output[str] = pulumi.Output.from_input(name)
    return output.apply(declare)


def _declaration(
    kind: str, resource_name: str, provider: pulumi.ProviderResource | None, container: object = None
) -> Callable[[str], str]:
    """
    Return a function that records the name of an object, refuses a second object of that name, and returns the name.
    """
    root, declared = get_root_resource(), None
    # Tests with mocks declare the same names repeatedly under one root.
    if root is not None and not isinstance(get_monitor(), MockMonitor):
        declared = _runs.setdefault(root, {})

    def declare(name: str) -> str:
        if declared is not None:
            key = (provider, kind, container, name.lower())
            # Two resources may have the same resource name if their parents differ.
            if key in declared:
                both = f"{declared[key]!r} and {resource_name!r}"
                msg = f"two resources declare the same {kind} ({name}): {both}. Change or remove one of them"
                raise shown_alone(ConfigError(msg, code="declared-twice"))
            declared[key] = resource_name
        return name

    return declare
