"""
The platform's words: which status, plan, template or type of the guide does a word of an answer mean?

The guide does not list all words, and a platform may spell them in another way. So words are compared without case, a
status also without separators (`In Progress` is `in_progress`), and obvious synonyms are known. The platform file takes
precedence. A word that is not known stays as it came, so that an error can show it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from contextvars import ContextVar
from typing import Any, Final, get_args

from stacks_pulumi import catalog
from stacks_pulumi.platform_file import BackupStatus, BackupType, ContainerStatus, PlatformFacts

_SEPARATORS: Final = re.compile(r"[\W_]+")
_PREFIX: Final = re.compile(r"[a-z]{0,40}?(?:status|state)([a-z]{1,40})")
"""`CONTAINER_STATUS_RUNNING`, without case and separators."""
_DOCKER: Final = (
    (re.compile(r"up (?:about |less than )?\w+ \w+(?: \(healthy\))?", re.IGNORECASE), "running"),
    (re.compile(r"up [\w ]{0,40}\(health: starting\)", re.IGNORECASE), "starting"),
    (re.compile(r"exited \(\d+\).*", re.IGNORECASE), "stopped"),
    (re.compile(r"restarting \(\d+\).*", re.IGNORECASE), "restarting"),
)
_MOST_WORDS: Final = 1024

_STATUSES: Final[Mapping[ContainerStatus, str]] = {
    "pending": "created creating provisioning queued building initializing initialising deploying requested accepted "
    "pulling preparing allocating installing scheduling",
    "starting": "booting start_pending powering_on resuming",
    "running": "active up online started healthy alive",
    "stopping": "shutting_down powering_off halting",
    "stopped": "exited off down halted offline shut_off powered_off power_off shutdown",
    "restarting": "rebooting",
    "error": "failed failure errored crashed",
    "deleting": "removing destroying terminating pending_deletion deletion_pending pending_delete",
    "deleted": "removed destroyed terminated purged",
}
"""Synonyms of the statuses of a container. None of them could mean another status."""

_BACKUP_STATUSES: Final[Mapping[BackupStatus, str]] = {
    "in_progress": "pending queued running started creating processing uploading",
    "completed": "complete done success succeeded successful finished ok available ready",
    "failed": "failure error errored",
}
_BACKUP_TYPES: Final[Mapping[BackupType, str]] = {
    "manual": "on_demand user user_initiated user_requested ad_hoc",
    "scheduled": "automatic automated auto daily nightly weekly periodic",
}


class Vocabulary(dict[str, str]):
    """
    The word that is used here for each word of the platform. An unknown word is returned unchanged.

    It remembers each word, so that a long list is read fast.

    Args:
        known: The words that are used here, each with its synonyms.
        told: The words of the platform file. They take precedence.
        form: What is the same for two spellings of a word.
    """

    def __init__(
        self, known: Mapping[str, Iterable[str]], told: Mapping[str, str] | None, form: Callable[[str], str]
    ) -> None:
        super().__init__({} if told else {word: word for word in known})
        self._form = form
        self._means = {
            form(synonym): word for word, synonyms in known.items() for synonym in (word, *synonyms)
        }
        self._means.update({form(word): meaning for word, meaning in (told or {}).items()})

    def __missing__(self, word: str) -> str:
        found = self.meaning(word) or word
        if len(self) < _MOST_WORDS:  # the words come from an answer, which may have any number of them
            self[word] = found
        return found

    def meaning(self, word: str) -> str | None:
        """Return what a word means; `None` if it is unknown."""
        return self._means.get(self._form(word))


class Statuses(Vocabulary):
    """Statuses, also with a prefix (`STATE_RUNNING`), or as the container runtime writes them (`Up 2 hours`)."""

    def meaning(self, word: str) -> str | None:
        """Return what a word means; `None` if it is unknown."""
        prefixed = _PREFIX.fullmatch(self._form(word))
        found = super().meaning(word) or (self._means.get(prefixed[1]) if prefixed else None)
        return found or next((status for form, status in _DOCKER if form.fullmatch(word.strip())), None)


def _caseless(word: str) -> str:
    return word.strip().casefold()


def _squeezed(word: str) -> str:
    return _SEPARATORS.sub("", word.casefold())


def _split(known: Mapping[Any, str]) -> dict[str, list[str]]:
    return {word: synonyms.split() for word, synonyms in known.items()}


class Types(dict[str, Mapping[str, str]]):
    """
    The fields of a container that its `type` shows: the template, its category, or both if nothing shows which it is.

    It remembers each type, so that a long list is read fast.

    Args:
        templates: The vocabulary of templates.
        type_is: What the platform file says about `type`.
    """

    def __init__(self, templates: Vocabulary, type_is: str | None) -> None:
        known = {} if type_is == "category" else {id: {"template": templates[id]} for id in catalog.TEMPLATES}
        super().__init__(known)
        self._templates = templates
        self._type_is = type_is

    def __missing__(self, word: str) -> Mapping[str, str]:
        template = self._templates[word]
        is_template = self._templates.meaning(word) is not None or _caseless(word) in _SHORT_FORMS
        if self._type_is == "template" or (self._type_is is None and is_template):
            found = {"template": template}
        elif self._type_is == "category" or category(word) is not None:
            found = {"category": word}
        else:
            found = {"template": word, "category": word}
        if len(self) < _MOST_WORDS:
            self[word] = found
        return found


class Reading:
    """
    The part of a platform file with which answers are read.

    Args:
        facts: The content of the platform file.

    Attributes:
        vocabularies: By the names that a model's `WORDS` has.
        types: What the `type` of a container shows.
        rows: The path of the rows in a list, from the platform file.
    """

    def __init__(self, facts: PlatformFacts) -> None:
        templates = {name: (template.title,) for name, template in catalog.TEMPLATES.items()}
        plans: dict[str, tuple[str, ...]] = dict.fromkeys((*catalog.PLANS, catalog.VPN_PLAN.name), ())
        both = ("all", "any", "*", "http,tcp", "tcp,http", "http+tcp", "http tcp", "tcp http", "http and tcp")
        services = {"http": (), "tcp": (), "both": both}
        self.vocabularies: Final[Mapping[str, Vocabulary]] = {
            "status": Statuses(_split(_STATUSES), facts.containers.statuses, _squeezed),
            "plan": Vocabulary(plans, facts.containers.plans, _caseless),
            "template": Vocabulary(templates, facts.containers.templates, _caseless),
            "backup_status": Vocabulary(_split(_BACKUP_STATUSES), facts.backups.statuses, _squeezed),
            "backup_type": Vocabulary(_split(_BACKUP_TYPES), facts.backups.types, _squeezed),
            "service": Vocabulary(services, None, _squeezed),
        }
        self.rows: Final = tuple(facts.lists.rows.split(".")) if facts.lists.rows else ()
        self.types: Final = Types(self.vocabularies["template"], facts.containers.type_is)


READING: Final[ContextVar[Reading]] = ContextVar("reading", default=Reading(PlatformFacts()))  # noqa: B039  (it only remembers words)
"""How answers are read in this thread. `Decode` sets it for each answer: clients may have different platforms."""

_SHORT_FORMS: Final = frozenset(
    name for id in catalog.TEMPLATES for name in (id.removesuffix("-micro"), id.removeprefix("stacks-"))
) - {"storage"}
"""What the list may call a template: without the size or the prefix. `storage` is a category as well."""

_TEMPLATE_WORDS: Final = _SHORT_FORMS | catalog.TEMPLATES.keys()

_CATEGORIES: Final = {_squeezed(category.value): category for category in catalog.Category}


def category(word: str | None) -> catalog.Category | None:
    """Return the guide's category that a word means, in the singular or plural; `None` if it means none."""
    form = _squeezed(word or "")
    return _CATEGORIES.get(form) or _CATEGORIES.get(form.removesuffix("s"))


def is_from(wanted: str, template: str | None, type: str | None) -> bool | None:
    """
    Whether a container was created from a template; `None` if its words do not show that.

    A word that is neither a template nor a category of the guide may be the platform's own word for the template.

    Args:
        wanted: The template.
        template: What the answer says about the container's template.
        type: The container's `type`, if that may be a category. `template` is not certain if it is the same.
    """
    known, word = catalog.TEMPLATES.get(wanted), (template or "").casefold()
    if word in {wanted.casefold(), wanted.removesuffix("-micro"), wanted.removeprefix("stacks-")}:
        return True
    told = category(type if template is None or template == type else template)
    if told is not None and known is not None and told is not known.category:
        return False
    return False if word in _TEMPLATE_WORDS and told is None else None


TOMBSTONES: Final = frozenset(
    spelling
    for name in ("deleted", "removed", "destroyed", "terminated")
    for spelling in (name, f"{name}_at", f"{name}At", f"is_{name}", f"is{name.title()}")
)
"""Fields of a row that is deleted and still listed, perhaps with its last status."""


SETTLED_STATUSES: Final = frozenset({"running", "stopped", "error"})
"""A container keeps such a status until a request changes it. The guide does not list the statuses in between."""

DELETED_STATUS: Final = "deleted"
"""The status of a container that is deleted and still listed."""

ENDING_STATUSES: Final = frozenset({"deleting", DELETED_STATUS})
"""The status of a container that is being deleted or is deleted."""

_KNOWN: Final[Mapping[str, frozenset[str]]] = {
    "container": frozenset(get_args(ContainerStatus)),
    "backup": frozenset(get_args(BackupStatus)),
}


def is_known_status(word: str | None, noun: str = "container") -> bool:
    """
    Whether a status means something here; true for `None`.

    A status that does not is an unknown word of the platform, as the API sent it: only a platform file can say what it
    means.

    Args:
        word: The status of a model.
        noun: The kind of resource, as `Feed` has it: `container` or `backup`.
    """
    return word is None or word in _KNOWN[noun]
