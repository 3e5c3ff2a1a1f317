"""
Call the tools of `stacks-pulumi mcp` as an agent would, without a model.

    python agent.py deploy       a web app: within its budget
    python agent.py grow         the app with a database: needs a person
    python agent.py overreach    more than the limits allow
    python agent.py remove       an empty stack: needs a person
    python agent.py apply        apply what the person has approved
"""

import asyncio
import os
import sys
from pathlib import Path

from mcp import Client, StdioServerParameters

HERE = Path(__file__).parent
RECORD, REQUEST = HERE / "record.txt", HERE / "request.txt"

WEB = """\
resources:
  web:
    type: stacks:index:Container
    properties: {template: nodejs}
outputs:
  url: ${web.url}
"""
WITH_DATABASE = """\
resources:
  web:
    type: stacks:index:Container
    properties: {template: nodejs}
  db:
    type: stacks:index:Container
    properties: {name: orders-db, template: postgresql}
  web-to-db:
    type: stacks:index:Connection
    properties: {source: "${web.id}", target: "${db.id}", name: primary-db}
outputs:
  url: ${web.url}
  database: ${db.id}
"""
TOO_LARGE = WITH_DATABASE.replace(
    "outputs:",
    """\
  big:
    type: stacks:index:Container
    properties: {template: nodejs, plan: premium}
outputs:""",
)
PROGRAMS = {"deploy": WEB, "grow": WITH_DATABASE, "overreach": TOO_LARGE, "remove": "resources: {}"}


async def main(action: str) -> str | None:
    """Carry out an action; return the text of its error, if any."""
    # A real agent has neither the token nor the passphrase: its client gives them to the server alone.
    server = StdioServerParameters(
        command="stacks-pulumi", args=["mcp", "-C", str(HERE), "--allow", "apply"], env=dict(os.environ)
    )
    async with Client(server) as client:
        if action == "apply":
            return await apply(client, RECORD.read_text(encoding="utf-8").strip())
        planned = await client.call_tool("plan", {"program": PROGRAMS[action]})
        if planned.is_error:
            return planned.content[0].text
        plan = planned.structured_content
        print(f"{plan['verdict']}: {plan['adds_a_month']} a month more")
        for reason in plan["reasons"]:
            print(f"  {reason}")
        if plan["verdict"] == "free":
            return await apply(client, plan["record"])
        if plan["verdict"] == "needs_approval":
            RECORD.write_text(plan["record"], encoding="utf-8")
            REQUEST.write_text(plan["approve_with"].split()[3], encoding="utf-8")
            print(f"A person runs:\n  {plan['approve_with']}")
        return None


async def apply(client: Client, record: str) -> str | None:
    done = await client.call_tool("apply", {"record": record})
    if done.is_error:
        return done.content[0].text
    print(done.structured_content["verdict"])
    return None


# Raised outside of the client, whose traceback would hide the message.
sys.exit(asyncio.run(main(*sys.argv[1:])))
