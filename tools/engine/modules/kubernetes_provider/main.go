// Pulumi's Kubernetes provider, from its module.
//
// The module's own program embeds two files that only its release makes, so it cannot be built. The build of this one
// puts them beside it (tools/engine/kubernetes.py).
package main

import (
	_ "embed"
	"strings"

	"github.com/pulumi/pulumi-kubernetes/provider/v4/pkg/provider"
)

//go:embed schema.json
var schema []byte

//go:embed terraform-mapping.json
var mapping []byte

//go:embed version.txt
var version string

func main() {
	provider.Serve("kubernetes", strings.TrimSpace(version), schema, mapping)
}
