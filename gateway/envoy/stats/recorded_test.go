package stats

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"os"
	"testing"
	"time"

	metricsv3 "github.com/envoyproxy/go-control-plane/envoy/service/metrics/v3"
	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/encoding/protodelim"
	"google.golang.org/protobuf/proto"
)

// messagesOf reads the stream of a sink as a real Envoy sent it: testdata/NAME.binpb is protodelim.
func messagesOf(t testing.TB, name string) (messages [][]byte) {
	t.Helper()
	f, err := os.Open("testdata/" + name + ".binpb")
	require.NoError(t, err)
	defer f.Close()
	in := bufio.NewReader(f)
	for {
		var m metricsv3.StreamMetricsMessage
		if err := (protodelim.UnmarshalOptions{MaxSize: 1 << 20}).UnmarshalFrom(in, &m); errors.Is(err, io.EOF) {
			return messages
		} else if err != nil {
			t.Fatal(err)
		}
		b, err := proto.Marshal(&m)
		require.NoError(t, err)
		messages = append(messages, b)
	}
}

func TestRecord(t *testing.T) {
	if os.Getenv("LOCKKEEPER_RECORD") == "" {
		t.Skip("LOCKKEEPER_RECORD=1 writes testdata/*.binpb anew")
	}
	e := startEnvoy(t, false)
	e.request("/orders/1")
	e.services["plain"].more(t, 2)
	for _, path := range []string{"/ok", "/orders/1", "/down", "/limited", "/limited", "/nowhere"} {
		e.request(path)
	}
	e.services["plain"].more(t, 2)
	for name, s := range e.services {
		var file bytes.Buffer
		s.mu.Lock()
		for _, b := range s.messages {
			var m metricsv3.StreamMetricsMessage
			require.NoError(t, proto.Unmarshal(b, &m))
			if n := m.GetIdentifier().GetNode(); n != nil {
				n.Extensions = nil // 60 kB that nobody reads
			}
			_, err := protodelim.MarshalTo(&file, &m)
			require.NoError(t, err)
		}
		s.mu.Unlock()
		require.NoError(t, os.WriteFile("testdata/"+name+".binpb", file.Bytes(), 0o600))
	}
}

// Tags in names or as labels, batches and deltas: all of it is one Envoy.
func TestRecordedStreamsAgree(t *testing.T) {
	want := exposed(t, fed(t, messagesOf(t, "tags")))
	require.Greater(t, len(want), 300)
	for _, name := range []string{"plain", "deltas", "batch"} {
		got := exposed(t, fed(t, messagesOf(t, name)))
		for key := range want {
			if moves(key) {
				delete(got, key)
			}
		}
		still := exposition{}
		for key, value := range want {
			if !moves(key) {
				still[key] = value
			}
		}
		if diff := cmp.Diff(still, got); diff != "" {
			t.Errorf("%s (-tags +%s):\n%.3000s", name, name, diff)
		}
	}
}

func TestRecordedModes(t *testing.T) {
	for name, want := range map[string]string{"tags": "cumulative", "plain": "cumulative", "batch": "cumulative", "deltas": "deltas"} {
		k := fed(t, messagesOf(t, name))
		require.Equal(t, want, k.Nodes(time.Now())[0].Mode, name)
		require.Zero(t, k.Totals().Malformed)
	}
}
