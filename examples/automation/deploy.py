"""
Create, preview, apply and destroy a stack from one program.

    python deploy.py [POLICY_PACK ...]
"""

import sys
import tempfile

import pulumi
from pulumi import automation

import stacks_pulumi as stacks


def program() -> None:
    """Declare the resources of the stack."""
    app = stacks.Container("greeter", template="nodejs", external_access=True)
    pulumi.export("url", app.url)
    pulumi.export("monthly_price_usd", app.monthly_price_usd)


def main(packs: list[str]) -> None:
    """Create the stack, preview and apply it, print its output, and destroy it."""
    with tempfile.TemporaryDirectory() as state:
        # The provider reads STACKS_API_KEY and STACKS_BASE_URL from the environment of this process.
        options = automation.LocalWorkspaceOptions(
            env_vars={"PULUMI_BACKEND_URL": f"file://{state}", "PULUMI_CONFIG_PASSPHRASE": "throw-away"}
        )
        stack = automation.create_stack("dev", project_name="greeter", program=program, opts=options)
        preview = stack.preview(policy_packs=packs)
        print(f"preview: {preview.change_summary[automation.OpType.CREATE]} to create")
        try:
            outputs = stack.up(policy_packs=packs).outputs
            print(f"{outputs['url'].value}, ${outputs['monthly_price_usd'].value:.2f} a month")
        finally:
            stack.destroy()
            print("destroyed")


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except automation.CommandError as error:
        sys.exit(f"Pulumi failed:\n{error}")
