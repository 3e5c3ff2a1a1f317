import pulumi

import stacks_pulumi as stacks

version = pulumi.Config().require("version")

app = stacks.Container("shop", template="nodejs", restart_triggers=[version])
key = stacks.SshCertificate("shop-key", container=app)

pulumi.export("status", app.status)
pulumi.export("host", app.ssh_host)
pulumi.export("port", app.ssh_port)
pulumi.export("user", app.ssh_user)
pulumi.export("private_key", key.private_key)
