"""
Writes the native plugin's schema from the annotations, docstrings and field tables of the classes.

    python tools/schema.py              writes stacks_pulumi/hosts/plugin/schema.json
    python tools/schema.py --samples    also converts the samples in tools/sdk/samples again; needs the language hosts
    python tools/schema.py --check      fails if the file would change
"""

from __future__ import annotations

import argparse
import inspect
import json
import re
import sys
import typing
from collections.abc import Mapping
from pathlib import Path
from types import UnionType
from typing import Any, Final, Literal, get_args, get_origin

ROOT: Final = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import stacks_pulumi  # noqa: E402  (the line above sets the path)
from stacks_pulumi import functions  # noqa: E402
from stacks_pulumi._identifiers import camel_case, snake_case  # noqa: E402
from stacks_pulumi.functions import (  # noqa: E402
    QUESTIONS,
    Question,
    results,
)
from stacks_pulumi.hosts.plugin.questions import CHILDREN  # noqa: E402
from stacks_pulumi.hosts.plugin.settings import SETTINGS  # noqa: E402
from stacks_pulumi.pricing.recognition import DYNAMIC, KINDS, NATIVE  # noqa: E402
from stacks_pulumi.resources import _literals, handlers  # noqa: E402
from stacks_pulumi.resources._fields import OnChange  # noqa: E402
from tools.docs.docstrings import attributes, first_sentence, section  # noqa: E402
from tools.docs.resources import secret_outputs  # noqa: E402
from tools.plugin import repository  # noqa: E402
from tools.sdk.samples import samples  # noqa: E402

FILE: Final = ROOT / "stacks_pulumi" / "hosts" / "plugin" / "schema.json"
LOGO: Final = "docs/images/logo.png"
_OF_THE_PROVIDER: Final = (
    "An account at STACKS. Without `apiKey` the default provider reads `STACKS_API_KEY`."
)
IMPORTS: Final = {
    "AllowedIp": "usr-abc12345-web/198.51.100.0/24",
    "Connection": "usr-abc12345-web/conn-1",
    "Container": "usr-abc12345-web",
    "PinnedBackup": "usr-abc12345-db/42",
    "SshCertificate": "usr-abc12345-web/ssh",
    "VpnClient": "usr-abc12345-vpn/laptop",
}
"""An example id of each kind that has an id at the API. A restore has none."""

_NUMBER_OR_TEXT: Final = "int | str"
_TEXTS: Final = {("BackupRestore", "backup_id")}
"""Arguments that are a number or a text, but were a text in the first release."""
_SCALARS: Final = {"str": "string", "int": "integer", "float": "number", "bool": "boolean"}
_ANY: Final = {"$ref": "pulumi.json#/Any"}
_KINDS_OF_JSON: Final[dict[type, str]] = {str: "string", int: "integer", float: "number", bool: "boolean"}


def schema(samples: Mapping[str, str] | None = None) -> dict[str, Any]:
    """
    Return the package's schema (https://www.pulumi.com/docs/iac/guides/building-extending/packages/schema).

    Args:
        samples: The sample of each kind; by default those in the file.
    """
    types: dict[str, Any] = {}
    samples = written_samples() if samples is None else samples
    resources = {f"{NATIVE}{kind}": _resource(kind, samples.get(kind, ""), types) for kind in KINDS}
    questions = {f"{NATIVE}{camel_case(name)}": _function(name, it, types) for name, it in QUESTIONS.items()}
    settings = _settings()
    package = {
        "name": "stacks",
        "displayName": "STACKS",
        "version": stacks_pulumi.__version__,
        "description": "Manage the STACKS container host: containers, connections, addresses, VPN clients and backups.",
        "keywords": ["pulumi", "stacks", "kind/native", "category/cloud"],
        "publisher": "stacks-pulumi",
        "homepage": "https://docs.stackshosting.cloud",
        "license": "Apache-2.0",
        **_addresses(),
        "config": {"variables": settings},
        "provider": {
            "description": f"{_OF_THE_PROVIDER}\n\n{_MARKS[0]}{samples.get('Provider', '')}{_MARKS[1]}",
            "inputProperties": settings,
            "properties": settings,
        },
        "types": dict(sorted(types.items())),
        "resources": resources,
        "functions": questions,
        # SDKs contain the files that package managers need: go.mod, pyproject.toml, versions.
        "meta": {"supportPack": True},
        "language": languages(),
    }
    spelt_out: dict[str, Any] = _spelt_out(package, _names(package))
    return spelt_out


def _addresses() -> dict[str, str]:
    """Return the fields that depend on the address of the repository, from which SDKs download the plugin."""
    where = repository()
    if not where:
        return {}
    name = where.removeprefix("github.com/")
    logo = f"https://raw.githubusercontent.com/{name}/v{stacks_pulumi.__version__}/{LOGO}"
    return {
        "repository": f"https://{where}",
        "logoUrl": logo,
        "pluginDownloadURL": f"github://api.github.com/{name}",
    }


def languages() -> dict[str, dict[str, Any]]:
    """Return the names of the SDKs (docs/decisions/013-names-of-generated-sdks.md)."""
    names: dict[str, dict[str, Any]] = {
        "nodejs": {"packageName": "stacks-pulumi"},
        "python": {"packageName": "pulumi_stacks", "pyproject": {"enabled": True}},
        "go": {
            "importBasePath": f"{repository() or 'stacks-pulumi'}/sdk/go/stacks",
            "generateResourceContainerTypes": False,
        },
        # Without the second line, programs would use `Stacks.Index.Container`, which is not in the SDK.
        "csharp": {"rootNamespace": "StacksPulumi", "namespaces": {"stacks": "Stacks", "index": ""}},
    }
    return {language: {**it, "respectSchemaVersion": True} for language, it in names.items()}


def _settings() -> dict[str, Any]:
    said = section(stacks_pulumi.Provider.__init__, "Args")
    annotations = stacks_pulumi.Provider.__init__.__annotations__
    settings: dict[str, dict[str, Any]] = {
        name: {
            "type": _scalar(annotations[snake_case(name)]) if name != "adopt" else "string",
            "description": said[snake_case(name)].partition(" Default: the stack's setting")[0],
        }
        for name in SETTINGS
    }
    # No default from the environment, which would put the key into the state. The plugin itself reads the variable.
    settings["apiKey"]["secret"] = True
    return settings


def _resource(kind: str, sample: str, types: dict[str, Any]) -> dict[str, Any]:
    cls = getattr(stacks_pulumi, kind)
    fields = {field.name: field for field in handlers.HANDLERS[kind].fields if not field.noted}
    said, annotations = section(cls.__init__, "Args"), cls.__init__.__annotations__
    numbers = {name for name, (annotation, _) in attributes(cls).items() if _NUMBER_OR_TEXT in annotation}
    inputs = {
        name: {
            **(_given(kind, name) if name in numbers else _input(annotations[name], types)),
            "description": said.get(name, ""),
            # The provider decides about a replacement; with `replaceOnChanges`, the engine would not ask it.
            **({"willReplaceOnChanges": True} if field.on_change is OnChange.REPLACE else {}),
        }
        for name, field in fields.items()
    }
    outputs: dict[str, Any] = {}
    for name, (annotation, text) in {**attributes(cls), **_inherited(cls)}.items():
        # Programs use a number, so the type stays a number, even if a platform sends texts.
        type_ = {"type": "integer"} if name in numbers else _written(annotation)
        outputs[name] = {**type_, "description": text}
    for name in fields:
        # An input without a separate output is also an unchanged output.
        given = {key: value for key, value in inputs[name].items() if key != "willReplaceOnChanges"}
        outputs.setdefault(name, given)
    for name in secret_outputs(kind):
        outputs[name]["secret"] = True
    declared = {**attributes(cls), **_inherited(cls)}
    required = [name for name, (annotation, _) in declared.items() if "None" not in annotation]
    return {
        "description": f"{inspect.getdoc(cls)}\n\n{_MARKS[0]}{sample}{_MARKS[1]}{_import(kind)}",
        "inputProperties": _spelt(inputs),
        # The plugin generates missing names.
        "requiredInputs": [
            camel_case(it.name) for it in fields.values() if it.required and it.name != "name"
        ],
        "properties": _spelt(outputs),
        "required": sorted(map(camel_case, required)),
        "aliases": [{"type": f"{DYNAMIC}{kind}"}],
        **_listed(kind),
    }


def _listed(kind: str) -> dict[str, Any]:
    """Return the arguments of `pulumi do stacks:index:<kind> list`, if the plugin can list the kind."""
    if kind != "Container" and kind not in CHILDREN:
        return {}
    container = {
        "type": "string",
        "description": "The id of a container; by default, all containers of the account.",
    }
    return {
        "listInputs": {
            "type": "object",
            "properties": {} if kind == "Container" else {"container": container},
        }
    }


def _given(kind: str, name: str) -> dict[str, Any]:
    """
    Return the schema of an argument that is a number or a text.

    Languages without unions use the type of the first release, so that existing programs still compile.
    """
    scalars = [{"type": "integer"}, {"type": "string"}]
    return {"type": "string" if (kind, name) in _TEXTS else "integer", "oneOf": scalars}


_MARKS: Final = (
    "{{% examples %}}\n## Example Usage\n\n{{% example %}}\n",
    "\n{{% /example %}}\n{{% /examples %}}\n",
)
"""
The marks before and after a sample. With these marks, SDKs and the registry show only the program in one language.
"""


def written_samples() -> dict[str, str]:
    """Return the samples in the file, of each kind and of the provider."""
    package = json.loads(FILE.read_text(encoding="utf-8"))
    return {
        token.removeprefix(NATIVE): it["description"].partition(_MARKS[0])[2].partition(_MARKS[1])[0]
        for token, it in {**package["resources"], "Provider": package["provider"]}.items()
    }


def _import(kind: str) -> str:
    if kind not in IMPORTS:
        return ""
    return f"\n## Import\n\n```sh\npulumi import {NATIVE}{kind} example {IMPORTS[kind]}\n```\n"


def _function(name: str, question: Question, types: dict[str, Any]) -> dict[str, Any]:
    function = getattr(functions, name)
    said = section(function, "Args")
    parameters = {
        key: parameter
        for key, parameter in inspect.signature(function).parameters.items()
        if key != "provider"
    }
    inputs = {
        key: {
            "type": _SCALARS[str(parameter.annotation)],
            "description": said[key],
            **({} if parameter.default is inspect.Parameter.empty else {"default": parameter.default}),
        }
        for key, parameter in parameters.items()
    }
    needed = [key for key, it in parameters.items() if it.default is inspect.Parameter.empty]
    if issubclass(question.returns, results.Result) and not question.is_list:
        outputs, required = _values(question.returns, types)
    else:
        row = _of(question.returns, types)
        result = {"type": "array", "items": row} if question.is_list else dict(row)
        outputs, required = {"result": {**result, "description": "The answer."}}, ["result"]
    if question.secret:
        for it in outputs.values():
            it["secret"] = True
    return {
        "description": first_sentence(function),
        "inputs": {
            "type": "object",
            "properties": _spelt(inputs),
            "required": sorted(map(camel_case, needed)),
        },
        "outputs": {"type": "object", "properties": outputs, "required": required},
    }


def _values(kind: type[results.Result], types: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Return the values of a result, and the names of the required values."""
    said = section(kind.model, "Attributes")
    properties: dict[str, Any] = {}
    required = []
    for name, value in kind.values.items():
        (type_,) = get_args(value.__orig_class__)  # type: ignore[attr-defined]  # typing sets it
        if type(None) in get_args(type_):
            (type_,) = (it for it in get_args(type_) if it is not type(None))
        else:
            required.append(camel_case(name))
        derived = getattr(kind.model, name, None)
        text = derived.__doc__ if isinstance(derived, property) else said[name]
        properties[camel_case(name)] = {**_of(type_, types), "description": text}
    return properties, sorted(required)


def _of(type_: Any, types: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of a type in a result."""
    if get_origin(type_) is list:
        return {"type": "array", "items": _of(get_args(type_)[0], types)}
    if get_origin(type_) is dict:
        inner = get_args(type_)[1]
        return {"type": "object", "additionalProperties": _ANY if inner is Any else _of(inner, types)}
    if type_ == int | str:
        # As above: programs use a number.
        return {"type": "integer"}
    if type_ in _KINDS_OF_JSON:
        return {"type": _KINDS_OF_JSON[type_]}
    token = f"{NATIVE}{type_.__name__}Details"
    if token not in types:
        types[token] = {}
        properties, required = _values(type_, types)
        types[token] = {
            "type": "object",
            "description": inspect.getdoc(type_),
            "properties": properties,
            "required": required,
        }
    return {"$ref": f"#/types/{token}"}


def _input(annotation: str, types: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of an argument. An enumeration also accepts any text, because the platform may add values."""
    name = annotation.removesuffix(" | None")
    literal = getattr(_literals, name, None)
    if literal is None:
        return _written(annotation)
    words = _words(literal)
    if not all(isinstance(word, str) for word in words):
        return {"type": "integer"}
    token = f"{NATIVE}{name}"
    types[token] = {
        "type": "string",
        "enum": [{"name": _member(word), "value": word} for word in words],
    }
    return {"type": "string", "oneOf": [{"type": "string"}, {"$ref": f"#/types/{token}"}]}


def _words(literal: Any) -> list[Any]:
    if get_origin(literal) is Literal:
        return list(get_args(literal))
    if get_origin(literal) in (UnionType, typing.Union):
        return [word for part in get_args(literal) for word in _words(part)]
    return []


def _member(word: str) -> str:
    return "".join(part.capitalize() for part in re.split(r"[-_]", word))


def _written(annotation: str) -> dict[str, Any]:
    if "Mapping[str, str]" in annotation or "dict[str, str]" in annotation:
        return {"type": "object", "additionalProperties": {"type": "string"}}
    if "Sequence[" in annotation:
        return {"type": "array", "items": _ANY}
    return {"type": _scalar(annotation)}


def _scalar(annotation: str) -> str:
    words = re.findall(r"\b(?:str|int|float|bool)\b", annotation)
    # An input that accepts a number or a text has the type text, for example a backup's number.
    return "string" if "str" in words else _SCALARS[words[0]]


def _inherited(cls: type) -> dict[str, tuple[str, str]]:
    """Return the outputs that several resources share."""
    found: dict[str, tuple[str, str]] = {}
    for base in cls.__mro__[1:]:
        if base.__module__ == "stacks_pulumi.resources._resource":
            found.update(attributes(base))
    return found


def _names(package: dict[str, Any]) -> set[str]:
    """Return every name with a different spelling in Python."""
    bags = [package["provider"]["inputProperties"], package["functions"]]
    bags += [it[key] for it in package["resources"].values() for key in ("inputProperties", "properties")]
    return {name.rpartition(":")[2] for bag in bags for name in bag}


def _spelt_out(value: Any, names: set[str]) -> Any:
    """Return the schema with its own names in the descriptions instead of Python's names."""
    if isinstance(value, list):
        return [_spelt_out(item, names) for item in value]
    if not isinstance(value, dict):
        return value

    def named(found: re.Match[str]) -> str:
        name = camel_case(found[1])
        return f"`{name}`" if name in names else found[0]

    return {
        key: re.sub(r"`([a-z_]+)`", named, item)
        if key == "description" and isinstance(item, str)
        else _spelt_out(item, names)
        for key, item in value.items()
    }


def _spelt(properties: dict[str, Any]) -> dict[str, Any]:
    return {camel_case(name): value for name, value in properties.items()}


def main() -> int:
    """Write the file, or check whether it is up to date."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").strip().partition("\n")[0])
    parser.add_argument(
        "--check", action="store_true", help="change nothing; exit code 1 if the file is out of date"
    )
    parser.add_argument("--samples", action="store_true", help="convert the samples again")
    arguments = parser.parse_args()
    text = json.dumps(schema(samples() if arguments.samples else None), indent=2, ensure_ascii=False) + "\n"
    if FILE.is_file() and FILE.read_text(encoding="utf-8") == text:
        return 0
    if arguments.check:
        print(f"{FILE.relative_to(ROOT)} is out of date: run python tools/schema.py", file=sys.stderr)
        return 1
    FILE.write_text(text, encoding="utf-8")
    print(f"wrote {FILE.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
