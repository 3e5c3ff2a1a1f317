"""
One process holds the API key, and its clients hold grants: a request is sent only if a grant permits it.

`docs/broker.md` describes the broker for users. The kernel decides which requests are sent: `change`, `permits`,
`limits`, `rules`, `ledger`, `judge`, `outcome`, `kernel`. The kernel knows nothing about Pulumi, states, plans or
programs. The rest of the package passes requests to the kernel.

- `change`: Which data describes what a change may do, and is it well formed?
- `permits`: Does a request fit a permit?
- `limits`: What may a create cost, and which limits apply to it?
- `rules`: What needs an approval, and who may give it?
- `ledger`: What has happened, and what is reserved?
- `judge`: May a grant send a request?
- `outcome`: What did a request change?
- `kernel`: Is a request refused, answered from the ledger, or sent?
- `journal`: Who sent which request, what was its outcome, and was a line changed afterwards?
- `words`: How is a permit, or the permission to read a secret, described in one line?
- `grants`: How does a client get a grant or an approval, and how does it read its grant?
- `request`: How are the bytes from a client parsed into a request?
- `reply`: What does a client receive?
- `upstream`: How does the broker send a request to the platform?
- `server`: How does the server receive requests and send answers?
- `folder`: Which files does a broker's folder contain, and who may read them?
- `placement`: Could other code read the key or the ledger?
- `settings`: What does `gate.yaml` set?
- `reader`: How is a settings file read so that an error names the line?
- `git`: What does git know about a folder, and which files does a ref contain?
- `signers`: Which people does the file of signers list, and when are their keys valid?
- `signatures`: Whose key created a signature, and was the key valid at that time?

Interfaces for other packages:

- `change.Change`, with `Permit`, `Constraint`, `Known`, `Secret`, `Ceiling`: the data of a `change.json`.
  `Change.bytes` is what a planner writes; `change.read_change(bytes)` reads and checks it.
  Signatures cover the exact bytes (`signatures.sign`, `signatures.signer_of`).
- `rules.judge(change, settings, facts)`, `rules.missing`, `words.in_words`: the verdict on a change, the missing
  approvals, and a permit in words. The server uses the same functions.
- `settings.GateFile`, `settings.read_file`: `gate.yaml`.
- HTTP, in addition to the platform's endpoints, which are under `/api/v1`:

  `GET /_broker/settings` (any token): `account`, `base_url`, `settings`, `approvers`, `process` (`pid`, `uid`).
  `GET /_broker/rules` (any token): `files`: the rules, packs, own rules and prices, by name, in base 64.
  `GET /_broker/me` (any token): `grant`, `kind`, `for`, `stack`, `until`, `ended`, `account`, `secrets`,
  `may_apply_free`, `permits` (each with `words`, `used` and `left`), `policy`, `left_today`, `made`, `unknown`,
  `requests`.
  `GET /_broker/requests/ID` (any token): `id`, `grant`, `for`, `stack`, `why`, `at`, `state` (`open`, `approved`,
  `denied`, `expired`), `approvals`, and `change`: the text that an approver signs.
  `GET /_broker/limits` (any token): `limits`: each with `name`, `most` (null for no limit) and `now` (the monthly
  price that counts towards it; null if unknown). With a policy `only: own`, the limits of other owners are left out.
  `GET /_broker/log` (a token that reads): `requests`, only the open ones, and `grants`, the newest first: `grant`,
  `kind`, `for`, `stack`, `at`, `until`, `ended`, `approvals`, `author`, `revoked`, `usd` (the price that it added), and
  `done` (`at`, `state`, `method`, `path`, `body`).
  `GET /_broker/`: the page, which needs no token. It asks for a token and shows the answers above.
  `POST /_broker/changes` (no token, or a token that may apply free changes): `{"statement": TEXT, "signatures":
  [TEXT]}`; 201 with `token`, `approvals`, and the fields of `me`. 403 has `code` and, if the change was judged,
  `verdict`.
  `POST /_broker/verdicts` (any token): the same body; 200 with `verdict`, `approvals`, `missing`, and `containers`: for
  each id that the change names, the current `name`, `template`, `plan`, `created_at`, `usd` and `owner`, or null if no
  container has the id. For a budget, `beyond` lists why it does not cover the change; it is empty if the budget covers
  the full change. This request grants nothing.
  `POST /_broker/requests` (any token except that of a change): the same body, but its signatures are ignored. It
  records the full change as an access request and returns `request`. After the approval, the change can be submitted.
  `DELETE /_broker/me` (the token of a change): the token becomes invalid at once; the change can be submitted again.
  `POST /_broker/approvals` (no token): the same body. The broker keeps the signatures until the change ends, and counts
  them when the change is submitted. If the change is from an access request, the broker then allows that request.

  A refusal has `error`, `hint`, `code` (`grant-refused`, `approval-needed`, `grant-limit`, `grant-busy`), `request`.
  `X-Broker: replay` or `found` marks an answer whose request was not sent upstream again.
- `folder.Folder`, `folder.announced`, `server.Server`: they serve a folder, permanently or for one run.
"""
