package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/hashicorp/hcl/v2"

	"github.com/pulumi/pulumi/pkg/v3/codegen/pcl"
	"github.com/pulumi/pulumi/pkg/v3/codegen/schema"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource/plugin"
	"github.com/pulumi/pulumi/sdk/v3/go/common/workspace"
	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"
)

type files = map[string][]byte

// language is what generates the code of one language.
type language struct {
	sdk     func(*schema.Package, *pulumirpc.GeneratePackageRequest, schema.ReferenceLoader) (files, error)
	program func(*pcl.Program) (files, hcl.Diagnostics, error)
	project func(string, workspace.Project, *pcl.Program, map[string]string) error
	// What a person runs to use a generated SDK; %s is its folder.
	use string
}

// generatePackage writes the SDK of a schema into a folder.
func (l language) generatePackage(
	_ context.Context, r *pulumirpc.GeneratePackageRequest,
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
	pkg, diagnostics, err := schema.BindSpec(
		spec, schema.NewCachedLoader(loader), schema.ValidationOptions{AllowDanglingReferences: true})
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
	_ context.Context, r *pulumirpc.GenerateProgramRequest,
) (*pulumirpc.GenerateProgramResponse, error) {
	folder, err := os.MkdirTemp("", "stacks-program-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(folder)
	for name, text := range r.Source {
		if err := os.WriteFile(filepath.Join(folder, filepath.Base(name)), []byte(text), 0o600); err != nil {
			return nil, err
		}
	}
	response := &pulumirpc.GenerateProgramResponse{}
	program, diagnostics, err := bind(folder, r.LoaderTarget, r.Strict)
	if err != nil {
		return nil, err
	}
	if !diagnostics.HasErrors() {
		source, more, err := l.program(program)
		if err != nil {
			return nil, err
		}
		response.Source = source
		diagnostics = append(diagnostics, more...)
	}
	response.Diagnostics = plugin.HclDiagnosticsToRPCDiagnostics(diagnostics)
	return response, nil
}

// generateProject writes a project in the language's own words, as `pulumi convert` asks for.
func (l language) generateProject(
	_ context.Context, r *pulumirpc.GenerateProjectRequest,
) (*pulumirpc.GenerateProjectResponse, error) {
	program, diagnostics, err := bind(r.SourceDirectory, r.LoaderTarget, r.Strict)
	if err != nil {
		return nil, err
	}
	response := &pulumirpc.GenerateProjectResponse{Diagnostics: plugin.HclDiagnosticsToRPCDiagnostics(diagnostics)}
	if diagnostics.HasErrors() {
		return response, nil
	}
	var project workspace.Project
	if err := json.Unmarshal([]byte(r.Project), &project); err != nil {
		return nil, err
	}
	return response, l.project(r.TargetDirectory, project, program, r.LocalDependencies)
}

// bind reads the program in a folder.
func bind(folder, target string, strict bool) (*pcl.Program, hcl.Diagnostics, error) {
	loader, err := schema.NewLoaderClient(target)
	if err != nil {
		return nil, nil, err
	}
	defer loader.Close()
	options := []pcl.BindOption{pcl.PreferOutputVersionedInvokes}
	if !strict {
		options = append(options, pcl.NonStrictBindOptions()...)
	}
	return pcl.BindDirectory(folder, schema.NewCachedLoader(loader), options...)
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
