from collections.abc import Sequence

import pulumi

import stacks_pulumi as stacks


class AppWithDatabase(pulumi.ComponentResource):
    """
    An app with its database, and the networks that can reach the app.

    Args:
        name: The app's name; the database is called `<name>-db`.
        template: The template of the app.
        database: The template of the database.
        allowed: Addresses or networks that may connect to the app. Without any, only the account's network can.
        protect: Whether Pulumi refuses to delete the database.
        opts: Pulumi's options.
    """

    url: pulumi.Output[str | None]
    """Public host name of the app; `None` if external access is off."""
    monthly_price_usd: pulumi.Output[float]
    """The monthly price of both containers."""

    def __init__(
        self,
        name: str,
        *,
        template: str,
        database: str = "postgresql",
        allowed: Sequence[str] = (),
        protect: bool = False,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("examples:index:AppWithDatabase", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        self.app = stacks.Container(name, template=template, external_access=bool(allowed), opts=child)
        self.database = stacks.Container(
            f"{name}-db", template=database, opts=pulumi.ResourceOptions(parent=self, protect=protect)
        )
        self.connection = stacks.Connection(
            f"{name}-to-db", source=self.app, target=self.database, name="database", opts=child
        )
        self.rules = [
            stacks.AllowedIp(
                f"{name}-{address}",
                container=self.app,
                ip_address=address,
                revoke_auto_added=True,
                opts=child,
            )
            for address in allowed
        ]
        self.url = self.app.url
        self.monthly_price_usd = pulumi.Output.all(
            self.app.monthly_price_usd, self.database.monthly_price_usd
        ).apply(sum)
        self.register_outputs({"url": self.url, "monthly_price_usd": self.monthly_price_usd})
