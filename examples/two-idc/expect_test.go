package main

import (
	"slices"
	"testing"
)

func exampleCaller() *caller {
	dc := twoIDCs()[0]
	return &caller{from: dc.callers[1], to: dc.servers[0]}
}

func trialNamed(t *testing.T, name string) trial {
	t.Helper()
	for _, tr := range append(servedTrials(), failedTrials()...) {
		if tr.name == name {
			return tr
		}
	}
	t.Fatalf("no trial %q", name)
	return trial{}
}

func TestExpect(t *testing.T) {
	f := func(name string, want tally) {
		t.Helper()
		got := tally{}
		got.expect(exampleCaller(), trialNamed(t, name))
		for _, d := range want.differences(got) {
			t.Errorf("%s: %v", name, d)
		}
	}
	known := func(reporter, protocol, code, flags, grpc string) series {
		return series{reporter, "idc1", "frontend-v1", "frontend", "v1", "backend-v1", "backend", "v1", serviceHost, protocol, code, flags, grpc}
	}
	unknown := func(code, flags string) series {
		return series{"source", "idc1", "frontend-v1", "frontend", "v1", "unknown", "unknown", "unknown", serviceHost, "http", code, flags, ""}
	}

	// Both sides report what was served.
	f("404", tally{known("source", "http", "404", "-", ""): 1, known("destination", "http", "404", "-", ""): 1})
	// The status of a gRPC call has a label of its own.
	f("gRPC NotFound in trailers", tally{known("source", "grpc", "200", "-", "5"): 1, known("destination", "grpc", "200", "-", "5"): 1})
	// Without a host there is no destination but the service.
	f("NR", tally{unknown("404", "NR"): 1})
	// Those that wait their turn are served.
	f("UO", tally{unknown("503", "UO"): 3, known("source", "http", "200", "-", ""): 2, known("destination", "http", "200", "-", ""): 2})
	// The server sees each try.
	f("URX", tally{known("source", "http", "503", "URX", ""): 1, known("destination", "http", "503", "-", ""): 3})
	// To the server a caller's timeout is a caller that left.
	f("UT", tally{known("source", "http", "504", "UT", ""): 1, known("destination", "http", "0", "DC", ""): 1})
}

func TestEveryFlagIsProvoked(t *testing.T) {
	all := tally{}
	for _, tr := range failedTrials() {
		all.expect(exampleCaller(), tr)
	}
	if want := []string{"DC", "NR", "UC", "UF", "UH", "UO", "URX", "UT"}; !slices.Equal(all.flags(), want) {
		t.Errorf("flags %v, want %v", all.flags(), want)
	}
}

func TestDifferences(t *testing.T) {
	a, b, c := series{"a"}, series{"b"}, series{"c"}
	got := tally{a: 1, b: 2}.differences(tally{b: 3, c: 4})
	want := []difference{{a, 1, -1}, {b, 2, 3}, {c, -1, 4}}
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if same := (tally{a: 1}).differences(tally{a: 1}); len(same) > 0 {
		t.Errorf("equal tallies differ: %v", same)
	}
}
