package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Ports of the service and of a pod's sidecar for plain TCP. A caller's Envoy listens on a port for each port of the service
// and version, for there are no headers to choose by.
const (
	tcpStoppedPort = 9101 // the sidecar finds no application behind it
	tcpClosedPort  = 9102 // nothing listens at the pod's port

	inboundPort           = 15006
	tcpInboundPort        = 15016
	tcpInboundStoppedPort = 15017
)

// A tcpWay is a listener for TCP and the cluster that its connections go to.
type tcpWay struct {
	port    int
	cluster string
}

func tcpWays(p proxy, d idc) []tcpWay {
	if p.role == server {
		return []tcpWay{{tcpInboundPort, inbound(appPort(tcpPort))}, {tcpInboundStoppedPort, inbound(appPort(tcpStoppedPort))}}
	}
	var ways []tcpWay
	for _, s := range d.servers {
		for _, port := range []int{tcpPort, tcpStoppedPort, tcpClosedPort} {
			ways = append(ways, tcpWay{callerPort(port, s.version), outbound(port, s.version)})
		}
	}
	return ways
}

// appPort is where a sidecar expects the application to serve a port of the service.
func appPort(servicePort int) int {
	if servicePort == tcpStoppedPort {
		return stoppedPort
	}
	return servicePort
}

// callerPort is where a caller's Envoy takes connections for a port of the service in a version: 19100 for v1, 29100 for v2.
func callerPort(servicePort int, version string) int {
	return servicePort + 10_000*int(version[1]-'0')
}

func tcpListener(p proxy, w tcpWay, id identity) object {
	return object{
		"name":              fmt.Sprintf("%s_%d", p.ip, w.port),
		"traffic_direction": p.direction(),
		"address":           socket(p.ip, w.port),
		"filter_chains": list{object{"filters": list{object{
			"name": "envoy.filters.network.tcp_proxy",
			"typed_config": typed("filters.network.tcp_proxy.v3.TcpProxy", object{
				"stat_prefix": w.cluster,
				"cluster":     w.cluster,
				"access_log": list{object{
					"name": "envoy.access_loggers.tcp_grpc",
					"typed_config": typed("access_loggers.grpc.v3.TcpGrpcAccessLogConfig", object{
						"common_config": logConfig("tcp_envoy_accesslog", id.tcpTags(p)),
					}),
				}},
				// Entries of connections that are still open: the gateway must not count these twice.
				"access_log_options": object{"flush_access_log_on_connected": true, "access_log_flush_interval": "1s"},
			}),
		}}}},
	}
}

// A talk is what goes over one TCP connection: a line of the caller's that names both sizes, and as many bytes each way.
type talk struct{ up, down int }

func (t talk) line() string { return fmt.Sprintf("%d %d\n", t.up, t.down) }

// received is what an Envoy counts from its client; the zero talk is a connection that was closed before the line.
func (t talk) received() int {
	if t == (talk{}) {
		return 0
	}
	return len(t.line()) + t.up
}

func (t talk) sent() int { return t.down }

// serveTCP holds up the application's side of talks. The caller closes first.
func serveTCP(l net.Listener) error {
	for {
		connection, err := l.Accept()
		if err != nil {
			return err
		}
		go func() {
			defer connection.Close()
			_ = answerTCP(connection) // the caller sees what is missing
		}()
	}
}

func answerTCP(connection io.ReadWriter) error {
	in := bufio.NewReader(connection)
	line, err := in.ReadString('\n')
	if err != nil {
		return err
	}
	var t talk
	if _, err := fmt.Sscan(line, &t.up, &t.down); err != nil {
		return err
	}
	if _, err := io.CopyN(io.Discard, in, int64(t.up)); err != nil {
		return err
	}
	if _, err := io.WriteString(connection, strings.Repeat("d", t.down)); err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, in)
	return err
}

// connect opens a connection by the caller's Envoy.
func (c *caller) connect(ctx context.Context, port int) (*net.TCPConn, error) {
	c.sent++
	connection, err := c.dialer.DialContext(ctx, "tcp", net.JoinHostPort(c.from.ip, strconv.Itoa(callerPort(port, c.to.version))))
	if err != nil {
		return nil, err
	}
	tcp := connection.(*net.TCPConn)
	return tcp, tcp.SetDeadline(time.Now().Add(answerTime))
}

// converse has a talk with the application, in two halves with a pause between.
func converse(port int, t talk, pause time.Duration) sender {
	return func(ctx context.Context, c *caller) error {
		connection, err := c.connect(ctx, port)
		if err != nil {
			return err
		}
		defer connection.Close()
		half := t.up / 2
		if _, err := io.WriteString(connection, t.line()+strings.Repeat("u", half)); err != nil {
			return err
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		if _, err := io.WriteString(connection, strings.Repeat("u", t.up-half)); err != nil {
			return err
		}
		if n, err := io.CopyN(io.Discard, connection, int64(t.down)); err != nil {
			return fmt.Errorf("after %d bytes of %d: %w", n, t.down, err)
		}
		if err := connection.CloseWrite(); err != nil {
			return err
		}
		if n, err := io.Copy(io.Discard, connection); n > 0 || err != nil {
			return fmt.Errorf("%d bytes too many, %w", n, err)
		}
		return nil
	}
}

// refuse connects to a port from which there is no way on: Envoy closes the connection.
func refuse(port int) sender {
	return func(ctx context.Context, c *caller) error {
		connection, err := c.connect(ctx, port)
		if err != nil {
			return err
		}
		defer connection.Close()
		if n, err := io.Copy(io.Discard, connection); n > 0 || err != nil && !errors.Is(err, syscall.ECONNRESET) {
			return fmt.Errorf("expected to be refused: %d bytes, %w", n, err)
		}
		return nil
	}
}
