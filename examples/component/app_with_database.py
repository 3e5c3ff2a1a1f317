from collections.abc import Sequence

import pulumi

import stacks_pulumi as stacks


class AppWithDatabase(pulumi.ComponentResource):
    """
    An app that can reach its database, and that the given networks can reach.

    Args:
        name: The app's name; the database is called `<name>-db`.
        template: What the app is made from.
        database: What the database is made from.
        allowed: Addresses or networks that may connect to the app; none leaves it inside the account's network.
        protect: Whether Pulumi refuses to delete the database.
        opts: Pulumi's options.
    """

    url: pulumi.Output[str | None]
    """Public host name of the app; none if external access is off."""
    monthly_price_usd: pulumi.Output[float]
    """What both cost a month."""

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
