package xds

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// @grpc/grpc-js-xds, the client of Node, follows them too.
func TestGRPCJSFollows(t *testing.T) {
	modules, err := filepath.Abs("../.cache/grpcjs")
	require.NoError(t, err)
	program, err := filepath.Abs("testdata/grpcjs/client.mjs")
	require.NoError(t, err)
	node, err := exec.LookPath("node")
	if err == nil {
		_, err = os.Stat(filepath.Join(modules, "node_modules/@grpc/grpc-js-xds"))
	}
	if err != nil {
		if slices.Contains(strings.Split(os.Getenv("LOCKKEEPER_REQUIRE"), ","), "grpcjs") {
			t.Fatal("needs Node and its modules: make grpcjs")
		}
		t.Skip("needs Node and its modules: make grpcjs")
	}
	cmd := exec.Command(node, program, "xds:///app", strconv.FormatInt(callEvery.Milliseconds(), 10))
	cmd.Dir = modules
	follows(t, cmd)
}
