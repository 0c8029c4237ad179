package deploy

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"
)

// Istio's own schemas, of the oldest version that the snippets are for and of the newest one: MeshConfig by its protos, resources by their definitions.
func TestIstioSnippets(t *testing.T) {
	files, err := filepath.Glob("istio/*.yaml")
	require.NoError(t, err)
	require.Len(t, files, 2)
	for _, version := range []string{"1.24.2", "1.31.1"} {
		t.Run(version, func(t *testing.T) {
			resources := customSchemas(t, needs(t, "istio", ".cache/schemas/istio-"+version+".yaml", "make istio"))
			mesh := meshConfig(t, version)
			for _, file := range files {
				for _, document := range documents(t, readFile(t, file)) {
					if config, ok := document["meshConfig"]; ok {
						require.NoError(t, mesh(config), file)
						require.Len(t, document, 1, file)
					} else {
						require.Empty(t, resources.check(document), file)
					}
				}
			}
			require.ErrorContains(t, mesh(object{"defaultConfig": object{"proxyStatMatcher": object{}}}), `unknown field "proxyStatMatcher"`)
			require.ErrorContains(t, mesh(object{"extensionProviders": []any{object{"name": "a", "envoyHttpAls": object{"port": "x"}}}}), "invalid value")
			telemetry := documents(t, strings.Replace(readFile(t, "istio/service.yaml"), "- providers:", "- provider:", 1))[1]
			require.Equal(t, []string{"telemetry.istio.io/v1/Telemetry.spec.accessLogging[0].provider: unknown field"}, resources.check(telemetry))
		})
	}
}

// meshConfig reads one as istiod does, but that what it does not know is a mistake.
func meshConfig(t *testing.T, version string) func(config any) error {
	t.Helper()
	var set descriptorpb.FileDescriptorSet
	require.NoError(t, proto.Unmarshal([]byte(readFile(t, needs(t, "istio", ".cache/schemas/istio-"+version+".binpb", "make istio"))), &set))
	files, err := protodesc.NewFiles(&set)
	require.NoError(t, err)
	descriptor, err := files.FindDescriptorByName("istio.mesh.v1alpha1.MeshConfig")
	require.NoError(t, err)
	types := dynamicpb.NewTypes(files)
	return func(config any) error {
		text, err := json.Marshal(config)
		require.NoError(t, err)
		return protojson.UnmarshalOptions{Resolver: types}.Unmarshal(text, dynamicpb.NewMessage(descriptor.(protoreflect.MessageDescriptor)))
	}
}
