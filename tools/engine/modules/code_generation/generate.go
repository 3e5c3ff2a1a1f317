package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/hashicorp/hcl/v2"

	golang "github.com/pulumi/pulumi/pkg/v3/codegen/go"
	"github.com/pulumi/pulumi/pkg/v3/codegen/hcl2/syntax"
	"github.com/pulumi/pulumi/pkg/v3/codegen/nodejs"
	"github.com/pulumi/pulumi/pkg/v3/codegen/pcl"
	"github.com/pulumi/pulumi/pkg/v3/codegen/python"
	"github.com/pulumi/pulumi/pkg/v3/codegen/schema"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource/plugin"
	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"
)

type files = map[string][]byte

// language is what generates the code of one language.
type language struct {
	sdk     func(*schema.Package, *pulumirpc.GeneratePackageRequest, schema.ReferenceLoader) (files, error)
	program func(*pcl.Program) (files, hcl.Diagnostics, error)
	// What a person runs to use a generated SDK; %s is its folder.
	use string
}

var languages = map[string]language{
	"go": {
		func(p *schema.Package, r *pulumirpc.GeneratePackageRequest, _ schema.ReferenceLoader) (files, error) {
			return golang.GeneratePackage("pulumi-language-go", p, r.LocalDependencies)
		},
		golang.GenerateProgram,
		"go mod edit -replace <the module in %[1]s/go.mod>=./%[1]s",
	},
	"nodejs": {
		func(p *schema.Package, r *pulumirpc.GeneratePackageRequest, loader schema.ReferenceLoader) (files, error) {
			return nodejs.GeneratePackage(
				"pulumi-language-nodejs", p, r.ExtraFiles, r.LocalDependencies, r.Local, loader)
		},
		nodejs.GenerateProgram,
		"npm install ./%s",
	},
	"python": {
		func(p *schema.Package, r *pulumirpc.GeneratePackageRequest, loader schema.ReferenceLoader) (files, error) {
			return python.GeneratePackage("pulumi-language-python", p, r.ExtraFiles, loader)
		},
		python.GenerateProgram,
		"pip install ./%s",
	},
}

// generatePackage writes the SDK of a schema into a folder.
func (l language) generatePackage(
	ctx context.Context, r *pulumirpc.GeneratePackageRequest,
) (*pulumirpc.GeneratePackageResponse, error) {
	loader, err := schema.NewLoaderClient(r.LoaderTarget)
	if err != nil {
		return nil, err
	}
	defer loader.Close()
	var spec schema.PackageSpec
	if err := json.Unmarshal([]byte(r.Schema), &spec); err != nil {
		return nil, err
	}
	pkg, diagnostics, err := schema.BindSpecWithContext(
		ctx, spec, schema.NewCachedLoader(loader), schema.ValidationOptions{AllowDanglingReferences: true})
	if err != nil {
		return nil, err
	}
	response := &pulumirpc.GeneratePackageResponse{Diagnostics: plugin.HclDiagnosticsToRPCDiagnostics(diagnostics)}
	if diagnostics.HasErrors() {
		return response, nil
	}
	generated, err := l.sdk(pkg, r, loader)
	if err != nil {
		return nil, err
	}
	for name, content := range generated {
		target := filepath.Join(r.Directory, name)
		if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
			return nil, err
		}
		if err := os.WriteFile(target, content, 0o644); err != nil {
			return nil, err
		}
	}
	return response, nil
}

// generateProgram writes a program in the language's own words, as `pulumi import` asks for.
func (l language) generateProgram(
	ctx context.Context, r *pulumirpc.GenerateProgramRequest,
) (*pulumirpc.GenerateProgramResponse, error) {
	loader, err := schema.NewLoaderClient(r.LoaderTarget)
	if err != nil {
		return nil, err
	}
	defer loader.Close()
	parser := syntax.NewParser()
	for name, text := range r.Source {
		if err := parser.ParseFile(strings.NewReader(text), name); err != nil {
			return nil, err
		}
	}
	if parser.Diagnostics.HasErrors() {
		return nil, parser.Diagnostics
	}
	options := []pcl.BindOption{pcl.PreferOutputVersionedInvokes}
	if !r.Strict {
		options = append(options, pcl.NonStrictBindOptions()...)
	}
	program, diagnostics, err := pcl.BindProgramWithContext(
		ctx, parser.Files, schema.NewCachedLoader(loader), options...)
	if err != nil {
		return nil, err
	}
	response := &pulumirpc.GenerateProgramResponse{Diagnostics: plugin.HclDiagnosticsToRPCDiagnostics(diagnostics)}
	if diagnostics.HasErrors() {
		return response, nil
	}
	source, more, err := l.program(program)
	if err != nil {
		return nil, err
	}
	response.Source = source
	response.Diagnostics = append(response.Diagnostics, plugin.HclDiagnosticsToRPCDiagnostics(more)...)
	return response, nil
}

// link leaves it to the reader to add a generated SDK to a project, and says how.
func (l language) link(_ context.Context, r *pulumirpc.LinkRequest) (*pulumirpc.LinkResponse, error) {
	commands := make([]string, 0, len(r.Packages))
	for _, dependency := range r.Packages {
		commands = append(commands, fmt.Sprintf("    "+l.use, dependency.Path))
	}
	return &pulumirpc.LinkResponse{
		ImportInstructions: "Add the SDK to the project:\n\n" + strings.Join(commands, "\n"),
	}, nil
}
