"""Connection on the real engine: created after both ends and before its dependents, with secret outputs."""

from __future__ import annotations

from stacks_pulumi.emulator import Emulator
from tests.support.stack import Stack

ENDS = """
app = stacks.Container("app", template="nodejs")
sql = stacks.Container("sql", template="postgresql")
cache = stacks.Container("cache", template="redis")
"""
LINKS = """
both = pulumi.ResourceOptions(depends_on=[sql, cache])
primary = stacks.Connection("app-to-sql", both, source=app, target={}, name="primary db")
stacks.Connection("app-to-cache", both, source=app, target=cache)
pulumi.export("variable", primary.environment_variables.apply(min))
pulumi.export("address", primary.connection_string)
"""


def links(emulator: Emulator) -> dict[str, str]:
    """Return the target of each connection, by its name."""
    return {found.name: found.target.rpartition("-")[2] for found in emulator.state.connections.values()}


def test_the_life_of_a_connection(stack: Stack, emulator: Emulator) -> None:
    stack.program(ENDS + LINKS.format("sql"))

    result = stack.up()

    made = [name for op, name in result.order() if op == "create"]
    assert set(made[:3]) == {"app", "sql", "cache"}
    assert links(emulator) == {"primary db": "sql", "app-to-cache": "cache"}
    # Two connections to one source, one restart.
    assert emulator.calls("containers.set_status") == 1
    assert emulator.state.container("app").env_pending is False

    # Outputs that may contain a password are encrypted in the state, and so are values made from them.
    address = f"postgresql://postgres:****@{emulator.account}-sql:5432/postgres"
    assert stack.outputs(secrets=True) == {"variable": "POSTGRES_DB", "address": address}
    assert stack.outputs() == {"variable": "[secret]", "address": "[secret]"}
    state = stack.resources()["app-to-sql"]
    for name in ("environment_variables", "connection_string"):
        assert "ciphertext" in state["outputs"][name]
    assert "postgresql://" not in stack.export()
    assert "POSTGRES_" not in stack.export()

    # Deleted outside: a refresh finds it, and the next up recreates it.
    emulator.drift.disconnect("app", "app-to-cache")
    stack.refresh(drift=True)
    assert stack.up(quiet_afterwards=False).order() == [("create", "app-to-cache")]

    # Another target under the same name: the old connection is deleted first.
    stack.program(ENDS + LINKS.format("cache"))
    steps = stack.up(quiet_afterwards=False).steps("app-to-sql")
    assert steps == ["delete-replaced", "replace", "create-replacement"]
    assert links(emulator) == {"primary db": "cache", "app-to-cache": "cache"}

    # Each connection deletes itself.
    deleted = emulator.calls("connections.delete")
    stack.destroy()
    assert (emulator.state.connections, emulator.state.containers) == ({}, {})
    assert emulator.calls("connections.delete") == deleted + 2
    assert "postgresql://" not in stack.said()
    assert "POSTGRES_" not in stack.said()


SLOW = ENDS + (
    'first = stacks.Connection("app-to-sql", source=app, target=sql)\n'
    'stacks.Connection("app-to-cache", source=app, target=cache)\n'
)


def test_one_restart_for_targets_that_become_ready_at_different_times(
    emulator: Emulator, stack: Stack
) -> None:
    emulator.faults.add("containers.create", "slow", seconds=150.0, match="cache")
    stack.program(SLOW)

    stack.up(quiet_afterwards=False)

    assert emulator.calls("containers.set_status") == 1
    assert emulator.state.container("app").env_pending is False


def test_a_dependent_resource_does_not_wait_for_another_target(emulator: Emulator, stack: Stack) -> None:
    emulator.faults.add("containers.create", "slow", seconds=150.0, match="cache")
    stack.program(
        SLOW
        + 'stacks.Container("after", template="nodejs", opts=pulumi.ResourceOptions(depends_on=[first]))\n'
    )

    stack.up(quiet_afterwards=False)

    done = [(request.operation, request.subject) for request in emulator.requests]
    created = [subject for operation, subject in done if operation == "containers.create"]
    assert created.index("after") < created.index("cache")
    assert emulator.calls("containers.set_status") == 2
