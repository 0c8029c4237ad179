package mesh

import (
	"slices"
	"strings"
	"testing"

	accesslogdatav3 "github.com/envoyproxy/go-control-plane/envoy/data/accesslog/v3"
)

func TestEveryFlagIsExplained(t *testing.T) {
	// Each field of Envoy's message has a bit, and each bit a name and an explanation.
	fields := (&accesslogdatav3.ResponseFlags{}).ProtoReflect().Descriptor().Fields()
	for i := range fields.Len() {
		if field := fields.Get(i); flagName(int(field.Number())) == "" {
			t.Errorf("%s has no name", field.Name())
		}
	}
	all := Explanations()
	if want := fields.Len() + 2; len(all) != want { // DO and UDO have no field
		t.Errorf("%d flags, want %d", len(all), want)
	}
	for i, e := range all {
		if i > 0 && e.Flag <= all[i-1].Flag {
			t.Errorf("%s after %s", e.Flag, all[i-1].Flag)
		}
		if e.Name == "" || e.Meaning == "" || e.Code == "" || e.Upstream == "" || len(e.Check) == 0 || len(e.Details) == 0 || len(e.Causes) == 0 && e.Failure {
			t.Errorf("%s is not explained fully: %+v", e.Flag, e)
		}
		if !slices.Contains([]Class{ClassClient, ClassNetwork, ClassUpstream, ClassConfig, ClassLimit}, e.Class) {
			t.Errorf("%s is of class %q", e.Flag, e.Class)
		}
		for _, text := range slices.Concat([]string{e.Meaning}, e.Causes, e.Check) {
			if strings.TrimSpace(text) != text || strings.Contains(text, "  ") {
				t.Errorf("%s: %q", e.Flag, text)
			}
		}
	}
}

func TestExplain(t *testing.T) {
	f := func(name, want string) {
		t.Helper()
		if got, ok := Explain(name); got.Flag != want || ok != (want != "") {
			t.Errorf("Explain(%q) is %q, %v", name, got.Flag, ok)
		}
	}
	f("UF", "UF")
	f("uf", "UF")
	f("UpstreamConnectionFailure", "UF")
	f("-", "-")
	f("", "")
	f("UX", "")
}

// Flags that come together: their order does not matter.
func TestExplainTogether(t *testing.T) {
	f := func(want int, flags ...string) {
		t.Helper()
		if got := ExplainTogether(flags); len(got) != want {
			t.Errorf("%v: %v", flags, got)
		}
	}
	f(0)
	f(0, "UF")
	f(1, "UF", "URX")
	f(1, "URX", "UF")
	f(3, "UO", "UF", "URX")
	for _, note := range together {
		if !slices.IsSorted(note.Flags) || note.Meaning == "" {
			t.Errorf("%v", note)
		}
		for _, name := range note.Flags {
			if e, ok := Explain(name); !ok || e.Flag != name {
				t.Errorf("%v: no flag %s", note.Flags, name)
			}
		}
	}
}

func TestExplainDetails(t *testing.T) {
	f := func(value, want string) {
		t.Helper()
		if got, ok := ExplainDetails(value); got.Flag != want || ok != (want != "") {
			t.Errorf("ExplainDetails(%q) is of %q, %v", value, got.Flag, ok)
		}
	}
	f("", "")
	f("something_else", "")
	f("rbac_access_denied_matched_policy[deny-all]", "-")
	f("upstream_reset_before_response_started{connection_timeout}", "UF")
	f("upstream_reset_before_response_started{remote_reset}", "UR")
	f("http2.remote_reset", "DR")
	seen := map[string]bool{}
	for _, d := range Details() {
		if _, ok := Explain(d.Flag); !ok || d.Meaning == "" || d.Code == "" || seen[d.Details] {
			t.Errorf("%+v", d)
		}
		seen[d.Details] = true
	}
}

// What is said of the entries that a real Envoy wrote agrees with them.
func TestExplanationsAgreeWithEnvoy(t *testing.T) {
	for _, e := range recordedEntries(t) {
		if e.GetCommonProperties().GetAccessLogType() != accesslogdatav3.AccessLogType_DownstreamEnd {
			continue
		}
		details := e.GetResponse().GetResponseCodeDetails()
		flags := oracleFlags(e.GetCommonProperties().GetResponseFlags())
		flags.addDetails([]byte(details))
		got, ok := ExplainDetails(details)
		if !ok {
			t.Errorf("nothing is said of %s", details)
		} else if got.Flag != "-" && !slices.Contains(flags.Names(), got.Flag) {
			t.Errorf("%s is said to come with %s, not %s", details, got.Flag, flags)
		}
		told := e.GetCommonProperties().GetUpstreamCluster() != ""
		for _, name := range flags.Names() {
			if e, _ := Explain(name); e.Flag != "DI" && (told && e.Upstream == UpstreamNotTold || !told && e.Upstream == UpstreamTold) {
				t.Errorf("%s with %s: the cluster is told: %v", name, details, told)
			}
		}
	}
}

// DO and UDO are told by response_code_details alone: measured with drop_overloads of 50 % and of 100 %.
func TestFlagsOfDetails(t *testing.T) {
	f := func(details, want string) {
		t.Helper()
		var flags Flags
		if flags.addDetails([]byte(details)); flags.String() != want || flags.failure() != (want != "-") {
			t.Errorf("%s: %s", details, flags)
		}
	}
	f("", "-")
	f("drop_overload", "DO")
	f("unconditional_drop_overload", "UDO")
	f("direct_response", "-")
	f("via_upstream", "-")
}
