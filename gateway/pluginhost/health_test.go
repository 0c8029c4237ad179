package pluginhost

import (
	"context"
	"net"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	pluginv1 "github.com/lockkeeper/lockkeeper/sdk/proto/plugin/v1"
)

// deadlocked is a plugin whose Health does not return; its gRPC server works.
type deadlocked struct {
	pluginv1.UnimplementedPluginServer
	over chan struct{}
}

func (d deadlocked) Health(context.Context, *pluginv1.HealthRequest) (*pluginv1.HealthResponse, error) {
	<-d.over
	return &pluginv1.HealthResponse{}, nil
}

// A gRPC server resets a call at its deadline, which may be seen before our own clock has come to it. That is no answer.
func TestDeadlockIsNoAnswer(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	server, plugin := grpc.NewServer(), deadlocked{over: make(chan struct{})}
	pluginv1.RegisterPluginServer(server, plugin)
	var serving sync.WaitGroup
	serving.Go(func() { _ = server.Serve(listener) })
	conn, err := grpc.NewClient(listener.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	require.NoError(t, err)
	inst := &instance{conn: conn, plugin: pluginv1.NewPluginClient(conn)}
	var calls sync.WaitGroup
	answers := make(chan error, 200)
	for range cap(answers) {
		calls.Go(func() {
			if answered, err := inst.health(t.Context()); answered {
				answers <- err
			}
		})
	}
	calls.Wait()
	close(answers)
	for err := range answers {
		t.Errorf("taken for an answer: %v", err)
	}
	require.NoError(t, conn.Close())
	close(plugin.over)
	server.Stop()
	serving.Wait()
}
