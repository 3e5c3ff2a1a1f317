import pulumi
import pulumi_kubernetes as kubernetes

import stacks_pulumi as stacks

config = pulumi.Config()

shop = stacks.Container("shop", template="nodejs", external_access=True)
database = stacks.Container("shop-db", template="postgresql", external_access=True)
stacks.Connection("shop-to-db", source=shop, target=database)
# Only the cluster may connect from outside.
stacks.AllowedIp(
    "cluster",
    container=database,
    ip_address=config.require("clusterAddress"),
    service_type="tcp",
    revoke_auto_added=True,
)
login = stacks.get_credentials_output(database.id)

cluster = pulumi.ResourceOptions(
    provider=kubernetes.Provider("cluster", render_yaml_to_directory=config.get("render") or None)
)
settings = kubernetes.core.v1.ConfigMap("report", data={"SHOP_URL": shop.url}, opts=cluster)
access = kubernetes.core.v1.Secret(
    "report",
    string_data={
        "PGHOST": database.url,
        "PGPORT": database.port.apply(str),
        "PGUSER": login.username,
        "PGPASSWORD": login.password,
    },
    opts=cluster,
)
report = kubernetes.batch.v1.CronJob(
    "report",
    spec={
        "schedule": "0 4 * * *",
        "job_template": {
            "spec": {
                "template": {
                    "spec": {
                        "restart_policy": "Never",
                        "containers": [
                            {
                                "name": "report",
                                "image": "postgres:17-alpine",
                                "command": ["psql", "-c", "select now()"],
                                "env_from": [
                                    {"config_map_ref": {"name": settings.metadata.name}},
                                    {"secret_ref": {"name": access.metadata.name}},
                                ],
                            }
                        ],
                    }
                }
            }
        },
    },
    opts=cluster,
)

pulumi.export("job", report.metadata.name)
pulumi.export("shop", shop.url)
