import * as pulumi from "@pulumi/pulumi";
import * as stacks from "stacks-pulumi";

// Pulumi neither deletes nor replaces a protected resource. Run `pulumi config set protect true` once the data matters.
const protect = new pulumi.Config().getBoolean("protect") ?? false;

const db = new stacks.Container("orders-db", { template: "postgresql" }, { protect });
const app = new stacks.Container("orders", { template: "nodejs", externalAccess: true });
new stacks.Connection("orders-to-db", { source: app.id, target: db.id, name: "primary-db" });

export const url = app.url;
export const monthlyPriceUsd = pulumi
  .all([db.monthlyPriceUsd, app.monthlyPriceUsd])
  .apply((prices) => prices.reduce((sum: number, price) => sum + (price ?? 0), 0));
