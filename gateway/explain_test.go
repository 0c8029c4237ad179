package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestExplain(t *testing.T) {
	f := func(golden string, args ...string) {
		t.Helper()
		code, got, stderr := call(t, append([]string{"explain"}, args...)...)
		if code != 0 {
			t.Fatalf("exit %d: %s", code, stderr)
		}
		file := filepath.Join("testdata/explain", golden)
		if *update {
			rewrite(t, file, got)
		}
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), got); diff != "" {
			t.Errorf("%q (-want +got; go test ./gateway -run Explain -update writes it):\n%s", args, diff)
		}
	}
	f("all.txt")
	f("UF+URX.txt", "UF,URX")
	f("UO.json", "-o", "json", "UO")
	// Neither order nor case matter, nor that they come one by one or twice.
	f("UF+URX.txt", "urx", "UF, URX")
	// The entry without flags, and details.
	f("none.txt", "-", "rbac_access_denied_matched_policy[deny-all]")
	f("details.txt", "upstream_reset_before_response_started{connection_timeout}")
}

func TestExplainMistakes(t *testing.T) {
	f := func(want string, args ...string) {
		t.Helper()
		code, stdout, stderr := call(t, append([]string{"explain"}, args...)...)
		if code != 2 || stdout != "" || !strings.Contains(stderr, want) {
			t.Errorf("%q: exit %d\n%s%s", args, code, stdout, stderr)
		}
	}
	f(`no such flag: "XX", "YY"`, "UF,XX", "YY")
	f("the flags are DC DF DI DO DPE", "XX")
	f("and - for none", "")
	f("must be text or json", "-o", "yaml", "UF")
}

func TestExplainJSON(t *testing.T) {
	_, stdout, _ := call(t, "explain", "-o", "json")
	var answer explained
	if err := json.Unmarshal([]byte(stdout), &answer); err != nil {
		t.Fatal(err)
	}
	if len(answer.Flags) != 30 || !slices.IsSorted(flagNames(answer.Flags)) {
		t.Errorf("%v", flagNames(answer.Flags))
	}
}
