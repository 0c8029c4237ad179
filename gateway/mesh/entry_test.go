package mesh

import (
	"bufio"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"
	"unicode/utf8"

	accesslogdatav3 "github.com/envoyproxy/go-control-plane/envoy/data/accesslog/v3"
	accesslogv3 "github.com/envoyproxy/go-control-plane/envoy/service/accesslog/v3"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"google.golang.org/protobuf/encoding/protodelim"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/lockkeeper/lockkeeper/gateway/mesh/load"
)

// corpus reads the messages that a real Envoy 1.40.0 sent, file by file.
func corpus(tb testing.TB) map[string][]*accesslogv3.StreamAccessLogsMessage {
	tb.Helper()
	files, err := filepath.Glob("testdata/corpus/*.binpb")
	if err != nil || len(files) == 0 {
		tb.Fatal("no recorded streams in testdata/corpus", err)
	}
	entries, err := filepath.Glob("testdata/corpus/entries/*.binpb")
	if err != nil {
		tb.Fatal(err)
	}
	streams := map[string][]*accesslogv3.StreamAccessLogsMessage{}
	for _, file := range append(files, entries...) {
		streams[file] = readStream(tb, file)
	}
	return streams
}

func readStream(tb testing.TB, file string) []*accesslogv3.StreamAccessLogsMessage {
	tb.Helper()
	f, err := os.Open(file)
	if err != nil {
		tb.Fatal(err)
	}
	defer f.Close()
	var messages []*accesslogv3.StreamAccessLogsMessage
	in := bufio.NewReader(f)
	for {
		m := &accesslogv3.StreamAccessLogsMessage{}
		err := protodelim.UnmarshalOptions{MaxSize: 1 << 20}.UnmarshalFrom(in, m)
		if errors.Is(err, io.EOF) {
			return messages
		}
		if err != nil {
			tb.Fatalf("%s: %v", file, err)
		}
		messages = append(messages, m)
	}
}

func marshal(tb testing.TB, m proto.Message) []byte {
	tb.Helper()
	b, err := proto.Marshal(m)
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

// entries are the log entries of messages, HTTP's or TCP's.
func entries(messages []*accesslogv3.StreamAccessLogsMessage, tcp bool) (all []proto.Message) {
	for _, m := range messages {
		if tcp {
			for _, e := range m.GetTcpLogs().GetLogEntry() {
				all = append(all, e)
			}
			continue
		}
		for _, e := range m.GetHttpLogs().GetLogEntry() {
			all = append(all, e)
		}
	}
	return all
}

func TestWalkReadsRecordedEntriesAsGeneratedTypesDo(t *testing.T) {
	f := func(tcp bool, atLeast int) {
		t.Helper()
		n := 0
		for file, messages := range corpus(t) {
			for _, e := range entries(messages, tcp) {
				b := marshal(t, e)
				got, ok := walked(b, tcp)
				if !ok {
					t.Fatalf("%s: the walk calls %v malformed", file, e)
				}
				want, _ := generated(b, tcp)
				if diff := cmp.Diff(want, got, cmpopts.EquateComparable(duration{})); diff != "" {
					t.Errorf("%s (-generated +walk):\n%s", file, diff)
				}
				n++
			}
		}
		if n < atLeast {
			t.Errorf("only %d recorded entries", n)
		}
	}
	f(false, 100)
	f(true, 18)
}

// FuzzWalk and FuzzWalkTCP hold two things: what both the walk and the generated types can read, they read alike; and whatever
// the generated types can read and write again, the walk can read.
func FuzzWalk(f *testing.F)    { fuzzWalk(f, false) }
func FuzzWalkTCP(f *testing.F) { fuzzWalk(f, true) }

func fuzzWalk(f *testing.F, tcp bool) {
	for _, messages := range corpus(f) {
		for _, e := range entries(messages, tcp) {
			f.Add(marshal(f, e))
		}
	}
	for _, e := range entries(loaded(f), tcp) { // peers as Structs, TLS: what the recordings lack
		f.Add(marshal(f, e))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		got, walkOK := walked(b, tcp)
		want, generatedOK := generated(b, tcp)
		if walkOK && generatedOK {
			if diff := cmp.Diff(want, got, cmpopts.EquateComparable(duration{})); diff != "" {
				t.Errorf("(-generated +walk):\n%s", diff)
			}
		}
		if !generatedOK {
			return
		}
		canonical := rewrite(t, b, tcp)
		got, walkOK = walked(canonical, tcp)
		if want, generatedOK = generated(canonical, tcp); !walkOK || !generatedOK {
			t.Fatalf("walk %v, generated %v on what the generated types wrote", walkOK, generatedOK)
		}
		if diff := cmp.Diff(want, got, cmpopts.EquateComparable(duration{})); diff != "" {
			t.Errorf("written again (-generated +walk):\n%s", diff)
		}
	})
}

// rewrite decodes an entry by the generated types and encodes it again, without unknown fields and down to the peers in Anys.
func rewrite(t *testing.T, b []byte, tcp bool) []byte {
	var e interface {
		proto.Message
		GetCommonProperties() *accesslogdatav3.AccessLogCommon
	} = &accesslogdatav3.HTTPAccessLogEntry{}
	if tcp {
		e = &accesslogdatav3.TCPAccessLogEntry{}
	}
	discard := proto.UnmarshalOptions{DiscardUnknown: true}
	if err := discard.Unmarshal(b, e); err != nil {
		t.Fatal(err)
	}
	for _, state := range e.GetCommonProperties().GetFilterStateObjects() {
		for _, m := range []proto.Message{&structpb.Struct{}, &wrapperspb.StringValue{}} {
			if state.MessageIs(m) && discard.Unmarshal(state.GetValue(), m) == nil {
				state.Value = marshal(t, m)
			}
		}
	}
	return marshal(t, e)
}

func loaded(tb testing.TB) []*accesslogv3.StreamAccessLogsMessage {
	tb.Helper()
	encoded, err := load.Messages(1, 2, load.Shape{})
	if err != nil {
		tb.Fatal(err)
	}
	messages := make([]*accesslogv3.StreamAccessLogsMessage, len(encoded))
	for i, b := range encoded {
		messages[i] = &accesslogv3.StreamAccessLogsMessage{}
		if err := proto.Unmarshal(b, messages[i]); err != nil {
			tb.Fatal(err)
		}
	}
	return messages
}

// FuzzStream holds that whatever a stream sends is counted once or called malformed, labels are text, and callers addresses.
func FuzzStream(f *testing.F) {
	for _, messages := range corpus(f) {
		for _, m := range messages {
			m.Identifier = nil // large, and not what is tested
			f.Add(marshal(f, m))
		}
	}
	for _, m := range loaded(f) {
		f.Add(marshal(f, m))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		a := New(Options{Ingress: []string{"log"}}, time.Now())
		a.WatchIngress()
		s := a.Open(Node{ID: "fuzz", IDC: "idc", LogName: "log", Trusted: true})
		_ = s.Add(b)
		s.Close()
		var requests uint64
		for _, series := range flush(t, a, time.Now()) {
			requests += series.Requests
			for _, l := range series.Labels {
				if !utf8.ValidString(l.Value) || len(l.Value) > maxLabel {
					t.Errorf("label %s is %q", l.Name, l.Value)
				}
			}
		}
		if counted := a.Totals().All.Counted; counted != requests {
			t.Errorf("%d entries counted, %d requests in series", counted, requests)
		}
		entered := a.Entered()
		if entered[0].Requests != requests {
			t.Errorf("%d entered, %d requests in series", entered[0].Requests, requests)
		}
		for address := range entered[0].Callers {
			if !validIP([]byte(address)) {
				t.Errorf("a caller %q", address)
			}
		}
	})
}

// FuzzReadNode holds that no identifier breaks the reader, and that what it tells can be labels.
func FuzzReadNode(f *testing.F) {
	for _, m := range loaded(f) {
		f.Add(marshal(f, m))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		n, err := ReadNode(b, IDCSource{})
		if err == nil && n.ID == "" {
			t.Error("a node without an id")
		}
		for _, v := range append(n.peer[:], n.IDC) {
			if !validLabel(v) {
				t.Errorf("%q is no label", v)
			}
		}
	})
}
