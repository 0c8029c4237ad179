package main

import (
	"net/http"
	"time"

	"google.golang.org/grpc/codes"
)

const (
	retries   = 2 // of the route /retried/
	overflows = 3 // in each run of the trial UO

	longTalk = 2500 * time.Millisecond // Envoy logs a connection that is open for so long twice before its end
)

// A trial is one thing that can happen to a request or to a TCP connection, and what the Envoys must say of it.
type trial struct {
	name string
	port int // of the service
	slow bool
	send sender
	want []mark // what one run leaves behind in all
}

// A mark is what an Envoy says of a request or of a connection.
type mark struct {
	reporter string
	protocol string // empty: http
	code     int    // 0: no answer was sent
	flags    string
	grpc     string // grpc-status; empty: none came
	nobody   bool   // no host was chosen: the destination's workload can't be known
	times    int    // 0: once
	tries    int    // of the source, for each time; 0: one
	talk     *talk  // of a TCP connection
}

// failed tells what the source's tries were, as the gateway sees it.
func (m mark) failed() bool {
	return m.code == 0 || m.code >= 500 || m.flags != "-" || m.grpc != "" && m.grpc != "0"
}

func source(code int, flags string) mark { return mark{reporter: "source", code: code, flags: flags} }

func destination(code int, flags string) mark {
	return mark{reporter: "destination", code: code, flags: flags}
}

// hostless is a request for which the caller's Envoy chose no host.
func hostless(code int, flags string) mark {
	return mark{reporter: "source", code: code, flags: flags, nobody: true}
}

func (m mark) by(times int) mark    { m.times = times; return m }
func (m mark) after(tries int) mark { m.tries = tries; return m }

func (m mark) rpc(status string) mark {
	m.protocol, m.grpc = "grpc", status
	return m
}

func (m mark) over(t talk) mark {
	m.protocol, m.talk = "tcp", &t
	return m
}

// served is a request that the application answered: both Envoys say the same.
func served(name, path string, code int) trial {
	return trial{name: name, port: httpPort, send: get(path, code), want: []mark{source(code, "-"), destination(code, "-")}}
}

func rpc(name, method string, code codes.Code, status string) trial {
	return trial{name: name, port: grpcPort, send: call(method, code), want: []mark{
		source(http.StatusOK, "-").rpc(status), destination(http.StatusOK, "-").rpc(status),
	}}
}

// talked is a TCP connection that the application took.
func talked(name string, t talk, pause time.Duration) trial {
	return trial{name: name, port: tcpPort, slow: pause > 0, send: converse(tcpPort, t, pause), want: []mark{
		source(0, "-").over(t), destination(0, "-").over(t),
	}}
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
		talked("TCP", talk{1000, 70_000}, 0),
		talked("TCP, only up", talk{50_000, 0}, 0),
	}
}

// failedTrials set flags, but for the last two. Where the caller's Envoy gives up on a request that the server's has, the
// latter sees its client leave: DC, or DR for a stream of HTTP/2. Where the server's Envoy answers 503 by itself, that is an
// answer like others to the caller's.
func failedTrials() []trial {
	const unavailable = http.StatusServiceUnavailable
	left := []mark{source(0, "DR").rpc(""), destination(0, "DR").rpc("")}
	return []trial{
		{name: "NR", port: httpPort, send: get("/nowhere", http.StatusNotFound), want: []mark{hostless(404, "NR")}},
		{name: "UH", port: httpPort, send: get("/empty/", unavailable), want: []mark{hostless(503, "UH")}},
		{name: "UO", port: scarcePort, send: overflow, want: []mark{hostless(503, "UO").by(overflows), source(200, "-").by(2), destination(200, "-").by(2)}},
		{name: "UT", port: httpPort, send: outwait, want: []mark{source(504, "UT"), destination(0, "DC")}},
		{name: "UF by source", port: closedPort, send: get("/closed/", unavailable), want: []mark{source(503, "UF")}},
		{name: "UF by destination", port: httpPort, send: get("/stopped/", unavailable), want: []mark{source(503, "-"), destination(503, "UF")}},
		{name: "URX", port: httpPort, send: get("/retried/status/503", unavailable), want: []mark{
			source(503, "URX").after(1 + retries), destination(503, "-").by(1 + retries),
		}},
		{name: "UC by source", port: barePort, send: get("/bare/reset", unavailable), want: []mark{source(503, "UC")}},
		{name: "UC by destination", port: httpPort, send: get("/app/reset", unavailable), want: []mark{source(503, "-"), destination(503, "UC")}},
		{name: "DC", port: httpPort, send: giveUp, want: []mark{source(0, "DC"), destination(0, "DC")}},
		{name: "gRPC cancelled", port: grpcPort, send: leaveCall(codes.Canceled), want: left},
		{name: "gRPC deadline", port: grpcPort, slow: true, send: leaveCall(codes.DeadlineExceeded), want: left},
		{name: "TCP UF by source", port: tcpClosedPort, send: refuse(tcpClosedPort), want: []mark{source(0, "UF,URX").over(talk{})}},
		{name: "TCP UF by destination", port: tcpStoppedPort, send: refuse(tcpStoppedPort), want: []mark{
			source(0, "-").over(talk{}), destination(0, "UF,URX").over(talk{}),
		}},
		talked("TCP, long", talk{3000, 5}, longTalk),
		{name: "one of two endpoints refuses", port: pairedPort, send: get("/paired/status/200", http.StatusOK), want: []mark{
			source(200, "-"), destination(200, "-"), // and the refused tries: see addRefusals
		}},
	}
}
