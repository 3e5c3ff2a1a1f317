"""The contract of the emulator, `openapi.yaml`: paths, the forms of answers, and the assumptions."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import resources
from typing import Any, Final
from urllib.parse import quote

import yaml
from openapi_schema_validator import OAS31Validator

__all__ = ["Contract", "contract"]

_METHODS: Final = ("get", "post", "put", "delete")


@dataclass(frozen=True)
class Contract:
    """
    The contract, by operation.

    Attributes:
        document: The whole `openapi.yaml`.
    """

    document: dict[str, Any]

    def operations(self) -> Iterator[tuple[str, str, str, dict[str, Any]]]:
        """Yield the id, the method, the path and the description of every operation."""
        for path, methods in self.document["paths"].items():
            for method in _METHODS:
                if method in methods:
                    yield methods[method]["operationId"], method.upper(), path, methods[method]

    def request(self, operation: str, *values: str) -> tuple[str, str]:
        """Return the method and the path of an operation, with these values in the path."""
        method, path = next((method, path) for id_, method, path, _ in self.operations() if id_ == operation)
        parts = path.split("/")
        left = list(values)
        filled = [quote(left.pop(0), safe="") if part.startswith("{") else part for part in parts]
        if left:
            msg = f"{operation} has fewer values in its path than {len(values)}"
            raise ValueError(msg)
        return method, "/".join(filled)

    def marks(self, mark: str) -> Iterator[tuple[str, str]]:
        """Yield every item of `x-assumed` or `x-strict`: the operation or kind of answer, and the text."""
        for id_, _method, _path, described in self.operations():
            for text in described.get(mark, ()):
                yield id_, text
        for name, answer in self.document["components"]["responses"].items():
            for text in answer.get(mark, ()):
                yield f"every {name} answer", text

    def differs(self, operation: str, status: int, body: Any) -> str | None:
        """
        Return where an answer differs from the form that the contract has for it; `None` if it fits.

        The text has names of fields and types, and no value.
        """
        found = next(described for id_, _, _, described in self.operations() if id_ == operation)
        answers = found["responses"]
        if str(status) not in answers:
            return f"its status is {status}, not {' or '.join(code for code in answers if code < '300')}"
        schema = answers[str(status)].get("content", {}).get("application/json", {}).get("schema")
        return None if schema is None else self.misfit(schema, body)

    def misfit(self, schema: dict[str, Any], body: Any) -> str | None:
        """Return where a body does not fit a schema of the contract."""
        validator: Any = OAS31Validator({**schema, "components": self.document["components"]})
        error = next(iter(sorted(validator.iter_errors(body), key=lambda found: found.json_path)), None)
        if error is None:
            return None
        if error.validator == "required":
            missing = [name for name in error.validator_value if name not in error.instance]
            return f"{error.json_path} lacks {', '.join(missing)}"
        wanted = error.validator_value if error.validator in {"type", "enum", "const", "format"} else ""
        return f"{error.json_path} is {_kind(error.instance)}; the contract has {error.validator} {wanted}".rstrip()


@functools.cache
def contract() -> Contract:
    """Return the contract of this version."""
    text = resources.files("stacks_pulumi.emulator").joinpath("openapi.yaml").read_text(encoding="utf-8")
    return Contract(yaml.safe_load(text))


def _kind(value: Any) -> str:
    names = {dict: "an object", list: "a list", str: "text", bool: "a boolean", type(None): "null"}
    return names.get(type(value), "a number")
