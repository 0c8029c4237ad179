package alerting

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/alertmanager/alert"
	"github.com/prometheus/alertmanager/nflog/nflogpb"
	"github.com/prometheus/alertmanager/silence"
	"github.com/prometheus/alertmanager/silence/silencepb"
	"github.com/prometheus/common/model"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/encoding/protodelim"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// silenceOf is a message about a silence that was changed some time from now.
func silenceOf(id, pattern, comment string, changed time.Duration) []byte {
	now := time.Now()
	return delimited(&silencepb.MeshSilence{
		Silence: &silencepb.Silence{
			Id: id, Matchers: []*silencepb.Matcher{{Type: silencepb.Matcher_REGEXP, Name: "alertname", Pattern: pattern}}, Comment: comment,
			StartsAt: timestamppb.New(now.Add(-time.Hour)), EndsAt: timestamppb.New(now.Add(time.Hour)), UpdatedAt: timestamppb.New(now.Add(changed)),
		},
		ExpiresAt: timestamppb.New(now.Add(2 * time.Hour)),
	})
}

// toldOf is a message that somebody was told of so many alerts, some time from now.
func toldOf(group string, alerts int, changed time.Duration) []byte {
	at := time.Now().Add(changed)
	return delimited(&nflogpb.MeshEntry{
		Entry: &nflogpb.Entry{
			Receiver: &nflogpb.Receiver{GroupName: "team", Integration: "plugin/chat"}, GroupKey: []byte(group), Timestamp: timestamppb.New(at),
			FiringAlerts: make([]uint64, alerts),
		},
		ExpiresAt: timestamppb.New(at.Add(time.Hour)),
	})
}

func delimited(m proto.Message) []byte {
	var b bytes.Buffer
	if _, err := protodelim.MarshalTo(&b, m); err != nil {
		panic(err)
	}
	return b.Bytes()
}

// What comes from others is kept on disk, once, however long it is and however often it comes. What is wrong with it is told and counted.
func TestMerge(t *testing.T) {
	mesh := mesh{}
	g := newGateway(t, quick, map[string]*plugin{"chat": serve(t, "notification")})
	g.cluster = mesh.newNode(t, "a")
	stop := g.start(t)
	f := func(key string, message []byte, wantTaken, wantRefused int64, wantErr string) {
		t.Helper()
		file := map[string]string{"sil": silencesFile, "nfl": toldFile}[key]
		count := func(name string) int64 {
			return g.countOf(t, "lockkeeper_alerting_shared_"+name+"_total", "file", file)
		}
		taken, refused := count("records"), count("refused")
		err := g.cluster.states[key].Merge(message)
		if wantErr == "" {
			require.NoError(t, err)
		} else {
			require.ErrorContains(t, err, wantErr)
		}
		require.Equal(t, wantTaken, count("records")-taken, "taken")
		require.Equal(t, wantRefused, count("refused")-refused, "refused")
	}
	// short and long ones, both at once, and again
	long := strings.Repeat("long", 1000)
	both := append(silenceOf("short", "Hot", "", -time.Minute), silenceOf("long", "Cold", long, -time.Minute)...)
	f("sil", silenceOf("one", "Hot", "", -time.Minute), 1, 0, "")
	f("sil", both, 2, 0, "")
	f("sil", both, 0, 0, "")
	f("sil", silenceOf("one", "Hot", "", -time.Hour), 0, 0, "")
	f("nfl", toldOf("{}:{a}", 1, -time.Minute), 1, 0, "")
	f("nfl", append(toldOf("{}:{a}", 2, 0), toldOf("{}:{b}", 900, 0)...), 2, 0, "")
	f("nfl", toldOf("{}:{a}", 1, -time.Minute), 0, 0, "")
	f("nfl", toldOf("{}:{old}", 1, -2*time.Hour), 0, 0, "")
	f("nfl", nil, 0, 0, "")
	// a clock that is ahead
	f("sil", silenceOf("ahead", "Hot", "", 10*time.Minute), 0, 1, "")
	f("nfl", append(toldOf("{}:{c}", 1, 10*time.Minute), toldOf("{}:{d}", 1, 0)...), 1, 1, "")
	// nothing that Alertmanager would choke on later
	f("sil", silenceOf("bad", "Hot(", "", 0), 0, 1, "silences of another gateway: silence bad: error parsing regexp")
	f("sil", delimited(&silencepb.MeshSilence{Silence: &silencepb.Silence{Id: "all"}}), 0, 1, "silence all: no matchers")
	f("sil", delimited(&silencepb.MeshSilence{}), 0, 1, "a silence without an id")
	f("nfl", delimited(&nflogpb.MeshEntry{}), 0, 1, "nflog of another gateway: a notification without a receiver or a group")
	f("nfl", []byte("\x05garb"), 0, 1, "half a record")
	f("nfl", []byte("\x04garb"), 0, 1, "proto")

	stop()
	silences, err := os.ReadFile(filepath.Join(g.cfg.DataDirectory, silencesFile))
	require.NoError(t, err)
	require.Equal(t, 1, strings.Count(string(silences), long))
	g.cluster = nil
	g.start(t)
	shown := g.ask(http.MethodGet, "/api/v2/silences", "").Body.String()
	for _, id := range []string{"one", "short", "long"} {
		require.Contains(t, shown, fmt.Sprintf(`"id":%q`, id))
	}
	told, err := g.alerting.state.told.log.MarshalBinary()
	require.NoError(t, err)
	groups := map[string]int{}
	require.NoError(t, eachRecord(told, func(_, body []byte) error {
		var m nflogpb.MeshEntry
		err := proto.Unmarshal(body, &m)
		groups[string(m.GetEntry().GetGroupKey())] = len(m.GetEntry().GetFiringAlerts())
		return err
	}))
	require.Equal(t, map[string]int{"{}:{a}": 2, "{}:{b}": 900, "{}:{d}": 1}, groups)
}

// The number of an alert is the one that Alertmanager has in the log, and it is over as long as it was not told to fire later.
func TestOver(t *testing.T) {
	chat := serve(t, "notification")
	g := newGateway(t, quick, map[string]*plugin{"chat": chat})
	g.start(t)
	labels := model.LabelSet{"alertname": "Hot", "idc": "one", "zone": "ü"}
	number, told := numberOf(labels), g.alerting.state.told
	tell := func(ends time.Time, want string) {
		t.Helper()
		a := &alert.Alert{Alert: model.Alert{Labels: labels, StartsAt: time.Now().Add(-time.Hour), EndsAt: ends}, UpdatedAt: time.Now()}
		require.NoError(t, g.alerting.state.intake.Put(t.Context(), a))
		require.Equal(t, want, chat.next(t).Status)
	}
	over := func() bool { return !told.over()[number].IsZero() }
	tell(time.Now().Add(time.Hour), "firing")
	require.False(t, over())
	tell(time.Now(), "resolved")
	require.Eventually(t, over, patience, 10*time.Millisecond)
	tell(time.Now().Add(time.Hour), "firing")
	require.Eventually(t, func() bool { return !over() }, patience, 10*time.Millisecond)
}

// Whatever comes, silences and the log can be asked afterwards.
func FuzzMerge(f *testing.F) {
	f.Add(silenceOf("one", "Hot", "", 0))
	f.Add(silenceOf("bad", "Hot(", "", 0))
	f.Add(append(toldOf("{}:{a}", 1, 0), toldOf("{}:{b}", 100, 0)...))
	f.Add(delimited(&silencepb.MeshSilence{}))
	f.Add([]byte("\x00"))
	f.Add([]byte("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"))
	g := newGateway(f, quick, map[string]*plugin{"chat": serve(f, "notification")})
	mesh := mesh{}
	g.cluster = mesh.newNode(f, "a")
	g.start(f)
	f.Fuzz(func(t *testing.T, message []byte) {
		_ = g.cluster.states["sil"].Merge(message)
		_ = g.cluster.states["nfl"].Merge(message)
		if _, _, err := g.alerting.state.silences.Query(t.Context(), silence.QMatches(model.LabelSet{"alertname": "Hot"})); err != nil {
			t.Fatal(err)
		}
		g.alerting.state.told.over()
	})
}
