import pulumi
from app_with_database import AppWithDatabase

apps = [AppWithDatabase("blog", template="ghost", database="mysql", allowed=["198.51.100.0/24", "192.0.2.7"])]
if pulumi.Config().require_bool("wiki"):
    apps.append(AppWithDatabase("wiki", template="nodejs"))

pulumi.export("url", apps[0].url)
pulumi.export("monthly_price_usd", pulumi.Output.all(*(app.monthly_price_usd for app in apps)).apply(sum))
