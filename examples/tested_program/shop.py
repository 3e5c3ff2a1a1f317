import pulumi

import stacks_pulumi as stacks


def declare() -> tuple[stacks.Container, stacks.Container]:
    """Declare the shop and its database, and export their addresses and login."""
    db = stacks.Container("shop-db", template="postgresql")
    app = stacks.Container("shop", template="nodejs", external_access=True)
    stacks.Connection("shop-to-db", source=app, target=db, name="database")
    pulumi.export("url", app.url)
    pulumi.export("database", stacks.get_credentials_output(db.id))
    return app, db
