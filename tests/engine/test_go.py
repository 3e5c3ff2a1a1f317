"""Programs in Go, with the generated SDK, on the real engine."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from stacks_pulumi.emulator import Emulator
from tests.support.languages import go_module, imports, lives, project_file
from tests.support.node import run
from tests.support.stack import Stack

pytestmark = pytest.mark.timeout(
    1800
)  # the language hosts may have to be built, and Pulumi's SDK is compiled

QUICKLY = "-ldflags=-w"
"""Options of Go: without debug information, linking takes half the time."""

SHOP = """\
package main

import (
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"stacks-pulumi/sdk/go/stacks"
)

func main() {
	pulumi.Run(func(ctx *pulumi.Context) error {
		database, err := stacks.NewContainer(ctx, "database", &stacks.ContainerArgs{
			Name:     pulumi.String("orders-db"),
			Template: pulumi.String("postgresql"),
		})
		if err != nil {
			return err
		}
		app, err := stacks.NewContainer(ctx, "app", &stacks.ContainerArgs{
			Template:       pulumi.String("nodejs"),
			ExternalAccess: pulumi.Bool(true),
		})
		if err != nil {
			return err
		}
		link, err := stacks.NewConnection(ctx, "link", &stacks.ConnectionArgs{
			Source: app.ID(),
			Target: database.ID(),
			Name:   pulumi.String("primary-db"),
		})
		if err != nil {
			return err
		}
		_, err = stacks.NewAllowedIp(ctx, "office", &stacks.AllowedIpArgs{
			Container:   app.ID(),
			IpAddress:   pulumi.String("198.51.100.0/24"),
			ServiceType: stacks.ServiceTypeHttp,
		})
		if err != nil {
			return err
		}
		found := stacks.LookupContainerOutput(ctx, stacks.LookupContainerOutputArgs{Id: app.ID()})
		ctx.Export("url", app.Url)
		ctx.Export("price", database.MonthlyPriceUsd)
		ctx.Export("status", found.Status())
		ctx.Export("environment", link.EnvironmentVariables)
		return nil
	})
}
"""


@pytest.fixture(scope="module")
def module(sdks: Callable[[str], Path]) -> Path:
    """The folder of a Go module with the SDK and the examples."""
    return go_module(sdks("go"))


@pytest.fixture
def go(stack: Stack, module: Path, language_hosts: Path) -> Stack:
    """A stack whose program is in Go, which the engine compiles."""
    files = {name: (module / name).read_text(encoding="utf-8") for name in ("go.mod", "go.sum")}
    stack.project({"Pulumi.yaml": project_file("go"), **files}, language_hosts)
    # These variables are for the engine: the compiler needs more memory.
    for name in ("GOGC", "GOMEMLIMIT"):
        del stack.env[name]
    stack.env["GOFLAGS"] = QUICKLY
    return stack


def test_every_example_compiles(module: Path) -> None:
    run("go", "vet", "./...", cwd=module, GOWORK="off")


def test_the_life_of_a_program(go: Stack, emulator: Emulator, language_hosts: Path) -> None:
    # The program is compiled once, not in each of the eight commands.
    go.project(
        {"main.go": SHOP, "Pulumi.yaml": project_file("{name: go, options: {binary: shop}}")}, language_hosts
    )
    run("go", "build", "-o", "shop", cwd=go.folder, GOWORK="off", GOFLAGS=QUICKLY)

    lives(go, emulator)


def test_an_import_writes_its_code(go: Stack, emulator: Emulator) -> None:
    assert 'stacks.NewContainer(ctx, "web"' in imports(go, emulator, "main.go")
