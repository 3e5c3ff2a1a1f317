import time
import urllib.error
import urllib.request

import pulumi

import stacks_pulumi as stacks

config = pulumi.Config()
health, patience = config.get("health"), config.require_int("patience")


def wait_for_an_answer(created: pulumi.ResourceHookArgs) -> None:
    """Return when the application answers; the operation fails if it does not."""
    address = health or (created.new_outputs or {})["url"]
    end = time.monotonic() + patience
    while (problem := problem_of(address)) is not None:
        if time.monotonic() >= end:
            raise TimeoutError(f"{created.name} did not answer at {address} within {patience} s: {problem}")
        time.sleep(1)


def problem_of(address: str) -> str | None:
    """Return why there is no answer: a refusal such as 404 counts as an answer, and an error such as 503 does not."""
    try:
        urllib.request.urlopen(address, timeout=5).close()  # noqa: S310  (the stack's own setting)
    except urllib.error.HTTPError as error:
        return str(error) if error.code >= 500 else None
    except OSError as error:
        return str(error)
    return None


def repeat_twice(failed: pulumi.ErrorHookArgs) -> bool:
    """Repeat a failed change, but never a create: without capacity, each create would join the waitlist again."""
    return failed.failed_operation != "create" and len(failed.errors) < 3


hooks = pulumi.ResourceHookBinding(
    after_create=[pulumi.ResourceHook("wait-for-an-answer", wait_for_an_answer)],
    on_error=[pulumi.ErrorHook("repeat-twice", repeat_twice)],
)

status = stacks.Container(
    "status-page", template="nodejs", external_access=True, opts=pulumi.ResourceOptions(hooks=hooks)
)
# This container is created when the application answers.
client = stacks.Container("probe", template="nodejs", opts=pulumi.ResourceOptions(depends_on=[status]))
stacks.Connection("probe-to-status-page", source=client, target=status)

pulumi.export("url", status.url)
