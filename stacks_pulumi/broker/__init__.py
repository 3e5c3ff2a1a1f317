"""
One process holds the API key, and its clients hold grants: a request becomes real only if its grant permits it.

`docs/broker.md` describes it for users. The kernel decides: `change`, `permits`, `limits`, `rules`, `ledger`, `kernel`.
It knows nothing of Pulumi, of states, plans and programs. The rest of the package is how requests reach it.

- `change`: What may a change do, as data, and is it well formed?
- `permits`: Does a request fit a permit?
- `limits`: What may a create cost, and which limits hold it?
- `rules`: What needs an approval, and who may give it?
- `ledger`: What has happened, and what is reserved?
- `kernel`: What becomes of one request?
- `journal`: Who asked for what, what became of it, and was a line of that changed afterwards?
- `words`: How is a permit, or the read of a secret, written in one line?
- `grants`: How does a client get a grant or an approval, and what is a grant told about itself?
- `request`: Which request are the bytes of a client?
- `reply`: What does a client get?
- `upstream`: How is the platform asked?
- `server`: How does a request come in, and an answer go out?
- `folder`: Which files has a broker's folder, and who may read them?
- `placement`: Could other code read the key or the ledger?
- `settings`: What does `gate.yaml` say?
- `reader`: How is a file of settings read, so that a mistake has its line?
- `git`: What does git know about a folder, and which files does a ref have?
- `signers`: Who is in the file of signers, and when do their keys hold?
- `signatures`: Whose key has signed some bytes, and did it hold then?

What others build on:

- `change.Change`, with `Permit`, `Constraint`, `Known`, `Secret`, `Ceiling`: the data of a `change.json`.
  `Change.bytes` is what a planner writes; `change.read_change(bytes)` reads and checks it.
  Signatures are over the bytes as they are (`signatures.sign`, `signatures.signer_of`).
- `rules.judge(change, settings, facts)`, `rules.missing`, `words.in_words`: what follows for a change, who may approve
  it, and a permit in words. The server uses the same.
- `settings.GateFile`, `settings.read_file`: `gate.yaml`.
- HTTP, next to the endpoints of the platform below `/api/v1`:

  `GET /_broker/settings` (any token): `account`, `base_url`, `settings`, `approvers`, `process` (`pid`, `uid`).
  `GET /_broker/rules` (any token): `files`: the rules, packs, own rules and prices, by name, in base 64.
  `GET /_broker/me` (any token): `grant`, `kind`, `for`, `stack`, `until`, `ended`, `account`, `secrets`,
  `may_apply_free`, `permits` (each with `words`, `used` and `left`), `policy`, `left_today`, `made`, `unknown`,
  `requests`.
  `GET /_broker/requests/ID` (any token): `id`, `grant`, `for`, `stack`, `why`, `at`, `state` (`open`, `approved`,
  `denied`, `expired`), `approvals`, and `change`: the text that an approver signs.
  `GET /_broker/limits` (any token): `limits`: each with `name`, `most` (null for none) and `now`, the monthly price
  that counts for it, or null. A policy with `only: own` is told nothing of others.
  `GET /_broker/log` (a token that reads): `requests`, the open ones, and `grants`, the newest first: `grant`, `kind`,
  `for`, `stack`, `at`, `until`, `ended`, `approvals`, `author`, `revoked`, `usd` (what it added), and `done` (`at`,
  `state`, `method`, `path`, `body`).
  `GET /_broker/`: the page, without a token: it asks for one, and shows what the answers above say.
  `POST /_broker/changes` (no token, or one that may apply what is free): `{"statement": TEXT, "signatures": [TEXT]}`;
  201 with `token`, `approvals`, and what `me` has. 403 has `code` and, if it was judged, `verdict`.
  `POST /_broker/verdicts` (any token): the same body; 200 with `verdict`, `approvals`, `missing`, and `containers`: for
  each id that the change names, `name`, `template`, `plan`, `created_at`, `usd` and `owner` now, or null. For a budget,
  `beyond` has why it does not cover the change; it is empty if the budget covers all of it. It grants nothing.
  `POST /_broker/requests` (any token but that of a change): the same body, whose signatures do not count. It records
  the whole change as an access request, and returns `request`. Its approval makes the change one to hand in.
  `DELETE /_broker/me` (the token of a change): the token is void at once; the change can be handed in again.
  `POST /_broker/approvals` (no token): the same body. The signatures are kept until the change ends, and count when it
  is handed in. For the change of an access request, that request is allowed.

  A refusal has `error`, `hint`, `code` (`grant-refused`, `approval-needed`, `grant-limit`, `grant-busy`), `request`.
  `X-Broker: replay` or `found` marks an answer that was not sent upstream again.
- `folder.Folder`, `folder.announced`, `server.Server`: to serve a folder, also embedded.
"""
