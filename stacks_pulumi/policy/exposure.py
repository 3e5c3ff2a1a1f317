"""Rules about who may connect, and which containers must be protected."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from decimal import Decimal

from stacks_pulumi import catalog
from stacks_pulumi.policy.options import NEW_NAMES, Settings, choice, money, names, tag, whole
from stacks_pulumi.policy.rule import Deferred, Finding, NotApplicable, ResourceRule, StackRule, Violation
from stacks_pulumi.policy.spend import up_to
from stacks_pulumi.pricing.money import usd
from stacks_pulumi.pricing.recognition import Unknown
from stacks_pulumi.pricing.views import (
    AllowedIpView,
    BackupRestoreView,
    ChildView,
    ConnectionView,
    ContainerView,
    SshCertificateView,
    StackView,
    VpnClientView,
)

_HOLD_DATA = tuple(name for name, template in catalog.TEMPLATES.items() if template.data)
_TEMPLATES = names(
    "templates", "templates whose containers hold data", _HOLD_DATA, catalogue=catalog.TEMPLATES
)
_MIN_PREFIX = whole("min_prefix", "the shortest IPv4 prefix that is allowed for a database", 32, 32)
_MIN_PREFIX_V6 = whole("min_prefix_v6", "the shortest IPv6 prefix that is allowed for a database", 128, 128)
_TAG = tag("tag", "check only stacks with this tag, such as env=prod; unset for every stack")
# All IPv4 addresses in IPv6 notation.
_MAPPED = ipaddress.IPv6Network("::ffff:0:0/96")
_ANY = tuple(map(ipaddress.ip_address, ("0.0.0.0", "::", "::ffff:0.0.0.0")))  # noqa: S104  (nothing is bound)


def open_allowed_ip(allowed: AllowedIpView, settings: Settings) -> Iterator[Finding]:
    """An AllowedIp allows a network of limited size, and not the entire internet."""
    address, service = allowed.ip_address, allowed.service_type
    if isinstance(service, str) and service in settings.names("open_services"):
        return
    if isinstance(address, Unknown):
        if settings["unknown"] == "defer":
            yield Deferred("ip_address")
        else:
            yield Violation(
                f"allowed address {allowed.name!r} is not known at preview, and this policy denies unknown values. "
                "Write it as a plain value, or set unknown to defer."
            )
        return
    try:
        network = ipaddress.ip_network(address or "", strict=False)
    except ValueError:
        yield Violation(f"allowed address {allowed.name!r} is neither an address nor a network: correct it.")
        return
    version, prefix = _size(network)
    least: int = settings["min_prefix" if version == 4 else "min_prefix_v6"]
    if prefix < least:
        what = "the whole internet" if prefix == 0 else f"an IPv{version} network of /{prefix}"
        yield Violation(
            f"allowed address {allowed.name!r} allows {what}; the widest allowed network is /{least}. List the "
            "networks that need access, or use a VpnClient."
        )


def _size(network: ipaddress.IPv4Network | ipaddress.IPv6Network) -> tuple[int, int]:
    """
    Return the IP version and the prefix length. An IPv4 network in IPv6 notation is treated as IPv4.

    0.0.0.0 without a prefix length is treated as all addresses: no machine has this address, and users often mean all
    addresses.
    """
    if network.network_address in _ANY:
        return 4 if network.version == 4 or network.network_address in _MAPPED else 6, 0
    if isinstance(network, ipaddress.IPv6Network):
        if network.subnet_of(_MAPPED):
            return 4, network.prefixlen - _MAPPED.prefixlen
        if network.supernet_of(_MAPPED):
            return 4, 0
    return network.version, network.prefixlen


_PROTECT = (
    "Add opts=pulumi.ResourceOptions(protect=True), in YAML options: {protect: true}. Pulumi then refuses to delete "
    "the container, except with --ignore-protect."
)

_REVOKE = "Add an AllowedIp with revoke_auto_added=True, in YAML revokeAutoAdded: true."


def _in_scope(settings: Settings) -> bool:
    return settings["tag"] is None or settings.tagged(settings["tag"])


def _elsewhere(settings: Settings) -> NotApplicable:
    return NotApplicable(f"the stack has no tag {settings['tag']}")


def protect_paid(container: ContainerView, settings: Settings) -> Iterator[Finding]:
    """An expensive container is protected, so that it cannot be deleted by mistake."""
    least, price = settings.money("min_usd"), container.price
    if not _in_scope(settings):
        yield _elsewhere(settings)
    elif not container.protect and least is not None and (price.high is None or price.high >= least):
        yield Violation(
            f"container {container.name!r} ({container.kind}) costs {up_to(price)} a month and is not "
            f"protected; from {usd(least)} on, it must be. {_PROTECT}"
        )


def _holds_data(container: ContainerView, settings: Settings) -> str:
    """
    Return a description of a container's data, as the end of a sentence; empty if it contains no data.

    A template that is not in the catalogue may hold data, unless the configuration lists it only in `new_names`.
    """
    template = container.template
    if template is None or isinstance(template, Unknown):
        return "may hold data (template unknown)"
    if template in settings.names("templates"):
        what = catalog.TEMPLATES[template].data if template in catalog.TEMPLATES else ""
        return f"holds data: {what} ({container.kind})" if what else f"holds data ({container.kind})"
    if template in catalog.TEMPLATES or template in settings.names(NEW_NAMES):
        return ""
    return f"may hold data ({container.kind})"


def protect_data(container: ContainerView, settings: Settings) -> Iterator[Finding]:
    """
    A container that holds data is protected, so that it cannot be deleted by mistake. A deletion includes its volumes
    and backups.
    """
    if not _in_scope(settings):
        yield _elsewhere(settings)
    elif container.protect:
        return
    elif isinstance(container.template, Unknown):
        yield Deferred("template")
    elif holds := _holds_data(container, settings):
        yield Violation(
            f"container {container.name!r} {holds} and is not protected: deleting it deletes its volumes and all its "
            f"backups. {_PROTECT}"
        )


def backup_required(stack: StackView, settings: Settings) -> Iterator[Finding]:
    """A container that holds data has a pinned backup."""
    if not _in_scope(settings):
        yield _elsewhere(settings)
        return
    for container in stack.containers:
        holds = _holds_data(container, settings)
        if holds and not any(backup.belongs_to(container) for backup in stack.pinned_backups):
            yield Violation(
                f"container {container.name!r} {holds} and has no pinned backup in this stack. "
                "Add a PinnedBackup for it.",
                container.urn,
            )


def no_restore_over_data(restore: BackupRestoreView, settings: Settings) -> Iterator[Finding]:
    """No restore replaces the data of a container, unless a temporary exemption allows it."""
    if not _in_scope(settings):
        yield _elsewhere(settings)
        return
    yield Violation(
        f"restore {restore.name!r} replaces all data of the backup's container, even if that container is protected, "
        "and a backup's number does not show the container. If you want this restore, exempt it until a day in the "
        "near future. Afterwards, remove the BackupRestore from the program, which does not undo the restore."
    )


def _access(container: ContainerView, stack: StackView) -> str:
    """
    Return `has` or `may have` if a container has, or may have, external access; otherwise nothing.

    If the program does not set external access, it stays unchanged. It is then treated as on in three cases. The
    provider has seen that it is on. Or the stack contains an address for the container, which the API accepts only with
    external access. Or this operation may adopt the container.
    """
    if container.external_access is None:
        listed = any(address.may_belong_to(container) for address in stack.allowed_ips)
        # The account's setting may also cause an adoption; then only the provider's check has reported it.
        may_adopt = container.adopt not in {None, "never"} or container.adopts is not None
        adopted = may_adopt and not isinstance(container.id, str)
        return "may have" if container.open_unmanaged or listed or adopted else ""
    if isinstance(container.external_access, Unknown):
        return "may have"
    return "has" if container.external_access else ""


def no_public_database(stack: StackView, settings: Settings) -> Iterator[Finding]:
    """A container that holds data and is reachable from outside allows only single addresses."""
    if not _in_scope(settings):
        yield _elsewhere(settings)
        return
    for container in stack.containers:
        holds, access = _holds_data(container, settings), _access(container, stack)
        if not (holds and access):
            continue
        what = f"container {container.name!r} {holds}, and {access} external access"
        if not any(address.belongs_to(container) for address in stack.allowed_ips):
            yield Violation(
                f"{what}, and no AllowedIp of this stack limits who may connect. Set external_access to False and use "
                "a Connection or a VpnClient, or add an AllowedIp for one address.",
                container.urn,
            )
        for address in stack.allowed_ips:
            if address.belongs_to(container) and _too_wide(address, settings):
                # A site may be open to visitors, but its other services may not.
                if catalog.is_site(str(container.template)) and address.service_type == "http":
                    continue
                yield Violation(
                    f"{what}, and allowed address {address.name!r} allows more than {_most(settings)}. {_NARROWER}",
                    container.urn,
                )


def _open_elsewhere(child: ChildView, settings: Settings) -> Iterator[Finding]:
    if _in_scope(settings) and isinstance(child, AllowedIpView) and _too_wide(child, settings):
        yield Violation(
            f"allowed address {child.name!r} is for a container that is not known to be in this stack, so the "
            f"container may hold data, and the address allows more than {_most(settings)}. {_NARROWER} "
            f"{_AS_ID} Or declare the address in the stack of the container, or exempt it.",
            child.urn,
        )


_AS_ID = "For a container of this stack, write only its id: x.id, in YAML ${x.id}."
_NARROWER = "Write a narrower address as a plain value, or use a VpnClient."


def _most(settings: Settings) -> str:
    return f"a network of /{settings['min_prefix']} (IPv6: /{settings['min_prefix_v6']}), or its value is not known"


def _too_wide(address: AllowedIpView, settings: Settings) -> bool:
    """Return whether the network is larger than the settings allow; true if it is unknown or malformed."""
    try:
        network = ipaddress.ip_network(
            address.ip_address if isinstance(address.ip_address, str) else "", strict=False
        )
    except ValueError:
        return True
    version, prefix = _size(network)
    least: int = settings["min_prefix" if version == 4 else "min_prefix_v6"]
    return prefix < least


def no_unmanaged_access(stack: StackView, settings: Settings) -> Iterator[Finding]:
    """External access is limited to addresses that the program lists."""
    if not _in_scope(settings):
        yield _elsewhere(settings)
        return
    for container in stack.containers:
        access = _access(container, stack)
        listed = [address for address in stack.allowed_ips if address.belongs_to(container)]
        if not access or any(address.revoke_auto_added is True for address in listed):
            continue
        why = "its AllowedIps keep" if listed else "it has no AllowedIp, so it keeps"
        yield Violation(
            f"container {container.name!r} {access} external access, and {why} the address that the API adds for the "
            f"machine that turned external access on. {_REVOKE}",
            container.urn,
        )


def unmanaged_target(stack: StackView, settings: Settings) -> Iterator[Finding]:
    """
    A resource gives access only to a container of the same stack, because the policies check only these containers.
    """
    del stack
    if not _in_scope(settings):
        yield _elsewhere(settings)


_NOUNS = {
    AllowedIpView: "allowed address",
    VpnClientView: "VPN client",
    ConnectionView: "connection",
    SshCertificateView: "SSH certificate",
}


def _access_elsewhere(child: ChildView, settings: Settings) -> Iterator[Finding]:
    if _in_scope(settings):
        noun = _NOUNS[type(child)]
        yield Violation(
            f"{noun} {child.name!r} gives access to a container that is not known to be in this stack, so no policy "
            f"checks the container. {_AS_ID} Or declare the {noun} in the stack of the container, or exempt it.",
            child.urn,
        )


RULES = (
    ResourceRule(
        "open-allowed-ip",
        "No allowed address opens a container to the whole internet.",
        "mandatory",
        "critical",
        "List the networks that need access, or use a VPN.",
        options=(
            whole(
                "min_prefix",
                "the shortest IPv4 prefix that is allowed: 24 allows at most 256 addresses",
                16,
                32,
            ),
            whole("min_prefix_v6", "the shortest IPv6 prefix that is allowed", 48, 128),
            names(
                "open_services",
                "service types that may be open to the whole internet, such as http for a public site",
                (),
                catalogue=("http", "tcp", "both"),
            ),
            choice(
                "unknown",
                "the action for an unknown address at preview: defer warns, and the update decides",
                "defer",
                "deny",
            ),
        ),
        view=AllowedIpView,
        check=open_allowed_ip,
    ),
    ResourceRule(
        "protect-paid",
        "Expensive containers are protected from deletion by mistake.",
        "advisory",
        "medium",
        _PROTECT,
        options=(
            money("min_usd", "the monthly price from which a container must be protected", Decimal(10)),
            _TAG,
        ),
        view=ContainerView,
        check=protect_paid,
    ),
    ResourceRule(
        "protect-data",
        "Containers that hold data are protected from deletion by mistake.",
        "advisory",
        "high",
        _PROTECT,
        options=(_TEMPLATES, _TAG),
        view=ContainerView,
        check=protect_data,
    ),
    StackRule(
        "backup-required",
        "Containers that hold data have a pinned backup.",
        "advisory",
        "high",
        "Add a PinnedBackup for the container.",
        options=(_TEMPLATES, _TAG),
        check=backup_required,
    ),
    StackRule(
        "no-public-database",
        "Containers that hold data and have external access allow only single addresses; sites may allow all for http.",
        "mandatory",
        "critical",
        "Turn external access off, or narrow its AllowedIps.",
        options=(_TEMPLATES, _MIN_PREFIX, _MIN_PREFIX_V6, _TAG),
        check=no_public_database,
        elsewhere=_open_elsewhere,
        subjects=("Container", "AllowedIp"),
    ),
    StackRule(
        "no-unmanaged-access",
        "External access is limited to addresses that the program lists.",
        "advisory",
        "medium",
        _REVOKE,
        options=(_TAG,),
        check=no_unmanaged_access,
    ),
    ResourceRule(
        "no-restore-over-data",
        "No restore replaces the data of a container.",
        "mandatory",
        "critical",
        "If you want the restore, exempt it until a day in the near future.",
        options=(_TAG,),
        view=BackupRestoreView,
        check=no_restore_over_data,
    ),
    StackRule(
        "unmanaged-target",
        "Addresses, clients, connections and certificates are for containers of the stack.",
        "advisory",
        "medium",
        "Declare it in the stack that has the container, or exempt it.",
        options=(_TAG,),
        check=unmanaged_target,
        elsewhere=_access_elsewhere,
        subjects=("AllowedIp", "VpnClient", "Connection", "SshCertificate"),
    ),
)
"""The rules in this module."""
