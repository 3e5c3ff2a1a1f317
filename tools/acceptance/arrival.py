"""The arrival of a new container: when the list and the status know it, and what they show until it runs."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final

from stacks_pulumi import catalog
from tools.acceptance import reading
from tools.acceptance.budget import OutOfTimeError
from tools.acceptance.run import Created, Run, Seen
from tools.acceptance.sweep import container_id
from tools.acceptance.words import Trail

__all__ = ["arrive"]

_MOST_IDS: Final = 3
_GONE: Final = frozenset({"deleted", "deleting"})
_UUID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_CATEGORIES: Final = frozenset(reading.plain(it.category.value) for it in catalog.TEMPLATES.values())


def arrive(run: Run, created: Created, judge: Callable[[Seen], None] = lambda _: None) -> str | None:
    """
    Wait until a new container runs and is listed; return its id, `None` if nothing ever shows it.

    What it shows of the platform is noted: when the list and the status know it, the words on the way, its id.

    Args:
        run: The run.
        created: The creation.
        judge: Called with each look at the status.
    """
    return _Arrival(run, created, judge).wait()


class _Arrival:
    """
    Waits for one new container.

    Args:
        run: The run.
        created: The creation.
        judge: Called with each look at the status.
    """

    def __init__(self, run: Run, created: Created, judge: Callable[[Seen], None]) -> None:
        self._run = run
        self._created = created
        self._judge = judge
        self._trail = Trail(run.words, "running", run.pace)
        self._id: str | None = None
        self._row: dict[str, Any] | None = None
        self._seen: Seen | None = None
        self._first: float | None = None
        self._listed: float | None = None
        self._found: float | None = None
        self._reached: tuple[str, float] | None = None
        self._pending_unlisted = False

    def wait(self) -> str | None:
        """Return the id of the container once it runs and is listed; `None` if nothing shows it."""
        if self._created.answer.refused:
            return None
        try:
            what = f"the arrival of {self._created.asked.name}"
            # After an answer without a decision there may be no container to wait for.
            self._run.until(
                self._look, bool, what, None if self._created.answer.ok else self._run.pace.visible
            )
        except OutOfTimeError as error:
            self._run.problems.append(f"{self._created.asked.name}: {error}; {self._shown()}")
        if self._id is not None:
            self._trail.close("pending")
            self._note()
        return self._id

    def _shown(self) -> str:
        words = ", ".join(self._trail.passed) or "no status"
        listed = "not listed" if self._listed is None else "listed"
        return f"{listed}, {words} (raw status {self._seen.raw if self._seen else ''!r})"

    def _look(self) -> bool:
        run, asked, now = self._run, self._created.asked, self._run.now()
        self._first = now if self._first is None else self._first
        # The status first: a list that has only containers that run has one that its status showed as running before.
        seen = self._status(asked.ids)
        row = run.named(run.rows(), asked)
        if row is not None and run.means(row) in _GONE:
            # An older container of this name, as in the status.
            row = None
        if row is not None:
            self._row, self._listed = row, self._listed if self._listed is not None else now
            id_ = container_id(row)
            run.record.add_ids(asked, [id_] if id_ is not None else [])
        if seen is None and row is not None:
            seen = self._status(asked.ids)
        if seen is not None:
            self._seen, self._found = seen, self._found if self._found is not None else now
            self._judge(seen)
            state = (seen.word, seen.means, seen.raw)
        elif row is not None:
            self._id = self._id or container_id(row)
            raw = reading.word(reading.field(row, "raw_docker_status"))
            state = (reading.word(reading.field(row, "status", "state")), run.means(row), raw or "")
        else:
            return False
        reached = self._trail.see(*state, now)
        if reached is not None and self._reached is None:
            self._reached = (reached, now)
        self._pending_unlisted = self._pending_unlisted or (reached is None and row is None)
        if self._reached is None:
            return False
        waited = now - self._reached[1] >= run.pace.visible
        return (self._listed is not None and self._found is not None) or waited

    def _status(self, ids: list[str]) -> Seen | None:
        """Return the status of the first id that has one under the name that was asked for."""
        for id_ in list(dict.fromkeys([*([self._id] if self._id else []), *ids]))[:_MOST_IDS]:
            seen = self._run.look(id_)
            if seen.means in _GONE:
                # An older container of this name.
                continue
            name = seen.answer.get("name", "container_name") if seen.answer.ok else None
            asked = self._created.asked.name.lower()
            if seen.answer.ok and (name is None or str(name).lower().endswith(asked)):
                self._id = id_
                return seen
        return None

    def _note(self) -> None:
        run, created = self._run, self._created
        name = created.asked.name
        self._note_times()
        if created.answer.ok:
            run.learned.note("containers.create_code", created.answer.status, "the answer to a creation")
        elif created.answer.status == 503 and self._listed is not None:
            seconds = self._listed - created.at
            run.learned.seconds("errors.waitlist_seconds", seconds, f"after a 503, {name} appeared")
        self._note_id()
        given = created.answer.ids
        if created.answer.ok:
            run.learned.note(
                "containers.create_id",
                "none" if not given else "container" if self._id in given else "request",
                f"the answer to the creation of {name} has {len(given)} ids; the container's is another one",
            )
        words = [word for word in self._trail.passed if run.words.means(word) != "running"]
        if words and {run.words.means(word) for word in words} - {"pending", "starting"}:
            run.learned.note("containers.boot_statuses", words, f"{name} showed them before it ran")
        shown = reading.field(self._row, "name") or (self._seen and self._seen.answer.get("name"))
        if isinstance(shown, str) and shown.lower().endswith(name.lower()):
            spelled = shown[len(shown) - len(name) :]
            run.learned.note("containers.name_prefix", shown[: -len(name)], f"{name} is listed with it")
            if name != name.lower():
                case = "kept" if spelled == name else "lower"
                run.learned.note("containers.name_case", case, f"{name} is listed as {spelled}")
        self._note_kind()
        if self._row is not None and self._seen is not None:
            in_list = reading.field(self._row, "created_at") is not None
            in_status = self._seen.answer.get("created_at") is not None
            where = {(True, True): "both", (True, False): "list", (False, True): "status"}.get(
                (in_list, in_status)
            )
            if where is not None:
                run.learned.note("containers.created_at_in", where, f"only the {where} has it")

    def _note_id(self) -> None:
        """Note what an id is made of."""
        id_ = str(self._id)
        form = "number" if id_.isdecimal() else "uuid" if _UUID.fullmatch(id_.lower()) else None
        if form is None and id_.lower().endswith(self._created.asked.name.lower()):
            form = "name"
        if form is not None:
            self._run.learned.note("containers.id_form", form, f"an id is a {form}")

    def _note_times(self) -> None:
        """Note when the list and the status knew the container; each `None` if it never did."""
        # What the first look shows took no time.
        run, at = self._run, self._first or self._created.at
        first = f"after the creation of {self._created.asked.name} was answered"
        listed = None if self._listed is None else self._listed - at
        # Without its id in the answer, the status could not be asked for before the list had it.
        asked = self._id in self._created.answer.ids
        found = None if self._found is None or not asked else self._found - at
        if listed and self._is_listed_when_it_runs(listed):
            run.learned.note(
                "containers.listed_while_pending",
                value=False,
                evidence=f"the list had it {listed:.0f} s {first}, when it ran",
            )
        elif listed is not None:
            run.learned.seconds(
                "containers.listed_seconds", listed, f"the list had it {listed:.0f} s {first}"
            )
        if listed == 0 or (self._trail.passed and not self._pending_unlisted):
            run.learned.same("containers.listed_while_pending")
        if found is not None:
            run.learned.seconds(
                "containers.found_seconds", found, f"its status was found {found:.0f} s {first}"
            )
        known = [it for it in (listed, found) if it is not None]
        if known:
            run.learned.most("containers.visible_seconds", min(known), f"neither knew it before {first}")

    def _is_listed_when_it_runs(self, listed: float) -> bool:
        """Return whether the list has shown the container from the moment on when it ran."""
        run = self._run
        if self._reached is None or self._seen is None or self._listed is None:
            return False
        if self._pending_unlisted:
            return self._listed == self._reached[1]
        # It was not seen before: the platform's own times say when it began to run.
        times = [reading.moment(self._seen.answer.get(name)) for name in ("created_at", "updated_at")]
        began, ran = times
        return (
            began is not None
            and ran is not None
            and ran > began
            and abs(ran - began - listed) <= run.pace.interval
        )

    def _note_kind(self) -> None:
        """Note the words for the template and the plan, and what `type` is."""
        run, fields = self._run, self._created.fields
        answers = [self._created.answer.body, self._seen.answer.body if self._seen else None, self._row]
        for name, setting in (("plan", "containers.plans"), ("template", "containers.templates")):
            for answer in answers:
                word = reading.word(reading.field(answer, name))
                if word is not None and name in fields:
                    run.learned.word(setting, word, fields[name], f"asked for {fields[name]}")
        kind = reading.word(reading.field(self._row, "type"))
        template = fields.get("template")
        if kind is None or template is None:
            return
        if kind.lower() == template:
            run.learned.same("containers.type_is")
        elif reading.plain(kind) in _CATEGORIES:
            run.learned.note(
                "containers.type_is", "category", f"the type of a {template} in the list is {kind}"
            )
        else:
            run.learned.word("containers.templates", kind, template, f"the type of a {template}")
