"""
Which request does the function of an endpoint receive, which values does it accept, and what may it answer?

The function receives a `Request`. It returns a `Reply`, whose body the guide specifies, or an `Open`, whose body the
guide only describes. If a rule does not allow the request, the function raises a `Refusal`. A client must not depend on
the form of an open response, so the emulator can send several forms (`SHAPES`). If the guide has an example of an error
("Common Error Responses", "Create Container"), the example's text is used. Otherwise the text is our own and marked as
assumed.

An invalid argument raises a `ValueError`: a control request can contain any JSON value, and a value of the wrong type
would break a later request, the page, or the state file.
"""

from __future__ import annotations

import ipaddress
import json
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import Any, Final, TypeAlias

from stacks_pulumi import catalog
from stacks_pulumi.emulator.platform import Platform
from stacks_pulumi.emulator.state import ApiKey


@dataclass(frozen=True)
class Request:
    """
    A request that passed the checks of its key, rate limit and scope.

    Attributes:
        platform: The platform; its lock is held.
        key: The key of the request.
        args: The variables in the path.
        query: The first value of each parameter in the query.
        body: The JSON object in the body; empty if there was no body.
    """

    platform: Platform
    key: ApiKey
    args: dict[str, str]
    query: dict[str, str] = field(default_factory=dict)
    body: dict[str, Any] = field(default_factory=dict)

    def whole_number(self, name: str, default: int, ceiling: int) -> int:
        """
        Return a parameter of the query.

        Raises:
            Refusal: 400 if it is not a whole number of at least 1, or, with a strict emulator, if it is above
                `ceiling`.
        """
        text = self.query.get(name)
        if text is None:
            return default
        # assumed: a number above the maximum is refused. An emulator that is not strict lowers it to the maximum.
        number = int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0
        if number < 1 or (self.platform.strict and number > ceiling):
            raise bad_request(f"The parameter {name} must be a whole number from 1 to {ceiling}", name)
        return min(number, ceiling)


@dataclass(frozen=True)
class Reply:
    """A response whose body the guide specifies."""

    body: dict[str, Any]
    status: int = 200


@dataclass(frozen=True)
class Open:
    """
    The content of a response that the guide does not specify, before it is put into a shape.

    Attributes:
        noun: The key of the value in the shape `wrapped`.
        value: A list or an object; `None` if the response only confirms the operation.
        message: One sentence, for an operation that changes something.
        text: The complete content as text, if it is a file or consists of lines.
        names: The names of a list's entries.
    """

    noun: str
    value: Any = None
    message: str | None = None
    text: str | None = None
    names: list[str] | None = None


class Refusal(Exception):  # noqa: N818  (not an error of the emulator, but a regular response that ends a rule early)
    """
    An error response.

    Attributes:
        status: HTTP status code.
        body: The JSON body.
        headers: Headers in addition to the usual ones.
    """

    def __init__(self, status: int, body: dict[str, Any], headers: dict[str, str] | None = None) -> None:
        super().__init__(f"{status} {body.get('error')}")
        self.status = status
        self.body = body
        self.headers = headers or {}

    def response(self) -> Response:
        """Return the error as a response."""
        return encode(self.status, self.body, self.headers)


def bad_request(text: str, field: str | None = None) -> Refusal:
    """Return a 400, which names the wrong field if there is one (guide, "Create Container")."""
    body: dict[str, Any] = {"success": False, "error": text}
    if field is not None:
        body["field"] = field
    return Refusal(400, body)


def not_found(what: str) -> Refusal:
    """Return a 404; it is the same for an object of another account (guide, "Error Codes")."""
    # assumed: the body; the guide states only the code.
    return Refusal(404, {"success": False, "error": f"{what} not found"})


_Handler: TypeAlias = Callable[[Request], Reply | Open]


@dataclass(frozen=True)
class Route:
    """
    One endpoint.

    Attributes:
        name: `noun.verb`; also the `operationId` in `openapi.yaml`, and the operation of a fault.
        method: HTTP method.
        path: The path below the base URL, with `<name>` for a variable.
        scope: The scope that the key needs.
        handler: The function that answers.
        fields: The fields that its body may contain.
    """

    name: str
    method: str
    path: str
    scope: str
    handler: _Handler
    fields: frozenset[str] = frozenset()

    def check_fields(self, body: dict[str, Any]) -> None:
        """
        Check that a body contains only the guide's fields; an endpoint without a body allows no fields.

        Raises:
            Refusal: 400 that names the field.
        """
        for name in body:
            if name not in self.fields:
                there = f"there are: {', '.join(sorted(self.fields))}" if self.fields else "it has no fields"
                raise bad_request(f"Unknown field {name}; {there}", name)


def route(name: str, method: str, path: str, scope: str, *fields: str) -> Callable[[_Handler], Route]:
    """
    Return a decorator that makes a function the handler of an endpoint.

    The code does not read `openapi.yaml`, because that would add 20 to 130 ms to each start. A test compares it with
    the code.
    """
    return lambda handler: Route(name, method, path, scope, handler, frozenset(fields))


SHAPES: Final = ("guide", "bare", "wrapped", "text", "strings", "terse", "empty")
"""
`guide`: `success`, perhaps `message`, and `data`, like other responses in the guide. The default.
`bare`: only the list or the object.
`wrapped`: one level deeper, under the noun.
`text`: plain text for a file, lines or a message; otherwise as `guide`.
`strings`: a list of names instead of a list of objects, a JSON string instead of a file; otherwise as `guide`.
`terse`: only `success`, without an id, for an operation that changes something; otherwise as `guide`.
`empty`: no body, 204, for an operation that changes something; otherwise as `guide`.
"""

OPEN = frozenset(
    {
        "containers.logs",
        "containers.metrics",
        "containers.set_status",
        "containers.delete",
        "containers.certificate",
        "containers.regenerate_certificate",
        "containers.templates",
        "containers.external_access",
        "allowed_ips.add",
        "allowed_ips.remove",
        "connections.delete",
        "backups.restore",
        "backups.pin",
        "backups.unpin",
        "backups.delete",
        "vpn_clients.list",
        "vpn_clients.add",
        "vpn_clients.config",
        "vpn_clients.remove",
    }
)
"""Operations whose response the guide does not specify; for `external_access` only the response to disabling."""


class Shapes:
    """
    The shape of each operation's response.

    Args:
        shapes: One of `SHAPES` for all operations, or operation -> shape, where `*` means all other operations.

    Raises:
        ValueError: A shape or an operation does not exist.
    """

    def __init__(self, shapes: str | dict[str, str] = "guide") -> None:
        self._default = "guide"
        self._by_operation: dict[str, str] = {}
        self.set_all(shapes)

    def set_all(self, shapes: str | dict[str, str]) -> None:
        """Replace all shapes with these."""
        self._default = "guide"
        self._by_operation.clear()
        for operation, shape in {"*": shapes}.items() if isinstance(shapes, str) else shapes.items():
            self.set(operation, shape)

    def set(self, operation: str, shape: str) -> None:
        """Set the shape for one operation, or with `*` for all others."""
        if shape not in SHAPES:
            raise ValueError(f"no such shape: {shape}; the shapes are {', '.join(SHAPES)}")
        if operation == "*":
            self._default = shape
        elif operation in OPEN:
            self._by_operation[operation] = shape
        else:
            msg = (
                f"the guide specifies the answer of {operation}; it does not specify the answers of "
                f"{', '.join(sorted(OPEN))}"
            )
            raise ValueError(msg)

    def of(self, operation: str) -> str:
        """Return the shape for an operation."""
        return self._by_operation.get(operation, self._default)


def render(answer: Open, shape: str) -> Any:
    """
    Return the body of a response that the guide does not specify.

    Returns:
        A value for JSON; `PlainText` for a body that is not JSON; `None` for no body.
    """
    changes = answer.message is not None
    if shape == "bare":
        return answer.value if answer.value is not None else {"message": answer.message}
    if shape == "wrapped":
        inner = answer.value if answer.value is not None else answer.message
        return {"success": True, "data": {answer.noun: inner}}
    if shape == "text" and (answer.text is not None or (changes and answer.value is None)):
        return PlainText(answer.text if answer.text is not None else str(answer.message))
    if shape == "strings" and answer.names is not None:
        return {"success": True, "data": answer.names}
    if shape == "strings" and answer.text is not None:
        return answer.text
    if shape == "terse" and changes:
        return {"success": True}
    if shape == "empty" and changes:
        return None
    body: dict[str, Any] = {"success": True}
    if changes:
        body["message"] = answer.message
    if isinstance(answer.value, list):
        body["count"] = len(answer.value)
    if answer.value is not None:
        body["data"] = answer.value
    return body


class PlainText(str):
    """A body that is sent unchanged and not as JSON."""

    __slots__ = ()


@dataclass(frozen=True)
class Response:
    """
    A response that is ready to be sent.

    Attributes:
        status: HTTP status code.
        payload: The body.
        headers: Headers in addition to `Content-Length` and `Date`.
        end: `keep` the connection; `hang_up` after the answer; `cut` the answer in half; `drop` it completely;
            `reset` the connection.
        slow: The seconds for sending the headers, and the seconds for sending the body.
    """

    status: int
    payload: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    end: str = "keep"
    slow: tuple[float, float] = (0.0, 0.0)


def finished(answer: Reply | Open, shape: str) -> tuple[int, Any]:
    """Return the status code and the body of an answer."""
    if isinstance(answer, Open):
        shaped = render(answer, shape)
        return (204 if shaped is None else 200), shaped
    return answer.status, answer.body


def encode(status: int, body: Any, headers: dict[str, str] | None = None) -> Response:
    """Return a response with the body as JSON or plain text; `None` means no body."""
    headers = dict(headers or {})
    if body is None:
        return Response(status, b"", headers)
    if isinstance(body, PlainText):
        return Response(status, body.encode(), {"Content-Type": "text/plain; charset=utf-8", **headers})
    payload = json.dumps(body).encode()
    return Response(status, payload, {"Content-Type": "application/json; charset=utf-8", **headers})


@dataclass(frozen=True)
class CreateRequest:
    """A valid create request; if the request has no plan, `plan` is the default."""

    name: str
    template: str
    plan: str
    storage_tier: int | None
    discount_code: str | None


def valid_create(body: dict[str, Any], *, strict: bool = True) -> CreateRequest:
    """
    Check each field of a create request, and return the request.

    Args:
        body: The request.
        strict: Also refuse requests that the guide does not exclude but the platform may refuse.

    Raises:
        Refusal: 400 with the first field that is wrong.
    """
    if strict:
        reject_null(body, "plan", "additional_storage_tier", "discount_code")
    name, template = body.get("name"), body.get("template")
    plan, tier, discount = body.get("plan"), body.get("additional_storage_tier"), body.get("discount_code")
    problem = name_problem(name)
    if problem is not None or not isinstance(name, str):
        raise bad_request(problem or "Container name must be text", "name")
    if template is None or template == "":
        raise bad_request("Container template is required", "template")
    if not isinstance(template, str) or template not in catalog.TEMPLATES:
        raise bad_request("Unknown container template", "template")
    if plan is not None and (not isinstance(plan, str) or plan not in catalog.PLANS):
        raise bad_request(f"Plan must be one of: {', '.join(catalog.PLANS)}", "plan")
    if discount is not None and not isinstance(discount, str):
        raise bad_request("Discount code must be text", "discount_code")
    if strict:
        _check_plan(plan, template)
    # The guide's default also applies to a micro template, which then costs as much as a basic plan.
    # assumed: stacks-vpn is a separate tier. In an emulator that is not strict, it accepts a plan, which has no effect.
    plan = catalog.VPN_PLAN.name if template == catalog.VPN_TEMPLATE else plan or catalog.DEFAULT_PLAN
    if tier is not None:
        _check_tier(tier, template, plan, strict=strict)
    return CreateRequest(name, template, plan, tier, discount)


def name_problem(name: Any) -> str | None:
    """Return the problem with a container's name, or `None` (guide, "Create Container")."""
    if name is None or name == "":
        return "Container name is required"
    if not isinstance(name, str):
        return "Container name must be text"
    texts: dict[catalog.NameFault, str] = {
        "too short": "must be at least 3 characters",
        "too long": "must be no more than 32 characters",
        "characters": "may contain only letters, numbers, and hyphens",
        "ends": "must start and end with a letter or number",
        "hyphens": "must not contain consecutive hyphens",
    }
    return next((f"Container name {texts[fault]}" for fault in catalog.name_faults(name)), None)


def reject_null(body: dict[str, Any], *fields: str) -> None:
    """
    Check that no optional field was sent as null instead of being left out.

    Raises:
        Refusal: 400 with the field.
    """
    for name in fields:
        if name in body and body[name] is None:
            # assumed: null is refused. For an emulator that is not strict, it means the same as leaving the field out.
            raise bad_request(f"The field {name} must not be null", name)


def _check_plan(plan: str | None, template: str) -> None:
    # The guide states a default, so sending it is the same as leaving the plan out, for every template.
    if plan in {None, catalog.DEFAULT_PLAN}:
        return
    # assumed: a template accepts only the plans of its tier. The guide only lists templates by tier.
    if catalog.TEMPLATES[template].plan is None:
        raise bad_request(f"The template {template} has its own plan; leave plan out", "plan")
    if catalog.of_other_tier(template, plan):
        raise bad_request(f"The plan {plan} is not available for the template {template}", "plan")


def _check_tier(tier: Any, template: str, plan: str, *, strict: bool) -> None:
    field = "additional_storage_tier"
    if isinstance(tier, bool) or not isinstance(tier, int) or tier not in catalog.STORAGE_TIERS:
        tiers = ", ".join(map(str, catalog.STORAGE_TIERS))
        raise bad_request(f"Additional storage tier must be one of: {tiers}", field)
    if catalog.is_micro(template, plan) or template.endswith("-micro"):
        raise bad_request("Additional storage is not available for micro containers", field)
    if strict and template == catalog.VPN_TEMPLATE:
        # assumed: a separate tier has no additional storage.
        raise bad_request("Additional storage is not available for VPN containers", field)
    if catalog.is_database(template):
        raise bad_request("Additional storage is not available for database containers", field)


def count(what: str, value: Any, *, least: int = 1) -> int | None:
    """
    Return a whole number, or `None` for no limit.

    Raises:
        ValueError: The value is neither of these, or is less than `least`.
    """
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ValueError(f"{what} must be a whole number of at least {least}, not {value!r}")
    return value


def dollars(what: str, value: Any) -> Decimal | None:
    """
    Return an amount of US dollars, or `None` for no limit; the amount may be given as text.

    Raises:
        ValueError: The value is neither.
    """
    if value is None:
        return None
    try:
        amount = Decimal(str(value))
    except InvalidOperation:
        amount = Decimal("NaN")
    # In JSON, the amount becomes a float, which has a smaller range than a Decimal.
    if not amount.is_finite() or amount < 0 or math.isinf(float(amount)):
        raise ValueError(f"{what} must be an amount of US dollars of at least 0, not {value!r}")
    return amount


def seconds(what: str, value: Any) -> float:
    """
    Return a duration of at most a day.

    Raises:
        ValueError: The value is more than a day, negative, or not a number.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= 86400:
        raise ValueError(f"{what} must be a number of seconds from 0 to 86400, not {value!r}")
    return value


def text(what: str, value: Any) -> str:
    """
    Return a string that is not empty.

    Raises:
        ValueError: The value is not a string, or is empty.
    """
    if not isinstance(value, str) or not value:
        raise ValueError(f"{what} must be text, not {value!r}")
    return value


def flag(what: str, value: Any) -> bool:
    """
    Return true or false.

    Raises:
        ValueError: The value is neither.
    """
    if not isinstance(value, bool):
        raise ValueError(f"{what} must be true or false, not {value!r}")  # noqa: TRY004  (one type of error for all checks)
    return value


def address(what: str, value: Any) -> str:
    """
    Return an IPv4 or IPv6 address.

    Raises:
        ValueError: The value is not an address, or is a range.
    """
    try:
        # `ipaddress` also accepts a number, and an address whose zone has a meaning only on one machine.
        known = isinstance(value, str) and bool(ipaddress.ip_address(value)) and "%" not in value
    except ValueError:
        known = False
    if not known:
        raise ValueError(f"{what} must be an IPv4 or IPv6 address, not {value!r}")
    return str(value)
