//go:build !csharp

package main

import (
	golang "github.com/pulumi/pulumi/pkg/v3/codegen/go"
	"github.com/pulumi/pulumi/pkg/v3/codegen/nodejs"
	"github.com/pulumi/pulumi/pkg/v3/codegen/pcl"
	"github.com/pulumi/pulumi/pkg/v3/codegen/python"
	"github.com/pulumi/pulumi/pkg/v3/codegen/schema"
	"github.com/pulumi/pulumi/sdk/v3/go/common/workspace"
	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"
)

var languages = map[string]language{
	"go": {
		func(p *schema.Package, r *pulumirpc.GeneratePackageRequest, _ schema.ReferenceLoader) (files, error) {
			return golang.GeneratePackage("pulumi-language-go", p, r.LocalDependencies)
		},
		golang.GenerateProgram,
		golang.GenerateProject,
		"go mod edit -replace <the module in %[1]s/go.mod>=./%[1]s",
	},
	"nodejs": {
		func(p *schema.Package, r *pulumirpc.GeneratePackageRequest, loader schema.ReferenceLoader) (files, error) {
			return nodejs.GeneratePackage(
				"pulumi-language-nodejs", p, r.ExtraFiles, r.LocalDependencies, r.Local, loader)
		},
		nodejs.GenerateProgram,
		func(folder string, p workspace.Project, program *pcl.Program, local map[string]string) error {
			return nodejs.GenerateProject(folder, p, program, local, false, "nodejs")
		},
		"npm install ./%s",
	},
	"python": {
		func(p *schema.Package, r *pulumirpc.GeneratePackageRequest, loader schema.ReferenceLoader) (files, error) {
			return python.GeneratePackage("pulumi-language-python", p, r.ExtraFiles, loader)
		},
		python.GenerateProgram,
		func(folder string, p workspace.Project, program *pcl.Program, local map[string]string) error {
			return python.GenerateProject(folder, p, program, local, "", "")
		},
		"pip install ./%s",
	},
}
