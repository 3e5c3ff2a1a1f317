"""Container: one container, from its creation to its deletion. Changes that would destroy it are refused."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar, Final

import pulumi

from stacks_pulumi import catalog
from stacks_pulumi._identifiers import as_time, same_name, seconds_between
from stacks_pulumi.api import models
from stacks_pulumi.api.containers import CLOCKS_APART
from stacks_pulumi.config import ADOPT_MODES, AccountSettings
from stacks_pulumi.errors import (
    BadRequestError,
    ConfigError,
    ConflictError,
    ExistsError,
    NoCapacityError,
    NotFoundError,
    SpendingCapError,
    StacksError,
    VanishedError,
    WaitError,
    WaitTimeoutError,
)
from stacks_pulumi.pricing.recognition import ADOPTS, CONTAINER, UNFINISHED, is_unknown
from stacks_pulumi.resources import _validators
from stacks_pulumi.resources._container_changes import (
    differences_to,
    of_unknown,
    replacement_needed,
    resized_outside,
)
from stacks_pulumi.resources._container_lifecycle import (
    OUTPUTS,
    STATUS_ERROR,
    STATUS_RUNNING,
    STATUS_STOPPED,
    TAKEN,
    Lifecycle,
    outputs,
)
from stacks_pulumi.resources._creation import Creation, adopts
from stacks_pulumi.resources._fields import Field, OnChange, changed, changed_outside
from stacks_pulumi.resources._handler import LOOKED_UP, ResourceHandler, lookup_options
from stacks_pulumi.resources._identity import REQUESTED_AT
from stacks_pulumi.resources._literals import AdoptMode, DesiredStatus, Plan, StorageTier, Template
from stacks_pulumi.resources._naming import DEFAULT_NAME, NAME_PATTERN, how_to_rename, named
from stacks_pulumi.resources._operation import Checked, EngineCall, Operation, reason_of
from stacks_pulumi.resources._owners import OWNERS
from stacks_pulumi.resources._preview_total import show_in_preview
from stacks_pulumi.resources._resource import (
    ParentInProgram,
    StacksResource,
    adopt_mode,
    declare_container_name,
    has_name_pattern,
    provider_in_options,
)
from stacks_pulumi.resources._restarts import EXPECTED
from stacks_pulumi.resources._session import Session, session_for
from stacks_pulumi.resources._stored import is_from_state
from stacks_pulumi.resources._values import UNKNOWN, plain, without_none


class Container(StacksResource, module="stacks", name="Container"):
    """
    A container (guide, "Create Container"). It is identified by its id and its creation time.

    `name`, `template`, `plan` and `additional_storage_tier` cannot change in place, because the API does not let keys
    change them. A preview refuses such a change unless `replace_on_change` is true: a replacement destroys the
    container with all its data and backups.
    """

    name: pulumi.Output[str]
    """The container's name at STACKS."""
    template: pulumi.Output[str]
    """Template id."""
    plan: pulumi.Output[str | None]
    """Plan; unset for `stacks-vpn`, which has a separate price tier."""
    additional_storage_tier: pulumi.Output[int | None]
    """Additional storage tier."""
    monthly_price_usd: pulumi.Output[float | None]
    """List price for a full month in US dollars, known at preview; unset if the catalogue does not contain it."""
    desired_status: pulumi.Output[str | None]
    """`running` or `stopped`; unset if this program does not manage the status."""
    external_access: pulumi.Output[bool | None]
    """Whether the container can be reached from outside; unset if this program does not manage external access."""
    status: pulumi.Output[str]
    """The status that the API reports, for instance `running`."""
    internal_host: pulumi.Output[str]
    """Host name inside the account's network."""
    ip_address: pulumi.Output[str | None]
    """IP address inside the account's network."""
    cpu: pulumi.Output[float | None]
    """Virtual CPUs."""
    memory_mb: pulumi.Output[int | None]
    """Memory in MB."""
    storage_mb: pulumi.Output[int | None]
    """Storage in MB."""
    port: pulumi.Output[int | None]
    """Port on the public host that is forwarded to the container."""
    ssh_user: pulumi.Output[str | None]
    """User name for SSH."""
    ssh_host: pulumi.Output[str | None]
    """Host name for SSH."""
    ssh_port: pulumi.Output[int | None]
    """Port for SSH at `ssh_host`."""
    has_ssh_access: pulumi.Output[bool | None]
    """Whether users can log in by SSH."""
    has_web_ui: pulumi.Output[bool | None]
    """Whether the container has a web interface."""
    vpc_network: pulumi.Output[str | None]
    """The account's network."""
    version: pulumi.Output[str | None]
    """Version of the template's software."""
    version_major: pulumi.Output[str | None]
    """Major version of the template's software."""
    image_tag: pulumi.Output[str | None]
    """Image that the container runs."""
    created_at: pulumi.Output[str | None]
    """When it was created, ISO 8601."""
    url: pulumi.Output[str | None]
    """Public host name while `external_access` is true."""
    subdomain: pulumi.Output[str | None]
    """The part of `url` that the API chose."""

    def __init__(
        self,
        resource_name: str,
        opts: pulumi.ResourceOptions | None = None,
        *,
        template: Template,
        name: pulumi.Input[str] | None = None,
        plan: Plan | None = None,
        additional_storage_tier: StorageTier | None = None,
        discount_code: pulumi.Input[str] | None = None,
        desired_status: DesiredStatus | None = None,
        external_access: pulumi.Input[bool] | None = None,
        restart_triggers: pulumi.Input[Sequence[pulumi.Input[Any]]] | None = None,
        replace_on_change: pulumi.Input[bool] | None = None,
        adopt: AdoptMode | None = None,
    ) -> None:
        """
        Declare a container.

        Args:
            resource_name: Name in the program; also the container's name unless `name` is given. `stacks:namePattern`,
                if set, applies to that default name.
            opts: Pulumi's options. Use `protect=True` for a container that holds data. `custom_timeouts` limits the
                wait until the container runs (default 10 minutes).
            template: Template id, for instance `postgresql` (guide, "Available Templates").
            name: 3 to 32 letters, digits and hyphens.
            plan: `micro`, `basic`, `standard` or `premium`. Default: `micro` for a `-micro` template, otherwise
                `basic`. The template `stacks-vpn` has no plan.
            additional_storage_tier: 1 (32 GB), 3 (64 GB) or 5 (128 GB); not available for micro containers and
                databases.
            discount_code: A promotional code; only used when the container is created.
            desired_status: `running` or `stopped`. Unset: not managed.
            external_access: True or false. Unset: not managed.
            restart_triggers: The container is restarted when any value in this list changes.
            replace_on_change: Allow a change of name, template, plan or storage to destroy the container and create a
                new, empty one.
            adopt: `never` (default) or `if_matching`: adopt an existing container of the same name if its template,
                plan (given or default) and storage (if given) match.
        """
        is_lookup = opts is not None and opts.id is not None
        provider = provider_in_options(opts, CONTAINER)
        by_default: dict[str, pulumi.Input[Any]] = {}
        shaped = False
        if not is_lookup:
            if name is None:
                name, shaped = resource_name, has_name_pattern(provider)
                by_default = {DEFAULT_NAME: {"organization": pulumi.get_organization()}}
            if not shaped:
                name = declare_container_name(name, resource_name, provider)
        super().__init__(
            resource_name,
            {
                "name": name,
                "template": template,
                "plan": plan,
                "additional_storage_tier": additional_storage_tier,
                "discount_code": discount_code,
                "desired_status": desired_status,
                "external_access": external_access,
                "restart_triggers": restart_triggers,
                "replace_on_change": replace_on_change,
                "adopt": adopt,
                # Each output costs the SDK a task, so only a program that may adopt has this output.
                **({} if is_lookup or adopt_mode(adopt, provider) is None else {ADOPTS: None}),
                **by_default,
            },
            opts,
        )
        if shaped:
            # For a container that is older than the pattern, only the provider knows the name.
            self.name.apply(lambda known: declare_container_name(known, resource_name, provider))
        self.in_program: Mapping[str, pulumi.Input[Any]] = (
            {"template": self.template, "exists": True}
            if is_lookup
            else {
                "template": template,
                "external_access": external_access,
                "desired_status": desired_status,
                "adopt": adopt,
            }
        )
        """The container's arguments in the program, for the checks of its child resources."""
        self.connections_in_program: dict[str, str] = {}
        """The declared connections whose source is this container: name -> name of the target in the program."""
        self.outlives_stack = is_lookup or (opts is not None and bool(opts.retain_on_delete))
        """Whether the container stays when the stack is destroyed; then its children must be deleted one by one."""
        show_in_preview(self, vars(self).get(ADOPTS), is_lookup=is_lookup)

    @staticmethod
    def get(
        resource_name: str, id: pulumi.Input[str], opts: pulumi.ResourceOptions | None = None
    ) -> Container:
        """
        Look up a container that this program does not manage; it is never changed or deleted.

        Args:
            resource_name: Name in the program.
            id: The container's id, for instance `usr-abc12345-web`.
            opts: Pulumi's options.
        """
        return Container(resource_name, lookup_options(id, opts), template=LOOKED_UP)


_PATIENCE: Final = 120.0
"""
Seconds for which a rollback is retried: longer than a boot takes, and longer than a new container may be invisible.
"""
_PAUSE: Final = 2.0


class ContainerCreation(Creation[models.Container]):
    """The creation of a container: POST, wait until the container runs, then set its status and external access."""

    kind: ClassVar = "Container"
    leaves_nothing: ClassVar = (VanishedError, ExistsError)
    _since: float | None = None
    """The time of the create request, by the API's clock."""

    def under_way(self) -> contextlib.AbstractContextManager[None]:
        """Record that connections to the container may follow."""
        return EXPECTED.creating(self.op.label)

    @property
    def _lifecycle(self) -> Lifecycle:
        return Lifecycle(self.session, self.op)

    def create(self) -> models.Container:
        """
        Create the container. A known spending cap of the key is checked first.

        Raises:
            ExistsError: The account has a container of that name.
            SpendingCapError: The price would exceed the cap.
            NoCapacityError: The account is on the waitlist.
        """
        inputs = self.inputs
        name, tier = inputs["name"], inputs.get("additional_storage_tier")
        price = catalog.monthly_price(inputs["template"], inputs.get("plan"), tier)
        self.session.waitlist.admit(name)
        # A promotional code may lower the price, so only the API can decide.
        self.session.spending.admit(name, None if inputs.get("discount_code") else price)
        self.op.progress("creating" if price is None else f"${price:.2f} a month")
        client, clock = self.session.client, self.session.clock
        begun = clock.now()
        try:
            made = client.containers.create(
                name=name,
                template=inputs["template"],
                plan=inputs.get("plan"),
                additional_storage_tier=tier,
                discount_code=inputs.get("discount_code"),
                pulse=self.op.check_active,
                on_held=lambda left: self.op.progress(f"the name is reserved for {left:.0f} s more"),
                deadline=self.op.deadline,
                warn=self.op.warn,
            )
        except SpendingCapError as error:
            raise self.session.spending.learn(name, price, error) from None
        except NoCapacityError as error:
            raise self.session.waitlist.join(name, error) from None
        now = client.containers.server_now()
        self._since = None if now is None else now - (clock.now() - begun)
        return made

    def id_of(self, thing: models.Container) -> str:
        """Return the container's id."""
        return thing.id

    def finish(self, thing: models.Container) -> dict[str, Any]:
        """Wait until the container is running, then set its status and external access as in the program."""
        if not self.adopted or not thing.settled:
            since = None if self.adopted else self._since or 0.0
            thing = self._lifecycle.wait_until_created(thing, since)
        else:
            # Without a creation time in the state, a later container with this name would be treated as this one.
            thing = self._lifecycle.with_time(thing)
        if not self.adopted:
            self.session.fresh.add(thing.id)
        return self._lifecycle.settle(thing, TAKEN if self.adopted else {}, self.inputs, new=not self.adopted)

    def known(self, thing: models.Container, error: Exception | None) -> dict[str, Any]:
        """Return the outputs from the create response, with the last known status and the creation time from a list."""
        outs = outputs(thing, TAKEN if self.adopted else {}, self.inputs, None)
        if not self.adopted:
            # The time in the response is provisional, so it is left out. The first refresh or update stores the final
            # time.
            outs.pop("created_at", None)
            seen = self.session.client.feed.seen(self.id_of(thing))
            # Send no request here: the creation may have failed because the API does not answer list requests.
            if (created_at := None if seen is None else seen.created_at) is not None:
                outs["created_at"] = created_at
            else:
                outs[REQUESTED_AT] = as_time(self._since or self.session.clock.wall())
        if error is not None:
            outs[UNFINISHED] = True
        if isinstance(error, WaitError) and error.last_state is not None:
            outs["status"] = error.last_state
        return outs

    def describe_failure(self, thing: models.Container, error: StacksError) -> str:
        """Return the message: why the container is not ready, with the end of its log."""
        unseen = not self.adopted and self.session.client.feed.seen(self.id_of(thing)) is None
        if unseen and isinstance(error, WaitTimeoutError) and error.last_state is None:
            return (
                f'container "{self.inputs["name"]}" ({self.id_of(thing)}) was requested, but after '
                f"{error.elapsed:.0f} s it was still neither listed nor found by its id: it may not be visible yet. "
                "Its id is in the state, and it may be billed: `pulumi up` looks for it again"
            )
        done = "adopted" if self.adopted else "created"
        again = "waits for it again" if isinstance(error, WaitTimeoutError) else "tries to start it again"
        why = reason_of(error, "create")
        return (
            f'container "{self.inputs["name"]}" ({self.id_of(thing)}) was {done} but is not ready: {why}. '
            f"{self._lifecycle.last_log_lines(self.id_of(thing))}It is in the state and it is billed: `pulumi up` "
            f"{again}. To delete only this container, remove it from the program"
        )

    def describe(self, thing: models.Container) -> str:
        """Return the name, id, template and creation time, which help the user to find the owner."""
        made = f", created at {thing.created_at}" if thing.created_at else ""
        return f'the container "{thing.name or self.inputs["name"]}" ({thing.id}, {thing.template}{made})'

    def differences(self, thing: models.Container) -> Sequence[str]:
        """Return the differences from the program in template, plan and storage."""
        template = self.inputs["template"]
        if thing.template != template:
            thing = self._lifecycle.with_template(thing)
        return differences_to(self.inputs, thing)

    def what_to_do(self) -> str:
        """Return instructions: find the owner, choose a different name, or adopt the container."""
        pattern = self.inputs.get(NAME_PATTERN)
        # Whether the pattern did not apply, because the program sets the name itself, perhaps to the resource's name.
        is_written = pattern is None and self.session.settings.name_pattern is not None
        by_default = pattern is not None or (self.inputs["name"] == self.op.label and not is_written)
        avoid = how_to_rename(pattern, self.session.settings.account, by_default=by_default)
        if is_written:
            avoid = f"leave `name` out of the program, so that the name pattern applies, or {avoid}"
        return (
            f"`stacks-pulumi account` shows which stack owns it. If another stack owns it, {avoid}. If no stack owns "
            "it (it is from an interrupted or waitlisted `up` of this stack, or created by hand), adopt it: write "
            f"{self.adopting()}. This stack then changes it, and `pulumi destroy` deletes it with its data, even if "
            "another stack manages it too."
        )

    def roll_back(self, thing: models.Container) -> None:
        """Delete the new container. While it boots, the API may refuse this, or may not find the container yet."""
        clock, containers = self.session.clock, self.session.client.containers
        until = clock.now() + _PATIENCE
        while True:
            unseen = f"it was neither listed nor found by its id, and the API finds no {thing.id} to delete"
            failed = StacksError(unseen, code="outcome-unknown")
            try:
                if containers.delete(thing.id, thing.name):
                    break
            except NotFoundError:
                pass  # A 404 proves nothing: the container may not be visible yet.
            except (BadRequestError, ConflictError) as error:
                failed = error
            if clock.now() >= until:
                raise failed
            clock.sleep(_PAUSE)
        self._name_late_twin(thing)

    def _name_late_twin(self, thing: models.Container) -> None:
        """
        Report a second container of this name: a repeated request has created it late, or the response did not contain
        its id.
        """
        with contextlib.suppress(StacksError):
            for row in self.session.client.feed.snapshot():
                # The time in the answer is provisional.
                between = seconds_between(thing.created_at, row.created_at)
                is_deleted = row.id == thing.id and (between is None or abs(between) <= CLOCKS_APART)
                if same_name(row.name, self.inputs["name"]) and not is_deleted:
                    self.op.report(
                        f"{thing.id} was created and deleted. Now {self.describe(row)} exists; the same request may "
                        "have created it. No state contains it: delete it in the dashboard if it is not needed",
                        "outcome-unknown",
                    )


class ContainerHandler(ResourceHandler):
    """Check, create, read, diff, update and delete a container."""

    kind: ClassVar = "Container"
    creation: ClassVar = ContainerCreation
    id_form: ClassVar = "usr-abc12345-web"
    fields: ClassVar = (
        Field("name", _validators.container_name, OnChange.REFUSED, required=True),
        Field("template", _validators.text, OnChange.REFUSED, required=True),
        Field("plan", _validators.text, OnChange.REFUSED),
        Field("additional_storage_tier", _validators.storage_tier, OnChange.REFUSED),
        Field("discount_code", _validators.text, OnChange.NONE),
        Field("desired_status", _validators.one_of((STATUS_RUNNING, STATUS_STOPPED)), OnChange.UPDATE),
        Field("external_access", _validators.boolean, OnChange.UPDATE),
        Field("restart_triggers", _validators.strings, OnChange.UPDATE),
        Field("replace_on_change", _validators.boolean, OnChange.NONE),
        Field("adopt", _validators.one_of(ADOPT_MODES), OnChange.NONE),
        Field(NAME_PATTERN, _validators.text, OnChange.NONE, noted=True),
        Field(ADOPTS, _validators.text, OnChange.NONE, noted=True),
    )
    outputs: ClassVar = OUTPUTS
    unique: ClassVar = ("name",)

    def check(self, call: EngineCall, olds: dict[str, Any], news: dict[str, Any]) -> Checked:
        """Set the container's name, and validate the inputs."""
        settings = self._settings
        if isinstance(settings, ConfigError):
            return super().check(call, olds, news)
        own = self._guarded(lambda: named(settings.name_pattern, call.urn, plain(olds), plain(news)), call)
        return super().check(call, olds, {**news, **own, ADOPTS: None})

    def rules(
        self, olds: Mapping[str, Any], inputs: Mapping[str, Any], parent: ParentInProgram
    ) -> Iterable[tuple[str, str]]:
        """Check the combinations of inputs that the guide excludes."""
        template, plan = _known(inputs, "template"), _known(inputs, "plan")
        if plan is not None and template == catalog.VPN_TEMPLATE:
            price = catalog.monthly_price(catalog.VPN_TEMPLATE, None)
            msg = f"{template} is a separate tier (${price}/month) without plans: remove `plan`"
            yield "plan", msg
        if inputs.get("additional_storage_tier") is not None and template is not None:
            if catalog.is_database(template):
                msg = f"a database ({template}) cannot have additional storage: remove it"
                yield "additional_storage_tier", msg
            elif not is_unknown(inputs.get("plan")) and catalog.is_micro(template, plan):
                msg = "a micro container cannot have additional storage: remove it, or use the plan basic or above"
                yield "additional_storage_tier", msg
        if not olds:
            yield from _of_other_tier(inputs)

    def warnings(self, olds: Mapping[str, Any], inputs: Mapping[str, Any]) -> Iterable[str]:
        """Warn about names that are not in the catalogue, and about changes that only `up` can check."""
        template, plan = _known(inputs, "template"), _known(inputs, "plan")
        if template is not None and template not in catalog.TEMPLATES:
            yield _validators.unknown_word(template, catalog.TEMPLATES, "template")
        if plan is not None and template != catalog.VPN_TEMPLATE and plan not in catalog.PLANS:
            yield _validators.unknown_word(plan, catalog.PLANS, "plan")
        if not olds:
            if plan == "micro" and template is not None and catalog.of_other_tier(template, plan):
                yield f"the guide does not list the plan micro for the template {template}: the API may refuse it"
            return
        for field in self._refused():
            # An unknown value differs from every other value.
            if is_unknown(inputs.get(field.name)):
                yield of_unknown(field.name, olds.get(field.name), inputs)

    def complete(
        self, settings: AccountSettings, call: EngineCall, olds: Mapping[str, Any], inputs: dict[str, Any]
    ) -> None:
        """
        Add the id of the container that a creation will adopt: that container is billed already, so the total price
        does not rise. Show the price if it is new or has changed; a preview shows this line too.
        """
        id_ = _to_adopt(settings, call, inputs) if not olds and adopts(settings, inputs) else None
        inputs.update({} if id_ is None else {ADOPTS: id_})
        old, new = olds.get("monthly_price_usd"), inputs.get("monthly_price_usd")
        if new is None or new == old or is_unknown(new):
            return
        name = _known(inputs, "name") or "(a name that is not known yet)"
        if id_ is not None:
            call.status(f"{name}: adopts {id_}, billed already: ${new:.2f} a month")
        else:
            was = "" if old is None or is_from_state(old) else f"${old:.2f} -> "
            call.status(f"{name}: {was}${new:.2f} a month")

    def guards(self, olds: Mapping[str, Any], inputs: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
        """Refuse a change that would destroy the container, unless the program opts in."""
        if not olds:
            return
        wanted = {**inputs, **self.derived(inputs)}
        for field in changed(self._refused(), olds, wanted):
            old, new = olds.get(field.name), wanted.get(field.name)
            if is_unknown(new):
                continue
            if field.name in changed_outside(olds):
                # replace_on_change applies only to changes in the program, but the program did not change.
                yield field.name, resized_outside(field.name, old, new)
            elif inputs.get("replace_on_change") is not True:
                yield field.name, replacement_needed(field.name, old, new)

    def _refused(self) -> Iterator[Field]:
        """Return the fields whose change would destroy the container."""
        return (field for field in self.fields if field.on_change is OnChange.REFUSED)

    def needs_update(self, olds: Mapping[str, Any], news: Mapping[str, Any]) -> bool:
        """Return whether the creation is unfinished, or the container has failed and was not started since."""
        return UNFINISHED in olds or (
            olds.get("status") == STATUS_ERROR and news.get("desired_status") != STATUS_STOPPED
        )

    def replaces(self, field: Field, olds: Mapping[str, Any], news: Mapping[str, Any]) -> bool:
        """
        Replace only with `replace_on_change`. Without it, `guards` refuses the change earlier. There are two
        exceptions: the value is unknown at preview, or the engine calls `diff` to show what a refresh has found.
        """
        return field.on_change is OnChange.REFUSED and news.get("replace_on_change") is True

    def derived(self, inputs: Mapping[str, Any]) -> Mapping[str, Any]:
        """
        Return the price, and the plan that is sent if the program sets none. Both are unknown if an input that they
        depend on is unknown.
        """
        template, tier = _known(inputs, "template"), inputs.get("additional_storage_tier")
        plan = inputs.get("plan") or (template and catalog.default_plan(template))
        price: Any = None
        if any(map(is_unknown, (inputs.get("template"), plan, tier))):
            # If these values were not unknown, an update with `--plan` would refuse the real values.
            plan, price = plan or (UNKNOWN if template is None else None), UNKNOWN
        elif template is not None:
            usd = catalog.monthly_price(template, plan, tier)
            price = None if usd is None else float(usd)
        return without_none({"plan": plan, "monthly_price_usd": price})

    def delete_first(self, olds: Mapping[str, Any], news: Mapping[str, Any]) -> bool:
        """Delete the old container first if the new one has the same name; the API may compare names without case."""
        old, new = olds.get("name"), news.get("name")
        return isinstance(old, str) and isinstance(new, str) and old.lower() == new.lower()

    def imported(self, session: Session, id_: str) -> dict[str, Any]:
        """Add external access to the inputs if it is on, so that the code that an import generates contains it."""
        inputs = super().imported(session, id_)
        with contextlib.suppress(NotFoundError):
            ask = functools.partial(session.client.allowed_ips.list, id_)
            if session.reads.get("allowed_ips", id_, ask=ask).enabled:
                inputs["external_access"] = True
        return inputs

    def on_read(
        self, session: Session, op: Operation, id_: str, olds: dict[str, Any]
    ) -> dict[str, Any] | None:
        """Find the container in the list, which all reads of this operation share."""
        return Lifecycle(session, op).read(id_, olds)

    def on_update(
        self, session: Session, op: Operation, id_: str, olds: dict[str, Any], inputs: dict[str, Any]
    ) -> dict[str, Any]:
        """Set status and external access as in the inputs, and restart if a trigger changed."""
        refused = next(iter(self.guards(olds, inputs)), None)
        if refused is not None:
            raise StacksError(refused[1], code="replacement-refused")
        return Lifecycle(session, op).update(id_, olds, inputs)

    def on_delete(self, session: Session, op: Operation, id_: str, olds: dict[str, Any]) -> None:
        """Delete the container and wait until the deletion is complete, so that its name is free."""
        Lifecycle(session, op).delete(id_, olds)


def _of_other_tier(inputs: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """
    Return the violation if a new container with a micro template has a larger plan. Without this check, the API might
    refuse the plan only after other resources have been created.
    """
    template, plan = _known(inputs, "template"), _known(inputs, "plan")
    if template is None or plan is None or inputs.get("adopt") == "if_matching":
        return
    if catalog.is_micro(template, None) and catalog.of_other_tier(template, plan):
        larger = template.removesuffix("-micro")
        take = f", or use the template {larger}" if larger in catalog.TEMPLATES else ""
        yield (
            "plan",
            f"{template} is a template of the micro tier, not for the plan {plan}: remove `plan`{take}",
        )


def _known(inputs: Mapping[str, Any], name: str) -> str | None:
    value = inputs.get(name)
    return value if isinstance(value, str) and not is_unknown(value) else None


def _to_adopt(settings: AccountSettings, call: EngineCall, inputs: Mapping[str, Any]) -> str | None:
    """
    Return the id of the container that a creation with these inputs will adopt; `None` if no such container is found.

    A preview sends one list request for all containers. Without a response or a key, each container is treated as new,
    which is the worst case. A resource does not adopt its own container, because a replacement destroys that container
    first.
    """
    if None in (_known(inputs, "name"), _known(inputs, "template")):
        return None
    if any(is_unknown(inputs.get(name)) for name in ("plan", "additional_storage_tier")):
        return None
    # With the resource's own `adopt`, the user expects that the container exists; with the stack's setting, it need not
    # exist.
    is_expected = inputs.get("adopt") == "if_matching"
    listed = "there is no API key" if settings.api_key is None else _listed(session_for(settings))
    if isinstance(listed, str):
        if is_expected:
            call.warn(
                f"it is not known whether {inputs['name']!r} will be adopted, so it is treated as a new "
                f"container: {listed}"
            )
        return None
    named = [one for one in listed if one.name is not None and same_name(one.name, inputs["name"])]
    if not named and listed.gap is None and is_expected:
        call.warn(
            f"there is nothing to adopt: the account of this key has no container {inputs['name']!r}, so `up` creates "
            "one, which is billed. If it should exist, check the key"
        )
    if len(named) != 1 or named[0].is_from(inputs["template"]) is None:
        return None
    owner = OWNERS.owner("Container", named[0].id)
    if owner is not None and owner.urn == call.urn:
        return None
    differences = differences_to(inputs, named[0])
    if differences:
        call.warn(
            f"{named[0].id} exists already and differs from the program, according to the list of containers: "
            f"{'; '.join(differences)}"
        )
        return None
    return named[0].id


def _listed(session: Session) -> models.Listing[models.Container] | str:
    """
    Return the account's containers, or the reason why they could not be listed. A preview requests the list only once.
    """

    def ask() -> models.Listing[models.Container] | str:
        try:
            return session.reads.get("containers", ask=session.client.feed.snapshot)
        except StacksError as error:
            return f"the containers could not be listed [{error.code}]"

    return session.reads.get("to adopt", ask=ask)
