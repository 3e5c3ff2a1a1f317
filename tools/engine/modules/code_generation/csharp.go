//go:build csharp

package main

import (
	"io"
	"net/http"
	"strings"

	"github.com/pulumi/pulumi/pkg/v3/codegen/dotnet"
	"github.com/pulumi/pulumi/pkg/v3/codegen/schema"
	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"
)

// The engine's modules have no generator for C# from 3.229 on, so it is built with `csharp.mod`.
var languages = map[string]language{
	"dotnet": {
		func(p *schema.Package, r *pulumirpc.GeneratePackageRequest, _ schema.ReferenceLoader) (files, error) {
			return dotnet.GeneratePackage("pulumi-language-dotnet", p, r.ExtraFiles, r.LocalDependencies)
		},
		dotnet.GenerateProgram,
		dotnet.GenerateProject,
		"dotnet add reference %s",
	},
}

func init() { http.DefaultTransport = noNetwork{} }

// noNetwork answers with nothing. The generator asks for the address of a logo and writes what it gets to `logo.png`, and
// `tools/sdk/generate.py` puts the package's logo there.
type noNetwork struct{}

func (noNetwork) RoundTrip(*http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(strings.NewReader(""))}, nil
}
