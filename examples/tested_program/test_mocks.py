"""Test the program's declarations on Pulumi's mocks: no engine, no network, milliseconds."""

from typing import Any

import pulumi
from shop import declare

declared: dict[str, dict[str, Any]] = {}


class StacksMocks(pulumi.runtime.Mocks):
    def new_resource(self, args: pulumi.runtime.MockResourceArgs) -> tuple[str, dict[str, Any]]:
        declared[args.name] = args.inputs
        return f"usr-1-{args.name}", {**args.inputs, "url": f"{args.name}.example.com"}

    def call(self, args: pulumi.runtime.MockCallArgs) -> Any:
        # Answers data functions, which never call the API here. A missing answer is an error.
        return {"stacks:index:get_credentials": {"username": "shop", "password": "secret"}}[args.token]


pulumi.runtime.set_mocks(StacksMocks())


@pulumi.runtime.test
def test_the_shop_can_reach_its_database() -> pulumi.Output[None]:
    app, database = declare()

    def check(values: list[Any]) -> None:
        assert values == ["usr-1-shop", "shop.example.com", "usr-1-shop-db"]
        assert declared["shop-db"]["template"] == "postgresql"

    return pulumi.Output.all(app.id, app.url, database.id).apply(check)
