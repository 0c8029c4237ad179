package main

import (
	"net/http"

	"google.golang.org/grpc/codes"
)

const (
	retries   = 2 // of the route /retried/
	overflows = 3 // in each run of the trial UO
)

// A trial is one thing that can happen to a request, and what the Envoys must say of it.
type trial struct {
	name string
	send sender
	want []mark // what one run leaves behind in all
}

// A mark is what an Envoy says of a request.
type mark struct {
	reporter string
	code     int // 0: no answer was sent
	flags    string
	grpc     string // grpc-status; empty: not gRPC
	nobody   bool   // no host was chosen: the destination's workload can't be known
	times    int    // 0: once
}

func source(code int, flags string) mark { return mark{reporter: "source", code: code, flags: flags} }

func destination(code int, flags string) mark {
	return mark{reporter: "destination", code: code, flags: flags}
}

// hostless is a request for which the caller's Envoy chose no host.
func hostless(code int, flags string) mark {
	return mark{reporter: "source", code: code, flags: flags, nobody: true}
}

func (m mark) by(times int) mark { m.times = times; return m }

// served is a request that the application answered: both Envoys say the same.
func served(name, path string, code int) trial {
	return trial{name, get(path, code), []mark{source(code, "-"), destination(code, "-")}}
}

func rpc(name, method string, code codes.Code, status string) trial {
	marks := []mark{source(http.StatusOK, "-"), destination(http.StatusOK, "-")}
	for i := range marks {
		marks[i].grpc = status
	}
	return trial{name, call(method, code), marks}
}

// servedTrials reach the application and bring back its answer.
func servedTrials() []trial {
	return []trial{
		served("200", "/app/status/200", http.StatusOK),
		served("201", "/app/status/201", http.StatusCreated),
		served("404", "/app/status/404", http.StatusNotFound),
		served("429", "/app/status/429", http.StatusTooManyRequests),
		served("500", "/app/status/500", http.StatusInternalServerError),
		served("503", "/app/status/503", http.StatusServiceUnavailable),
		rpc("gRPC OK", answerMethod, codes.OK, "0"),
		rpc("gRPC NotFound in trailers", answerMethod, codes.NotFound, "5"),
		rpc("gRPC Internal in trailers", answerMethod, codes.Internal, "13"),
		rpc("gRPC PermissionDenied in headers", refuseMethod, codes.PermissionDenied, "7"),
		rpc("gRPC Unavailable in headers", refuseMethod, codes.Unavailable, "14"),
	}
}

// failedTrials set flags. Where the caller's Envoy gives up on a request that the server's has, the latter sees its
// client leave: DC. Where the server's Envoy answers 503 by itself, that is an answer like others to the caller's.
func failedTrials() []trial {
	return []trial{
		{"NR", get("/nowhere", http.StatusNotFound), []mark{hostless(404, "NR")}},
		{"UH", get("/empty/", http.StatusServiceUnavailable), []mark{hostless(503, "UH")}},
		{"UO", overflow, []mark{hostless(503, "UO").by(overflows), source(200, "-").by(2), destination(200, "-").by(2)}},
		{"UT", outwait, []mark{source(504, "UT"), destination(0, "DC")}},
		{"UF by source", get("/closed/", http.StatusServiceUnavailable), []mark{source(503, "UF")}},
		{"UF by destination", get("/stopped/", http.StatusServiceUnavailable), []mark{source(503, "-"), destination(503, "UF")}},
		{"URX", get("/retried/status/503", http.StatusServiceUnavailable), []mark{source(503, "URX"), destination(503, "-").by(1 + retries)}},
		{"UC by source", get("/bare/reset", http.StatusServiceUnavailable), []mark{source(503, "UC")}},
		{"UC by destination", get("/app/reset", http.StatusServiceUnavailable), []mark{source(503, "-"), destination(503, "UC")}},
		{"DC", giveUp, []mark{source(0, "DC"), destination(0, "DC")}},
	}
}
