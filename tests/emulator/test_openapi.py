"""The OpenAPI contract and the routes in the code agree."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from openapi_schema_validator import OAS31Validator

import stacks_pulumi.emulator
from stacks_pulumi import catalog
from stacks_pulumi.emulator import OPEN, OPERATIONS
from tests.support import openapi


@pytest.fixture(scope="module")
def contract() -> dict[str, Any]:
    return openapi.contract()


@pytest.fixture(scope="module")
def operations(contract: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {
        found["operationId"]: {**found, "endpoint": f"{method.upper()} {path}"}
        for path, methods in contract["paths"].items()
        for method, found in methods.items()
    }


def test_the_fields_of_a_body_are_those_of_the_contract(
    contract: dict[str, Any], operations: dict[str, dict[str, Any]]
) -> None:
    def fields(found: dict[str, Any]) -> set[str]:
        if "requestBody" not in found:
            return set()
        (noun,) = found["requestBody"]["content"]["application/json"]["schema"].values()
        return set(contract["components"]["schemas"][noun.rpartition("/")[2]]["properties"])

    assert {name: set(found.fields) for name, found in OPERATIONS.items()} == {
        name: fields(found) for name, found in operations.items()
    }


def test_open_answers_in_code_are_open_in_the_contract(
    operations: dict[str, dict[str, Any]],
) -> None:
    assert {name for name, found in operations.items() if found.get("x-open-shape")} == OPEN
    assert [name for name in sorted(OPEN) if not operations[name].get("x-assumed")] == []
    assert all(
        "The scope." in operations[name]["x-assumed"]
        for name in operations
        if name.startswith("vpn_clients.")
    )


def test_the_contract_is_valid_and_its_examples_fit(
    contract: dict[str, Any], operations: dict[str, dict[str, Any]]
) -> None:
    # Imported here, because the import takes a quarter of a second, even in a worker that only collects these tests.
    from openapi_spec_validator import OpenAPIV31SpecValidator

    OpenAPIV31SpecValidator(contract).validate()
    for name, found in operations.items():
        (right,) = [answer for code, answer in found["responses"].items() if code.startswith("2")]
        content = right["content"]["application/json"]
        schema = {**content["schema"], "components": contract["components"]}
        OAS31Validator(schema).validate(content["example"])
        assert content["example"]["success"] is True, name


def test_each_link_leads_from_the_answer_to_parameters_of_an_operation(
    operations: dict[str, dict[str, Any]],
) -> None:
    linked = set()
    for name, found in operations.items():
        for answer in found["responses"].values():
            for link in answer.get("links", {}).values():
                target = operations[link["operationId"]]
                taken = f"{target['endpoint']} {target.get('parameters')}".lower()
                assert all(parameter in taken for parameter in link["parameters"]), name
                for expression in link["parameters"].values():
                    _, in_answer, pointer = expression.partition("$response.body#")
                    value = answer["content"]["application/json"]["example"] if in_answer else expression
                    for step in pointer.split("/")[1:]:
                        value = value[int(step) if isinstance(value, list) else step]
                    assert (
                        in_answer or f"{{{expression.removeprefix('$request.path.')}}}" in found["endpoint"]
                    )
                linked.add(link["operationId"])
    assert len(linked) > 15


def test_every_mark_is_a_list_of_sentences(operations: dict[str, dict[str, Any]]) -> None:
    for name, found in operations.items():
        for mark in ("x-assumed", "x-strict"):
            assert all(
                it[0].isupper() or it.startswith(("null", "sshUser", "stacks-vpn", "last_"))
                for it in found.get(mark, [])
            ), name
            assert all(it.endswith(".") for it in found.get(mark, [])), name


def test_every_operation_lists_the_errors_that_any_key_can_get(
    operations: dict[str, dict[str, Any]],
) -> None:
    for name, found in operations.items():
        assert {"401", "403", "429"} <= found["responses"].keys(), name
        assert ("404" in found["responses"]) == ("{" in found["endpoint"]), name


def test_answers_to_a_known_key_have_rate_limit_headers(operations: dict[str, dict[str, Any]]) -> None:
    for name, found in operations.items():
        (right,) = [answer for code, answer in found["responses"].items() if code.startswith("2")]
        assert list(right["headers"]) == [
            "X-RateLimit-Limit",
            "X-RateLimit-Remaining",
            "X-RateLimit-Reset",
        ], name


def test_enumerations_equal_the_catalogue(contract: dict[str, Any]) -> None:
    fields = contract["components"]["schemas"]["ContainerRequest"]["properties"]

    assert fields["template"]["enum"] == list(catalog.TEMPLATES)
    assert fields["plan"]["enum"] == list(catalog.PLANS)
    assert fields["plan"]["default"] == catalog.DEFAULT_PLAN
    assert fields["additional_storage_tier"]["enum"] == list(catalog.STORAGE_TIERS)


def test_assumptions_in_code_are_marked_in_one_way() -> None:
    folder = Path(stacks_pulumi.emulator.__file__).parent
    comments = [
        line.strip()
        for path in folder.rglob("*.py")
        for line in path.read_text().splitlines()
        if line.strip().startswith("#") and "assum" in line.lower()
    ]

    assert len(comments) > 30
    assert [comment for comment in comments if not comment.startswith("# assumed: ")] == []
