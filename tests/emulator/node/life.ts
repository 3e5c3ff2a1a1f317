// A container's whole life, by fetch and the types that openapi-typescript makes of the contract.
import assert from "node:assert/strict";
import type { operations } from "./api.js";

type Json<T> = T extends { content: { "application/json": infer Body } } ? Body : never;
type Answer<Name extends keyof operations> = Json<
  operations[Name]["responses"][Extract<keyof operations[Name]["responses"], 200 | 202>]
>;
type Body<Name extends keyof operations> = Json<NonNullable<operations[Name]["requestBody"]>>;

const url = process.env.STACKS_BASE_URL;
const headers = { Authorization: `Bearer ${process.env.STACKS_API_KEY}`, "Content-Type": "application/json" };

async function ask<Name extends keyof operations>(_: Name, method: string, path: string, body?: Body<Name>): Promise<Answer<Name>> {
  const answer = await fetch(url + path, { method, headers, body: body === undefined ? undefined : JSON.stringify(body) });
  assert.ok(answer.ok, `${method} ${path}: ${answer.status}`);
  return (await answer.json()) as Answer<Name>;
}

async function create(name: string, template: Body<"containers.create">["template"]): Promise<string> {
  return (await ask("containers.create", "POST", "/containers", { name, template, plan: "basic" })).data.id;
}

const [app, db, gate] = [await create("myapp", "nodejs"), await create("mydb", "postgresql"), await create("gate", "stacks-vpn")];
assert.equal((await ask("containers.list", "GET", "/containers")).count, 3);
assert.equal((await ask("containers.status", "GET", `/containers/status/${app}`)).status, "running");
assert.equal((await ask("containers.credentials", "GET", `/containers/${db}/credentials`)).data.connectionInfo.port, 5432);
assert.ok((await ask("containers.logs", "GET", `/containers/${app}/logs?lines=5`)).data.lines.length > 0);
assert.equal((await ask("containers.metrics", "GET", `/containers/${app}/metrics`)).data.cpu.length, 10);
await ask("containers.certificate", "GET", `/containers/${app}/certificate`);
await ask("containers.regenerate_certificate", "POST", `/containers/${app}/certificate/regenerate`);
assert.equal((await ask("containers.templates", "GET", "/containers/templates")).count, 27);
await ask("containers.external_access", "PUT", `/containers/${app}/external-access`, { enabled: true });
const ip = await ask("allowed_ips.add", "POST", `/containers/${app}/allowed-ips`, { ip_address: "198.51.100.0/24", service_type: "http" });
assert.equal((await ask("allowed_ips.list", "GET", `/containers/${app}/allowed-ips`)).data.allowed_ips.length, 2);
await ask("allowed_ips.remove", "DELETE", `/containers/${app}/allowed-ips/${ip.data.id}`);
assert.equal((await ask("connections.targets", "GET", `/containers/${app}/available-targets`)).data.databases[0]?.id, db);
const made = await ask("connections.create", "POST", `/containers/${app}/connect/${db}`, { connectionName: "primary" });
assert.equal((await ask("connections.list", "GET", `/containers/${app}/connections`)).data.outgoing[0]?.target_name, "mydb");
await ask("connections.delete", "DELETE", `/containers/connections/${made.data.id}`);
await ask("backups.trigger", "POST", `/containers/${db}/backup`);
const backup = (await ask("backups.list", "GET", `/containers/${db}/backups`)).data[0]?.id;
await ask("backups.pin", "POST", `/backups/${backup}/pin`);
await ask("backups.restore", "POST", `/backups/${backup}/restore`);
await ask("backups.unpin", "POST", `/backups/${backup}/unpin`);
assert.equal((await ask("backups.stats", "GET", "/backups/stats")).data.completed_backups, "1");
await ask("backups.delete", "DELETE", `/backups/${backup}`);
await ask("vpn_clients.add", "POST", `/containers/${gate}/vpn-clients`, { name: "phone" });
assert.equal((await ask("vpn_clients.list", "GET", `/containers/${gate}/vpn-clients`)).count, 2);
assert.match((await ask("vpn_clients.config", "GET", `/containers/${gate}/vpn-config?client=phone`)).data.config, /WireGuard|Interface/);
await ask("vpn_clients.remove", "DELETE", `/containers/${gate}/vpn-clients/phone`);
await ask("containers.set_status", "PUT", `/containers/${app}/status`, { status: "stopped" });
await ask("containers.delete", "DELETE", `/containers/${app}`);
