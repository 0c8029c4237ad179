package envoy

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/lockkeeper/lockkeeper/gateway/envoy/stats"
)

// observed is a node as a gateway sees it, with a clock of its own.
type observed struct {
	*coverage
	now       time.Time
	http, tcp uint64 // received
}

func newObserved() *observed {
	o := &observed{now: time.Unix(1700000000, 0)}
	o.coverage = newCoverage(func(string) (uint64, uint64) { return o.http, o.tcp }, 15*time.Minute, o.now)
	return o
}

// tick is a sample 5 seconds later, when Envoy has written so much in all and the gateway has received so much.
func (o *observed) tick(written, received uint64) {
	o.now = o.now.Add(5 * time.Second)
	o.http = received
	o.sample(stats.Sample{Node: "n", At: o.now, Flushed: written, HasFlushed: true})
}

func (o *observed) want(t *testing.T, want float64) {
	t.Helper()
	got, known := o.nodes["n"].ratio()
	require.True(t, known)
	require.InDelta(t, want, got, 1e-9)
}

func TestCoverageOfATrustyStream(t *testing.T) {
	o := newObserved()
	o.tick(1000, 1000)
	o.tick(2000, 2000)
	_, known := o.nodes["n"].ratio()
	require.False(t, known, "two samples prove nothing")
	o.tick(3000, 3000)
	for i := uint64(4); i < 50; i++ {
		o.tick(i*1000, i*1000)
		o.want(t, 1)
	}
}

// What is on its way at the moment of a sample is not lost, and what overtakes the stats does not make up for a loss.
func TestCoverageDoesNotWobble(t *testing.T) {
	o := newObserved()
	o.tick(60, 63)
	for i := uint64(1); i < 100; i++ {
		noise := []uint64{100, 100, 100, 99, 100, 101, 100}[i%7]
		o.tick(i*10+100, i*10+noise)
		if i >= 4 {
			o.want(t, 1)
		}
	}
	o.tick(1500, 1499) // its last entry is under way
	o.tick(1500, 1500)
	o.want(t, 1)
}

func TestCoverageShowsALossForAMinute(t *testing.T) {
	o := newObserved()
	var written, received uint64
	for range 20 {
		written, received = written+100, received+100
		o.tick(written, received)
	}
	written += 100 // nothing of it arrives
	o.tick(written, received)
	o.want(t, 1) // it may be on its way
	for i := range 8 {
		written, received = written+100, received+100
		o.tick(written, received)
		ratio, _ := o.nodes["n"].ratio()
		require.Less(t, ratio, 0.95, i)
		require.Greater(t, ratio, 0.90, i)
	}
	for range 8 {
		written, received = written+100, received+100
		o.tick(written, received)
	}
	o.want(t, 1)
	require.LessOrEqual(t, len(o.nodes["n"].Samples), 15)
}

func TestCoverageOfNothing(t *testing.T) {
	o := newObserved()
	for i := range uint64(5) {
		o.tick(100*i, 0)
	}
	o.want(t, 0)
	require.True(t, o.nodes["n"].silent())
	for range 30 {
		o.tick(400, 0) // it does not write any more
	}
	o.want(t, 1)
	require.False(t, o.nodes["n"].silent())
}

func TestCoverageAfterARestartOfEnvoy(t *testing.T) {
	o := newObserved()
	for i := range uint64(5) {
		o.tick(100*i, 50*i)
	}
	o.want(t, 0.5)
	o.tick(10, 210) // its counter began anew
	_, known := o.nodes["n"].ratio()
	require.False(t, known)
	o.tick(20, 220)
	o.tick(30, 230)
	o.tick(40, 240)
	o.want(t, 1)
}

// Envoys before 1.40 tell only what they wrote for HTTP, before they buffer it.
func TestCoverageByLogsWritten(t *testing.T) {
	o := newObserved()
	for i := uint64(1); i < 40; i++ {
		o.now = o.now.Add(5 * time.Second)
		o.http, o.tcp = i*500-[]uint64{0, 30, 99, 60}[i%4], i*70 // up to a second's entries are in Envoy's buffer
		o.sample(stats.Sample{Node: "n", At: o.now, Written: i * 500, HasWritten: true})
		if i >= 4 {
			o.want(t, 1)
		}
	}
	// Flushed comes to light: samples begin anew, TCP counts.
	base := o.http + o.tcp
	for i := range uint64(4) {
		o.now = o.now.Add(5 * time.Second)
		o.http = base + i*10
		o.sample(stats.Sample{Node: "n", At: o.now, Written: 1, HasWritten: true, Flushed: 5000 + i*20, HasFlushed: true})
	}
	o.want(t, 0.5)
	o.sample(stats.Sample{Node: "n", At: o.now, Written: 1e9, HasWritten: true}) // a part of a batch
	o.want(t, 0.5)
}

// A node that the aggregator forgot counts from 0 again; what it had counted is not forgotten here.
func TestCoverageOfAForgottenNode(t *testing.T) {
	o := newObserved()
	o.tick(100, 100)
	o.tick(200, 200)
	o.tick(300, 0)
	o.tick(400, 100)
	require.Equal(t, uint64(300), o.nodes["n"].Samples[len(o.nodes["n"].Samples)-1].Received)
}

func TestCoverageIsBounded(t *testing.T) {
	o := newObserved()
	for i := range maxCovered + 5 {
		o.sample(stats.Sample{Node: fmt.Sprint(i), At: o.now, HasFlushed: true})
	}
	o.sample(stats.Sample{Node: "of no use", At: o.now})
	require.Len(t, o.nodes, maxCovered)
	require.EqualValues(t, 5, o.refused())
	_, err := o.checkpoint(o.now.Add(16 * time.Minute))
	require.NoError(t, err)
	require.Empty(t, o.nodes, "idle nodes are forgotten")
}
